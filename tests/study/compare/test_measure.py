"""`study compare` on tiny trained runs and the real feature network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from typer.testing import CliRunner

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset, Split, split_holdout
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError, UsageError
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.frechet import frechet_distance, statistics
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import add_noise, to_8_bit
from gan_denoise.export import latents
from gan_denoise.export.convert import weights
from gan_denoise.study import commands
from gan_denoise.study.compare import measure
from gan_denoise.study.compare.measure import compare_runs
from gan_denoise.study.compare.snapshots import Selection, Snapshot, find_snapshots, missing_epochs
from gan_denoise.study.compare.statistics import build_curves
from gan_denoise.study.config import RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run.log import read_log
from gan_denoise.study.train.dispatch import train

PRESET = PRESETS["smoke-best"]
N = 120
WHERE = ["run", "seed", "epoch", "denoiser"]
PAIRS = [f"{name}_{when}" for name in measure.COMPARED for when in ("raw", "denoised")]
IMAGES = ["raw", "denoised", "ratio", *PAIRS, "ratio_low", "ratio_high"]
RESTORED = ["psnr_15", "psnr_25", "psnr_50", "clean_db"]
LOGGED = ["pair_accuracy", "denoised_pair_accuracy", "images_per_s", "seconds"]


@pytest.fixture(scope="module")
def data() -> Dataset:
    """1,200 training images, of which 100 are held out, and 200 test images."""
    whole = sources.load_fashion_mnist()
    train, test = (Split(part.images[:n], part.labels[:n]) for part, n in ((whole.train, 1200), (whole.test, 200)))
    return Dataset(train, test, whole.source, whole.sha256, whole.classes, whole.name)


@pytest.fixture(scope="module")
def runs(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs: `quarter-3`; `joint-l2-only-3`, which links to its stages; `gan-only-3`; `dncnn-0.001-3`."""
    folder, options = tmp_path_factory.mktemp("runs"), RunOptions(threads=1, seed=3)
    quarter, l2_only = folder / "quarter-3", folder / "joint-l2-only-3"
    for config in (PRESET.gan, PRESET.denoiser, PRESET.joint):
        assert config is not None
        train(config, data, quarter, options)
    l2_only.mkdir()
    for stage in ("gan", "denoiser"):
        (l2_only / stage).symlink_to(quarter / stage)
    shutil.copytree(quarter / "joint", l2_only / "joint")
    shutil.copytree(quarter / "gan", folder / "gan-only-3/gan")
    shutil.copytree(quarter / "denoiser", folder / "dncnn-0.001-3/denoiser")
    return folder


@pytest.fixture(scope="module")
def final(runs: Path, data: Dataset) -> list[dict[str, Any]]:
    folders = [runs / name for name in ("quarter-3", "joint-l2-only-3", "gan-only-3", "dncnn-0.001-3")]
    return [dict(row) for row in compare_runs(folders, data, N, 0, 1).rows]


def test_every_finished_run_has_its_rows(final: list[dict[str, Any]]) -> None:
    assert [tuple(row[name] for name in WHERE) for row in final] == [
        ("quarter", 3, 2, "mean"),
        ("quarter", 3, 2, "joint"),
        ("joint-l2-only", 3, 2, "joint"),  # its other stages are links to quarter's
        ("gan-only", 3, 2, "none"),
        ("dncnn-0.001", 3, 2, "mean"),
    ]
    assert all(list(row) == [*WHERE, "n", *IMAGES, "class_preserved", *RESTORED, *LOGGED] for row in final)


def test_what_a_run_lacks_is_none_and_not_zero(final: list[dict[str, Any]]) -> None:
    separate, joint, _, gan_only, denoiser = final
    assert all(separate[name] is not None for name in [*IMAGES, "class_preserved", *RESTORED, "pair_accuracy"])
    assert (gan_only["raw"], gan_only["precision_raw"]) == (separate["raw"], separate["precision_raw"])
    missing = {name for name, value in gan_only.items() if value is None}
    missing.remove("denoised_pair_accuracy")
    denoised = {name for name in PAIRS if name.endswith("_denoised")}
    assert missing == {"denoised", "ratio", "ratio_low", "ratio_high", *denoised, "class_preserved", *RESTORED}
    missing = {name for name, value in denoiser.items() if value is None}
    assert missing == {"n", "class_preserved", "pair_accuracy", "denoised_pair_accuracy", *IMAGES}
    assert separate["denoised_pair_accuracy"] is None
    assert joint["denoised_pair_accuracy"] is not None
    assert [denoiser[name] for name in RESTORED] == [separate[name] for name in RESTORED]


def test_rows_say_what_was_logged_at_that_epoch(final: list[dict[str, Any]], runs: Path) -> None:
    for row, stage in zip(final[:2], ("gan", "joint"), strict=True):
        *_, last = read_log(runs / f"quarter-3/{stage}/log.jsonl")
        assert [row[name] for name in LOGGED] == [last.get(name) for name in LOGGED]
        assert 0 < row["pair_accuracy"] <= 1


def test_the_numbers_are_those_of_a_plain_computation(final: list[dict[str, Any]], runs: Path, data: Dataset) -> None:
    network, held_out = ffd.load_network(threads=1), split_holdout(data.train)[1].images
    gan, denoiser = (runs / "quarter-3/joint/final" / name for name in ("gan", "denoiser"))
    restore = weights.load_denoiser(denoiser)
    with torch.no_grad():
        image = weights.load_generator(gan)(torch.from_numpy(latents.latents(0, 0, N)))
        generated = [to_8_bit(images.numpy()) for images in (image, restore(image))]
        noisy = torch.from_numpy(add_noise(to_float(held_out), 25 / 255, "float", seed=0))
        restored = restore(noisy).numpy()
    real = statistics(network.batched(to_float(held_out))[0])
    outputs = [network.batched(images) for images in generated]
    raw, denoised = (frechet_distance(statistics(features), real) for features, _ in outputs)
    row = final[1]
    assert (row["raw"], row["denoised"]) == pytest.approx((raw, denoised), rel=1e-3)
    assert row["ratio"] == pytest.approx(denoised / raw, rel=1e-3)
    assert row["class_preserved"] == pytest.approx(
        np.mean(np.equal(*(logits.argmax(axis=1) for _, logits in outputs))), abs=0.02
    )
    assert row["psnr_25"] == pytest.approx(psnr(to_float(held_out), restored).mean(), abs=1e-3)
    assert row["psnr_15"] > row["psnr_25"] > row["psnr_50"]


def test_every_epoch_has_rows_and_the_best_strength_is_taken(
    runs: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(measure.STRENGTHS, "sample", (0.05, 0.2))
    original = measure.denoise_images
    tried: list[float | None] = []

    def recorded(
        name: str, images: np.ndarray, denoise: measure.Network | None, strength: float | None, seed: int, tuned: Any
    ) -> np.ndarray:
        tried.append(strength)
        perfect = strength == 0.2 and seed == 1  # the seed that the strength is chosen on
        return to_float(data.train.images[:N]) if perfect else original(name, images, denoise, strength, seed, tuned)

    monkeypatch.setattr(measure, "denoise_images", recorded)
    selection = Selection(every_epoch=True, extra=("sample",))
    rows = compare_runs([runs / "quarter-3", runs / "gan-only-3"], data, N, 0, 1, selection).rows
    separate = [("quarter", epoch, name) for epoch in (1, 2) for name in ("mean", "sample")]
    assert [(row["run"], row["epoch"], row["denoiser"]) for row in rows] == [
        *separate,
        *(("quarter", e, "joint") for e in (1, 2)),
        *(("gan-only", e, "none") for e in (1, 2)),
    ]
    assert [row.get("sigma") for row in rows] == [None, 0.2] * 2 + [None] * 4
    assert tried == [None, 0.05, 0.2, 0.2] * 2 + [None, None]
    mean, sample = rows[:2]
    assert (sample["raw"], sample["psnr_25"]) == (mean["raw"], mean["psnr_25"])
    assert sample["denoised"] != mean["denoised"]


def test_generators_of_all_epochs_go_through_the_finished_denoiser(runs: Path, data: Dataset) -> None:
    first, last = find_snapshots([runs / "dncnn-0.001-3"], Selection(every_epoch=True))
    assert first.denoiser == runs / "dncnn-0.001-3/denoiser/epochs/001"  # without a generator, its own epochs
    first, last = find_snapshots([runs / "quarter-3"], Selection(every_epoch=True))[:2]
    assert (first.gan, last.gan) == (runs / "quarter-3/gan/epochs/001", runs / "quarter-3/gan/epochs/002")
    assert first.denoiser == last.denoiser == runs / "quarter-3/denoiser"


def test_snapshots_of_an_epoch_are_half_as_large_and_give_the_same_pixels(runs: Path) -> None:
    gan = runs / "quarter-3/gan"
    small, whole = gan / "epochs/002/generator.safetensors", gan / "generator.safetensors"
    assert small.stat().st_size < 0.6 * whole.stat().st_size
    images = [measure.generate_images(weights.load_generator(file.parent), 32, 0) for file in (small, whole)]
    levels = np.abs(np.rint(255 * images[0]) - np.rint(255 * images[1]))
    assert levels.max() <= 1
    assert (levels > 0).mean() < 0.05


def test_named_epochs_alone_are_compared_and_missing_ones_refused(runs: Path) -> None:
    (only,) = find_snapshots([runs / "gan-only-3"], Selection(True, (2,)))
    assert only.epoch == 2
    with pytest.raises(InputError, match=r"--at: expected saved epochs of .*gan: 1 to 2, got 7"):
        find_snapshots([runs / "gan-only-3"], Selection(True, (7,)))


def test_named_epochs_whose_weights_were_not_kept_are_refused_or_listed(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "bare-3"
    shutil.copytree(runs / "gan-only-3", run, ignore=shutil.ignore_patterns("epochs"))
    with pytest.raises(InputError, match=r"--at: expected saved epochs of .*gan: 2, got 1"):
        find_snapshots([run], Selection(True, (1,)))
    snapshots = find_snapshots([run], Selection(True, (1, 2)))
    assert [snapshot.epoch for snapshot in snapshots] == [2]
    assert missing_epochs(snapshots, (1, 2)) == {"epoch 1 of bare, seed 3": "weights not kept"}


@pytest.mark.parametrize(("text", "epochs"), [(None, ()), ("5, 1,5", (1, 5))])
def test_epochs_are_read(text: str | None, epochs: tuple[int, ...]) -> None:
    assert commands.parse_epochs(text) == epochs


@pytest.mark.parametrize("text", ["", "0", "1-3", "1,,2", "-1", "one"])
def test_what_is_no_epoch_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--at: expected epochs such as 1,5,20"):
        commands.parse_epochs(text)


def test_filters_of_the_strength_that_is_best_on_held_out_images_stand_beside_the_denoiser(
    runs: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(measure.STRENGTHS, "gaussian", (0.5, 1.0))
    monkeypatch.setitem(measure.STRENGTHS, "nlm", (0.04, 0.3))
    table = compare_runs([runs / "gan-only-3"], data, N, 0, 1, Selection(extra=("gaussian", "nlm")), on_test=True)
    none, gaussian, nlm = table.rows
    assert [row["denoiser"] for row in table.rows] == ["none", "gaussian", "nlm"]
    assert (gaussian["width_px"] in (0.5, 1.0), nlm["sigma"] in (0.04, 0.3)) == (True, True)
    image = measure.generate_images(weights.load_generator(runs / "gan-only-3/gan"), N, 0)
    filtered = to_8_bit(
        ndimage.gaussian_filter(image, (0, 0, gaussian["width_px"], gaussian["width_px"]), mode="nearest")
    )
    expected = ffd.distance(np.rint(filtered[:, 0] * 255).astype(np.uint8), ffd.load_network(threads=1))
    assert gaussian["denoised"] == pytest.approx(expected, rel=0.05)  # but for the border mode
    assert gaussian["raw"] == nlm["raw"] == none["raw"]
    assert gaussian["sharpness_denoised"] < 0.8 * gaussian["sharpness_raw"]
    assert gaussian["psnr_25"] is None
    assert "width_px of gaussian" in table.notes
    which = "smallest" if gaussian["width_px"] == 0.5 else "largest"
    assert table.notes["width_px of gaussian"].endswith(
        f"; of 1 chosen, 1 the {which} candidate: values outside may be better"
    )


def test_filters_of_separate_and_joint_training_are_not_taken_for_two_seeds(
    runs: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(measure.STRENGTHS, "gaussian", (0.5,))
    rows = compare_runs([runs / "quarter-3"], data, N, 0, 1, Selection(every_epoch=True, extra=("gaussian",))).rows
    curves = build_curves(rows)
    assert {denoiser for _, denoiser in curves} == {"mean", "gaussian", "joint", "joint gaussian"}
    assert {point.ratio.seeds for points in curves.values() for point in points} == {1}


def test_distances_by_other_features_leave_the_classes_to_ffd_1(runs: Path, data: Dataset) -> None:
    ffd_1, other = (
        compare_runs([runs / "quarter-3"], data, N, 0, 1, features=name) for name in ("ffd-1", "classifier-2")
    )
    assert other.rows[0]["raw"] != pytest.approx(ffd_1.rows[0]["raw"], rel=0.01)
    assert other.rows[0]["class_preserved"] == ffd_1.rows[0]["class_preserved"]
    assert other.settings["features"].startswith("classifier-2-96@")
    tuned = compare_runs([runs / "gan-only-3"], data, N, 0, 1, Selection(extra=("gaussian",)), features="classifier-2")
    by_ffd_1 = compare_runs([runs / "gan-only-3"], data, N, 0, 1, Selection(extra=("gaussian",)))
    assert tuned.rows[1]["width_px"] == by_ffd_1.rows[1]["width_px"]  # a strength does not depend on the features
    few = compare_runs([runs / "quarter-3"], data, N, 0, 1, features="pixels").rows[0]  # fewer images than pixels
    assert (few["raw"], few["denoised"], few["ratio"], few["ratio_low"]) == (None, None, None, None)
    assert few["kid_raw"] is not None


def test_on_the_test_images_the_distance_is_ffd_1(runs: Path, data: Dataset) -> None:
    held_out, test = (compare_runs([runs / "gan-only-3"], data, N, 0, 1, on_test=on_test) for on_test in (False, True))
    image = measure.generate_images(weights.load_generator(runs / "gan-only-3/gan"), N, 0)
    expected = ffd.distance(np.rint(image[:, 0] * 255).astype(np.uint8), ffd.load_network(threads=1))
    assert test.rows[0]["raw"] == pytest.approx(expected, rel=1e-6)
    assert held_out.rows[0]["raw"] != pytest.approx(expected, rel=1e-3)
    assert test.settings["reference"] == "200 test images: distances are FFD-1"
    assert held_out.settings["reference"] == "100 held-out training images: distances are not FFD-1"


def test_the_seed_alone_decides_the_latents(runs: Path, data: Dataset) -> None:
    first, again, other = (compare_runs([runs / "gan-only-3"], data, N, seed, 1).rows[0]["raw"] for seed in (0, 0, 1))
    assert first == again
    assert first != pytest.approx(other, rel=1e-6)


def test_snapshots_are_named_by_their_run_and_found_once(runs: Path, tmp_path: Path) -> None:
    (snapshot,) = find_snapshots([runs / "gan-only-3", runs / "gan-only-3"], Selection())
    assert snapshot == Snapshot("gan-only", 3, 2, ("none",), runs / "gan-only-3/gan", None, snapshot.log)
    assert snapshot.log["epoch"] == 2
    shutil.copytree(runs / "gan-only-3", tmp_path / "gan-only-3")
    shutil.copytree(runs / "gan-only-3", tmp_path / "best")
    assert [snapshot.run for snapshot in find_snapshots([tmp_path / "best"], Selection())] == ["best"]
    with pytest.raises(InputError, match="expected each run and seed once, got gan-only with seed 3 a second time"):
        find_snapshots([runs / "gan-only-3", tmp_path / "gan-only-3"], Selection())


def test_stages_that_saved_no_epochs_have_their_final_networks(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "quarter-3", tmp_path / "paper-3")
    shutil.rmtree(tmp_path / "paper-3/gan/epochs")
    snapshots = find_snapshots([tmp_path / "paper-3"], Selection(every_epoch=True))
    assert [(snapshot.epoch, snapshot.denoisers) for snapshot in snapshots] == [
        (2, ("mean",)),
        (1, ("joint",)),
        (2, ("joint",)),
    ]
    assert snapshots[0].gan == tmp_path / "paper-3/gan"


@pytest.mark.parametrize("stage", ["gan", "joint"])
def test_runs_of_other_images_are_refused_in_one_line(runs: Path, data: Dataset, tmp_path: Path, stage: str) -> None:
    shutil.copytree(runs / "quarter-3", tmp_path / "colour-3")
    path = tmp_path / "colour-3" / stage / "meta.json"
    meta = json.loads(path.read_text())
    meta["fingerprint"]["image_shape"] = [3, 32, 32]
    path.write_text(json.dumps(meta))
    with pytest.raises(InputError) as raised:
        compare_runs([tmp_path / "colour-3"], data, N, 0, 1, Selection(every_epoch=True))
    expected = "expected a stage trained on images of 1x28x28, got one trained on 3x32x32"
    assert raised.value.message == f"{path.parent}: {expected}"
    assert raised.value.hint.startswith("leave this folder out")


def test_empty_and_unfinished_runs_are_refused(runs: Path, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trained stage"):
        compare_runs([tmp_path], data, N, 0, 1)
    shutil.copytree(runs / "gan-only-3", tmp_path / "gan-only-3")
    (tmp_path / "gan-only-3/gan/generator.safetensors").unlink()
    with pytest.raises(InputError, match=r"generator\.safetensors: not found"):
        compare_runs([tmp_path / "gan-only-3"], data, N, 0, 1)
    assert len(compare_runs([tmp_path / "gan-only-3"], data, N, 0, 1, Selection(every_epoch=True)).rows) == 2


def test_the_command_summarizes_two_seeds(
    runs: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "load_fashion_mnist", lambda folder: data)
    shutil.copytree(runs / "quarter-3", tmp_path / "quarter-4")
    for stage in ("gan", "denoiser", "joint"):
        path = tmp_path / "quarter-4" / stage / "meta.json"
        meta = json.loads(path.read_text())
        meta["fingerprint"]["seed"] = 4
        path.write_text(json.dumps(meta))
    arguments = ["compare", str(runs / "quarter-3"), str(tmp_path / "quarter-4"), "-n", str(N), "--threads", "1"]
    plain = CliRunner().invoke(commands.study_app, arguments, catch_exceptions=False)
    assert plain.exit_code == 0
    assert "Summary over seeds, with 95 % intervals" in plain.stdout
    result = CliRunner().invoke(commands.study_app, [*arguments, "--json"], catch_exceptions=False)
    content = json.loads(result.stdout, parse_constant=pytest.fail)
    assert content["command"] == "study compare"
    assert [row["seed"] for row in content["rows"]] == [3, 3, 4, 4]
    mean, joint = content["settings"]["summary"]
    assert (mean["run"], mean["denoiser"], mean["seeds"], joint["denoiser"]) == ("quarter", "mean", 2, "joint")
    assert mean["ratio"] == pytest.approx(content["rows"][0]["ratio"])
    assert mean["ratio_low"] == pytest.approx(mean["ratio_high"])  # the same weights twice
    refused = CliRunner().invoke(commands.study_app, [*arguments, "--json", "--format", "markdown"])
    assert "expected one of them, got --json --format markdown" in str(refused.exception)


def test_runs_that_were_trained_on_held_out_images_are_named(runs: Path) -> None:
    assert measure._describe_seen([runs / "gan-only-3"], 256) == {}
    seen = measure._describe_seen([runs / "gan-only-3"], 255)["seen"]
    assert seen == "held-out images were part of the training of gan-only-3"
