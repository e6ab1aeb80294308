"""Compare the metrics of a repeated study with those of the shipped model, within stated tolerances."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gan_denoise.errors import GateError, InputError
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.export.runtime import SHIPPED
from gan_denoise.machine import describe_machine

SHIPPED_RESULTS = SHIPPED / "results.json"  # the metrics of the shipped model
# Floating-point rounding differs between machines, so a GAN converges to other weights. A tolerance is about the
# spread between training seeds, and less than the effect of the denoiser.
TOLERANCES = {"ffd_1": 0.015, "precision": 0.03, "recall": 0.04, "coverage": 0.04, "psnr_db": 0.3, "ssim": 0.01}
KEYS = {"generation": ("set",), "denoising": ("method", "noise", "sigma")}  # the columns that identify a row


def compare_with_shipped(run: Path, shipped_results: Path = SHIPPED_RESULTS) -> ResultTable:
    """One row for each metric that both the study in `run` and the shipped model have.

    The columns: `row, metric`; `study, shipped`, both values; `agrees`, whether they differ by at most the tolerance.
    Raises InputError when the study has no results yet or a file is damaged.
    """
    shipped = _read_results(shipped_results)
    rows = [
        row
        for table in KEYS
        for row in _compare_table(table, _read_results(RunFolder(run).result(table)), shipped[table])
    ]
    model, title = shipped["generation"]["model_sha256"], "Metrics of the study and of the shipped model"
    return ResultTable("study check", title, rows, model, describe_machine(), {"tolerances": TOLERANCES})


def require_agreement(table: ResultTable) -> None:
    """Raises GateError when a metric is outside its tolerance; the message names the worst."""
    outside = [row for row in table.rows if not row["agrees"]]
    if outside:
        worst = max(outside, key=lambda row: abs(row["study"] - row["shipped"]) / TOLERANCES[row["metric"]])
        raise GateError.expected(
            f"{worst['metric']} of {worst['row']}",
            f"{worst['shipped']:.4g} ± {TOLERANCES[worst['metric']]}",
            f"{worst['study']:.4g}; {len(outside)} of {len(table.rows)} values are outside their tolerance",
        )


def _compare_table(table: str, study: Mapping[str, Any], shipped: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shipped_rows = {_row_key(table, row): row for row in shipped["rows"]}
    for row in study["rows"]:
        key = _row_key(table, row)
        for metric, tolerance in TOLERANCES.items():
            value, expected = row.get(metric), shipped_rows.get(key, {}).get(metric)
            if value is not None and expected is not None:
                agrees = abs(value - expected) <= tolerance  # False for NaN
                yield {"row": " ".join(key), "metric": metric, "study": value, "shipped": expected, "agrees": agrees}


def _row_key(table: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{row[name]:.3g}" if name == "sigma" else str(row[name]) for name in KEYS[table])


def _read_results(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found", "finish the study first: gan-denoise study run --preset best") from error
    except (OSError, ValueError) as error:
        raise InputError.expected(
            path,
            "the results of a study",
            f"a damaged file ({error})",
            "delete it; gan-denoise study run measures again",
        ) from error
    return content
