"""Whether a study done again comes to the figures of the shipped model, within stated tolerances."""

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

KEPT_RESULTS = SHIPPED / "results.json"  # the figures of the shipped model
# Another machine rounds otherwise, so a GAN ends elsewhere: what is allowed is about what another seed changes, and
# less than what the denoiser does.
TOLERANCES = {"ffd_1": 0.015, "precision": 0.03, "recall": 0.04, "coverage": 0.04, "psnr_db": 0.3, "ssim": 0.01}
KEYS = {"generation": ("set",), "denoising": ("method", "noise", "sigma")}  # what names a row of a table

Rows = list[Mapping[str, Any]]


def compare(run: Path, kept: Path = KEPT_RESULTS) -> ResultTable:
    """A row for each figure of the study in `run` that the shipped model has too: both values and whether they agree.

    Raises InputError when the study is not measured yet or a file is damaged.
    """
    wanted = _read(kept)
    rows = [row for table in KEYS for row in _rows(table, _read(RunFolder(run).result(table)), wanted[table])]
    model, title = wanted["generation"]["model_sha256"], "The figures of the shipped model, found again"
    return ResultTable("study check", title, rows, model, describe_machine(), {"tolerances": TOLERANCES})


def require_agreement(report: ResultTable) -> None:
    """Raises GateError, naming the worst, when a figure is further off than its tolerance."""
    off = [row for row in report.rows if not row["agrees"]]
    if off:
        worst = max(off, key=lambda row: abs(row["found"] - row["kept"]) / TOLERANCES[row["figure"]])
        found = f"{worst['what']}: {worst['found']:.4g} found, {worst['kept']:.4g} within {TOLERANCES[worst['figure']]}"
        raise GateError(f"{worst['figure']} of {found} wanted; {len(off)} of {len(report.rows)} figures differ")


def _rows(table: str, found: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    theirs = {_key(table, row): row for row in kept["rows"]}
    for row in found["rows"]:
        other = theirs.get(_key(table, row), {})
        for figure, tolerance in TOLERANCES.items():
            value, wanted = row.get(figure), other.get(figure)
            if value is not None and wanted is not None:
                agrees = abs(value - wanted) <= tolerance  # NaN does not
                what = " ".join(_key(table, row))
                yield {"what": what, "figure": figure, "found": value, "kept": wanted, "agrees": agrees}


def _key(table: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{row[name]:.3g}" if name == "sigma" else str(row[name]) for name in KEYS[table])


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: missing or damaged, a study's results wanted", "finish the study first") from error
    return content
