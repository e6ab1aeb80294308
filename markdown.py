"""Markdown primitives: escaping, code spans, tables."""

from __future__ import annotations

import re
from collections.abc import Sequence


def bullets(lines: Sequence[str]) -> str:
    """A markdown list of the lines that are not empty."""
    return "\n".join(f"- {line}" for line in lines if line)


def escape_markdown(text: object) -> str:
    """Escape text so that markdown shows every character literally, on one line."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", one_line(text))


def code(text: object) -> str:
    """Text as a code span on one line; it may contain backticks."""
    line = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def one_line(text: object) -> str:
    """The text with each unprintable character, line breaks included, replaced by a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; cells are markdown already, and columns with numbers are right-aligned."""
    ruler = [
        "---:" if any(re.match(r"[*+-]*\d", cell) for cell in column) else "---" for column in zip(*rows, strict=True)
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *rows))
