"""What `study compare` and `study sweep` print and write: runs, their summary over seeds, runs against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import typer

from gan_denoise.eval.result_table import ResultTable, print_skipped, print_table
from gan_denoise.options import TableFormat
from gan_denoise.study.compare.paired import PAIRED, compare_pairs, paired_table
from gan_denoise.study.compare.statistics import summarize_seeds, summary_table


def with_statistics(report: ResultTable) -> ResultTable:
    """The table of `compare_runs` as JSON has it: the settings also hold the summary and the paired comparison."""
    statistics = {"summary": summarize_seeds(report.rows), PAIRED: compare_pairs(report.rows)}
    return replace(report, settings={**report.settings, **statistics})


def print_comparison(
    report: ResultTable, as_json: bool, table_format: TableFormat, next_command: Sequence[object]
) -> None:
    """Print the table of `compare_runs`, the summary and the paired comparison; as CSV the first alone."""
    print_skipped(report)
    if as_json or table_format is TableFormat.csv:
        print_table(with_statistics(report) if as_json else report, as_json=as_json, table_format=table_format)
        return
    paired = paired_table(report)
    tables = [report, summary_table(report), *([] if paired is None else [paired])]
    for number, table in enumerate(tables):
        if number:
            typer.echo()
        print_table(table, table_format=table_format, next_command=next_command if table is tables[-1] else ())
