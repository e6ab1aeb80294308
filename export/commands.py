"""The commands export and generate: parse options, call one function, print the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gan_denoise.console import print_result, print_status, tracked
from gan_denoise.errors import UsageError, missing_extra
from gan_denoise.files import check_overwrite
from gan_denoise.machine import usable_cores
from gan_denoise.options import (
    BATCH,
    MACHINE,
    MAX_SEED,
    MAX_THREADS,
    OUTPUT,
    FileFormat,
    ForceOption,
    JsonOption,
    ModelOption,
    OnOption,
    Provider,
    ProviderOption,
    QuietOption,
    exclude,
)

if TYPE_CHECKING:
    from gan_denoise.export.runtime import Graph

MAX_IN_MEMORY = 100_000  # images in one file, or as one PNG file each
N, KEYS = 64, 8  # how many images without -n, and how many latents a walk goes through


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
    file_format: Annotated[
        FileFormat | None,
        typer.Option(
            help="Files of 10,000 images in a folder: npz: arrays; webdataset: tar files of PNG files and classes; "
            "parquet: PNG files and classes in columns (needs the extra parquet).",
            show_default="npz above 100,000 images",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Batch size.", rich_help_panel=MACHINE)] = BATCH,
    threads: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_THREADS,
            help="Threads, of each worker; 0 = the available cores, divided by --workers, or 1 with --on.",
            rich_help_panel=MACHINE,
        ),
    ] = 0,
    provider: ProviderOption = Provider.cpu,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_THREADS,
            help="Processes that write the folder.",
            show_default="1; with --on as many as there are processors for",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    on: OnOption = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="K/N", help="Write only the K-th of N parts of a folder, from 1 on.", rich_help_panel=MACHINE
        ),
    ] = None,
    other_machine: Annotated[
        bool,
        typer.Option(
            "--other-machine",
            help="Add to a folder that another kind of processor, or another --threads, --batch or --provider, began; "
            "the same pixels within 1 of 255.",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Generate images, raw and denoised, with the fused graph.

    Above 100,000 images, or with --workers, --on, --part or --file-format, a folder gets files of 10,000 images each,
    and their hashes in shards.json. Any number of processes can write to one folder, also on several machines that
    share it: each takes a file that no other one makes. The same command goes on after a signal, a kill or damage to a
    file.
    Example: gan-denoise generate -n 64 --label sneaker --out grid.png
    Example: gan-denoise generate --seeds 10-8000 --out images
    Example: gan-denoise generate --seeds 3,7,12 --interpolate 8 --out walk.gif
    Example: gan-denoise generate -n 1000000 --out many --workers 2
    Example: gan-denoise generate -n 100000000 --out /shared/many --on ray://head:10001
    Example: gan-denoise generate -n 50000 --file-format webdataset --out tars
    Example: gan-denoise generate -n 100000000 --out /shared/many --part 3/16
    """
    from gan_denoise.export import generate as images
    from gan_denoise.export import next_command, runtime, writers
    from gan_denoise.export.provider_choice import load_for
    from gan_denoise.export.training_data import describe_names

    shard_options = {
        "--workers": workers if workers != 1 else None,
        "--on": on,
        "--part": part,
        "--file-format": file_format,
        "--other-machine": other_machine or None,
    }
    exclude("--seeds", seeds, {"-n": n, "--seed": seed, **shard_options})
    exclude("--interpolate", interpolate, shard_options)
    listed = None if seeds is None else images.parse_seeds(seeds, MAX_IN_MEMORY)
    latents, frames = len(listed) if listed else n or (KEYS if interpolate else N), interpolate or 0
    count, first_seed = latents * (frames or 1), seed or 0
    in_shards = count > MAX_IN_MEMORY or any(value is not None for value in shard_options.values())
    write = writers.writer_for(out, frames, None if frames else listed)
    _check_limits(out, latents, frames, in_shards)
    parts = (1, 1) if part is None else images.parse_part(part)
    if not in_shards:
        check_overwrite(out, force)
    graph = load_for(provider, runtime.FUSED, model, threads or (1 if on else max(1, usable_cores() // (workers or 1))))
    number = None if label is None else images.parse_label(graph, label)
    complete = True
    if in_shards:
        complete = _write_shards(
            on,
            workers,
            graph,
            first_seed,
            count,
            out,
            batch,
            number,
            force,
            tracked("generate"),
            part=parts,
            other_machine=other_machine,
            file_format=file_format or FileFormat.npz,
        )
        if not complete:
            print_status(f"{out}: this part is written, others are missing")
    else:
        draw = images.draw_latents(graph, first_seed, listed, latents, frames)
        write(images.draw_batches(graph, draw, count, batch, number, tracked("generate")), out)
    measured = 0 if frames or file_format not in (None, FileFormat.npz) else count  # that `eval ffd` reads
    command = next_command.after_generate(graph, model, out, measured) if complete else ()
    settings: dict[str, object] = {"n": count, "seed": None if listed else first_seed, "label": number, "batch": batch}
    settings["provider"] = graph.provider
    given = {"seeds": seeds, "interpolate": interpolate, "part": part, "file_format": file_format}
    settings |= {name: value for name, value in given.items() if value}
    facts = {"model_sha256": graph.sha256, **describe_names(graph.metadata), "complete": complete}
    print_result("generate", [out], as_json, command, **facts, settings=settings, written=[out])


def _write_shards(on: str | None, workers: int | None, graph: Graph, *arguments: Any, **options: Any) -> bool:
    """`write_shards`, with tasks on the Ray cluster `on` if one is named: by default as many as it runs at once."""
    from gan_denoise.export.shards import write_shards

    if on is None:
        return write_shards(graph, *arguments, workers=workers or 1, **options)
    from gan_denoise.ray_cluster import connect

    with connect(on) as cluster:
        count = workers or cluster.tasks(graph.threads)
        return write_shards(graph, *arguments, workers=count, on_cluster=True, **options)


def _check_limits(out: Path, latents: int, frames: int, in_shards: bool) -> None:
    """Raise UsageError for a walk of one latent, for more images than a file takes, and for a file instead of a folder.

    `frames` is 0 for images that are no walk.
    """
    from gan_denoise.export import writers

    if frames and latents < 2:
        raise UsageError.expected("--interpolate", "2 latents or more", latents, "-n 2, or --seeds with two seeds")
    if latents * frames > MAX_IN_MEMORY:
        hint = "fewer latents or frames"
        raise UsageError.expected("--interpolate", f"at most {MAX_IN_MEMORY} frames", latents * frames, hint)
    if in_shards and not writers.is_folder(out):
        if latents > MAX_IN_MEMORY:
            hint = "--out FOLDER takes any number"
            raise UsageError.expected("-n", f"at most {MAX_IN_MEMORY} for one file", latents, hint)
        wanted = "a folder, with --workers, --on, --part or --file-format"
        raise UsageError.expected("--out", wanted, out.name, "--out FOLDER")
