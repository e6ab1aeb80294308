"""Draw curves, bars and rows of images. Drawing a figure again gives the same bytes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan_denoise.data.images import ImagesF32, format_shape, to_float
from gan_denoise.errors import InputError, importing
from gan_denoise.export.images import COLUMNS as GRID_COLUMNS
from gan_denoise.export.images import GAP, SCALE, grid, save_png
from gan_denoise.files import atomic_path
from gan_denoise.paths import cache_base

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]  # x and y

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "gan-denoise",
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
}
COLOURS = ("#0b6bb8", "#c4500c", "#2c7a39", "#8548a0", "#7a6a00", "#555555", "#b0306a")
MARKERS = "osD^vXP"
LINES = ("-", "--", ":")  # of horizontal lines; the first is the reference
INK, FAINT = "#1a1a1a", "#5a5a5a"
EPOCH = "epoch"  # the label of an axis of epochs
WIDTH = 5.0  # inches; on a phone 3.7

SIDE = 28  # pixels of an image
IMAGE_SCALE = 3  # screen pixels per image pixel
COLUMNS = 8  # few enough that a phone enlarges the images
CAPTION_HEIGHT, CAPTION_SIZE = 40, 24  # screen pixels


@dataclass(frozen=True, slots=True)
class Band:
    """A curve with an interval around each point; without an interval, `low` and `high` equal `y`."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def draw_curves(panels: Mapping[str, Mapping[str, Curve]], path: Path, x_label: str = EPOCH) -> None:
    """Draw panels below one another, by y label, each with named curves (x, y)."""
    with drawing(path, 1.6 + 1.9 * len(panels)) as figure:
        every_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (y_label, curves) in zip(every_axes, panels.items(), strict=True):
            for i, (name, (x, y)) in enumerate(curves.items()):
                axes.plot(x, y, label=name, color=COLOURS[i % 7], marker=_marker(i), markersize=4)
            axes.set_ylabel(y_label)
            if len(curves) > 1:
                columns = 2 if len(curves) > 3 else len(curves)
                axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns)
        every_axes[-1].set_xlabel(x_label)
        if x_label == EPOCH:
            _label_epochs(every_axes[-1].xaxis)
        figure.tight_layout()


def draw_bands(
    bands: Mapping[str, Band], path: Path, x_label: str, y_label: str, levels: Mapping[str, float] | None = None
) -> None:
    """Draw named curves with their intervals, and named horizontal lines, all but the first dashed.

    The axes are logarithmic, except an axis of epochs.
    """
    with drawing(path, 4.2) as figure:
        axes = figure.subplots()
        axes.set(xscale="linear" if x_label == EPOCH else "log", yscale="log", xlabel=x_label, ylabel=y_label)
        for i, (name, band) in enumerate(bands.items()):
            colour = COLOURS[i % 7]
            errors = np.abs(np.array([band.low, band.high]) - band.y)
            style: dict[str, Any] = {"color": colour, "marker": _marker(i), "markersize": 4, "capsize": 3}
            axes.errorbar(band.x, band.y, errors if errors.any() else None, label=name, **style)
            axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.15, linewidth=0)
        for i, (name, level) in enumerate((levels or {}).items()):
            axes.axhline(level, label=name, color=INK if not i else FAINT, linestyle=LINES[i % 3], linewidth=1)
        _label_log_axis(axes.yaxis, *axes.get_ylim())
        if x_label == EPOCH:
            _label_epochs(axes.xaxis)
        else:
            _label_log_axis(axes.xaxis, *axes.get_xlim())
        axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        figure.tight_layout()


def draw_bars(groups: Mapping[str, Mapping[str, float]], path: Path, x_label: str, y_label: str) -> None:
    """Draw named groups of the same named bars, with each bar's height above it."""
    with drawing(path, 3.2) as figure:
        axes = figure.subplots()
        names = list(next(iter(groups.values())))
        width = 0.8 / len(names)
        for i, name in enumerate(names):
            places = np.arange(len(groups)) + width * (i - (len(names) - 1) / 2)
            bars = axes.bar(places, [group[name] for group in groups.values()], width, label=name, color=COLOURS[i % 7])
            axes.bar_label(bars, fmt="%.1f", fontsize=8)
        axes.set_xticks(range(len(groups)), list(groups))
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(visible=False, axis="x")
        axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        figure.tight_layout()


def draw_rows(rows: Mapping[str, ImagesF32], path: Path) -> None:
    """Draw sets of images (N, C, H, W) in [0, 1] as a PNG, 8 per row, each set below its name if that is not empty."""
    strips = [np.asarray(grid(images, COLUMNS)) for images in rows.values()]
    enlarged = [strip[::SCALE, ::SCALE].repeat(IMAGE_SCALE, 0) for strip in strips]
    enlarged = [strip.repeat(IMAGE_SCALE, 1) for strip in enlarged]
    heights = [CAPTION_HEIGHT if name else 0 for name in rows]
    size = max(strip.shape[1] for strip in enlarged), sum(heights) + sum(map(len, enlarged))
    canvas = Image.new("L" if enlarged[0].ndim == 2 else "RGB", size, "white")
    draw, font, top = ImageDraw.Draw(canvas), ImageFont.load_default(CAPTION_SIZE), 0
    for name, height, strip in zip(rows, heights, enlarged, strict=True):
        draw.text((GAP * IMAGE_SCALE, top + 6), name, fill="black", font=font)
        canvas.paste(Image.fromarray(strip), (0, top + height))
        top += height + len(strip)
    save_png(canvas, path)


def images_of_grid(path: Path, shape: tuple[int, ...] = (1, SIDE, SIDE)) -> ImagesF32:
    """The images (N, C, H, W) in [0, 1] in a PNG written by `images.grid` with 16 columns, with blank last cells.

    `shape` is that of an image, (C, H, W). Raises InputError for another file.
    """
    channels, height, width = shape
    try:
        with Image.open(path) as image:
            canvas = np.asarray(image.convert("L" if channels == 1 else "RGB"))[::SCALE, ::SCALE]
    except (OSError, SyntaxError) as error:
        message = f"an unreadable file ({error})"
        raise InputError.expected(path, "a grid of sample images", message, "train the GAN again") from error
    gap, columns = GAP, GRID_COLUMNS
    rows = len(canvas) // (height + gap)
    if not rows or canvas.shape[:2] != (rows * (height + gap) + gap, columns * (width + gap) + gap):
        expected = f"a grid of {columns} columns of images of {height}x{width}"
        got = f"{format_shape(canvas.shape[:2])} pixels"
        raise InputError.expected(path, expected, got, "train the GAN again")
    cells = canvas[gap:, gap:].reshape(rows, height + gap, columns, width + gap, -1)[:, :height, :, :width]
    images = cells.transpose(0, 2, 4, 1, 3).reshape(-1, channels, height, width)
    return to_float(images[:, 0] if channels == 1 else images)


@contextlib.contextmanager
def drawing(path: Path, height: float) -> Iterator[Figure]:
    """An empty figure, WIDTH by `height` inches; when the block ends it is written to `path` as SVG without a date."""
    # Matplotlib caches its font list there; the user's settings have no effect on figures.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_base() / "matplotlib"))
    with importing("matplotlib", "train"):
        import matplotlib
        from matplotlib.figure import Figure
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), facecolor="white")
        yield figure
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def _label_epochs(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _marker(i: int) -> str:
    return MARKERS[(i + i // 7) % 7]  # the eighth curve has the first one's colour and another marker


def _label_log_axis(axis: Axis, low: float, high: float) -> None:
    """Plain numbers, and enough ticks whatever the range."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    subs = (1, 2, 5) if high < 1000 * low else (1,)
    axis.set_major_locator(MaxNLocator(6) if high < 6 * low else LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
