"""The metrics of a study are compared with those of the shipped model."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.errors import GateError, InputError
from gan_denoise.study.compare.reproduction import SHIPPED_RESULTS, TOLERANCES, compare_with_shipped, require_agreement


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study whose metrics are exactly those of the shipped model."""
    (tmp_path / "results").mkdir()
    for table, content in json.loads(SHIPPED_RESULTS.read_text()).items():
        (tmp_path / "results" / f"{table}.json").write_text(json.dumps(content))
    return tmp_path


def change(study: Path, table: str, metric: str, by: float) -> dict[str, Any]:
    """Add `by` to a metric in the first row that has it; returns that row."""
    path = study / "results" / f"{table}.json"
    content = json.loads(path.read_text())
    row: dict[str, Any] = next(row for row in content["rows"] if row.get(metric) is not None)
    row[metric] += by
    path.write_text(json.dumps(content))
    return row


def test_the_shipped_metrics_agree_with_themselves(study: Path) -> None:
    table = compare_with_shipped(study)
    assert {row["metric"] for row in table.rows} == set(TOLERANCES)
    assert {"raw", "denoised"} <= {row["row"] for row in table.rows if row["metric"] == "ffd_1"}
    assert all(row["agrees"] for row in table.rows)
    require_agreement(table)


@pytest.mark.parametrize(
    ("table", "metric"), [("generation", "ffd_1"), ("generation", "recall"), ("denoising", "ssim")]
)
def test_a_metric_outside_its_tolerance_fails_the_gate_and_is_named(study: Path, table: str, metric: str) -> None:
    change(study, table, metric, 0.9 * TOLERANCES[metric])
    require_agreement(compare_with_shipped(study))
    row = change(study, table, metric, 0.2 * TOLERANCES[metric])
    name = row["set"] if table == "generation" else row["method"]
    with pytest.raises(
        GateError, match=rf"{metric} of {name}.*: expected .* ± .*, got .*; 1 of \d+ values are outside"
    ):
        require_agreement(compare_with_shipped(study))


def test_the_command_prints_the_table_and_exits_with_7(study: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["study", "check", str(study)]).exit_code == 0
    change(study, "generation", "ffd_1", -1)
    result = runner.invoke(app, ["study", "check", str(study), "--json"])
    assert isinstance(result.exception, GateError)
    assert sum(not row["agrees"] for row in json.loads(result.stdout)["rows"]) == 1


def test_a_study_without_results_is_refused(study: Path) -> None:
    (study / "results/generation.json").write_text("{")
    with pytest.raises(InputError, match=r"generation\.json: expected the results of a study, got a damaged file"):
        compare_with_shipped(study)
    shutil.rmtree(study / "results")
    with pytest.raises(InputError, match=r"generation\.json: not found"):
        compare_with_shipped(study)
