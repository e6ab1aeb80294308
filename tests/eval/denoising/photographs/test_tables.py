from __future__ import annotations

from pathlib import Path

import pytest
from photograph_helpers import averaging_network, colour_crop, grey_crop, save_images

from gan_denoise.eval.denoising.photographs import tables
from gan_denoise.eval.denoising.photographs.tables import for_reading, photographs_report, without_images
from gan_denoise.eval.result_table import ResultTable, to_csv, to_markdown


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultTable:
    """One pair with real noise, denoised by a network and by no filter."""
    monkeypatch.setattr(tables, "classical_methods", dict)
    clean = save_images(tmp_path / "clean", a=grey_crop())
    noisy = save_images(tmp_path / "noisy", a=grey_crop() // 2)
    network = averaging_network(tmp_path / "n.onnx")
    return photographs_report(str(network), clean, noisy, threads=1, name="ours", versus={"other": network})


def test_real_noise_and_none_stand_in_one_line_of_each_method(report: ResultTable) -> None:
    lines = to_markdown(for_reading(report)).splitlines()
    assert lines[2] == (
        "| n | method | PSNR, dB | SSIM | gain, dB | worst gain, dB | PSNR, clean | ms/megapixel | parameters "
        "| multiply-adds/pixel |"
    )
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:7]]
    assert [row[1] for row in cells] == ["noisy", "ours", "other"]
    assert (cells[0][4], cells[0][6], cells[0][7:]) == ("", "100.00", ["", "", ""])
    assert cells[1][4] == cells[1][5] == f"{float(cells[1][2]) - float(cells[0][2]):+.2f}"
    assert 20 < float(cells[1][6]) < 40
    assert cells[1][8:] == ["27", "27"]


def test_values_of_single_images_stand_in_json_only(report: ResultTable) -> None:
    assert [len(row["per_image"]) for row in report.rows] == [1] * 6
    header = to_csv(without_images(report)).splitlines()[0].split(",")
    assert "per_image" not in header
    assert {"psnr_db", "worst_gain_db", "ms_per_megapixel"} <= set(header)
    assert report.settings["images"] == "1, a to a"
    assert "seed" not in report.settings


def test_sigmas_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "classical_methods", dict)
    clean = save_images(tmp_path / "clean", a=colour_crop())
    network = averaging_network(tmp_path / "n.onnx")
    report = photographs_report(str(network), clean, sigmas=(0.1, 50 / 255), threads=1)
    lines = to_markdown(for_reading(report)).splitlines()
    assert lines[2] == ("| n | noise | method | 0 | 0.1 | 50/255 | ms/megapixel | parameters | multiply-adds/pixel |")
    assert [line.split(" | ")[1:3] for line in lines[4:8]] == [
        [noise, method] for noise in ("float", "8-bit") for method in ("noisy", "network")
    ]
    assert lines[4].split(" | ")[4].startswith("20.0")  # noise of 0.1, not clipped
