"""The commands export, generate and denoise: parse, call one function, print."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.errors import UsageError, missing_extra
from gan_denoise.files import refuse_existing, write_atomic
from gan_denoise.limits import BATCH, MAX_SEED, MAX_THREADS
from gan_denoise.progress import tracked

Model = Annotated[Path | None, typer.Option(help="An ONNX file, or a folder that holds it. Default: the shipped one.")]
Threads = Annotated[int, typer.Option(min=0, max=MAX_THREADS, help="0 means one a usable core.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
MOST_IN_MEMORY = 100_000  # pictures in one file, or as files of their own


class Purpose(StrEnum):
    """Whose tool a graph is written for."""

    fidelity = "fidelity"


class Precision(StrEnum):
    """How a graph keeps its numbers, other than in float32."""

    float16 = "float16"
    int8 = "int8"


def export(
    out: Annotated[Path, typer.Option(help="The folder to write; with --for or --precision, the file.")],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="The folder that `train` or `study run` made; with --for or --precision, an exported folder or graph.",
            show_default="with --for or --precision, the shipped model",
        ),
    ] = None,
    purpose: Annotated[
        Purpose | None, typer.Option("--for", help="Write one graph for torch-fidelity: z to 8-bit colour pictures.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="With --for: the pictures before the denoiser.")] = False,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Write one fused graph in half the space; int8 is faster where the processor has VNNI."),
    ] = None,
    force: Force = False,
) -> None:
    """Convert a trained run to generator.onnx, denoiser.onnx and fused.onnx; a denoiser alone to denoiser.onnx.

    Example: gan-denoise export runs/quick --out exported
             gan-denoise export exported --for fidelity --out pictures.onnx
             gan-denoise export exported --precision int8 --out int8.onnx
    """
    if purpose is not None and precision is not None:
        raise UsageError("--for --precision: both found, one wanted")
    if raw and purpose is None:
        raise UsageError("--raw: found without --for, both or none wanted", "an export holds raw and denoised pictures")
    if precision is not None:
        _export_in_precision(run, out, precision, force)
        return
    if purpose is not None:
        _export_for_fidelity(run, out, raw, force)
        return
    if run is None:
        raise UsageError("RUN: none found, the folder that `train` or `study run` made wanted")
    try:
        from gan_denoise.export.bundle import export_run
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "torch", "train") from error
    differences = export_run(run, out, force)
    for file, difference in differences.items():
        typer.echo(f"{out / file}  worst difference {difference:.1e}, {1e-4:.0e} allowed")
    whole = "fused.onnx" in differences
    then = f"generate --model {out} --out grid.png" if whole else f"eval denoising --versus mine={out}"
    typer.echo(f"next: gan-denoise {then}", err=True)


def generate(
    model: Model = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Picture i depends on the seed and i alone.")] = 0,
    label: Annotated[str | None, typer.Option(help="One class only: the start of its name, or its number.")] = None,
    out: Annotated[
        Path,
        typer.Option(help="A grid (.png), arrays (.npz) or a folder: of PNG files, above 100,000 pictures of arrays."),
    ] = Path("grid.png"),
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = BATCH,
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Make pictures, raw and denoised, with the fused graph.

    Above 100,000 pictures a folder holds array files of 10,000 each, and the same command goes on where it stopped.
    Example: gan-denoise generate -n 64 --label sneaker --out grid.png
             gan-denoise generate -n 1000000 --out many
    """
    from gan_denoise.export import output, runtime

    write = output.writer_for(out)
    many = n > MOST_IN_MEMORY
    if many and write is not output.write_folder:
        raise UsageError(
            f"-n: {n} found, {MOST_IN_MEMORY} at most wanted for one file", "--out FOLDER takes any number"
        )
    if not many:
        refuse_existing(out, force)
    graph = runtime.load(runtime.FUSED, model, threads)
    chosen = None if label is None else runtime.label_of(graph, label)
    if many:
        from gan_denoise.export.shards import write_shards

        write_shards(graph, seed, n, out, batch, chosen, force, tracked("generate"))
        typer.echo(str(out))
        return
    write(runtime.generate(graph, seed, n, batch, chosen), out)
    typer.echo(str(out))


def denoise(
    images: Annotated[list[Path], typer.Argument(help="Picture files, grey, as large as the model takes them.")],
    out: Annotated[Path, typer.Option(help="The folder to write to; the files keep their names, as PNG.")],
    model: Model = None,
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Denoise picture files with the denoiser.

    Example: gan-denoise denoise noisy/*.png --out clean
    """
    import numpy as np

    from gan_denoise.export import pictures, runtime

    graph = runtime.load(runtime.DENOISER, model, threads)
    targets = {path: out / f"{path.stem}.png" for path in images}
    if len(set(targets.values())) < len(images):
        raise UsageError(
            "IMAGES: two files of one name found, different names wanted", "denoise them one folder at a time"
        )
    for target in targets.values():
        refuse_existing(target, force)
    noisy = [pictures.read(path, graph.input_shape) for path in images]  # all are read before any is written
    for path, picture in zip(images, noisy, strict=True):
        (restored,) = graph(picture)
        pictures.save(pictures.single(np.clip(restored, 0, 1)), targets[path])
        typer.echo(str(targets[path]))


def _export_for_fidelity(model: Path | None, out: Path, raw: bool, force: bool) -> None:
    from gan_denoise.export.fidelity import to_fidelity

    refuse_existing(out, force)
    write_atomic(out, to_fidelity(model, denoised=not raw))
    typer.echo(str(out))


def _export_in_precision(model: Path | None, out: Path, precision: Precision, force: bool) -> None:
    from gan_denoise.export.precision import LEAST_DB, to_precision

    refuse_existing(out, force)
    content, agreement = to_precision(model, precision)
    write_atomic(out, content)
    typer.echo(f"{out}  {len(content):,} bytes, within {agreement:.1f} dB of float32, {LEAST_DB[precision]:g} wanted")
    beside = "" if model is None else f"--model {model} "
    typer.echo(f"next: gan-denoise bench {beside}--vs {precision}={out}", err=True)
