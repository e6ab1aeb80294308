"""Reports as a rich table on a terminal, as plain text, as markdown, as CSV and as JSON."""

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
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gan_denoise import __version__
from gan_denoise.console import print_next
from gan_denoise.console import to_csv as csv_of
from gan_denoise.errors import OutputError
from gan_denoise.options import TableFormat

NOT_MEASURED = "not measured"
PLAIN_WIDTH = 200

GROUPS = {
    "bench": ("batch",),
    "bench --profile": ("batch",),
    "eval denoising": ("n", "noise", "sigma"),
    "eval classes": ("set",),
    "study compare": ("run",),
}  # a line is drawn where one of these changes

HEADS = {"ffd_1": "FFD-1"}  # where a column is not called what its key is

FORMATS = {
    "psnr_db": ".2f",
    "psnr_se": ".2f",
    "ssim": ".4f",
    "ms_per_image": ".3f",
    "parameters": ",d",
    "multiply_adds": ",d",
    "p50_ms": ".2f",
    "p90_ms": ".2f",
    "p99_ms": ".2f",
    "images_per_s": ",.0f",
    "spread": ".0%",
    "ffd_1": ".3f",
    "kid": ".5f",
    "kid_se": ".5f",
    "precision": ".3f",
    "recall": ".3f",
    "density": ".3f",
    "coverage": ".3f",
    "class_preserved": ".1%",
    "class_accuracy": ".1%",
    "share": ".1%",
    "real_share": ".1%",
    "median_distance": ".3f",
    "near_copy_fraction": ".2%",
    "sharpness": ".4f",
    "contrast": ".4f",
    "noise": ".4f",
    "raw": ".4f",
    "denoised": ".4f",
    "ratio": ".3f",
    "ratio_low": ".3f",
    "ratio_high": ".3f",
    "sgemm_fraction": ".0%",
    "ms": ".3f",
    **{
        f"{name}_{of}": ".3f" for name in ("precision", "recall") for of in ("raw", "denoised", "change", "low", "high")
    },
    **{f"psnr_{level}": ".2f" for level in (15, 25, 50)},
    "clean_db": ".2f",
    "n": ",d",
}


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Rows that share their columns, with all that has to be known to make them again.

    `settings` are the options and choices behind the rows.
    """

    command: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    model_sha256: str | None
    machine: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)


def print_table(
    report: ResultTable,
    *,
    as_json: bool = False,
    table_format: TableFormat = TableFormat.table,
    next_command: Sequence[object] = (),
) -> None:
    """Print the report on stdout, then the `next:` hint on stderr unless it is JSON.

    Raises OutputError when stdout takes no more.
    """
    try:
        if as_json:
            typer.echo(to_json(report), nl=False)
        elif table_format is TableFormat.markdown:
            typer.echo(to_markdown(report), nl=False)
        elif table_format is TableFormat.csv:
            typer.echo(to_csv(report), nl=False)
        elif not sys.stdout.isatty():
            typer.echo(_to_stdout(report), nl=False)
        else:
            console = Console()
            console.print(to_rich(report))
            console.print(Text(footer(report)))
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has seen enough; no fault of ours
    except OSError as error:
        raise OutputError(f"stdout: {error.strerror or error}", "free some space, or print somewhere else") from error
    if next_command and not as_json:
        print_next(next_command)


def to_json(report: ResultTable) -> str:
    """One JSON object: command, version, model_sha256, machine, settings and rows; a number that is none is null."""
    content = {
        "command": report.command,
        "version": __version__,
        "model_sha256": report.model_sha256,
        "machine": dict(report.machine),
        "settings": dict(report.settings),
        "rows": _finite_rows(report),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_csv(report: ResultTable) -> str:
    """The rows as `to_json` has them; a number that is none is empty."""
    return csv_of(_finite_rows(report))


def from_json(text: str) -> ResultTable:
    """The report that `to_json` wrote; its title is its command. Raises ValueError or KeyError when it is none."""
    kept = json.loads(text)
    command = kept["command"]
    return ResultTable(command, command, kept["rows"], kept["model_sha256"], kept["machine"], kept["settings"])


def to_markdown(report: ResultTable) -> str:
    """A markdown table under its title, and the settings and the machine in a line below."""
    heads = [HEADS.get(name, name) for name in columns(report)]
    lines = [_markdown_line(heads), _markdown_line(["---"] * len(columns(report)))]
    lines += [_markdown_line([format_value(name, row.get(name)) for name in columns(report)]) for row in report.rows]
    return "\n".join([f"**{report.title}**", "", *lines, "", footer(report), ""])


def to_text(report: ResultTable, encoding: str = "utf-8") -> str:
    """The rich table without colours, wide enough for all columns, for files and pipes of that encoding."""
    page = io.StringIO()
    console = Console(file=page, width=PLAIN_WIDTH, force_terminal=False, no_color=True, color_system=None)
    table = to_rich(report)
    table.box = HEAVY_HEAD if encoding.lower().startswith("utf") else ASCII2
    console.print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + f"\n{footer(report)}\n"


def to_rich(report: ResultTable) -> Table:
    """The table itself; numbers stand on the right."""
    table = Table(title=Text(report.title), title_justify="left")
    for name in columns(report):
        right = any(_is_number(row.get(name)) for row in report.rows)
        table.add_column(Text(HEADS.get(name, name)), justify="right" if right else "left", overflow="fold")
    before: list[Any] | None = None
    for row in report.rows:
        group = [row.get(name) for name in GROUPS.get(report.command, ())]
        if before not in (None, group):
            table.add_section()
        before = group
        table.add_row(
            *(Text(format_value(name, row.get(name))) for name in columns(report))
        )  # Text: no markup in names
    return table


def columns(report: ResultTable) -> list[str]:
    """The names of all columns that hold any value, in the order in which they first appear."""
    names = (name for row in report.rows for name in row)
    return [
        name for name in dict.fromkeys(names) if any(_finite_or_none(row.get(name)) is not None for row in report.rows)
    ]


def format_value(name: str, value: Any) -> str:
    """A value as the tables print it; what is missing or NaN is "not measured", never 0."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if name == "sigma":
        levels = 255 * value
        return "0" if not value else f"{levels:.0f}/255" if abs(levels - round(levels)) < 1e-6 else f"{value:g}"
    if name in FORMATS and _is_number(value):
        return format(value, FORMATS[name])
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def footer(report: ResultTable) -> str:
    """Settings and machine in one line each."""
    machine = report.machine
    versions = machine.get("versions", {})
    parts = [f"{machine.get('cpu', 'unknown CPU')}", f"{machine.get('threads', '?')} threads"]
    parts += [f"{package} {version}" for package, version in versions.items()]
    settings = "; ".join(f"{name}: {_setting(value)}" for name, value in report.settings.items())
    model = f"model {report.model_sha256[:12]}" if report.model_sha256 else ""
    return "\n".join(line for line in (settings, ", ".join([*parts, *([model] if model else [])])) if line)


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} ({reason})" for key, reason in value.items()) or "nothing"
    return str(value)


def _to_stdout(report: ResultTable) -> str:
    return to_text(report, getattr(sys.stdout, "encoding", None) or "utf-8")


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite_rows(report: ResultTable) -> list[dict[str, Any]]:
    return [{key: _finite_or_none(value) for key, value in row.items()} for row in report.rows]


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
