"""Every row of docs/reliability.md has a test, and every test's marker `row` names such a row."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/reliability.md"


def marked_rows(module: Path) -> Iterator[int]:
    """The numbers in `pytest.mark.row(...)` on the tests of a module."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.row":
                    yield from (ast.literal_eval(argument) for argument in decorator.args)


def test_the_markers_name_the_rows_of_the_page() -> None:
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.M)}
    assert rows >= set(range(1, 41))
    assert {row for module in TESTS.rglob("test_*.py") for row in marked_rows(module)} == rows
