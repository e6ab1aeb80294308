"""A study held against the shipped model's figures."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.errors import GateError, InputError
from gan_denoise.study.compare.reproduction import KEPT_RESULTS, TOLERANCES, compare, require_agreement


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study that came to the shipped figures exactly."""
    (tmp_path / "results").mkdir()
    for table, content in json.loads(KEPT_RESULTS.read_text()).items():
        (tmp_path / "results" / f"{table}.json").write_text(json.dumps(content))
    return tmp_path


def change(study: Path, table: str, figure: str, by: float) -> dict[str, Any]:
    """Move one figure of the first row that has it; returns that row."""
    path = study / "results" / f"{table}.json"
    content = json.loads(path.read_text())
    row: dict[str, Any] = next(row for row in content["rows"] if row.get(figure) is not None)
    row[figure] += by
    path.write_text(json.dumps(content))
    return row


def test_the_shipped_figures_agree_with_themselves(study: Path) -> None:
    report = compare(study)
    assert {row["figure"] for row in report.rows} == set(TOLERANCES)
    assert {"raw", "denoised"} <= {row["what"] for row in report.rows if row["figure"] == "ffd_1"}
    assert all(row["agrees"] for row in report.rows)
    require_agreement(report)


@pytest.mark.parametrize(
    ("table", "figure"), [("generation", "ffd_1"), ("generation", "recall"), ("denoising", "ssim")]
)
def test_a_figure_beyond_its_tolerance_fails_the_gate_and_is_named(study: Path, table: str, figure: str) -> None:
    change(study, table, figure, 0.9 * TOLERANCES[figure])
    require_agreement(compare(study))
    row = change(study, table, figure, 0.2 * TOLERANCES[figure])
    name = row["set"] if table == "generation" else row["method"]
    with pytest.raises(GateError, match=rf"{figure} of {name}.*found.*wanted; 1 of \d+ figures differ"):
        require_agreement(compare(study))


def test_the_command_prints_the_table_and_exits_with_7(study: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["study", "check", str(study)]).exit_code == 0
    change(study, "generation", "ffd_1", -1)
    result = runner.invoke(app, ["study", "check", str(study), "--json"])
    assert isinstance(result.exception, GateError)
    assert sum(not row["agrees"] for row in json.loads(result.stdout)["rows"]) == 1


def test_a_study_without_results_is_refused(study: Path) -> None:
    shutil.rmtree(study / "results")
    with pytest.raises(InputError, match=r"generation.json: missing or damaged.*, a study's results wanted"):
        compare(study)
