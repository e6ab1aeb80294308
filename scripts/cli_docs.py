"""Writes docs/cli.md from the help of every command: `make docs`. tests/test_docs.py holds it to be up to date."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gan_denoise.cli import app

FILE = Path(__file__).resolve().parents[1] / "docs/cli.md"
OPENING = "# The command line\n\nMade by `make docs` from what `gan-denoise COMMAND --help` prints.\n"
EXAMPLE = "Example: "
EVERYWHERE = ("help", "install_completion", "show_completion")  # options that need no line


def page() -> str:
    """The whole of docs/cli.md."""
    command = typer.main.get_command(app)
    return "\n".join([OPENING, *sections("gan-denoise", command, typer.Context(command))])


def sections(path: str, command: Any, context: typer.Context) -> Iterator[str]:
    """A section for the command at `path`, and one for each below it that its help lists."""
    lines = [line.strip() for line in inspect.cleandoc(command.help).splitlines()]
    examples = [line.removeprefix(EXAMPLE) for line in lines if line.startswith(EXAMPLE)]
    words = "\n".join(line for line in lines if not line.startswith(EXAMPLE)).strip()
    yield "\n".join([f"## {path}\n\n{words}\n\n```", *examples, "```\n"])
    shown = [parameter for parameter in command.params if parameter.name not in EVERYWHERE]
    if shown:
        yield "\n".join([*(item(*parameter.get_help_record(context)) for parameter in shown), ""])
    for below in getattr(command, "commands", {}).values():
        if not below.hidden:
            yield from sections(f"{path} {below.name}", below, context)


def item(name: str, text: str) -> str:
    """A parameter as an item of a list."""
    return f"- `{name}`: {' '.join(text.split())}"


if __name__ == "__main__":
    FILE.write_text(page())
