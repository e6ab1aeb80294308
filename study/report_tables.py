"""The report's tables in markdown, the kept figures of preset `paper` beside this run's own."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from gan_denoise.eval.tables import NOT_MEASURED, cell
from gan_denoise.study.report_words import NETWORK, NOISY, Rows, number, row_of, sigmas_of

KEPT = "paper, kept"

GENERATION = {
    "set": "pictures",
    "n": "n",
    "ffd_1": "FFD-1",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "sharpness": "sharpness",
    "contrast": "contrast",
    "noise": "noise",
    "same_class": "same class",
    "asked_class": "asked class",
}
BENCH = {
    "name": "contender",
    "batch": "batch",
    "p50_ms": "p50, ms",
    "p90_ms": "p90, ms",
    "p99_ms": "p99, ms",
    "images_per_s": "images/s",
    "spread": "spread",
}
GIVEN = {"epochs": "the paper: 20", "batch": "the paper: 256", "images": "the paper: 60,000"}


def plain(text: object) -> str:
    """Text for markdown in which no character means anything but itself, on one line."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", one_line(text))


def code(text: object) -> str:
    """Text as a code span, whatever backticks it holds, on one line."""
    line = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def one_line(text: object) -> str:
    """The text with a question mark for each character that cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table of cells that are markdown already; a column with numbers stands on the right."""
    ruler = [
        "---:" if any(re.match(r"[*+-]*\d", cell) for cell in column) else "---" for column in zip(*rows, strict=True)
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *rows))


def generation_table(rows: Rows, kept: Rows = ()) -> str:
    """The sets of pictures, one a line."""
    return _flat_table(GENERATION, rows, kept)


def bench_table(rows: Rows, kept: Rows = ()) -> str:
    """The contenders, one a line and batch."""
    return _flat_table(BENCH, rows, kept)


def denoising_table(rows: Rows, noise: str, kept: Rows = ()) -> str:
    """PSNR and SSIM of one kind of noise: a line a method, a column a strength, the best PSNR of a column bold."""
    sigmas = sigmas_of(rows, noise)
    methods = list(dict.fromkeys(str(row.get("method")) for row in rows if row.get("noise") == noise))
    best = [_best(rows, noise, sigma) if sigma else None for sigma in sigmas]
    lines = []
    for method in methods:
        lines.append([plain(method), *_qualities(rows, method, noise, sigmas, best)])
        if method == NETWORK and kept:
            lines.append([f"network ({KEPT})", *_qualities(kept, method, noise, sigmas, [])])
    return table(["PSNR in dB, SSIM", *(cell("sigma", sigma) for sigma in sigmas), "ms/image"], lines)


def settings_table(gan: Mapping[str, Any], denoiser: Mapping[str, Any]) -> str:
    """What both trainings were configured with, and which of it the paper gives."""
    names = list(dict.fromkeys([*gan, *denoiser]))
    names.sort(key=lambda name: name not in GIVEN)  # stable: the paper's first
    lines = [
        [
            name.replace("_", " "),
            *(_setting(config.get(name, "")) for config in (gan, denoiser)),
            GIVEN.get(name, "ours"),
        ]
        for name in names
    ]
    return table(["setting", "GAN", "denoiser", "given by"], lines)


def _flat_table(columns: Mapping[str, str], rows: Rows, kept: Rows) -> str:
    names = {name: title for name, title in columns.items() if any(name in row for row in [*rows, *kept])}
    first = next(iter(names))
    lines = [[plain(_with_error(row, name)) for name in names] for row in [*rows, *kept]]
    for line, row in zip(lines[len(rows) :], kept, strict=True):
        line[0] = plain(f"{row.get(first, NOT_MEASURED)} ({KEPT})")
    return table(list(names.values()), lines)


def _with_error(row: Mapping[str, Any], name: str) -> str:
    """The cell, with the standard error where the row has one."""
    error = f"{name.removesuffix('_db')}_se"
    return cell(name, row.get(name)) + ("" if number(row, error) is None else f" ± {cell(error, row[error])}")


def _qualities(rows: Rows, method: str, noise: str, sigmas: Sequence[float], best: Sequence[float | None]) -> list[str]:
    """The cells of one method: PSNR and SSIM at each strength, and the median of its times."""
    cells = []
    for i, sigma in enumerate(sigmas):
        row = row_of(rows, method=method, noise=noise, sigma=sigma) or {}
        value = number(row, "psnr_db")
        text = _with_error(row, "psnr_db")
        text = f"**{text}**" if best and value is not None and value == best[i] else text
        similarity = number(row, "ssim")
        cells.append(text if similarity is None else f"{text}, {similarity:.3f}")
    times = [number(row_of(rows, method=method, noise=noise, sigma=sigma), "ms_per_image") for sigma in sigmas]
    measured = [time for time in times if time is not None]
    if method == NOISY:
        return [*cells, ""]  # nothing ran
    return [*cells, cell("ms_per_image", statistics.median(measured) if measured else None)]


def _best(rows: Rows, noise: str, sigma: float) -> float | None:
    found = [number(row, "psnr_db") for row in rows if (row.get("noise"), row.get("sigma")) == (noise, sigma)]
    return max((value for value in found if value is not None), default=None)


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{plain(name)} {_setting(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return plain(", ".join(str(item) for item in value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else plain(value)
