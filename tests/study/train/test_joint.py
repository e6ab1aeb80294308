"""Generator and denoiser trained as one system."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from gan_denoise.data.dataset import Dataset
from gan_denoise.errors import InputError, Interrupted, UsageError
from gan_denoise.export import latents, runtime
from gan_denoise.export.convert.bundle import export_run
from gan_denoise.export.convert.weights import load_generator, save_weights
from gan_denoise.export.generate import generate_batches, parse_label
from gan_denoise.models.unet import UNet
from gan_denoise.study.config import DnCNNShape, JointConfig, RunOptions
from gan_denoise.study.experiments import EXPERIMENTS, Experiment
from gan_denoise.study.pipeline import run_experiment
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run.log import read_log
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train import joint as join_module
from gan_denoise.study.train.blind_denoiser import network
from gan_denoise.study.train.conditional_gan import build_generator
from gan_denoise.study.train.dispatch import is_finished, train
from gan_denoise.study.train.joint import JointModel, Optimizers, joint_step, start, train_joint
from gan_denoise.study.train.losses import log_squared_error, set_class
from gan_denoise.study.train.noise import clip_straight_through

PRESET = PRESETS["smoke-best"]
OPTIONS = RunOptions(threads=1)


def config(**changes: object) -> JointConfig:
    assert PRESET.join is not None
    return dataclasses.replace(PRESET.join, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ours(excerpt: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of our own networks, joined."""
    run = tmp_path_factory.mktemp("ours")
    train(PRESET.gan, excerpt, run, OPTIONS)
    train(PRESET.denoiser, excerpt, run, OPTIONS)
    train(config(), excerpt, run, OPTIONS)
    return run


def same(weights: Path, folder: Path) -> bool:
    return weights.read_bytes() == (folder / weights.name).read_bytes()


def test_a_join_under_way_is_not_passed_over(ours: Path, tmp_path: Path) -> None:
    shutil.copytree(ours, tmp_path / "run", ignore=shutil.ignore_patterns("joined"))
    with pytest.raises(InputError, match=r"joint/final/gan/generator\.safetensors: missing"):
        export_run(tmp_path / "run", tmp_path / "out")


def test_a_run_exports_what_the_join_made_and_draws_the_class_that_is_asked_for(ours: Path, tmp_path: Path) -> None:
    export_run(ours, tmp_path / "out")
    parts = {"gan/generator", "denoiser/denoiser"}
    assert all(same(ours / f"joint/final/{part}.safetensors", tmp_path / "out") for part in parts)
    assert not any(same(ours / f"{part}.safetensors", tmp_path / "out") for part in parts)
    graph = runtime.load_graph(runtime.FUSED, tmp_path / "out")
    assert graph.metadata["classes"] == "10"
    assert parse_label(graph, "sneak") == 7
    z = latents.latents(0, 0, 20)
    chosen = latents.set_class(z, 7, 10)
    assert (chosen[:, -10:].argmax(axis=1) == 7).all()
    assert (abs(graph(chosen)[0] - graph(z)[0]).max(axis=(1, 2, 3)) > 0).sum() >= 15  # a few were of it before
    (first, *_) = generate_batches(graph, 0, 20, label=7)
    assert (first[0] == graph(chosen)[0]).all()


def test_it_starts_from_the_finished_stages_and_moves_all_that_it_trains(ours: Path) -> None:
    for part, file in (("gan", "generator"), ("denoiser", "denoiser")):
        before = load_file(ours / part / f"{file}.safetensors")
        after = load_file(ours / "joint/final" / part / f"{file}.safetensors")
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[name], after[name]) for name in before)
    log = read_log(ours / "join/log.jsonl")
    assert [event["epoch"] for event in log] == [1, 2]
    assert {"discriminator_loss", "denoised_discriminator_loss", "squared_error", "psnr_db"} <= log[0].keys()


def test_stopped_and_resumed_gives_the_bits_of_an_unbroken_run(
    ours: Path, excerpt: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("gan", "denoiser"):
        (tmp_path / part).symlink_to(ours / part)
    done = Stage.end_step

    def stop_once(stage: Stage, step: int) -> None:
        stage.stop_signal = 15 if step == 10 else 0
        done(stage, step)

    monkeypatch.setattr(Stage, "end_step", stop_once)
    with pytest.raises(Interrupted, match="stopped after step 11"):
        train_joint(config(), excerpt, tmp_path, OPTIONS)
    monkeypatch.undo()
    train_joint(config(), excerpt, tmp_path, dataclasses.replace(OPTIONS, resume=True))
    for file in ("gan/generator", "denoiser/denoiser"):
        wanted, found = (load_file(run / "joint/final" / f"{file}.safetensors") for run in (ours, tmp_path))
        for name in wanted:
            assert torch.equal(wanted[name], found[name]), name


def test_a_join_is_done_again_when_what_it_starts_from_has_changed(
    ours: Path, excerpt: Dataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(ours, run)
    assert is_finished(config(), run, OPTIONS)
    generator = load_generator(run / "gan")
    torch.nn.init.zeros_(generator.to_image.bias)
    described = json.loads((run / "gan/generator.json").read_text())
    save_weights(run / "gan/generator.safetensors", generator, described["arguments"])
    assert not is_finished(config(), run, OPTIONS)
    with pytest.raises(InputError, match=r"started_from: the run in .* has"):
        train_joint(config(), excerpt, run, dataclasses.replace(OPTIONS, resume=True))


def one_step(joined: JointConfig, scale: float = 0.05) -> tuple[JointModel, dict[str, torch.Tensor], dict[str, float]]:
    torch.manual_seed(0)
    system = start(joined, Path("unused"))
    for parameter in system.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=scale)  # from the identity nothing moves but its last layer
    before = {name: part.state_dict()[key].clone() for name, part, key in watched(system)}
    adams = Optimizers(*(torch.optim.Adam(part.parameters(), 1e-3) for part in system))
    label = torch.arange(32) % 10
    z = set_class(torch.randn(32, 100), label)
    counts = joint_step(system, adams, torch.rand(32, 1, 28, 28), label, z, joined, apply_penalty=True)
    moved = {name: part.state_dict()[key] - before[name] for name, part, key in watched(system)}
    return system, moved, counts


def watched(system: JointModel) -> list[tuple[str, torch.nn.Module, str]]:
    names = {"generator": "dense.weight", "denoiser": "head.weight"}
    return [(name, part, names.get(name, "to_logits.weight")) for name, part in system._asdict().items()]


def test_each_loss_trains_what_it_should() -> None:
    _, both, counts = one_step(config(from_scratch=True))
    assert all(change.abs().max() > 0 for change in both.values())
    assert counts.keys() >= {"denoised_generator_loss", "squared_error"}
    _, squared, counts = one_step(config(from_scratch=True, adversarial=False))
    assert "denoised_generator_loss" not in counts
    assert squared["denoised_discriminator"].abs().max() == 0
    assert squared["denoiser"].abs().max() > 0
    _, adversarial, counts = one_step(config(from_scratch=True, squared_error=False))
    assert "squared_error" not in counts
    assert adversarial["denoiser"].abs().max() > 0
    _, apart, _ = one_step(config(from_scratch=True, backprop_through_denoiser=False))
    assert torch.equal(apart["generator"], squared["generator"])  # then the denoiser says nothing to the generator
    assert not torch.equal(apart["generator"], both["generator"])


def test_the_weight_is_the_denoisers_and_not_the_generators() -> None:
    few, many = (one_step(config(from_scratch=True, adversarial_weight=weight))[1] for weight in (0.1, 1000.0))
    same = torch.isclose(few["generator"], many["generator"], rtol=0, atol=1e-5)
    assert same.float().mean() > 0.99  # Adam's first step is a sign, which rounding turns where nothing pulls
    assert not torch.allclose(few["denoiser"], many["denoiser"], rtol=0, atol=1e-5)


def test_the_error_is_that_of_clipped_images(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[torch.Tensor] = []

    def measuring(restored: torch.Tensor, *others: Any) -> torch.Tensor:
        measured.append(restored)
        return log_squared_error(restored, *others)

    monkeypatch.setattr(join_module, "log_squared_error", measuring)
    one_step(config(from_scratch=True), scale=0.3)
    assert (measured[0].min().item(), measured[0].max().item()) == pytest.approx((0, 1), abs=1e-4)


def test_the_discriminator_sees_what_files_hold_and_pulls_at_no_pixel_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[torch.Tensor] = []
    made: list[torch.Tensor] = []
    pulls: list[torch.Tensor] = []

    def judging(discriminator: Any, adam: Any, real: Any, label: Any, fake: torch.Tensor, penalty: float) -> Any:
        judged.append(fake.detach())
        return torch.ones_like(fake), {}

    def watching(part: torch.nn.Module, given: Any, output: torch.Tensor) -> None:
        if isinstance(part, UNet):
            made.append(output.detach())
            output.register_hook(pulls.append)

    monkeypatch.setattr(join_module, "challenge", judging)
    with register_module_forward_hook(watching):
        one_step(config(from_scratch=True, squared_error=False), scale=0.15)
    _, shown = judged  # of the images, of the denoised ones
    denoised, pull = made[0][: len(shown)], pulls[0][: len(shown)]
    assert torch.equal(shown, denoised.clamp(0, 1))
    inside = (denoised >= 0) & (denoised <= 1)
    assert 0.1 < inside.float().mean() < 0.9
    assert torch.equal(pull != 0, inside)


def test_a_pixel_that_left_the_range_can_return() -> None:
    images = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    seen = clip_straight_through(images)
    assert seen.tolist() == [0, 0.5, 1]
    seen.sum().backward()
    assert images.grad is not None
    assert images.grad.tolist() == [1, 1, 1]


def test_a_join_without_a_loss_or_with_another_denoiser_is_refused() -> None:
    with pytest.raises(UsageError, match="losses: none found"):
        config(adversarial=False, squared_error=False)
    with pytest.raises(UsageError, match=r"denoiser.network: DnCNNShape.* found, a UNetShape wanted"):
        config(denoiser=dataclasses.replace(PRESET.denoiser, network=DnCNNShape()))


def test_other_networks_and_unfinished_stages_are_refused(trained: Path, excerpt: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"generator.safetensors: missing"):
        train_joint(config(), excerpt, tmp_path, OPTIONS)
    with pytest.raises(InputError, match=r"discriminator.safetensors: missing"):
        train_joint(config(), excerpt, trained, OPTIONS)


def test_an_experiment_goes_on_from_another_and_is_not_done_twice(
    excerpt: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Experiment(description="?", gan=PRESET.gan, denoiser=PRESET.denoiser, join=config())
    monkeypatch.setitem(EXPERIMENTS, "quarter", whole)
    monkeypatch.setitem(
        EXPERIMENTS, "joint-l2-only", Experiment(description="?", join=config(adversarial=False), base="quarter")
    )
    run = run_experiment("joint-l2-only", tmp_path, excerpt, OPTIONS)
    assert run == tmp_path / "squared-0"
    assert (run / "gan").resolve() == (tmp_path / "quarter-0/gan").resolve()
    joined = [tmp_path / f"{name}-0/joint/final/denoiser/denoiser.safetensors" for name in ("quarter", "joint-l2-only")]
    both, squared = (load_file(path) for path in joined)
    assert any(not torch.equal(both[name], squared[name]) for name in both)
    stamp = joined[1].stat().st_mtime_ns
    assert run_experiment("joint-l2-only", tmp_path, excerpt, OPTIONS) == run
    assert joined[1].stat().st_mtime_ns == stamp


def test_the_controls_of_the_join_differ_from_it_in_what_they_ask_about_alone() -> None:
    whole = EXPERIMENTS["quarter"]
    assert whole.join is not None
    for name, changed in (
        ("joint-l2-only", "adversarial"),
        ("adversarial", "squared_error"),
        ("joint-no-backprop", "backprop_through_denoiser"),
    ):
        experiment = EXPERIMENTS[name]
        assert experiment.base == "quarter"
        assert experiment.joint == dataclasses.replace(whole.join, **{changed: False})
    alone, heavy = EXPERIMENTS["gan-only"].gan, EXPERIMENTS["large-gan"].gan
    assert alone == dataclasses.replace(whole.gan, epochs=whole.gan.epochs + 2 * whole.join.epochs)
    assert heavy == dataclasses.replace(alone, generator_blocks=heavy.generator_blocks)
    added = multiply_adds(build_generator(heavy), (100,)) - multiply_adds(build_generator(alone), (100,))
    assert added == pytest.approx(multiply_adds(network(whole.denoiser.network), (1, 28, 28)), rel=0.05)


def multiply_adds(module: torch.nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2
