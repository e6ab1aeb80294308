"""Rows of result tables: typed access to their values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Rows = Sequence[Row]


def number(row: Row | None, name: str) -> float | None:
    """The finite number of that name in a row, or None."""
    value = None if row is None else row.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number and value is not None else None


def row_of(rows: Rows, **keys: Any) -> Row | None:
    """The first row whose fields have the given values."""
    return next((row for row in rows if all(row.get(name) == value for name, value in keys.items())), None)


def join_words(items: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
