"""The commands export and generate: parse options, call one function, print the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import print_result, print_status, tracked
from gan_denoise.errors import UsageError, missing_extra
from gan_denoise.files import check_overwrite
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

MAX_IN_MEMORY = 100_000  # images in one file, or as one PNG file each


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a trained run.")],
    out: Annotated[Path, typer.Option(help="The folder to write.", rich_help_panel=OUTPUT)],
    epoch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of joint training, or of the generator with the finished denoiser; from the snapshots in float16.",
            show_default="the finished networks",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a trained run to generator.onnx, denoiser.onnx and fused.onnx; a denoiser alone to denoiser.onnx.

    Example: gan-denoise export runs/quick --out exported
    Example: gan-denoise export runs/quick --epoch 2 --out early
    """
    try:
        from gan_denoise.export.convert.bundle import export_run
        from gan_denoise.export.convert.parity import TOLERANCE
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "torch", "train") from error
    from gan_denoise.export import next_command, runtime

    print_status(f"{run}: converting, then checking each graph against PyTorch")
    differences = export_run(run, out, force, epoch)
    lines = [
        f"{out / file}  largest difference {difference:.1e}, limit {TOLERANCE:.0e}"
        for file, difference in differences.items()
    ]
    if runtime.FUSED.file in differences:
        command = next_command.generate_with(out)
    elif runtime.DENOISER.file not in differences:
        command = ("eval", "generation", "--features", out / runtime.FEATURES.file)
    else:
        command = next_command.after_denoise(runtime.load_graph(runtime.DENOISER, out), out)
    written = [out / file for file in differences]
    settings = {"run": run, **({} if epoch is None else {"epoch": epoch})}
    print_result("export", lines, as_json, command, settings=settings, written=written, worst_difference=differences)


def generate(
    model: ModelOption = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 64,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Random seed; image i depends on it and on i only.")
    ] = 0,
    label: Annotated[str | None, typer.Option(help="Only one class: the start of its name, or its number.")] = None,
    out: Annotated[
        Path,
        typer.Option(
            help="A grid (.png), arrays (.npz), or a folder: of PNG files, or above 100,000 images of .npz files.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("grid.png"),
    batch: Annotated[int, typer.Option(min=1, help="Batch size.", rich_help_panel=MACHINE)] = BATCH,
    threads: ThreadsOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Generate images, raw and denoised, with the fused graph.

    Above 100,000 images, a folder gets files of 10,000 images each, and the same command resumes when interrupted.
    Example: gan-denoise generate -n 64 --label sneaker --out grid.png
    Example: gan-denoise generate -n 1000000 --out many
    """
    from gan_denoise.export import next_command, runtime, writers
    from gan_denoise.export.generate import generate_batches, parse_label
    from gan_denoise.export.training_data import describe_names

    write = writers.writer_for(out)
    in_shards = n > MAX_IN_MEMORY
    if in_shards and write is not writers.write_folder:
        raise UsageError.expected("-n", f"at most {MAX_IN_MEMORY} for one file", n, "--out FOLDER takes any number")
    if not in_shards:
        check_overwrite(out, force)
    graph = runtime.load_graph(runtime.FUSED, model, threads)
    number = None if label is None else parse_label(graph, label)
    if in_shards:
        from gan_denoise.export.shards import write_shards

        write_shards(graph, seed, n, out, batch, number, force, tracked("generate"))
    else:
        write(generate_batches(graph, seed, n, batch, number, track=tracked("generate")), out)
    command = next_command.after_generate(graph, model, out, n)
    settings = {"n": n, "seed": seed, "label": number, "batch": batch}
    model_facts = {"model_sha256": graph.sha256, **describe_names(graph.metadata)}
    print_result("generate", [out], as_json, command, **model_facts, settings=settings, written=[out])
