"""The command denoise: parse options, call one function, print the result."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gan_denoise.console import model_option, print_result, print_status
from gan_denoise.errors import InputError, OutputError, UsageError
from gan_denoise.options import (
    DENOISER_HELP,
    FASHION,
    MAX_STRENGTH,
    OUTPUT,
    PHOTO,
    PHOTO_GREY,
    ForceOption,
    JsonOption,
    Provider,
    ProviderOption,
    QuietOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from gan_denoise.export.denoise.denoise_files import Outcome, Settings
    from gan_denoise.export.denoise.denoisers import Denoisers

STREAM = "-"  # standard input or output
MAX_STDIN = 2**30  # bytes


def denoise(
    images: Annotated[list[str], typer.Argument(help="Image files, or folders of them; - is standard input.")],
    out: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="The folder to write; files and sub-folders keep their names. - is standard output.",
            rich_help_panel=OUTPUT,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE|FOLDER",
            help=DENOISER_HELP,
            show_default="photo; fashion for grey images of 28x28",
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            min=0,
            max=MAX_STRENGTH,
            help="0 is the input, 1 the model's result, between them a blend; above 1 removes more.",
        ),
    ] = 1,
    keep_format: Annotated[
        bool,
        typer.Option("--keep-format", help="Write JPEG, TIFF and WebP as such, not as PNG.", rich_help_panel=OUTPUT),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Also write NAME-compare.png: before and after side by side.", rich_help_panel=OUTPUT
        ),
    ] = False,
    threads: ThreadsOption = 0,
    provider: ProviderOption = Provider.cpu,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Denoise photographs, grey or in colour, of any size.

    8 and 16 bits a channel, transparency, EXIF, XMP and colour profile are kept; images are turned upright. Each page
    of a TIFF file and each frame of an animation becomes a file: scan-000.png and so on. Repeated, the command writes
    only what is missing. An image that cannot be read is reported, the others are written, and the exit code is 3.
    Of a.jpg and a.tif in one folder the outputs are a.jpg.png and a.tif.png. With the extra raw, camera raw files
    become TIFF files of 16 bits, without their metadata.
    Example: gan-denoise denoise photo.jpg --out clean
    Example: gan-denoise denoise holiday --out clean --keep-format --strength 0.8
    Example: gan-denoise denoise - --out - < noisy.png > clean.png
    """
    from gan_denoise.export.denoise.denoise_files import Settings, denoise_files, denoise_one
    from gan_denoise.export.denoise.denoisers import Denoisers

    _check_options(images, out, strength, compare, as_json)
    denoisers, settings = Denoisers(model, threads, provider), Settings(strength, keep_format, compare, force)
    content = _read_stdin() if STREAM in images else None
    if out == STREAM:
        _write_stdout(denoise_one(Path(images[0]), denoisers, settings, content))
        return
    outcome = denoise_files(list(map(_path, images)), Path(out), denoisers, settings, content)
    command = () if outcome.failed else _next_command(images, out, model, denoisers, settings)
    _print_outcome(outcome, denoisers, settings, as_json, command)
    if outcome.failed:
        total = len(outcome.failed) + outcome.images
        raise InputError(f"IMAGES: {len(outcome.failed)} of {total} could not be denoised, named above")


def _path(image: str) -> Path:
    """The path of an image. Only - itself is standard input; ./- is a file."""
    path = Path(image)
    return path.absolute() if path == Path(STREAM) and image != STREAM else path


def _check_options(images: list[str], out: str, strength: float, compare: bool, as_json: bool) -> None:
    """Raise UsageError for options that exclude each other."""
    if not 0 <= strength <= MAX_STRENGTH:  # NaN is in no range, and typer lets it pass
        raise UsageError.expected("--strength", f"a number from 0 to {MAX_STRENGTH}", strength)
    if "" in (*images, out):  # a shell variable that is not set; as a path it would be the current folder
        raise UsageError.expected("IMAGES" if "" in images else "--out", "a file or folder", "an empty name")
    if images.count(STREAM) > 1 or (out == STREAM and len(images) > 1):
        raise UsageError.expected("IMAGES", "one image for standard input or output", len(images), "--out FOLDER")
    if out != STREAM:
        return
    if compare or as_json:
        option = "--compare" if compare else "--json"
        raise UsageError.expected(option, "an output folder", "--out -", f"leave {option} out, or --out FOLDER")
    if getattr(sys.stdout, "name", "") == os.devnull:  # what `prepare_streams` puts in the place of a closed one
        raise OutputError("--out -: standard output is closed", "add > clean.png")
    if sys.stdout.isatty():
        raise UsageError.expected("--out -", "a file or pipe as standard output", "a terminal", "add > clean.png")
    if Path(images[0]).is_dir():
        raise UsageError.expected("IMAGES", "one image for standard output", f"the folder {images[0]}", "--out FOLDER")


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        raise UsageError.expected("-", "an image on standard input", "a terminal", "add < noisy.png")
    content = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(content) > MAX_STDIN:
        raise InputError.expected("-", f"at most {MAX_STDIN:,} bytes", "more", "give the name of the file")
    return content


def _write_stdout(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _next_command(
    images: list[str], out: str, model: str | None, denoisers: Denoisers, settings: Settings
) -> tuple[object, ...]:
    """The same with --compare for one photograph or folder, `eval denoising` for the images that it measures."""
    from gan_denoise.export.next_command import after_denoise

    graph = next(iter(denoisers.used.values()), None)
    if graph is None:
        return ()
    if not graph.has_any_size:
        return after_denoise(graph, None if model in (PHOTO, PHOTO_GREY, FASHION) else model)
    if settings.compare or settings.force or len(images) > 1 or STREAM in images:
        return ()
    strength = ("--strength", settings.strength) if settings.strength != 1 else ()
    keep_format = ("--keep-format",) if settings.keep_format else ()
    return "denoise", *images, "--out", out, *model_option(model), *strength, *keep_format, "--compare"


def _print_outcome(
    outcome: Outcome, denoisers: Denoisers, settings: Settings, as_json: bool, command: tuple[object, ...]
) -> None:
    from gan_denoise.export.training_data import describe_names

    if outcome.done_before:
        count = len(outcome.done_before)
        print_status(f"{count} file{'s' * (count != 1)} of an earlier call kept; --force writes them again")
    graphs = list(denoisers.used.values())
    facts: dict[str, Any] = {"model_sha256": graphs[0].sha256, **describe_names(graphs[0].metadata)} if graphs else {}
    facts["models"] = {name: graph.sha256 for name, graph in denoisers.used.items()}
    facts["settings"] = {
        "strength": settings.strength,
        "keep_format": settings.keep_format,
        "compare": settings.compare,
        "provider": {name: graph.provider for name, graph in denoisers.used.items()},
    }
    facts |= {"written": outcome.written, "kept": outcome.done_before}
    facts["failed"] = [{"image": path, "error": error.message} for path, error in outcome.failed.items()]
    facts |= {"megapixels": outcome.pixels / 1e6, "seconds": outcome.seconds}
    print_result("denoise", outcome.written, as_json, command, **facts)
