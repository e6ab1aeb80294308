"""What is in the data set: counts and an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.markup import escape
from rich.table import Table

from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.images import ImagesU8

IN_A_ROW = 10  # images of the preview
ROWS = 10  # of it, where there are no classes
ZOOM = 2
GAP = 4  # pixels
LABELS = 150  # pixels, for the names of the classes; longer ones are cut


def draw_preview(split: Split, classes: tuple[str, ...]) -> Image.Image:
    """A canvas with a row for each class: its number and name, then its first ten images, enlarged."""
    rows = [split.images[split.labels == label][:IN_A_ROW] for label in range(len(classes))]
    rows = rows or np.array_split(split.images[: ROWS * IN_A_ROW], range(IN_A_ROW, ROWS * IN_A_ROW, IN_A_ROW))
    channels, side, _ = split.shape
    cell, left = side * ZOOM + GAP, LABELS if classes else 0
    canvas = Image.new("L" if channels == 1 else "RGB", (left + IN_A_ROW * cell, len(rows) * cell), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=18)
    for label, name in enumerate(classes):
        pen.text((8, label * cell + cell // 2), f"{label} {_fitted(name, font)}", "black", font, anchor="lm")
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            canvas.paste(_enlarged(image), (left + column * cell, row * cell + GAP // 2))
    return canvas


def _fitted(name: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """As much of a class's name as one line has room for, in letters that the font has; it has Latin ones alone."""
    lacking = bytes(font.getmask("\uffff"))
    kept = (letter for letter in name if letter.isspace() or bytes(font.getmask(letter)) != lacking)
    name = " ".join("".join(kept).split())
    room = LABELS - 44
    return name if font.getlength(name) <= room else f"{name[: int(len(name) * room / font.getlength(name)) - 1]}…"


def _enlarged(image: ImagesU8) -> Image.Image:
    """An image (H, W), or (3, H, W), ZOOM times as large."""
    big = image.repeat(ZOOM, -2).repeat(ZOOM, -1)
    return Image.fromarray(big if big.ndim == 2 else big.transpose(1, 2, 0))


def dataset_summary(dataset: Dataset) -> dict[str, object]:
    """Source, hash, shape of an image, and images a class in both parts, for JSON."""
    parts = {"train": dataset.train, "test": dataset.test}
    counts = {part: {"count": len(split), "classes": _per_class(split, dataset)} for part, split in parts.items()}
    return {"source": dataset.source, "sha256": dataset.sha256, "image_shape": list(dataset.train.shape), **counts}


def count_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """Images a class in both parts: `class, name, train, test`; one row of all where there are no classes."""
    if not dataset.classes:
        return [{"class": None, "name": "all", "train": len(dataset.train), "test": len(dataset.test)}]
    train, test = _per_class(dataset.train, dataset), _per_class(dataset.test, dataset)
    return [
        {"class": label, "name": name, "train": train[name], "test": test[name]}
        for label, name in enumerate(dataset.classes)
    ]


def counts_table(dataset: Dataset, name: str) -> Table:
    """The rows and their sums, for people."""
    channels, height, width = dataset.train.shape
    shown = Table("class", "name", title=f"{name}, {width}x{height} {'grey' if channels == 1 else 'colour'}")
    shown.add_column("train", justify="right")
    shown.add_column("test", justify="right")
    for row in count_rows(dataset) if dataset.classes else []:
        counts = (f"{row[part]:,}" for part in ("train", "test"))
        shown.add_row(str(row["class"]), escape(row["name"]), *counts, end_section=row["name"] == dataset.classes[-1])
    shown.add_row("", "all", f"{len(dataset.train):,}", f"{len(dataset.test):,}")
    return shown


def _per_class(split: Split, dataset: Dataset) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(dataset.classes))
    return {name: int(counts[label]) for label, name in enumerate(dataset.classes)}
