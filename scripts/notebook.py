"""Writes docs/tour.ipynb from docs/tour.py: runs its cells here and keeps what they print and show.

The script is in the percent format that Jupyter and editors know. No kernel is needed: a notebook is JSON (nbformat
4.5), and what ends a cell is shown as an image if it can be one.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCRIPT, NOTEBOOK = DOCS / "tour.py", DOCS / "tour.ipynb"
ADDRESS = re.compile(r" at 0x[0-9A-F]+", re.IGNORECASE)


def cells(script: str) -> list[tuple[str, str]]:
    """Kind (`code` or `markdown`) and source of each cell of a script in the percent format."""
    found = []
    for part in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        head, source = part.split("\n", 1)
        text = head.strip() == "[markdown]"
        source = re.sub(r"^# ?", "", source, flags=re.MULTILINE) if text else source
        found.append(("markdown" if text else "code", source.strip()))
    return found


def run(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """What a cell prints, and what its last expression is, as outputs of a notebook."""
    *statements, last = ast.parse(source).body
    printed, shown = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(statements, []), SCRIPT.name, "exec"), names)
            shown = eval(compile(ast.Expression(last.value), SCRIPT.name, "eval"), names)
        else:
            exec(compile(source, SCRIPT.name, "exec"), names)
    stream = {"output_type": "stream", "name": "stdout", "text": printed.getvalue()}
    return [*([stream] if printed.getvalue() else []), *([_display(shown)] if shown is not None else [])]


def notebook(script: str) -> dict[str, Any]:
    """The notebook of a script, its cells run in order."""
    names: dict[str, Any] = {"__name__": "__main__"}
    made, count = [], 0
    for i, (kind, source) in enumerate(cells(script)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{i}", "metadata": {}, "source": source}
        if kind == "code":
            count += 1
            cell |= {"execution_count": count, "outputs": run(source, names)}
        made.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _display(value: Any) -> dict[str, Any]:
    data = {"text/plain": ADDRESS.sub("", repr(value))}
    if image := getattr(value, "_repr_png_", lambda: None)():
        data["image/png"] = base64.b64encode(image).decode() + "\n"
    return {"output_type": "display_data", "data": data, "metadata": {}}


if __name__ == "__main__":
    NOTEBOOK.write_text(json.dumps(notebook(SCRIPT.read_text()), indent=1, ensure_ascii=False) + "\n")
