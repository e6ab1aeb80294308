"""Which graphs a folder, or a graph's file, offers to a server."""

from __future__ import annotations

from pathlib import Path

from gan_denoise.errors import InputError
from gan_denoise.export.runtime import DENOISER, FUSED, GENERATOR, PHOTO, PHOTO_GREY, Signature, load_graph

SIGNATURES = (FUSED, GENERATOR, DENOISER, PHOTO, PHOTO_GREY)


def find_signatures(path: Path | None) -> list[Signature]:
    """The kinds of the graphs in `path`, a folder or one graph's file, or of all that are shipped when None.

    Raises InputError if a folder has none, and as `load_graph` does.
    """
    if path is None:
        return list(SIGNATURES)
    if path.is_file():
        return [_kind(path)]
    found = [s for s in SIGNATURES if any((path / folder / s.file).is_file() for folder in ("", "onnx"))]
    if (path / "onnx/model.onnx").is_file() and FUSED not in found:  # a folder for the Hugging Face Hub
        found.insert(0, FUSED)
    if not found:
        expected = f"a file, or a folder with {', '.join(s.file for s in SIGNATURES[:3])}"
        raise InputError.expected(path, expected, "no such folder" if not path.exists() else "a folder without them")
    return found


def _kind(path: Path) -> Signature:
    """The kind of a graph's file: the first of those that its input and outputs fit. Raises InputError if none does."""
    for signature in (FUSED, GENERATOR):
        try:
            load_graph(signature, path, threads=1)
        except InputError:
            continue
        return signature
    return DENOISER
