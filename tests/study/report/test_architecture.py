"""Layers of a network that repeat are drawn once, with a count."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_denoise.study.report.architecture import describe_layers, draw_architecture, fold_repeats, group_layers


def layer(name: str, channels: int = 8) -> dict[str, object]:
    return {"layer": name, "output": [channels, 14, 14], "parameters": channels}


WIDE, DEEP, NARROW = layer("Conv2d 1x1, stride 1", 16), layer("Conv2d 3x3, stride 1", 16), layer("Conv2d 1x1, stride 1")
BLOCK = [WIDE, DEEP, NARROW]


@pytest.mark.parametrize(
    ("layers", "counts"),
    [
        ([layer("Input"), *BLOCK * 3, layer("Linear")], [(1, 1), (3, 3), (1, 1)]),
        ([layer("Input"), NARROW, NARROW, DEEP], [(1, 1), (2, 1), (1, 1)]),
        ([layer("Input"), *BLOCK, WIDE, DEEP], [(1, 1)] * 6),  # the second block is not whole
        ([layer("Conv2d 3x3, stride 1", 8), layer("Conv2d 3x3, stride 1", 16)], [(1, 1)] * 2),  # other sizes
        ([NARROW, layer("ReLU"), NARROW, layer("ReLU")], [(2, 1)]),  # what follows a layer belongs to it
    ],
)
def test_blocks_that_repeat_come_once(layers: list[dict[str, object]], counts: list[tuple[int, int]]) -> None:
    folded = fold_repeats(group_layers(layers))
    assert [(count, len(groups)) for count, groups in folded] == counts
    assert sum(count * sum(map(len, groups)) for count, groups in folded) == len(layers)


def test_the_drawing_and_its_text_have_the_count(tmp_path: Path) -> None:
    layers = [layer("Input"), *BLOCK * 3]
    draw_architecture(layers, tmp_path / "folded.svg")
    draw_architecture(layers[:4], tmp_path / "once.svg")
    heights = [
        float((tmp_path / f"{name}.svg").read_text().split('height="')[1].split("pt")[0]) for name in ("folded", "once")
    ]
    assert heights[0] == heights[1]
    assert describe_layers(layers) == (
        "Input, output 8 x 14 x 14; 3 times (Conv2d 1x1, stride 1, output 16 x 14 x 14; Conv2d 3x3, stride 1, output "
        "16 x 14 x 14; Conv2d 1x1, stride 1, output 8 x 14 x 14)"
    )
