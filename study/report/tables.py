"""The report's tables in markdown: this run's rows, then the published rows of preset `paper`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from gan_denoise.eval.columns import format_value, title_of
from gan_denoise.eval.labels import NETWORK, NOISY, NOT_MEASURED
from gan_denoise.markdown import escape_markdown, markdown_table
from gan_denoise.study.report.results_text import list_sigmas
from gan_denoise.study.rows import Rows, find_row, get_number

PUBLISHED = "paper, published"  # marks the published rows

GENERATION = (
    "set",
    "n",
    "ffd_1",
    "distance",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "sharpness",
    "contrast",
    "noise",
    "class_preserved",
    "class_accuracy",
)
BENCH = ("name", "batch", "p50_ms", "p90_ms", "p99_ms", "images_per_s", "spread")
PAPER_SETTINGS = {"epochs": "the paper: 20", "batch": "the paper: 256", "images": "the paper: 60,000"}


def generation_table(rows: Rows, published: Rows = ()) -> str:
    """One line for each image set."""
    return _flat_table(GENERATION, rows, published)


def bench_table(rows: Rows, published: Rows = ()) -> str:
    """One line for each backend and batch size."""
    return _flat_table(BENCH, rows, published)


def denoising_table(rows: Rows, noise: str, published: Rows = ()) -> str:
    """PSNR and SSIM for one kind of noise: one line per method, one column per noise level; the best PSNR in bold."""
    sigmas = list_sigmas(rows, noise)
    methods = list(dict.fromkeys(str(row.get("method")) for row in rows if row.get("noise") == noise))
    best = [_best_psnr(rows, noise, sigma) if sigma else None for sigma in sigmas]
    lines = []
    for method in methods:
        lines.append([escape_markdown(method), *_quality_cells(rows, method, noise, sigmas, best)])
        if method == NETWORK and published:
            lines.append([f"network ({PUBLISHED})", *_quality_cells(published, method, noise, sigmas, [])])
    head = ["PSNR in dB, SSIM", *(format_value("sigma", sigma) for sigma in sigmas), title_of("ms_per_image")]
    return markdown_table(head, lines)


def settings_table(gan: Mapping[str, Any], denoiser: Mapping[str, Any]) -> str:
    """The configurations of GAN and denoiser, and which values the paper gives."""
    names = list(dict.fromkeys([*gan, *denoiser]))
    names.sort(key=lambda name: name not in PAPER_SETTINGS)  # stable sort: the paper's settings first
    lines = [
        [
            name.replace("_", " "),
            *(_setting(config.get(name, "")) for config in (gan, denoiser)),
            PAPER_SETTINGS.get(name, "ours"),
        ]
        for name in names
    ]
    return markdown_table(["setting", "GAN", "denoiser", "source"], lines)


def ratio_table(columns: Sequence[str], rows: Rows) -> str:
    """One line for each row, the columns that hold a value; a ratio with its interval."""
    names = [name for name in columns if any(row.get(name) is not None for row in rows)]
    lines = [[escape_markdown(_with_interval(row, name)) for name in names] for row in rows]
    return markdown_table([title_of(name) for name in names], lines)


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    text, low, high = format_value(name, row.get(name)), get_number(row, f"{name}_low"), get_number(row, f"{name}_high")
    return f"{text} ({low:.3f} to {high:.3f})" if low is not None and high is not None else text


def _flat_table(columns: Sequence[str], rows: Rows, published: Rows) -> str:
    names = [name for name in columns if any(name in row for row in [*rows, *published])]
    first = names[0]
    lines = [[escape_markdown(_with_error(row, name)) for name in names] for row in [*rows, *published]]
    for line, row in zip(lines[len(rows) :], published, strict=True):
        line[0] = escape_markdown(f"{row.get(first, NOT_MEASURED)} ({PUBLISHED})")
    return markdown_table([title_of(name) for name in names], lines)


def _with_error(row: Mapping[str, Any], name: str) -> str:
    """The cell of column `name`, with its standard error where the row has one."""
    error = f"{name.removesuffix('_db')}_se"
    return format_value(name, row.get(name)) + (
        "" if get_number(row, error) is None else f" ± {format_value(error, row[error])}"
    )


def _quality_cells(
    rows: Rows, method: str, noise: str, sigmas: Sequence[float], best: Sequence[float | None]
) -> list[str]:
    """The cells of one method: PSNR and SSIM at each noise level, and the median time."""
    cells = []
    for i, sigma in enumerate(sigmas):
        row = find_row(rows, method=method, noise=noise, sigma=sigma) or {}
        value = get_number(row, "psnr_db")
        text = _with_error(row, "psnr_db")
        text = f"**{text}**" if best and value is not None and value == best[i] else text
        similarity = get_number(row, "ssim")
        cells.append(text if similarity is None else f"{text}, {similarity:.3f}")
    times = [get_number(find_row(rows, method=method, noise=noise, sigma=sigma), "ms_per_image") for sigma in sigmas]
    measured = [time for time in times if time is not None]
    if method == NOISY:
        return [*cells, ""]  # not a method, so it takes no time
    return [*cells, format_value("ms_per_image", statistics.median(measured) if measured else None)]


def _best_psnr(rows: Rows, noise: str, sigma: float) -> float | None:
    values = [get_number(row, "psnr_db") for row in rows if (row.get("noise"), row.get("sigma")) == (noise, sigma)]
    return max((value for value in values if value is not None), default=None)


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{escape_markdown(name)} {_setting(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return escape_markdown(", ".join(str(item) for item in value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape_markdown(value)
