"""Write docs/tour.ipynb from docs/tour.py: run its cells in this process and store their output. `make docs`.

The script is in the percent format of Jupyter and editors. No kernel is needed: a notebook is JSON (nbformat 4.5). The
value of a cell's last expression is stored as an image if it has `_repr_png_`.
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


def parse_cells(script: str) -> list[tuple[str, str]]:
    """Kind (`code` or `markdown`) and source of each cell of a script in the percent format."""
    cells = []
    for part in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        head, source = part.split("\n", 1)
        is_text = head.strip() == "[markdown]"
        source = re.sub(r"^# ?", "", source, flags=re.MULTILINE) if is_text else source
        cells.append(("markdown" if is_text else "code", source.strip()))
    return cells


def run_cell(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell in `names`: its printed text and the value of its last expression, as notebook outputs."""
    *statements, last = ast.parse(source).body
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(statements, []), SCRIPT.name, "exec"), names)
            value = eval(compile(ast.Expression(last.value), SCRIPT.name, "eval"), names)
        else:
            exec(compile(source, SCRIPT.name, "exec"), names)
    stream = {"output_type": "stream", "name": "stdout", "text": printed.getvalue()}
    return [*([stream] if printed.getvalue() else []), *([_display(value)] if value is not None else [])]


def make_notebook(script: str) -> dict[str, Any]:
    """The notebook of a script, its cells run in order."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, n_run = [], 0
    for i, (kind, source) in enumerate(parse_cells(script)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{i}", "metadata": {}, "source": source}
        if kind == "code":
            n_run += 1
            cell |= {"execution_count": n_run, "outputs": run_cell(source, names)}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _display(value: Any) -> dict[str, Any]:
    data = {"text/plain": ADDRESS.sub("", repr(value))}
    if image := getattr(value, "_repr_png_", lambda: None)():
        data["image/png"] = base64.b64encode(image).decode() + "\n"
    return {"output_type": "display_data", "data": data, "metadata": {}}


if __name__ == "__main__":
    NOTEBOOK.write_text(json.dumps(make_notebook(SCRIPT.read_text()), indent=1, ensure_ascii=False) + "\n")
