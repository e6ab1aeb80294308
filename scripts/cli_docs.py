"""Write docs/cli.md from the help of every command: `make docs`. tests/test_docs.py checks that it is up to date."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gan_denoise.cli import app

FILE = Path(__file__).resolve().parents[1] / "docs/cli.md"
OPENING = """# Commands

Which commands and options are there? Written by `make docs` from what `gan-denoise COMMAND --help` prints.
"""
EXAMPLE = "Example: "
COMMON_OPTIONS = ("help", "install_completion", "show_completion")  # not listed


def render_page() -> str:
    """The whole of docs/cli.md."""
    command = typer.main.get_command(app)
    return "\n".join([OPENING, *_sections("gan-denoise", command, typer.Context(command))])


def _sections(path: str, command: Any, context: typer.Context) -> Iterator[str]:
    """A section for the command at `path`, and one for each of its visible subcommands."""
    lines = [line.strip() for line in inspect.cleandoc(command.help).splitlines()]
    examples = [line.removeprefix(EXAMPLE) for line in lines if line.startswith(EXAMPLE)]
    text = "\n".join(line for line in lines if not line.startswith(EXAMPLE)).strip()
    yield "\n".join([f"## {path}\n\n{text}\n\n```", *examples, "```\n"])
    records = [
        parameter.get_help_record(context) for parameter in command.params if parameter.name not in COMMON_OPTIONS
    ]
    if records:
        yield "\n".join([*(f"- `{name}`: {' '.join(text.split())}" for name, text in records), ""])
    for subcommand in getattr(command, "commands", {}).values():
        if not subcommand.hidden:
            yield from _sections(f"{path} {subcommand.name}", subcommand, context)


if __name__ == "__main__":
    FILE.write_text(render_page())
