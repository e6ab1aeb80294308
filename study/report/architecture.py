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
CENTRE, TEXT_LEFT, BRACKET = 1.0, 2.1, 0.4  # x of the blocks, the text and brackets, in units of GROUP_HEIGHT
MAX_PERIOD = 6  # groups in a block that is looked for


def group_layers(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers in groups: a layer of KINDS, then the layers that process its output."""
    groups: list[list[Layer]] = []
    for layer in layers:
        if not groups or str(layer["layer"]).split()[0] in KINDS:
            groups.append([])
        groups[-1].append(layer)
    return groups


def fold_repeats(groups: Sequence[list[Layer]]) -> list[tuple[int, list[list[Layer]]]]:
    """The groups in order as (count, groups): blocks of up to MAX_PERIOD groups that repeat come once, with a count."""
    folded: list[tuple[int, list[list[Layer]]]] = []
    start = 0
    while start < len(groups):
        repeats = {period: _count_repeats(groups[start:], period) for period in range(1, MAX_PERIOD + 1)}
        period = max(repeats, key=lambda length: length * (repeats[length] - 1))
        count = repeats[period]
        if count == 1:
            period = 1
        folded.append((count, list(groups[start : start + period])))
        start += count * period
    return folded


def _count_repeats(groups: Sequence[list[Layer]], period: int) -> int:
    """How often the first `period` groups follow one another."""
    block, count = groups[:period], 1
    while len(block) == period and list(groups[count * period : (count + 1) * period]) == list(block):
        count += 1
    return count


def describe_layers(layers: Sequence[Layer]) -> str:
    """The layers in words, with a count before the blocks that repeat."""
    parts = []
    for count, groups in fold_repeats(group_layers(layers)):
        steps = "; ".join(
            f"{layer['layer']}, output {format_size(layer['output'])}" for group in groups for layer in group
        )
        parts.append(steps if count == 1 else f"{count} times ({steps})")
    return "; ".join(parts)


def format_size(shape: Sequence[int]) -> str:
    """`64 x 14 x 14` for a feature map, `100 numbers` for a vector."""
    if len(shape) == 1:
        return "1 number" if shape[0] == 1 else f"{shape[0]:,} numbers"
    return " x ".join(str(side) for side in shape)


def draw_architecture(layers: Sequence[Layer], path: Path) -> None:
    """Draw the layers of a network from top to bottom: each feature map as a block to scale, with its layers.

    A block of layers that repeats is drawn once, with a bracket and the count.
    """
    folded = fold_repeats(group_layers(layers))
    groups = [group for _, block in folded for group in block]
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
        top = 0
        for count, block in folded:
            if count > 1:
                _draw_bracket(axes, top, top + len(block), count)
            top += len(block)


def _draw_bracket(axes: Axes, top: int, bottom: int, count: int) -> None:
    """Mark the groups from row `top` to `bottom` as a block that comes `count` times."""
    ends = (top + 0.15, bottom - 0.05)
    axes.plot((BRACKET + 0.08, BRACKET, BRACKET, BRACKET + 0.08), (ends[0], *ends, ends[1]), color=FAINT, linewidth=1)
    axes.text(BRACKET - 0.06, sum(ends) / 2, f"{count} \u00d7", color=INK, fontsize=9.5, ha="right", va="center")


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
