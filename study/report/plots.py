"""The report's figures: architectures, curves and rows of images. A figure drawn twice has the same bytes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.data.sources import cache_base
from gan_denoise.errors import InputError, missing_extra
from gan_denoise.export import images as images
from gan_denoise.export.images import GAP, SCALE, grid, save_png
from gan_denoise.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]  # x and y
Layer = Mapping[str, Any]

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
LINES = ("-", "--", ":")  # of levels: the first is what the others are compared with
INK, FAINT = "#1a1a1a", "#5a5a5a"
EPOCH = "epoch"  # the label of an axis that counts them
WIDTH = 5.0  # inches; a phone shows them at 3.7

KINDS = {
    "Input": "#d9d9d9",
    "GaussianNoise": "#f2c4d0",
    "ConvTranspose2d": "#f6cfa3",
    "Conv2d": "#a9cdec",
    "Linear": "#b5dcb4",
}
SIDE = 28  # pixels, drawn one unit wide
LAYER_HEIGHT = 0.95  # inches
CENTRE, TEXT_LEFT = 1.0, 2.1  # of the blocks, and where their descriptions start; in units of LAYER_HEIGHT

IMAGE_SCALE = 3  # screen pixels a pixel
COLUMNS = 8  # a phone shows so many images larger than they are
CAPTION_HEIGHT, CAPTION_SIZE = 40, 24  # screen pixels


@dataclass(frozen=True, slots=True)
class Band:
    """A curve with an interval around it, which is the curve itself where there is none."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def stages_of(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers in groups: one that changes the image, then those that work on what it gives."""
    groups: list[list[Layer]] = []
    for layer in layers:
        if not groups or str(layer["layer"]).split()[0] in KINDS:
            groups.append([])
        groups[-1].append(layer)
    return groups


def size_of(shape: Sequence[int]) -> str:
    """`64 x 14 x 14`, or `100 numbers` for a vector."""
    if len(shape) == 1:
        return "1 number" if shape[0] == 1 else f"{shape[0]:,} numbers"
    return " x ".join(str(side) for side in shape)


def draw_architecture(layers: Sequence[Layer], path: Path) -> None:
    """The layers of a network from top to bottom: each map as a block in proportion, its layers beside it."""
    stages = stages_of(layers)
    with _drawing(path, LAYER_HEIGHT * len(stages)) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH / LAYER_HEIGHT), ylim=(len(stages), 0), aspect="equal")
        axes.axis("off")
        for i, stage in enumerate(stages):
            if i:
                arrow = {"arrowstyle": "-|>", "color": FAINT}
                axes.annotate("", (CENTRE, i + 0.11), (CENTRE, i - 0.11), arrowprops=arrow)
            _draw_block(axes, i + 0.53, stage)
            _describe_stage(axes, i + 0.53, stage)


def draw_curves(panels: Mapping[str, Mapping[str, Curve]], path: Path, x_label: str = EPOCH) -> None:
    """Panels below one another, named by their y axis, each with named curves (x, y)."""
    with _drawing(path, 1.6 + 1.9 * len(panels)) as figure:
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
    """Named curves with their intervals; named levels across, broken but for the first.

    The axes are logarithmic, but that of epochs.
    """
    with _drawing(path, 4.2) as figure:
        axes = figure.subplots()
        axes.set(xscale="linear" if x_label == EPOCH else "log", yscale="log", xlabel=x_label, ylabel=y_label)
        for i, (name, band) in enumerate(bands.items()):
            colour = COLOURS[i % 7]
            reach = np.abs(np.array([band.low, band.high]) - band.y)
            style: dict[str, Any] = {"color": colour, "marker": _marker(i), "markersize": 4, "capsize": 3}
            axes.errorbar(band.x, band.y, reach if reach.any() else None, label=name, **style)
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
    """Groups of bars, each a name of its own and the same bars in every group, their heights written above them."""
    with _drawing(path, 3.2) as figure:
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
    """A PNG of sets of images (N, 1, H, W) in [0, 1], 8 a row, each set below its name if it has one."""
    strips = [np.asarray(grid(images, COLUMNS)) for images in rows.values()]
    enlarged = [strip[::SCALE, ::SCALE].repeat(IMAGE_SCALE, 0) for strip in strips]
    enlarged = [strip.repeat(IMAGE_SCALE, 1) for strip in enlarged]
    heights = [CAPTION_HEIGHT if name else 0 for name in rows]
    canvas = Image.new("L", (max(strip.shape[1] for strip in enlarged), sum(heights) + sum(map(len, enlarged))), 255)
    draw, font, top = ImageDraw.Draw(canvas), ImageFont.load_default(CAPTION_SIZE), 0
    for name, height, strip in zip(rows, heights, enlarged, strict=True):
        draw.text((GAP * IMAGE_SCALE, top + 6), name, fill=0, font=font)
        canvas.paste(Image.fromarray(strip), (0, top + height))
        top += height + len(strip)
    save_png(canvas, path)


def images_of_grid(path: Path) -> ImagesF32:
    """The images (N, 1, H, W) in [0, 1] of a file that `images.grid` made with 16 columns, blank ends included.

    Raises InputError when it is no such file.
    """
    try:
        with Image.open(path) as image:
            canvas = np.asarray(image.convert("L"))[::SCALE, ::SCALE]
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path}: unreadable image found, a grid of samples wanted", "train the GAN again") from error
    gap, columns, side = GAP, images.COLUMNS, SIDE + GAP
    rows = len(canvas) // side
    if not rows or canvas.shape != (rows * side + gap, columns * side + gap):
        raise InputError(f"{path}: {canvas.shape} pixels found, a grid of {columns} columns wanted", "train again")
    cells = canvas[gap:, gap:].reshape(rows, side, columns, side)[:, :SIDE, :, :SIDE]
    return to_float(cells.swapaxes(1, 2).reshape(-1, SIDE, SIDE))


@contextlib.contextmanager
def _drawing(path: Path, height: float) -> Iterator[Figure]:
    """An empty figure, WIDTH by `height` inches on white, written as SVG without date when the block ends."""
    os.environ.setdefault(
        "MPLCONFIGDIR", str(cache_base() / "matplotlib")
    )  # its list of fonts; no settings of the user
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "train") from error
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), facecolor="white")
        yield figure
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def _label_epochs(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _marker(i: int) -> str:
    return MARKERS[(i + i // 7) % 7]  # the eighth curve has the first's colour and another shape


def _label_log_axis(axis: Axis, low: float, high: float) -> None:
    """Plain numbers, and enough of them however far the axis reaches."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    subs = (1, 2, 5) if high < 1000 * low else (1,)
    axis.set_major_locator(MaxNLocator(6) if high < 6 * low else LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _draw_block(axes: Axes, y: float, stage: Sequence[Layer]) -> None:
    """The map that a stage gives, as a block whose face has the map's side and whose depth grows with its channels."""
    from matplotlib.patches import Polygon

    shape = stage[-1]["output"]
    colour = KINDS.get(str(stage[0]["layer"]).split()[0], "#eeeeee")
    if len(shape) == 3:
        width = height = max(0.14, 0.62 * shape[1] / SIDE)
        depth = 0.03 * (1 + float(np.log2(shape[0])))
    else:  # a vector is a bar
        width, height, depth = 0.14 + 0.15 * float(np.log2(max(shape[0], 1))), 0.14, 0.04
    left, right, top, bottom = CENTRE - width / 2, CENTRE + width / 2, y - height / 2, y + height / 2
    faces = [
        [(left, top), (right, top), (right, bottom), (left, bottom)],
        [(left, top), (left + depth, top - depth), (right + depth, top - depth), (right, top)],
        [(right, top), (right + depth, top - depth), (right + depth, bottom - depth), (right, bottom)],
    ]
    for corners in faces:
        axes.add_patch(Polygon(corners, facecolor=colour, edgecolor=INK, linewidth=0.8))


def _describe_stage(axes: Axes, y: float, stage: Sequence[Layer]) -> None:
    """Beside the block: its layer, the layers that follow, what they give and how many weights they have."""
    main, *others = (str(layer["layer"]) for layer in stage)
    weights = sum(int(layer["parameters"]) for layer in stage)
    output = size_of(stage[-1]["output"]) + (f", {weights:,} weights" if weights else "")
    lines = [(main, INK, "bold"), *([(", ".join(others), INK, "normal")] if others else []), (output, FAINT, "normal")]
    for i, (text, colour, weight) in enumerate(lines):
        at = y + 0.22 * (i - (len(lines) - 1) / 2)
        axes.text(TEXT_LEFT, at, text, color=colour, weight=weight, fontsize=9.5, va="center")
