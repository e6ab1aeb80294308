"""What is in the data set: counts and a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from gan_denoise.data.fashion_mnist import CLASSES, Dataset, Split

PER_CLASS = 10  # images in a row of the preview
ZOOM = 2
CELL = 28 * ZOOM + 4  # pixels
LABELS = 150  # pixels, for the widest class name


def draw_preview(split: Split) -> Image.Image:
    """A picture with a row for each class: its number and name, then its first ten images, enlarged."""
    picture = Image.new("L", (LABELS + PER_CLASS * CELL, len(CLASSES) * CELL), color=255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
    for label, name in enumerate(CLASSES):
        middle = (8, label * CELL + CELL // 2)
        pen.text(middle, f"{label} {name}", fill=0, font=font, anchor="lm")
        for column, image in enumerate(split.images[split.labels == label][:PER_CLASS]):
            big = np.kron(image, np.ones((ZOOM, ZOOM), np.uint8))  # (28, 28) -> (56, 56)
            picture.paste(Image.fromarray(big), (LABELS + column * CELL, label * CELL + 2))
    return picture


def summary(dataset: Dataset) -> dict[str, object]:
    """Source, hashes, and images a class in both parts, for JSON."""
    parts = {"train": dataset.train, "test": dataset.test}
    counts = {part: {"count": len(split), "classes": _per_class(split)} for part, split in parts.items()}
    return {"source": dataset.source, "sha256": dataset.sha256, **counts}


def table(dataset: Dataset) -> Table:
    """Images a class in both parts."""
    rows = Table("class", "name", title="Fashion-MNIST, 28x28 grey")
    rows.add_column("train", justify="right")
    rows.add_column("test", justify="right")
    train, test = _per_class(dataset.train), _per_class(dataset.test)
    for label, name in enumerate(CLASSES):
        rows.add_row(str(label), name, f"{train[name]:,}", f"{test[name]:,}", end_section=name == CLASSES[-1])
    rows.add_row("", "all", f"{len(dataset.train):,}", f"{len(dataset.test):,}")
    return rows


def _per_class(split: Split) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(CLASSES))
    return {name: int(count) for name, count in zip(CLASSES, counts, strict=True)}
