"""The commands export, generate, denoise and demo: parse, call one function, print."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import model_option, print_result, print_status, tracked
from gan_denoise.errors import UsageError, missing_extra
from gan_denoise.files import check_overwrite, write_atomic
from gan_denoise.options import (
    BATCH,
    MACHINE,
    MAX_SEED,
    OUTPUT,
    ForceOption,
    JsonOption,
    ModelOption,
    QuietOption,
    ThreadsOption,
)

MIN_MEASURED = 97  # images that `eval ffd` takes
MAX_IN_MEMORY = 100_000  # images in one file, or as files of their own


class Purpose(StrEnum):
    """Whose tool a graph is written for."""

    fidelity = "fidelity"
    hub = "hub"


class Precision(StrEnum):
    """How a graph keeps its numbers, other than in float32."""

    float16 = "float16"
    int8 = "int8"


def export(
    out: Annotated[
        Path,
        typer.Option(help="The folder to write; with --for fidelity or --precision, the file.", rich_help_panel=OUTPUT),
    ],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="The folder that `train` or `study run` made; with --for or --precision, an exported folder or graph.",
            show_default="with --for or --precision, the shipped model",
        ),
    ] = None,
    purpose: Annotated[
        Purpose | None,
        typer.Option(
            "--for",
            help="fidelity: one graph for torch-fidelity, z to 8-bit colour images; "
            "hub: a folder as the Hugging Face Hub has them, with a model card.",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="With --for fidelity: the images before the denoiser.")] = False,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Write one fused graph in half the space; int8 is faster where the processor has VNNI."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a trained run to generator.onnx, denoiser.onnx and fused.onnx; a denoiser alone to denoiser.onnx.

    Example: gan-denoise export runs/quick --out exported
    Example: gan-denoise export --for fidelity --out images.onnx
    Example: gan-denoise export --for hub --out hub
    Example: gan-denoise export exported --precision int8 --out int8.onnx
    """
    if purpose is not None and precision is not None:
        raise UsageError("--for --precision: both found, one wanted")
    if raw and purpose is not Purpose.fidelity:
        raise UsageError(
            "--raw: found without --for fidelity, both or none wanted", "an export holds raw and denoised images"
        )
    if precision is not None:
        _export_in_precision(run, out, precision, force, as_json)
    elif purpose is Purpose.fidelity:
        _export_for_fidelity(run, out, raw, force, as_json)
    elif purpose is Purpose.hub:
        _export_for_hub(run, out, force, as_json)
    elif run is None:
        raise UsageError("RUN: none found, the folder that `train` or `study run` made wanted")
    else:
        _export_run(run, out, force, as_json)


def generate(
    model: ModelOption = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Image i depends on the seed and i alone.")] = 0,
    label: Annotated[str | None, typer.Option(help="One class only: the start of its name, or its number.")] = None,
    out: Annotated[
        Path,
        typer.Option(
            help="A grid (.png), arrays (.npz) or a folder: of PNG files, above 100,000 images of arrays.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("grid.png"),
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.", rich_help_panel=MACHINE)] = BATCH,
    threads: ThreadsOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make images, raw and denoised, with the fused graph.

    Above 100,000 images a folder holds array files of 10,000 each, and the same command goes on where it stopped.
    Example: gan-denoise generate -n 64 --label sneaker --out grid.png
    Example: gan-denoise generate -n 1000000 --out many
    """
    from gan_denoise.export import runtime, writers
    from gan_denoise.export.generate import generate_batches, parse_label

    write = writers.writer_for(out)
    many = n > MAX_IN_MEMORY
    if many and write is not writers.write_folder:
        raise UsageError(f"-n: {n} found, {MAX_IN_MEMORY} at most wanted for one file", "--out FOLDER takes any number")
    if not many:
        check_overwrite(out, force)
    graph = runtime.load_graph(runtime.FUSED, model, threads)
    chosen = None if label is None else parse_label(graph, label)
    if many:
        from gan_denoise.export.shards import write_shards

        write_shards(graph, seed, n, out, batch, chosen, force, tracked("generate"))
    else:
        write(generate_batches(graph, seed, n, batch, chosen, track=tracked("generate")), out)
    measurable = out.suffix.lower() != ".png" and n >= MIN_MEASURED
    then = ("eval", "ffd", out) if measurable else ("eval", "generation", *model_option(model))
    settings = {"n": n, "seed": seed, "label": chosen, "batch": batch}
    print_result("generate", [out], as_json, then, model_sha256=graph.sha256, settings=settings, written=[out])


def denoise(
    images: Annotated[list[Path], typer.Argument(help="Image files, as large as the model takes them or larger.")],
    out: Annotated[
        Path, typer.Option(help="The folder to write to; the files keep their names, as PNG.", rich_help_panel=OUTPUT)
    ],
    model: ModelOption = None,
    threads: ThreadsOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Denoise image files with the denoiser; larger ones in overlapping squares.

    Example: gan-denoise denoise noisy/*.png --out clean
    """
    import numpy as np

    from gan_denoise.export import runtime, tiling
    from gan_denoise.export.images import read_image, save_png, to_pil

    graph = runtime.load_graph(runtime.DENOISER, model, threads)
    images = list(dict.fromkeys(images))  # one that is given twice is denoised once
    sources: dict[Path, Path] = {}
    for path in images:
        other = sources.setdefault(out / f"{path.stem}.png", path)
        if other != path:
            message = f"IMAGES: {other} and {path} found, which would both become {path.stem}.png"
            raise UsageError(message, "denoise them into different folders")
    for target in sources:
        check_overwrite(target, force)
    for path in images:  # all are read before any is written
        read_image(path, graph.input_shape, or_larger=True)
    for target, path in tracked("denoise")(list(sources.items())):
        restored = tiling.denoise_tiled(graph, read_image(path, graph.input_shape, or_larger=True))
        save_png(to_pil(np.clip(restored, 0, 1)), target)
    written, then = list(sources), ("eval", "denoising", *model_option(model))
    print_result("denoise", written, as_json, then, model_sha256=graph.sha256, written=written)


def _export_run(run: Path, out: Path, force: bool, as_json: bool) -> None:
    try:
        from gan_denoise.export.convert.bundle import export_run
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "torch", "train") from error
    print_status(f"{run}: converting, then checking each graph against PyTorch")
    differences = export_run(run, out, force)
    lines = [
        f"{out / file}  worst difference {difference:.1e}, {1e-4:.0e} allowed"
        for file, difference in differences.items()
    ]
    whole = "fused.onnx" in differences
    generate, measure = (
        ("generate", "--model", out, "--out", "grid.png"),
        ("eval", "denoising", "--versus", f"mine={out}"),
    )
    written = [out / file for file in differences]
    then = generate if whole else measure
    print_result("export", lines, as_json, then, settings={"run": run}, written=written, worst_difference=differences)


def _export_for_fidelity(model: Path | None, out: Path, raw: bool, force: bool, as_json: bool) -> None:
    from gan_denoise.export.package.torch_fidelity import to_torch_fidelity

    check_overwrite(out, force)
    write_atomic(out, to_torch_fidelity(model, denoised=not raw))
    settings = {"model": model, "for": "fidelity", "raw": raw}
    print_result(
        "export", [out], as_json, ("eval", "generation", *model_option(model)), settings=settings, written=[out]
    )


def _export_for_hub(model: Path | None, out: Path, force: bool, as_json: bool) -> None:
    from gan_denoise.export.package.huggingface import write_huggingface

    written = write_huggingface(model, out, force)
    then = ("generate", "--model", out / "onnx/model.onnx", "--out", "grid.png")
    print_result("export", written, as_json, then, settings={"model": model, "for": "hub"}, written=written)


def _export_in_precision(model: Path | None, out: Path, precision: Precision, force: bool, as_json: bool) -> None:
    from gan_denoise.export.package.quantize import MIN_PSNR_DB, quantize

    check_overwrite(out, force)
    content, agreement = quantize(model, precision)
    write_atomic(out, content)
    line = f"{out}  {len(content):,} bytes, within {agreement:.1f} dB of float32, {MIN_PSNR_DB[precision]:g} wanted"
    then = ("bench", *model_option(model), "--vs", f"{precision}={out}")
    settings = {"model": model, "precision": precision}
    print_result("export", [line], as_json, then, settings=settings, written=[out], agreement_db=agreement)
