"""Who made the photographs of the data set `photos`, and under which licences, as rows and tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.table import Table
from rich.text import Text

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.photographs import list_photographs
from gan_denoise.markdown import escape_markdown, markdown_table

COLUMNS = ("title", "author", "licence", "package", "split")


def photograph_rows() -> list[dict[str, Any]]:
    """`title, author, licence, package, split` of each photograph."""
    return [{name: getattr(photo, name) for name in COLUMNS} for photo in list_photographs()]


def photographs_markdown() -> str:
    """The rows of `photograph_rows` as a markdown table."""
    return markdown_table(COLUMNS, [[escape_markdown(row[name]) for name in COLUMNS] for row in photograph_rows()])


def photographs_table(dataset: Dataset) -> Table:
    """The rows of `photograph_rows` as a rich table, whose title says how many tiles there are of them."""
    tiles = f"{len(dataset.train):,} tiles to train on, {len(dataset.held_out):,} held out"
    rows = photograph_rows()
    table = Table(title=Text(f"{len(rows)} photographs, {tiles}"))
    for name in COLUMNS:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[name]) for name in COLUMNS))
    return table


def count_licences() -> dict[str, int]:
    """How many photographs are under each licence, the most frequent first."""
    return dict(Counter(photo.licence for photo in list_photographs()).most_common())
