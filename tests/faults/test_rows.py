"""FAULTS has 42 rows; each of the first 40 has its test, and those of a server, 41 and 42, wait for one."""

import re
from pathlib import Path

ROWS = 40


def test_every_row_has_a_test_of_its_name() -> None:
    modules = Path(__file__).parent.glob("test_*.py")
    tests = [name for module in modules for name in re.findall(r"^def test_row_(\d+)_", module.read_text(), re.M)]
    assert {int(row) for row in tests} == set(range(1, ROWS + 1))
