"""Markdown primitives: escaping, code spans, tables."""

from __future__ import annotations

import re
from collections.abc import Sequence


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines if line)


def escape_markdown(text: object) -> str:
    """Text for markdown in which no character means anything but itself, on one line."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", one_line(text))


def code(text: object) -> str:
    """Text as a code span, whatever backticks it holds, on one line."""
    line = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def one_line(text: object) -> str:
    """The text with a question mark for each character that cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table of cells that are markdown already; a column with numbers stands on the right."""
    ruler = [
        "---:" if any(re.match(r"[*+-]*\d", cell) for cell in column) else "---" for column in zip(*rows, strict=True)
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *rows))
