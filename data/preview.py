"""Summarise a data set: counts as rows, tables and JSON, and an image of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table
from rich.text import Text

from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.images import ImagesU8, to_pil
from gan_denoise.markdown import escape_markdown, markdown_table

COLUMNS = 10  # images in a row of the preview
ROWS = 10  # rows of the preview of a data set without classes
ZOOM = 2
MAX_ZOOMED = 96  # pixels a side; larger images are drawn as they are
GAP = 4  # pixels between images
LABEL_WIDTH = 150  # pixels for the names of the classes; longer names are cut


def draw_preview(split: Split, classes: tuple[str, ...]) -> Image.Image:
    """Draw one row per class: its number and name, then its first ten images, enlarged if they are small.

    Without classes, draw the first hundred images in ten rows.
    """
    rows = [split.images[split.labels == label][:COLUMNS] for label in range(len(classes))]
    rows = rows or np.array_split(split.images[: ROWS * COLUMNS], range(COLUMNS, ROWS * COLUMNS, COLUMNS))
    channels, side, _ = split.shape
    zoom = ZOOM if side <= MAX_ZOOMED else 1
    cell, left = side * zoom + GAP, LABEL_WIDTH if classes else 0
    canvas = Image.new("L" if channels == 1 else "RGB", (left + COLUMNS * cell, len(rows) * cell), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=18)
    for label, name in enumerate(classes):
        text = name if name == str(label) else f"{label} {_fit_name(name, font)}"
        pen.text((8, label * cell + cell // 2), text, "black", font, anchor="lm")
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            canvas.paste(to_pil(_enlarge(image, zoom)), (left + column * cell, row * cell + GAP // 2))
    return canvas


def _fit_name(name: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """A class name on one line, cut to the width for labels, without characters that the (Latin) font lacks."""
    missing_glyph = bytes(font.getmask("\uffff"))
    drawable = (letter for letter in name if letter.isspace() or bytes(font.getmask(letter)) != missing_glyph)
    name = " ".join("".join(drawable).split())
    width, length = LABEL_WIDTH - 44, font.getlength(name)
    return name if length <= width else f"{name[: int(len(name) * width / length) - 1]}…"


def spread_images(split: Split) -> Split:
    """As many images as a preview without classes shows, at equal distances."""
    count = min(len(split), ROWS * COLUMNS)
    chosen = np.linspace(0, len(split) - 1, count).round().astype(int)
    return Split(split.images[chosen], split.labels[chosen])


def _enlarge(image: ImagesU8, zoom: int) -> ImagesU8:
    """An image (H, W) or (3, H, W), `zoom` times as large, each pixel repeated."""
    return image.repeat(zoom, -2).repeat(zoom, -1)


def dataset_summary(dataset: Dataset) -> dict[str, object]:
    """Source, hash, shape of an image (C, H, W), and images per class in both splits, for JSON."""
    splits = {"train": dataset.train, "test": dataset.test}
    counts = {
        name: {"count": len(split), "classes": _count_per_class(split, dataset)} for name, split in splits.items()
    }
    return {"source": dataset.source, "sha256": dataset.sha256, "image_shape": list(dataset.train.shape), **counts}


def count_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """Images per class in both splits: `class, name, train, test`; a single row `all` without classes."""
    if not dataset.classes:
        return [{"class": None, "name": "all", "train": len(dataset.train), "test": len(dataset.test)}]
    train, test = _count_per_class(dataset.train, dataset), _count_per_class(dataset.test, dataset)
    return [
        {"class": label, "name": name, "train": train[name], "test": test[name]}
        for label, name in enumerate(dataset.classes)
    ]


def counts_markdown(dataset: Dataset) -> str:
    """The rows of `count_rows` as a markdown table."""
    rows = count_rows(dataset)
    cells = [["" if value is None else escape_markdown(value) for value in row.values()] for row in rows]
    return markdown_table(list(rows[0]), cells)


def counts_table(dataset: Dataset, name: str) -> Table:
    """The rows of `count_rows` and their sums, as a rich table."""
    channels, height, width = dataset.train.shape
    table = Table(title=Text(f"{name}, {width}x{height} {'grey' if channels == 1 else 'colour'}"))
    for title in ("class", "name", "train", "test"):
        table.add_column(title, justify="right" if title in ("train", "test") else "left", overflow="fold")
    for row in count_rows(dataset) if dataset.classes else []:
        counts = (f"{row[split]:,}" for split in ("train", "test"))
        table.add_row(str(row["class"]), Text(row["name"]), *counts, end_section=row["name"] == dataset.classes[-1])
    table.add_row("", "all", f"{len(dataset.train):,}", f"{len(dataset.test):,}")
    return table


def _count_per_class(split: Split, dataset: Dataset) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(dataset.classes))
    return {name: int(counts[label]) for label, name in enumerate(dataset.classes)}
