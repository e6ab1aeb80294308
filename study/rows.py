"""Rows of result tables: typed access to their values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Rows = Sequence[Row]

# Values of the column `denoiser`: one pass, stochastic sampling, one pass of a jointly trained denoiser, no denoiser,
# and two filters in its place.
MEAN, SAMPLE, JOINT, NONE = "mean", "sample", "joint", "none"
GAUSSIAN, NLM = "gaussian", "nlm"
JOINT_FILTERS = {name: f"{JOINT} {name}" for name in (GAUSSIAN, NLM)}  # of a jointly trained generator's images
HELD_OUT_DISTANCE = "held_out_distance"  # in the log of a generator


def get_number(row: Row | None, name: str) -> float | None:
    """The finite number in column `name` of a row, or None."""
    value = None if row is None else row.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number and value is not None else None


def find_row(rows: Rows, **values: Any) -> Row | None:
    """The first row that has the given values in the given columns, or None."""
    return next((row for row in rows if all(row.get(name) == value for name, value in values.items())), None)


def join_words(items: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
