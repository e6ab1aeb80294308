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
    exclude,
)

MAX_IN_MEMORY = 100_000  # images in one file, or as one PNG file each
N, KEYS = 64, 8  # how many images without -n, and how many latents a walk goes through


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a trained run.")],
    out: Annotated[Path, typer.Option(help="The folder to write.", rich_help_panel=OUTPUT)],
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a trained run to generator.onnx, denoiser.onnx and fused.onnx; a denoiser alone to denoiser.onnx.

    Example: gan-denoise export runs/quick --out exported
    """
    try:
        from gan_denoise.export.convert.bundle import export_run
        from gan_denoise.export.convert.parity import TOLERANCE
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "torch", "train") from error
    from gan_denoise.export import next_command, runtime

    print_status(f"{run}: converting, then checking each graph against PyTorch")
    differences = export_run(run, out, force)
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
    print_result(
        "export", lines, as_json, command, settings={"run": run}, written=written, worst_difference=differences
    )


def generate(
    model: ModelOption = None,
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, help="How many images.", show_default=f"{N}; {KEYS} latents with --interpolate"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, help="Random seed; image i depends on it and on i only.", show_default="0"),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="One image a seed, its first; as 10-8000 or 3,7,10-12. PNG files: SEED.png."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Only one class: the start of its name, or its number.")] = None,
    interpolate: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="FRAMES",
            help="A walk through -n latents, or those of --seeds, and back to the first: so many frames from one to "
            "the next. .gif: a loop, raw beside denoised; .png: a row for each latent.",
        ),
    ] = None,
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
    Example: gan-denoise generate --seeds 10-8000 --out images
    Example: gan-denoise generate --seeds 3,7,12 --interpolate 8 --out walk.gif
    Example: gan-denoise generate -n 1000000 --out many
    """
    from gan_denoise.export import next_command, runtime, writers
    from gan_denoise.export.generate import draw_batches, draw_latents, parse_label, parse_seeds
    from gan_denoise.export.training_data import describe_names

    exclude("--seeds", seeds, {"-n": n, "--seed": seed})
    listed = None if seeds is None else parse_seeds(seeds, MAX_IN_MEMORY)
    latents = len(listed) if listed else n or (KEYS if interpolate else N)
    if interpolate and latents < 2:
        raise UsageError.expected("--interpolate", "2 latents or more", latents, "-n 2, or --seeds with two seeds")
    count = latents * (interpolate or 1)
    write = writers.writer_for(out, interpolate or 0, None if interpolate else listed)
    in_shards = count > MAX_IN_MEMORY
    if in_shards and (interpolate or not writers.is_folder(out)):
        hint = "fewer latents or frames" if interpolate else "--out FOLDER takes any number"
        raise UsageError.expected("-n", f"at most {MAX_IN_MEMORY} for one file", count, hint)
    if not in_shards:
        check_overwrite(out, force)
    graph = runtime.load_graph(runtime.FUSED, model, threads)
    number = None if label is None else parse_label(graph, label)
    if in_shards:
        from gan_denoise.export.shards import write_shards

        write_shards(graph, seed or 0, count, out, batch, number, force, tracked("generate"))
    else:
        draw = draw_latents(graph, seed or 0, listed, latents, interpolate or 0)
        write(draw_batches(graph, draw, count, batch, number, tracked("generate")), out)
    command = next_command.after_generate(graph, model, out, 0 if interpolate else count)
    settings = {"n": count, "seed": None if listed else seed or 0, "label": number, "batch": batch}
    settings |= {name: value for name, value in {"seeds": seeds, "interpolate": interpolate}.items() if value}
    model_facts = {"model_sha256": graph.sha256, **describe_names(graph.metadata)}
    print_result("generate", [out], as_json, command, **model_facts, settings=settings, written=[out])
