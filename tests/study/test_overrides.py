"""`--set` and `--config`: every accepted form, and every refusal by name."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.errors import GanDenoiseError, InputError, UsageError
from gan_denoise.study.config import Config, config_sha256, to_json
from gan_denoise.study.overrides import changed_fields, read_config, run_name, set_fields, set_preset_fields
from gan_denoise.study.presets import PRESETS

PAPER, BEST = PRESETS["paper"], PRESETS["best"]
STAGES = [
    (preset, stage)
    for preset in PRESETS
    for stage in ("gan", "denoiser", "joint", "classifier")
    if getattr(PRESETS[preset], stage) is not None
]


@pytest.mark.parametrize(
    ("config", "assignment", "value"),
    [
        (PAPER.gan, "epochs=3", 3),
        (PAPER.gan, "learning_rate=2e-4", 2e-4),
        (PAPER.gan, "dropout=0", 0.0),
        (PAPER.gan, "dropout=.25", 0.25),
        (PAPER.gan, "generator_widths=32,64,16", (32, 64, 16)),
        (PAPER.denoiser, "widths=64", (64,)),
        (PAPER.denoiser, "widths=64,", (64,)),
        (BEST.denoiser, "noisy_targets=true", True),
        (BEST.joint, "adversarial=false", False),
        (BEST.denoiser, "network.widths=32,64", (32, 64)),
        (BEST.joint, "gan.learning_rate=1e-3", 1e-3),
        (BEST.joint, "denoiser.network.blocks=1,1,1", (1, 1, 1)),
    ],
)
def test_a_field_is_set_with_its_type(config: Config, assignment: str, value: object) -> None:
    changed = set_fields(config, [assignment])
    field = assignment.partition("=")[0]
    current: object = changed
    for name in field.split("."):
        current = getattr(current, name)
    assert (current, type(current)) == (value, type(value))
    assert list(changed_fields(config, changed)) == [field]
    back = set_fields(config, [f"{name}={text}" for name, text in changed_fields(config, changed).items()])
    assert back == changed


@pytest.mark.parametrize(
    ("config", "assignment", "message", "hint"),
    [
        (PAPER.gan, "epochs", "--set: expected FIELD=VALUE, got epochs", "--set batch=32"),
        (PAPER.gan, "epoch=3", "--set: expected a field of GanConfig, got epoch", "fields: generator_widths, "),
        (PAPER.gan, "=3", "--set: expected a field of GanConfig, got ", "fields: "),
        (PAPER.gan, "epochs=2.5", "--set epochs: expected a whole number, got 2.5", ""),
        (PAPER.gan, "epochs=many", "--set epochs: expected a whole number, got many", ""),
        (PAPER.gan, "epochs=true", "--set epochs: expected a whole number, got true", ""),
        (PAPER.gan, "epochs=0", "--set epochs: expected 1 or more, got 0", ""),
        (PAPER.gan, "epochs=1,2", "--set epochs: expected a whole number, got 1,2", ""),
        (PAPER.gan, "epochs.x=1", "--set epochs: expected a whole number, got {'x': 1}", ""),
        (PAPER.gan, "learning_rate=fast", "--set learning_rate: expected a number, got fast", ""),
        (PAPER.gan, "learning_rate=nan", "--set learning_rate: expected a number, got nan", ""),
        (PAPER.denoiser, "sigma_max=1e999", "--set sigma_max: expected a number, got inf", ""),
        (PAPER.denoiser, f"sigma_max=1{'0' * 400}", "--set sigma_max: expected a number, got 10", ""),
        (PAPER.gan, "generator_widths=64,x", "--set generator_widths: expected whole numbers such as 64,64", ""),
        (PAPER.gan, "generator_widths=__import__('os')", "--set generator_widths: expected whole numbers", ""),
        (BEST.denoiser, "noisy_targets=1", "--set noisy_targets: expected true or false, got 1", ""),
        (BEST.denoiser, "network=5", "--set network: expected one of its fields, got 5", "network.widths"),
        (BEST.denoiser, "network.width=5", "--set: expected a field of UNetShape, got network.width", "network.widths"),
        (BEST.denoiser, "network.widths=32", "--set network.widths: expected 2 whole numbers such as 64,64", ""),
        (BEST.denoiser, "network.widths=0,8", "--set network.widths: expected 2 numbers of 1 or more", ""),
        (BEST.joint, "gan.epochs=0", "--set gan.epochs: expected 1 or more, got 0", ""),
        (BEST.joint, "gan.x=0", "--set: expected a field of ConditionalGanConfig, got gan.x", "gan.generator_widths"),
    ],
)
def test_a_wrong_assignment_is_refused_by_name(config: Config, assignment: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        set_fields(config, [assignment])
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint


def test_several_fields_are_checked_together_and_the_last_value_counts() -> None:
    config = PRESETS["smoke"].gan  # 256 images
    with pytest.raises(UsageError, match="images"):
        set_fields(config, ["batch=512"])
    changed = set_fields(config, ["batch=512", "images=100", "images=1024"])
    assert (changed.batch, changed.images) == (512, 1024)


def test_a_studys_changes_name_the_stage_and_reach_joint_training() -> None:
    changed = set_preset_fields(BEST, ["gan.learning_rate=1e-3", "denoiser.network.widths=32,64", "joint.epochs=2"])
    assert changed.joint is not None
    assert (changed.joint.gan, changed.joint.denoiser) == (changed.gan, changed.denoiser)
    assert (changed.gan.learning_rate, changed.joint.epochs) == (1e-3, 2)
    changes = changed_fields(BEST, changed)
    assert changes == {"gan.learning_rate": "0.001", "denoiser.network.widths": "32,64", "joint.epochs": "2"}
    only_joint = set_preset_fields(BEST, ["joint.gan.penalty=0.5"])
    assert changed_fields(BEST, only_joint) == {"joint.gan.penalty": "0.5"}
    assert set_preset_fields(PAPER, []) == PAPER
    for assignments, message in (
        (
            ["learning_rate=1e-3"],
            "--set: expected STAGE.FIELD=VALUE, STAGE one of gan, denoiser, joint, got learning_rate",
        ),
        (
            ["classifier.epochs=2"],
            "--set: expected STAGE.FIELD=VALUE, STAGE one of gan, denoiser, joint, got classifier",
        ),
        (["gan=3"], "--set gan: expected one of its fields, got 3"),
        (["joint.epochs=2"], "--set joint: expected a preset with this stage, got one without it"),
    ):
        with pytest.raises(UsageError) as caught:
            set_preset_fields(PAPER, assignments)
        assert caught.value.message == message


def test_a_run_is_named_after_its_preset_and_the_changes() -> None:
    changed = set_fields(PAPER.gan, ["learning_rate=2e-3", "generator_widths=8,8"])
    assert run_name("paper", changed_fields(PAPER.gan, changed)) == "paper-generator_widths=8,8-learning_rate=0.002"
    assert run_name("paper", {}) == "paper"
    names = [run_name("paper", {"a" * 300: value}) for value in "12"]
    assert len(names[0]) < 30
    assert names[0] != names[1]


def dry_run(*arguments: object) -> dict[str, object]:
    done = CliRunner().invoke(app, ["train", *map(str, arguments), "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    content: dict[str, object] = json.loads(done.stdout)
    return content


@pytest.mark.parametrize(("preset", "stage"), STAGES)
def test_a_dry_run_read_back_is_the_same_configuration(tmp_path: Path, preset: str, stage: str) -> None:
    sizes: list[list[object]] = [[], ["--size", 64]] if stage != "classifier" else [[]]
    for size in sizes:
        printed = dry_run(stage, "--preset", preset, "--seed", 7, "--batch", 64, *size)
        file = tmp_path / "config.json"
        file.write_text(json.dumps(printed))
        assert dry_run(stage, "--preset", preset, "--config", file, *size) == printed
    assert (printed["seed"], printed["batch"]) == (7, 64)
    assert dry_run(stage, "--preset", preset, "--config", file, "--seed", 0, *sizes[-1])["seed"] == 0
    changed = dry_run(stage, "--preset", preset, "--config", file, "--set", "epochs=9", *sizes[-1])
    assert changed["epochs"] == 9
    assert changed["config_sha256"] != printed["config_sha256"]


def test_a_dry_run_sees_the_headers_of_arrays_and_the_names_of_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((30, 64, 64), np.uint8))
    of_arrays = ("gan", "--preset", "paper", "--dataset", "npz", "--data", tmp_path / "a.npz")
    assert dry_run(*of_arrays) == dry_run(*of_arrays, "--size", 64) != dry_run(*of_arrays, "--size", 28)
    np.savez(tmp_path / "bad.npz", images=np.zeros((30, 40, 50), np.uint8))
    with pytest.raises(InputError, match=r"expected images of 28, 32, 64 or 128 pixels a side, got 40x50"):
        dry_run(*of_arrays[:-1], tmp_path / "bad.npz")
    with pytest.raises(InputError, match=r"missing\.npz: not found"):
        dry_run(*of_arrays[:-1], tmp_path / "missing.npz", "--size", 28)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: expected image files"):
        dry_run("gan", "--dataset", "folder", "--data", tmp_path / "empty")


def test_a_part_of_a_configuration_takes_the_rest_from_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"epochs": 2, "network": {"widths": [8, 8]}}')
    config, seed = read_config(file, BEST.denoiser)
    assert config == set_fields(BEST.denoiser, ["epochs=2", "network.widths=8,8"])
    assert seed is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, ": unreadable (No such file or directory)"),
        ("{", ": unreadable ("),
        ("[" * 100_000, ": unreadable ("),
        ("[]", ": expected a JSON object, got list"),
        ('{"epoch": 2}', ": expected a field of GanConfig, got epoch"),
        ('{"epochs": "2"}', ": epochs: expected a whole number, got 2"),
        ('{"epochs": null}', ": epochs: expected a whole number, got None"),
        ('{"epochs": -2}', ": epochs: expected 1 or more, got -2"),
        ('{"generator_widths": [8, 1.5]}', ": generator_widths: expected whole numbers such as 64,64, got 8,1.5"),
        ('{"seed": -1}', ": seed: expected a whole number from 0 to "),
        ('{"seed": "1"}', ": seed: expected a whole number from 0 to "),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "config.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError) as caught:
        read_config(file, PAPER.gan)
    assert caught.value.message.startswith(f"{file}{message}")


def test_an_edited_file_is_refused_until_its_hash_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    content = {**to_json(PAPER.gan), "config_sha256": config_sha256(PAPER.gan)}
    file.write_text(json.dumps(content))
    assert read_config(file, PAPER.gan) == (PAPER.gan, None)
    file.write_text(json.dumps({**content, "epochs": 21}))
    with pytest.raises(
        InputError, match=r"config_sha256: expected [0-9a-f]{64}, the hash of the fields, got "
    ) as caught:
        read_config(file, PAPER.gan)
    assert "remove config_sha256" in caught.value.hint
    del content["config_sha256"]
    file.write_text(json.dumps({**content, "epochs": 21}))
    assert read_config(file, PAPER.gan)[0] == dataclasses.replace(PAPER.gan, epochs=21)


@pytest.mark.parametrize(
    "arguments",
    [
        ["gan", "--size", "256"],
        ["gan", "--channels", "2"],
        ["gan", "--preset", "smoke", "--batch", "17"],
        ["gan", "--dataset", "npz"],
        ["gan", "--set", "generator_widths=8,8,8,8"],
        ["denoiser", "--set", "widths=8,8,8"],
        ["denoiser", "--preset", "paper", "--pairs", "a", "b"],
        ["classifier", "--set", "widths=8,8,8,8,8,8"],
    ],
)
def test_a_dry_run_refuses_what_training_refuses(tmp_path: Path, arguments: list[str]) -> None:
    messages = []
    for last in (["--dry-run"], ["--out", str(tmp_path / "run")]):
        done = CliRunner().invoke(app, ["train", *arguments, *last])
        assert isinstance(done.exception, GanDenoiseError)
        messages.append(done.exception.message)
    assert messages[0] == messages[1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("gan.epoch=2", "--set: expected a field of GanConfig, got gan.epoch"),
        ("gan.batch=59999", "--set gan.batch: expected a size that does not leave 1 of 60000 images over, got 59999"),
        ("gan.generator_widths=8,8,8,8", "generator_widths: expected fewer widths, for images of 28x28, got 4"),
    ],
)
def test_a_study_refuses_wrong_fields_before_it_writes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assignment: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["study", "run", "--preset", "paper", "--set", assignment])
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == message
    assert not list(tmp_path.iterdir())
