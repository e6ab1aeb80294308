"""The maintainers' programs that measure denoisers of photographs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import photograph_speed
import photographs
import pytest
from photograph_helpers import averaging_network, colour_crop, grey_crop, save_images


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """The sets, of one small photograph each."""
    folder = tmp_path / "sets"
    folder.mkdir()
    for name in photographs.GREY:
        save_images(folder / name, a=grey_crop(20, 24))
    for name in photographs.COLOUR:
        save_images(folder / name, a=colour_crop(20, 24))
    (folder / "PolyU").mkdir()
    save_images(folder / "PolyU/clean", a=colour_crop(20, 24))
    save_images(folder / "PolyU/noisy", a=colour_crop(20, 24) // 2)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["photographs.py", *map(str, arguments)])
    photographs.main()


def test_the_test_sets_are_read_with_final_alone(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network, rows = averaging_network(tmp_path / "n.onnx"), tmp_path / "rows.json"
    common = (sets, "--model", f"ours={network}", "--threads", "1", "--rows", rows)
    run(monkeypatch, *common, "--final")
    final, out = json.loads(rows.read_text()), capsys.readouterr().out
    assert list(final) == ["Set12", "BSD68", "Kodak24", "CBSD68", "clean", "PolyU"]
    for line in (
        "| BM3D, published | 31.07 | 28.57 | 25.62 |  |",
        "| FFDNet, authors' weights | 34.37 | 31.64 | 27.37",
    ):
        assert line in out
    gain = final["PolyU"][1]["gain_db"]
    assert f"| ours | {gain:+.2f} | {gain:+.2f} | " in out
    assert f"| a | {final['PolyU'][0]['psnr_db']:.2f} | {gain:+.2f} |" in out
    clean = final["Set12"][1]
    assert f"| Set12 | ours | {clean['psnr_db']:.2f} | {clean['psnr_db']:.2f} (a) | a {clean['psnr_db']:.2f} |" in out
    for name in photographs.FINAL:  # what is not read may be anything
        (sets / name).rename(sets / f"{name}-away")
    run(monkeypatch, *common)
    assert {name: final[name][0]["psnr_db"] for name in ("Set12", "Kodak24", "clean")} == {
        name: values[0]["psnr_db"] for name, values in json.loads(rows.read_text()).items()
    }


@pytest.mark.parametrize(
    ("model", "weights", "multiply_adds"),
    [(photograph_speed.cdncnn(), 668_227, 667_008), (photograph_speed.ffdnet(), 853_836, 213_192)],
    ids=["CDnCNN", "FFDNet"],
)
def test_the_networks_to_compare_with_have_the_shapes_of_their_papers(
    model: onnx.ModelProto, weights: int, multiply_adds: int
) -> None:
    assert photograph_speed._size(model) == (weights, multiply_adds)
    session = ort.InferenceSession(model.SerializeToString())
    feeds = {"noisy": np.zeros((1, 3, 8, 12), np.float32), "sigma": np.zeros((1, 3, 4, 6), np.float32)}
    (denoised,) = session.run(None, {entry.name: feeds[entry.name] for entry in session.get_inputs()})
    assert denoised.shape == (1, 3, 8, 12)
