"""Measure denoisers on the public sets of photographs, beside published figures: markdown tables on stdout.

Example: python scripts/photographs.py ../shared/photos --model photo=export/shipped/photo.onnx --rows rows.json

The folder holds the sets, a folder each: Set12, BSD68 (grey), Kodak24, CBSD68 (colour), PolyU (folders `clean` and
`noisy`). BSD68, CBSD68 and PolyU are the test sets: no choice may depend on them, so only --final reads them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image

from gan_denoise.console import tracked
from gan_denoise.eval.denoising.methods import Method
from gan_denoise.eval.denoising.photographs.evaluate import (
    CLEAN,
    REAL,
    REAL_NOISES,
    Noise,
    evaluate_photographs,
    gaussian_noises,
)
from gan_denoise.eval.denoising.photographs.files import PhotographFiles, find_photograph_files
from gan_denoise.eval.denoising.photographs.methods import classical_methods, network_method
from gan_denoise.eval.denoising.photographs.tables import PHOTOGRAPH_SIGMAS
from gan_denoise.eval.labels import NOISY
from gan_denoise.machine import machine_name
from gan_denoise.markdown import markdown_table
from gan_denoise.options import PHOTO

GREY, COLOUR = ("Set12", "BSD68"), ("Kodak24", "CBSD68")
FINAL = ("BSD68", "CBSD68", "PolyU")
Row = Mapping[str, Any]

# PSNR in dB at sigma 15, 25, 50. DnCNN: Zhang et al. 2017, arXiv:1608.03981; FFDNet: Zhang et al. 2018,
# arXiv:1710.04026, whose tables also have BM3D (Dabov et al. 2007).
PUBLISHED = {
    "BSD68": {
        "BM3D": (31.07, 28.57, 25.62),
        "DnCNN-B (blind)": (31.61, 29.16, 26.23),
        "FFDNet": (31.63, 29.19, 26.29),
    },
    "CBSD68": {
        "CBM3D": (33.52, 30.71, 27.38),
        "CDnCNN-B (blind)": (33.89, 31.23, 27.92),
        "FFDNet": (33.87, 31.21, 27.96),
    },
}
# Measured with the authors' weights (cszn/FFDNet and cszn/DnCNN on GitHub), outside this project, on the same files and
# the same noise, clipped and rounded to 8 bits. `--model NAME=FILE.onnx` measures such a network.
AUTHORS_WEIGHTS = {
    "Set12": {
        "DnCNN-B (blind)": (32.67, 30.27, 26.49),
        "FFDNet": (32.73, 30.35, 26.63),
        "FFDNet for clipped noise": (32.78, 30.48, 27.36),
    },
    "Kodak24": {
        "CDnCNN-B (blind)": (34.27, 31.63, 27.60),
        "FFDNet": (34.37, 31.64, 27.37),
        "FFDNet for clipped noise": (34.65, 32.18, 29.03),
    },
}
KNOWN = {"float": PUBLISHED, "8-bit": AUTHORS_WEIGHTS}
POLYU = {  # gains in dB over the noisy image, 36.05 on the 40 pairs, with the authors' weights
    "CDnCNN-B (blind)": 36.15 - 36.05,
    "FFDNet told estimate_sigma": 36.29 - 36.05,
    "FFDNet told three times that": 36.49 - 36.05,
    "CBM3D told estimate_sigma, every fourth pair": 36.07 - 36.05,
}
TEXTS = {
    "float": "Gaussian noise, not clipped",
    "8-bit": "Gaussian noise as files hold it, clipped and rounded to 8 bits",
}


def main() -> None:
    """Measure, print the tables, and write the rows with the values of each image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the sets")
    parser.add_argument("--model", action="append", metavar="NAME=FILE", help="a denoiser; repeatable (default: photo)")
    parser.add_argument("--final", action="store_true", help="also BSD68, CBSD68 and PolyU: once, when all is chosen")
    parser.add_argument("--filters", action="store_true", help="also the classical filters (hours, by BM3D)")
    parser.add_argument("--clean", type=Path, metavar="DIR", help="further clean images that should stay as they are")
    parser.add_argument("-n", type=int, help="only the first images of each set")
    parser.add_argument("--threads", type=int, default=0, help="images at a time; 0 = one per core")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="write all rows, with each image's values, as JSON")
    arguments = parser.parse_args()
    methods = _methods(arguments.model or [f"{PHOTO}={PHOTO}"], arguments.filters)
    measured: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, photographs, noises in _sets(arguments, Path(scratch)):
            track = tracked(name)
            measured[name] = list(
                evaluate_photographs(methods, photographs[: arguments.n], noises, 0, arguments.threads, track)
            )
    if arguments.rows:
        arguments.rows.write_text(json.dumps(measured, indent=1) + "\n")
    print("\n\n".join([*_tables(measured), f"{machine_name()}; `{' '.join(['photographs.py', *sys.argv[1:]])}`"]))


def _methods(models: Sequence[str], filters: bool) -> dict[str, Method]:
    pairs = [model.partition("=") for model in models]
    networks = {name: network_method(PHOTO if file == PHOTO else Path(file)) for name, _, file in pairs}
    return networks | (classical_methods() if filters else {})


def _sets(arguments: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, list[PhotographFiles], Sequence[Noise]]]:
    """The sets to measure with their noise."""
    for name in (*GREY, *COLOUR):
        if arguments.final or name not in FINAL:
            yield name, find_photograph_files(arguments.folder / name), gaussian_noises(PHOTOGRAPH_SIGMAS)
    for name in ("page", "text"):
        Image.fromarray(getattr(skimage.data, name)()).save(scratch / f"{name}.png")
    clean = find_photograph_files(scratch) + (find_photograph_files(arguments.clean) if arguments.clean else [])
    yield CLEAN, clean, [Noise("float", 0.0)]
    if arguments.final:
        pairs = find_photograph_files(arguments.folder / "PolyU/clean", arguments.folder / "PolyU/noisy")
        yield "PolyU", pairs, REAL_NOISES


def _tables(measured: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    for kind, known in KNOWN.items():
        for name in (*GREY, *COLOUR):
            if name in measured:
                yield f"**{name}: {TEXTS[kind]}; PSNR in dB and SSIM at sigma 15, 25, 50 of 255**"
                yield _gaussian_table(measured[name], kind, known.get(name, {}))
    yield "**Clean images that should stay as they are: PSNR in dB**"
    yield _clean_table(measured)
    if "PolyU" in measured:
        yield "**PolyU, real noise of cameras: gain over the noisy image in dB**"
        yield from _pair_tables([row for row in measured["PolyU"] if row["noise"] == REAL])


def _gaussian_table(rows: Sequence[Row], kind: str, known: Mapping[str, Sequence[float]]) -> str:
    """A line a method: known values with PSNR alone, then the measured ones."""
    source = "published" if kind == "float" else "authors' weights"
    lines = [[f"{name}, {source}", *(f"{value:.2f}" for value in values), ""] for name, values in known.items()]
    for name in dict.fromkeys(row["method"] for row in rows):
        levels = [row for row in rows if (row["method"], row["noise"]) == (name, kind) and row["sigma"]]
        cells = [f"{row['psnr_db']:.2f} {row['ssim']:.4f}" for row in levels]
        lines.append([name, *cells, "" if name == NOISY else f"{levels[0]['ms_per_megapixel']:,.0f}"])
    return markdown_table(["method", "15", "25", "50", "ms/megapixel"], lines)


def _clean_table(measured: Mapping[str, Sequence[Row]]) -> str:
    """The mean and the least PSNR of each set, and single images where there are few."""
    lines = []
    for name, rows in measured.items():
        for row in rows:
            if row["sigma"] != 0 or row["noise"] == "8-bit" or row["method"] == NOISY:
                continue
            values = {image["image"]: image["psnr_db"] for image in row["per_image"]}
            worst = min(values, key=values.__getitem__)
            each = ", ".join(f"{image} {value:.2f}" for image, value in values.items()) if len(values) < 9 else ""
            lines.append([name, row["method"], f"{row['psnr_db']:.2f}", f"{values[worst]:.2f} ({worst})", each])
    return markdown_table(["images", "method", "mean", "least", "each"], lines)


def _pair_tables(rows: Sequence[Row]) -> Iterator[str]:
    published = [[f"{name}, authors' code", f"{gain:+.2f}", "", "", ""] for name, gain in POLYU.items()]
    own = [row for row in rows if row["method"] != NOISY]
    measured = [
        [
            row["method"],
            f"{row['gain_db']:+.2f}",
            f"{row['worst_gain_db']:+.2f}",
            f"{row['psnr_db']:.2f}",
            f"{row['ssim']:.4f}",
        ]
        for row in own
    ]
    yield markdown_table(["method", "mean gain", "worst gain", "PSNR", "SSIM"], published + measured)
    columns = [[image["psnr_db"] for image in row["per_image"]] for row in rows]  # noisy first
    names = [image["image"] for image in rows[0]["per_image"]]
    lines = [
        [name, f"{noisy:.2f}", *(f"{value - noisy:+.2f}" for value in values)]
        for name, noisy, *values in zip(names, *columns, strict=True)
    ]
    yield markdown_table(["pair", "noisy", *(f"gain of {row['method']}" for row in own)], lines)


if __name__ == "__main__":
    main()
