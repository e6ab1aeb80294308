"""A result table, printed as a rich table on a terminal, as plain text, as markdown, as CSV or as JSON."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.box import ASCII2, HEAVY_HEAD
from rich.table import Table
from rich.text import Text

from gan_denoise import __version__
from gan_denoise.console import SCHEMA, is_too_wide, print_fitting, print_next, rich_console, stack_titles
from gan_denoise.console import to_csv as csv_of
from gan_denoise.errors import OutputError
from gan_denoise.eval.columns import format_value, is_detail, is_number, title_of
from gan_denoise.eval.labels import NOT_MEASURED
from gan_denoise.markdown import escape_markdown, markdown_table
from gan_denoise.options import TableFormat

PLAIN_WIDTH = 200
READABLE = 12  # letters in a line of a folded column

GROUPS = {
    "bench": ("batch",),
    "bench --profile": ("batch",),
    "eval denoising": ("n", "noise", "sigma"),
    "eval classes": ("set",),
    "study compare": ("run",),
}  # a line is drawn where one of these changes


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Rows that share their columns, with everything that is needed to reproduce and to read them."""

    command: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    model_sha256: str | None
    machine: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)  # options and choices that reproduce the rows
    notes: Mapping[str, str] = field(default_factory=dict)  # what a column or a row means
    skipped: Mapping[str, str] = field(default_factory=dict)  # what was not measured, and why


def print_table(
    table: ResultTable,
    *,
    as_json: bool = False,
    table_format: TableFormat = TableFormat.table,
    next_command: Sequence[object] = (),
) -> None:
    """Print the table on stdout and, except for JSON, the `next:` hint on stderr.

    Raises OutputError when stdout cannot be written.
    """
    try:
        if as_json:
            typer.echo(to_json(table), nl=False)
        elif table_format is TableFormat.markdown:
            typer.echo(to_markdown(table), nl=False)
        elif table_format is TableFormat.csv:
            typer.echo(to_csv(table), nl=False)
        elif not sys.stdout.isatty():
            typer.echo(_to_stdout(table), nl=False)
        else:
            console = rich_console()
            print_fitting(console, to_rich(table))
            console.print(Text(footer(table)))
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader closed the pipe, as `head` does: not an error of this program
    except OSError as error:
        raise OutputError(f"stdout: {error.strerror or error}", "free some space, or print to another place") from error
    if next_command and not as_json:
        print_next(next_command)


def print_skipped(table: ResultTable) -> None:
    """Name on stderr what was not measured, and why."""
    for name, reason in table.skipped.items():
        typer.echo(f"{name}: {NOT_MEASURED} ({reason})", err=True)


def to_json(table: ResultTable) -> str:
    """The table as one JSON object; numbers that are not finite are null."""
    content = {
        "schema": SCHEMA,
        "command": table.command,
        "version": __version__,
        "model_sha256": table.model_sha256,
        "machine": dict(table.machine),
        "settings": dict(table.settings),
        "notes": dict(table.notes),
        "skipped": dict(table.skipped),
        "rows": _finite_rows(table),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_csv(table: ResultTable) -> str:
    """The rows as in `to_json`; numbers that are not finite are empty."""
    return csv_of(_finite_rows(table))


def from_json(text: str) -> ResultTable:
    """The table that `to_json` wrote, titled by its command. Raises ValueError or KeyError for any other text."""
    content = json.loads(text)
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema: expected {SCHEMA}, got {content['schema']}")
    command = content["command"]
    names = ("rows", "model_sha256", "machine", "settings", "notes", "skipped")
    return ResultTable(command, command, *(content[name] for name in names))


def to_markdown(table: ResultTable) -> str:
    """A markdown table below its title, with settings, notes and the machine below it."""
    keys = columns(table)
    rows = [[escape_markdown(format_value(key, row.get(key))) for key in keys] for row in table.rows]
    cells = markdown_table([escape_markdown(title_of(key)) for key in keys], rows)
    return "\n".join([f"**{table.title}**", "", cells, "", footer(table), ""])


def to_text(table: ResultTable, encoding: str = "utf-8") -> str:
    """The rich table without colours, wide enough for all columns, for files and pipes of that encoding."""
    page = io.StringIO()
    console = rich_console(file=page, width=PLAIN_WIDTH, force_terminal=False, no_color=True, color_system=None)
    drawn = to_rich(table)
    drawn.box = HEAVY_HEAD if encoding.lower().startswith("utf") else ASCII2
    if is_too_wide(console, drawn):
        stack_titles(drawn)
        for column in drawn.columns:  # else text is folded to single letters
            column.min_width = min(READABLE, max((len(str(cell)) for cell in column.cells), default=0))
        console.width = max(PLAIN_WIDTH, console.measure(drawn, options=console.options.update(width=10_000)).minimum)
    console.print(drawn)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + f"\n{footer(table)}\n"


def to_rich(table: ResultTable) -> Table:
    """The table for a terminal, without details; columns of numbers are aligned to the right."""
    drawn = Table(title=Text(table.title), title_justify="left")
    keys = [key for key in columns(table) if not is_detail(key)]
    for key in keys:
        right = any(is_number(row.get(key)) for row in table.rows)
        drawn.add_column(Text(title_of(key)), justify="right" if right else "left", overflow="fold")
    previous: list[Any] | None = None
    for row in table.rows:
        group = [row.get(key) for key in GROUPS.get(table.command, ())]
        if previous not in (None, group):
            drawn.add_section()
        previous = group
        drawn.add_row(*(Text(format_value(key, row.get(key))) for key in keys))  # Text: rich reads no markup in it
    return drawn


def columns(table: ResultTable) -> list[str]:
    """The keys of all columns that hold a value, in the order in which they first appear."""
    keys = dict.fromkeys(key for row in table.rows for key in row)
    return [key for key in keys if any(_finite_or_none(row.get(key)) is not None for row in table.rows)]


def footer(table: ResultTable) -> str:
    """Settings, notes, skipped rows and the machine: a line each, and a line for each note."""
    machine = table.machine
    parts = [f"{machine.get('cpu', 'unknown CPU')}", f"{machine.get('threads', '?')} threads"]
    parts += [f"provider {machine['provider']}"] if "provider" in machine else []
    parts += [f"{package} {version}" for package, version in machine.get("versions", {}).items()]
    parts += [f"model {table.model_sha256[:12]}"] if table.model_sha256 else []
    settings = "; ".join(f"{name}: {_setting(value)}" for name, value in table.settings.items())
    notes = [f"{name}: {text}" for name, text in table.notes.items()]
    skipped = f"{NOT_MEASURED}: {_setting(table.skipped)}" if table.skipped else ""
    return "\n".join(line for line in (settings, *notes, skipped, ", ".join(parts)) if line)


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} ({_setting(part)})" for key, part in value.items()) or "nothing"
    return str(value)


def _to_stdout(table: ResultTable) -> str:
    return to_text(table, getattr(sys.stdout, "encoding", None) or "utf-8")


def _finite_rows(table: ResultTable) -> list[dict[str, Any]]:
    return [{key: _finite_or_none(value) for key, value in row.items()} for row in table.rows]


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
