"""The commands package and quantize: write an exported model for other tools, or in fewer bits."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import print_result
from gan_denoise.files import check_overwrite, write_atomic
from gan_denoise.options import BATCH, OUTPUT, ForceOption, JsonOption, QuietOption

ModelArgument = Annotated[
    Path | None, typer.Argument(help="An exported folder or graph.", show_default="the shipped model")
]
OutFileOption = Annotated[Path, typer.Option("--out", help="The file to write.", rich_help_panel=OUTPUT)]

app = typer.Typer(
    no_args_is_help=True,
    help="Write an exported model for other tools.\n\nExample: gan-denoise package huggingface --out hub",
)


class Precision(StrEnum):
    """The number formats of `quantize`."""

    int8 = "int8"
    float16 = "float16"


@app.command()
def huggingface(
    out: Annotated[Path, typer.Option(help="The folder to write.", rich_help_panel=OUTPUT)],
    model: ModelArgument = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a folder for the Hugging Face Hub: the fused graph, config.json and a model card.

    Example: gan-denoise package huggingface --out hub
    """
    from gan_denoise.export.next_command import generate_with
    from gan_denoise.export.package.huggingface import MODEL, write_huggingface

    written = write_huggingface(model, out, force)
    command = generate_with(out / MODEL)
    print_result("package huggingface", written, as_json, command, settings={"model": model}, written=written)


@app.command()
def triton(
    out: Annotated[Path, typer.Option(help="The model repository to write.", rich_help_panel=OUTPUT)],
    model: ModelArgument = None,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Most rows in one run of a graph.")] = BATCH,
    delay_ms: Annotated[float, typer.Option(min=0, max=1000, help="How long a row waits for others to join it.")] = 2,
    version: Annotated[int, typer.Option(min=1, help="The version's number; it goes beside others.")] = 1,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a model repository for NVIDIA's Triton Inference Server: each graph with its configuration.

    Example: gan-denoise package triton --out repository
    """
    from gan_denoise.export.package.triton import write_triton

    written = write_triton(model, out, batch, delay_ms, version, force)
    settings = {"model": model, "batch": batch, "delay_ms": delay_ms, "version": version}
    print_result("package triton", written, as_json, (), settings=settings, written=written)


@app.command()
def torch_fidelity(
    out: OutFileOption,
    model: ModelArgument = None,
    raw: Annotated[bool, typer.Option("--raw", help="Output raw images instead of denoised ones.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write one graph for torch-fidelity: z to 8-bit colour images.

    Example: gan-denoise package torch-fidelity --out images.onnx
    """
    from gan_denoise.export.package.torch_fidelity import to_torch_fidelity

    check_overwrite(out, force)
    write_atomic(out, to_torch_fidelity(model, denoised=not raw))
    settings = {"model": model, "raw": raw}
    print_result("package torch-fidelity", [out], as_json, (), settings=settings, written=[out])


def quantize(
    precision: Annotated[Precision, typer.Argument(help="int8 is faster on processors with VNNI; float16 is not.")],
    out: OutFileOption,
    model: ModelArgument = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the fused graph with smaller weights, after checking its images against those of float32.

    Example: gan-denoise quantize int8 --out int8.onnx
    """
    from gan_denoise.export.next_command import after_quantize
    from gan_denoise.export.package.quantize import MIN_PSNR_DB
    from gan_denoise.export.package.quantize import quantize as quantize_graph

    check_overwrite(out, force)
    content, psnr_db = quantize_graph(model, precision)
    write_atomic(out, content)
    line = f"{out}  {len(content):,} bytes, PSNR {psnr_db:.1f} dB to float32, minimum {MIN_PSNR_DB[precision]:g}"
    command, settings = after_quantize(model, out, precision), {"model": model, "precision": precision}
    print_result("quantize", [line], as_json, command, settings=settings, written=[out], agreement_db=psnr_db)
