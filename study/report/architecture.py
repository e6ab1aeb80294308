"""Diagrams of network architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_denoise.study.report.plots import FAINT, INK, SIDE, WIDTH, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Layer = Mapping[str, Any]  # `layer`, `output` and `parameters`, as architecture.json has them

KINDS = {  # the layers that start a group, and the colour of their block
    "Input": "#d9d9d9",
    "GaussianNoise": "#f2c4d0",
    "ConvTranspose2d": "#f6cfa3",
    "Conv2d": "#a9cdec",
    "Linear": "#b5dcb4",
}
GROUP_HEIGHT = 0.95  # inches
CENTRE, TEXT_LEFT = 1.0, 2.1  # x of the blocks and of the text, in units of GROUP_HEIGHT


def group_layers(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers in groups: a layer of KINDS, then the layers that process its output."""
    groups: list[list[Layer]] = []
    for layer in layers:
        if not groups or str(layer["layer"]).split()[0] in KINDS:
            groups.append([])
        groups[-1].append(layer)
    return groups


def format_size(shape: Sequence[int]) -> str:
    """`64 x 14 x 14` for a feature map, `100 numbers` for a vector."""
    if len(shape) == 1:
        return "1 number" if shape[0] == 1 else f"{shape[0]:,} numbers"
    return " x ".join(str(side) for side in shape)


def draw_architecture(layers: Sequence[Layer], path: Path) -> None:
    """Draw the layers of a network from top to bottom: each feature map as a block to scale, with its layers."""
    groups = group_layers(layers)
    with drawing(path, GROUP_HEIGHT * len(groups)) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH / GROUP_HEIGHT), ylim=(len(groups), 0), aspect="equal")
        axes.axis("off")
        for i, group in enumerate(groups):
            if i > 0:
                arrow = {"arrowstyle": "-|>", "color": FAINT}
                axes.annotate("", (CENTRE, i + 0.11), (CENTRE, i - 0.11), arrowprops=arrow)
            _draw_block(axes, i + 0.53, group)
            _label_block(axes, i + 0.53, group)


def _draw_block(axes: Axes, y: float, group: Sequence[Layer]) -> None:
    """Draw a group's output as a block: its face has the map's side, its depth grows with the channels."""
    from matplotlib.patches import Polygon

    shape = group[-1]["output"]
    colour = KINDS.get(str(group[0]["layer"]).split()[0], "#eeeeee")
    if len(shape) == 3:
        width = height = max(0.14, 0.62 * shape[1] / SIDE)
        depth = 0.03 * (1 + float(np.log2(shape[0])))
    else:  # a vector is drawn as a bar
        width, height, depth = 0.14 + 0.15 * float(np.log2(max(shape[0], 1))), 0.14, 0.04
    left, right, top, bottom = CENTRE - width / 2, CENTRE + width / 2, y - height / 2, y + height / 2
    faces = [
        [(left, top), (right, top), (right, bottom), (left, bottom)],
        [(left, top), (left + depth, top - depth), (right + depth, top - depth), (right, top)],
        [(right, top), (right + depth, top - depth), (right + depth, bottom - depth), (right, bottom)],
    ]
    for corners in faces:
        axes.add_patch(Polygon(corners, facecolor=colour, edgecolor=INK, linewidth=0.8))


def _label_block(axes: Axes, y: float, group: Sequence[Layer]) -> None:
    """Write beside a block: its layer, the layers that follow, the output size and the number of weights."""
    first, *rest = (str(layer["layer"]) for layer in group)
    weights = sum(int(layer["parameters"]) for layer in group)
    output = format_size(group[-1]["output"]) + (f", {weights:,} weights" if weights else "")
    lines = [(first, INK, "bold"), *([(", ".join(rest), INK, "normal")] if rest else []), (output, FAINT, "normal")]
    for i, (text, colour, weight) in enumerate(lines):
        line_y = y + 0.22 * (i - (len(lines) - 1) / 2)
        axes.text(TEXT_LEFT, line_y, text, color=colour, weight=weight, fontsize=9.5, va="center")
