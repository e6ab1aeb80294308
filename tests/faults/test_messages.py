"""Messages for faults: batches, newer models, damaged packages, terminals, missing epochs, tuned values, progress."""

import io
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from command_helpers import COLD, run_command
from data_helpers import photograph

from gan_denoise import machine
from gan_denoise.console import print_fitting, rich_console
from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.preview import counts_table
from gan_denoise.dependencies import broken_dependency
from gan_denoise.errors import InputError, one_line
from gan_denoise.eval.generation import tables
from gan_denoise.eval.generation.controls import TunedFilter
from gan_denoise.eval.result_table import ResultTable, to_rich, to_text
from gan_denoise.export import runtime
from gan_denoise.study.compare.snapshots import Snapshot, missing_epochs
from gan_denoise.study.run import progress


@pytest.mark.row(72)
def test_a_batch_is_checked_against_the_number_of_images(tmp_path: Path) -> None:
    for i in range(25):  # 23 of them for training
        (tmp_path / "photos").mkdir(exist_ok=True)
        photograph(i).save(tmp_path / f"photos/{i}.png")
    command = ("train", "gan", "--preset", "smoke", "--epochs", 1, "--dataset", "folder", "--data", tmp_path / "photos")
    done = run_command(*command, "--batch", 17, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    done = run_command(*command, "--batch", 11, "--out", tmp_path / "other")
    assert done.returncode == 2
    assert done.stderr == (
        "error: --batch: expected a size that does not leave 1 of 23 images over, got 11\nhint: --batch 12\n"
    )
    assert not (tmp_path / "other").exists()


@pytest.mark.row(72)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["gan", "--preset", "smoke", "--batch", 300], "--batch: expected 2 to 256 (the number of images), got 300"),
        (["gan", "--preset", "smoke", "--epochs", 0], "--epochs: expected 1 or more, got 0"),
        (
            ["joint", "--preset", "smoke-best", "--batch", 8],
            "--batch 8: denoising_batch: expected from 1 to the batch, got 16",
        ),
    ],
)
def test_options_that_are_refused_are_named(options: list[object], message: str) -> None:
    done = run_command("train", *options, "--dry-run")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: {message}")


@pytest.mark.row(73)
@pytest.mark.parametrize(("field", "reason"), [("ir", "max supported IR version"), ("opset", "is till opset")])
def test_a_model_for_a_newer_runtime_is_refused_with_the_whole_reason(field: str, reason: str, tmp_path: Path) -> None:
    model = onnx.load(runtime.SHIPPED / "fused.onnx")
    if field == "ir":
        model.ir_version = 99
    else:
        model.opset_import[0].version = 99
    (tmp_path / "new.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError) as caught:
        runtime.load_graph(runtime.FUSED, tmp_path / "new.onnx")
    assert reason in caught.value.message
    assert "\n" not in caught.value.message
    assert "pip install --upgrade onnxruntime" in caught.value.hint
    (tmp_path / "new.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError) as caught:
        runtime.load_graph(runtime.FUSED, tmp_path / "new.onnx")
    assert "upgrade" not in caught.value.hint


@pytest.mark.row(73)
def test_messages_of_other_programs_become_one_line() -> None:
    assert one_line(ValueError("first\n  second\x1b[31m\tthird\n")) == "first second [31m third"
    assert one_line(ValueError()) == "ValueError without a message"
    long = one_line("start " + "x" * 10**6 + " end")
    assert long.startswith("start ")
    assert long.endswith(" end")
    assert len(long) < 2100


@pytest.mark.row(74)
@pytest.mark.parametrize(
    ("package", "content", "project"),
    [
        ("onnxruntime", "", "onnxruntime"),
        ("onnxruntime", "def (", "onnxruntime"),
        ("numpy", "raise OSError('libopenblas.so: cannot open shared object file')", "numpy"),
        ("PIL", "from . import _imaging", "pillow"),
    ],
)
def test_a_damaged_package_is_named_in_one_line(package: str, content: str, project: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(content)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [*COLD, "generate", "-n", "1", "--out", str(tmp_path / "out.png")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (3, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith(f"error: {project}: expected a complete installation, got ")
    assert hint == f"hint: pip install --force-reinstall {project}"


@pytest.mark.row(74)
def test_a_package_that_another_one_misses_names_in_is_the_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [*COLD, "train", "gan", "--preset", "smoke", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stderr.splitlines()[-1]) == (3, "hint: pip install --force-reinstall torch")


def raised(code: str) -> Exception:
    """The error that the expression raises."""
    try:
        eval(code, {"machine": machine, "np": np})
    except Exception as error:
        return error
    raise AssertionError(code)


@pytest.mark.row(74)
def test_errors_of_this_program_do_not_name_a_package() -> None:
    for code in ("None.name", "{}['key']", "1 / 0", "int('x')", "machine.missing", "np.zeros(3)[5]", "np.ones(2) @ 1"):
        assert broken_dependency(raised(code)) is None
    assert str(broken_dependency(raised("np.no_such_name"))).startswith("numpy: expected a complete installation")


def drawn(table: Any, width: int) -> str:
    page = io.StringIO()
    print_fitting(rich_console(file=page, width=width, force_terminal=True, color_system=None), table)
    return page.getvalue()


def odd_names() -> Dataset:
    images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    split = Split(images, labels)
    return Dataset(split, split, "source", "0" * 64, (":cat:", "[b]dog[/b]", "a name that is long"), "folder")


@pytest.mark.row(75)
@pytest.mark.parametrize("width", [80, 30])
def test_names_are_printed_literally(width: int) -> None:
    text = drawn(counts_table(odd_names(), "folder :cat:"), width)
    for name in (":cat:", "[b]dog[/b]", "folder :cat:"):
        assert name in text


@pytest.mark.row(76)
@pytest.mark.parametrize("width", [200, 100, 60, 40, 30, 12])
def test_numbers_are_never_cut_or_broken(width: int) -> None:
    numbers = {"batch": 256, "p50_ms": 1234.56, "images_per_s": 1_234_567.0, "relative_time_low": 0.125}
    rows = [{"name": "a backend with a long name", **numbers}, {"name": ":cat:", **numbers}]
    table = ResultTable("bench", "A title", rows, None, {})
    for text in (drawn(to_rich(table), width), to_text(table)):
        for number in ("256", "1234.56", "1,234,567", "0.125"):
            assert len(re.findall(rf"(?<![\d.,]){re.escape(number)}(?![\d.,])", text)) == 2
        assert "…" not in text
        assert ":cat:" in text
    assert all(len(line) <= 60 for line in drawn(to_rich(table), 60).splitlines())


@pytest.mark.row(77)
def test_epochs_whose_weights_were_not_kept_are_named() -> None:
    def snapshots(run: str, epochs: tuple[int, ...], denoiser: str = "mean") -> list[Snapshot]:
        return [Snapshot(run, 0, epoch, (denoiser,), None, None, {}) for epoch in epochs]

    assert missing_epochs(snapshots("best", (1, 2, 3))) == {}
    assert missing_epochs(
        [*snapshots("paper", (20,)), *snapshots("best", (2, 4, 5)), *snapshots("best", (2,), "joint")]
    ) == {
        "epochs 1 to 19 of paper, seed 0": "weights not kept",
        "epochs 1, 3 of best, seed 0": "weights not kept",
        "epoch 1 of best, seed 0, joint training": "weights not kept",
    }


@pytest.mark.row(78)
def test_controls_name_a_value_at_the_edge_and_only_the_shipped_denoiser(exported: Path) -> None:
    def note(strength: float) -> str:
        return tables._strength(TunedFilter(lambda images: images, strength, (0.1, 0.2, 0.3)), " pixels")

    assert note(0.2) == "0.2 (candidates 0.1, 0.2, 0.3) pixels, then the black-level threshold"
    assert note(0.1) == note(0.2).replace("0.2 (", "0.1 (") + (
        "; this is the smallest candidate, so a value outside may be better"
    )
    assert "largest candidate" in note(0.3)
    assert "the shipped denoiser" in tables._trained_on(runtime.load_graph(runtime.DENOISER))
    assert "shipped" not in tables._trained_on(runtime.load_graph(runtime.DENOISER, exported))


@pytest.mark.row(78)
def test_joint_training_of_a_preset_without_it_names_one_that_has_it() -> None:
    done = run_command("train", "joint", "--preset", "quick")
    assert done.returncode == 2
    assert done.stderr == "error: --preset: expected one with the stage joint, got quick\nhint: --preset best\n"


@pytest.mark.row(79)
def test_training_off_a_terminal_prints_a_line_at_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with progress.EpochProgress(tmp_path / "gan", 10, 100, 6400, tensorboard=False, interval_s=30) as bar:
        bar.start(200)  # as after a resume
        for _ in range(100):
            now[0] += 1
            bar.advance()
        bar.end_epoch(3, {"loss": 0.693147, "images_per_s": 64.0}, "")
        bar.end_epoch(10, {"loss": 1.234e-05, "images_per_s": 12345.0}, "a warning")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "gan epoch  3/10   23%, 0:12:50 left",
        "gan: about 0:12:30 for this stage, by its first 50 steps",
        "gan epoch  3/10   26%, 0:12:20 left",
        "gan epoch  3/10   29%, 0:11:50 left",
    ]
    assert lines[4:] == [
        "gan epoch  3/10  loss 0.6931     images_per_s 64",
        "gan epoch 10/10  loss 1.234e-05  images_per_s 1.234e+04",
        "warning: a warning",
    ]
    with progress.EpochProgress(tmp_path / "gan", 1, 100, 6400, tensorboard=False, interval_s=1000) as bar:
        bar.start(0)
        for _ in range(100):
            now[0] += 1
            bar.advance()
    assert capsys.readouterr().err == ""
