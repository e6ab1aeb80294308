from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gan_denoise import __version__
from gan_denoise.errors import OutputError
from gan_denoise.eval.columns import COLUMNS, format_value, title_of
from gan_denoise.eval.result_table import (
    ResultTable,
    from_json,
    print_table,
    to_csv,
    to_json,
    to_markdown,
    to_text,
)
from gan_denoise.options import TableFormat

MACHINE = {"cpu": "Test CPU", "threads": 2, "versions": {"onnxruntime": "1.2.3"}}
ROWS: list[dict[str, Any]] = [
    {"method": "noisy", "sigma": 15 / 255, "psnr_db": 24.617, "ms_per_image": None},
    {"method": "[bold]median[/bold]", "sigma": 0.3, "psnr_db": float("nan"), "ms_per_image": 0.1234},
]


def report(rows: list[dict[str, Any]] = ROWS) -> ResultTable:
    return ResultTable(
        "eval denoising",
        "Title [N, D]",
        rows,
        "ab" * 32,
        MACHINE,
        {"seed": 3},
        {"sigma": "of pixels"},
        {"BM3D": "missing"},
    )


class Terminal(io.StringIO):  # what rich and typer check
    def isatty(self) -> bool:
        return True


def test_json_has_the_promised_keys_and_the_numbers_unrounded() -> None:
    content = json.loads(to_json(report()))
    assert list(content) == [
        *("schema", "command", "version", "model_sha256", "machine"),
        *("settings", "notes", "skipped", "rows"),
    ]
    assert content["schema"] == 1
    assert content["command"] == "eval denoising"
    assert content["version"] == __version__
    assert content["model_sha256"] == "ab" * 32
    assert content["machine"] == MACHINE
    assert content["settings"] == {"seed": 3}
    assert content["notes"] == {"sigma": "of pixels"}
    assert content["skipped"] == {"BM3D": "missing"}
    assert content["rows"][0] == {"method": "noisy", "sigma": 15 / 255, "psnr_db": 24.617, "ms_per_image": None}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), None])
def test_json_has_null_for_what_is_no_number(value: float | None) -> None:
    text = to_json(report([{"psnr_db": value, "n": 0}]))
    assert json.loads(text, parse_constant=pytest.fail)["rows"] == [{"psnr_db": None, "n": 0}]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("psnr_db", 24.617, "24.62"),
        ("psnr_db", float("inf"), "inf"),
        ("psnr_db", None, "not measured"),
        ("ssim", float("nan"), "not measured"),
        ("ssim", 0.0, "0.0000"),
        ("sigma", 15 / 255, "15/255"),
        ("sigma", 0.3, "0.3"),
        ("sigma", 0.0, "0"),
        ("multiply_adds", 10035200, "10,035,200"),
        ("noise", "8-bit", "8-bit"),
        ("noise", 0.03125, "0.0312"),
        ("images_per_s", 1234.5, "1,234"),
        ("spread", 0.256, "26%"),
        ("n", 10000, "10,000"),
        ("stable", False, "NO"),
        ("stable", True, "yes"),
        ("other", 0.123456, "0.1235"),
    ],
)
def test_each_column_has_its_format(name: str, value: object, expected: str) -> None:
    assert format_value(name, value) == expected


def test_a_column_is_defined_once_and_others_are_titled_by_their_key() -> None:
    assert (title_of("images_per_s"), title_of("other")) == ("images/s", "other")
    assert len({column.title for column in COLUMNS.values()}) == len(COLUMNS)  # no two columns look the same


def test_markdown_is_a_table_of_all_columns() -> None:
    lines = to_markdown(report()).splitlines()
    assert lines[0] == "**Title [N, D]**"
    assert lines[2:4] == ["| method | sigma | PSNR, dB | ms/image |", "| --- | ---: | ---: | ---: |"]
    assert lines[4] == "| noisy | 15/255 | 24.62 | not measured |"
    assert lines[5] == r"| \[bold\]median\[/bold\] | 0.3 | not measured | 0.123 |"
    assert lines[7:] == [
        "seed: 3",
        "sigma: of pixels",
        "not measured: BM3D (missing)",
        "Test CPU, 2 threads, onnxruntime 1.2.3, model abababababab",
    ]


def test_a_metric_is_shown_by_its_name_and_kept_by_its_key() -> None:
    rows = report([{"set": "raw", "n": 10000, "ffd_1": 0.71587}])
    assert to_markdown(rows).splitlines()[2:5:2] == ["| images | n | FFD-1 |", "| raw | 10,000 | 0.716 |"]
    assert "FFD-1" in to_text(rows)
    assert json.loads(to_json(rows))["rows"][0]["ffd_1"] == 0.71587


def test_csv_has_every_row_as_json_has_it() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(report([*ROWS, {"method": 'a "b", c', "n": 1}])))))
    assert list(rows[0]) == ["method", "sigma", "psnr_db", "ms_per_image", "n"]
    assert rows[0] == {"method": "noisy", "sigma": str(15 / 255), "psnr_db": "24.617", "ms_per_image": "", "n": ""}
    assert (rows[1]["psnr_db"], rows[1]["ms_per_image"]) == ("", "0.1234")
    assert (rows[2]["method"], rows[2]["n"]) == ('a "b", c', "1")


def test_markdown_keeps_a_bar_and_a_line_break_inside_their_cell() -> None:
    lines = to_markdown(report([{"method": "a|b\nc", "n": 1}])).splitlines()
    assert lines[4] == "| a\\|b?c | 1 |"


def test_text_shows_every_value_whole_and_no_markup_is_read_from_it() -> None:
    text = to_text(report())
    assert "\x1b" not in text
    for expected in ("Title [N, D]", "[bold]median[/bold]", "0.3", "not measured", "24.62", "seed: 3"):
        assert expected in text
    assert "…" not in text


def test_a_line_is_drawn_where_the_group_changes_only() -> None:
    same, other = [{"sigma": 0.3, "n": 1}] * 2, [{"sigma": 0.3, "n": 1}, {"sigma": 0.5, "n": 1}]
    assert len(to_text(report(other)).splitlines()) == len(to_text(report(same)).splitlines()) + 1


def test_a_report_read_back_from_json_prints_the_same_table() -> None:
    assert to_json(from_json(to_json(report(ROWS[:1])))) == to_json(report(ROWS[:1]))
    before, after = to_markdown(report(ROWS[:1])), to_markdown(from_json(to_json(report(ROWS[:1]))))
    assert before.splitlines()[1:] == after.splitlines()[1:]
    assert after.startswith("**eval denoising**")
    for text in (
        "no json",
        "{}",
        '{"command": "bench"}',
        to_json(report(ROWS[:1])).replace('"schema": 1', '"schema": 2'),
    ):
        with pytest.raises((ValueError, KeyError)):
            from_json(text)


def test_a_column_that_only_a_later_row_has_is_not_measured_before() -> None:
    assert "| fused | not measured |" in to_markdown(report([{"name": "fused"}, {"name": "eager", "p50_ms": 1.0}]))


@pytest.mark.parametrize("force", [False, True])
def test_no_colours_without_a_terminal(force: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if force:  # rich would colour a pipe with this
        monkeypatch.setenv("FORCE_COLOR", "1")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    print_table(report())
    assert "\x1b" not in out.getvalue()
    assert out.getvalue() == to_text(report())


def test_colours_on_a_terminal_unless_they_are_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    print_table(report())
    assert "\x1b[" in out.getvalue()
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    print_table(report(), as_json=True)
    assert json.loads(out.getvalue())["command"] == "eval denoising"


def test_json_and_markdown_are_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(report(), as_json=True)
    assert capsys.readouterr() == (to_json(report()), "")
    print_table(report(), table_format=TableFormat.markdown)
    assert capsys.readouterr() == (to_markdown(report()), "")
    print_table(report(), table_format=TableFormat.csv, next_command=("bench", "--profile"))
    assert capsys.readouterr() == (to_csv(report()), "next: gan-denoise bench --profile\n")
    print_table(report(), as_json=True, next_command=("bench",))
    assert capsys.readouterr() == (to_json(report()), "")


def test_a_full_disk_behind_stdout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    stream = full.open("w")
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(OutputError, match="No space left on device"):
        print_table(report(), as_json=True)
    with pytest.raises(OSError, match="No space"):
        stream.close()


def test_ascii_streams_get_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    print_table(report())
    out.seek(0)
    assert "noisy" in out.read()
    assert "+--" in to_text(report(), "ascii")
    assert "+--" not in to_text(report(), "utf-8")


def test_a_column_without_values_is_left_out_of_tables_and_kept_in_json() -> None:
    rows: list[dict[str, Any]] = [{"name": "a", "ssim": None, "psnr_db": 20.0}, {"name": "b", "ssim": None}]
    assert to_markdown(report(rows)).splitlines()[2:6] == [
        "| backend | PSNR, dB |",
        "| --- | ---: |",
        "| a | 20.00 |",
        "| b | not measured |",
    ]
    assert json.loads(to_json(report(rows)))["rows"][1]["ssim"] is None
