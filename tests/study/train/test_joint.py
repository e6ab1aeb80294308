"""Joint training of generator and denoiser."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, cast

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
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.models.unet import UNet
from gan_denoise.study.config import (
    BlindDenoiserConfig,
    ConditionalGanConfig,
    DnCNNShape,
    JointConfig,
    RunOptions,
    UNetShape,
)
from gan_denoise.study.experiments import EXPERIMENTS, Experiment
from gan_denoise.study.pipeline import run_experiment
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.run.log import read_log
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train import joint as joint_module
from gan_denoise.study.train.blind_denoiser import build_denoiser
from gan_denoise.study.train.conditional_gan import build_generator
from gan_denoise.study.train.dispatch import is_finished, train
from gan_denoise.study.train.joint import JointModel, Optimizers, initial_model, joint_step, train_joint
from gan_denoise.study.train.losses import log_squared_error, set_class
from gan_denoise.study.train.noise import clip_straight_through

PRESET = PRESETS["smoke-best"]
OPTIONS = RunOptions(threads=1)


def joint_config(**changes: object) -> JointConfig:
    assert PRESET.joint is not None
    return dataclasses.replace(PRESET.joint, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def joint_run(excerpt: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of preset smoke-best, trained jointly."""
    run = tmp_path_factory.mktemp("joint")
    train(PRESET.gan, excerpt, run, OPTIONS)
    train(PRESET.denoiser, excerpt, run, OPTIONS)
    train(joint_config(), excerpt, run, OPTIONS)
    return run


def same(weights: Path, folder: Path) -> bool:
    return weights.read_bytes() == (folder / weights.name).read_bytes()


def test_unfinished_joint_training_is_not_ignored(joint_run: Path, tmp_path: Path) -> None:
    shutil.copytree(joint_run, tmp_path / "run", ignore=shutil.ignore_patterns("final"))
    with pytest.raises(InputError, match=r"joint/final/gan/generator\.safetensors: not found"):
        export_run(tmp_path / "run", tmp_path / "out")


def test_a_run_exports_the_jointly_trained_networks_and_generates_the_chosen_class(
    joint_run: Path, tmp_path: Path
) -> None:
    export_run(joint_run, tmp_path / "out")
    parts = {"gan/generator", "denoiser/denoiser"}
    assert all(same(joint_run / f"joint/final/{part}.safetensors", tmp_path / "out") for part in parts)
    assert not any(same(joint_run / f"{part}.safetensors", tmp_path / "out") for part in parts)
    graph = runtime.load_graph(runtime.FUSED, tmp_path / "out")
    assert graph.metadata["classes"] == "10"
    assert parse_label(graph, "sneak") == 7
    z = latents.latents(0, 0, 20)
    chosen = latents.set_class(z, 7, 10)
    assert (chosen[:, -10:].argmax(axis=1) == 7).all()
    assert (abs(graph(chosen)[0] - graph(z)[0]).max(axis=(1, 2, 3)) > 0).sum() >= 15  # a few had this class before
    (first, *_) = generate_batches(graph, 0, 20, label=7)
    assert (first[0] == graph(chosen)[0]).all()


def test_it_starts_from_the_finished_stages_and_changes_both_networks(joint_run: Path) -> None:
    for part, file in (("gan", "generator"), ("denoiser", "denoiser")):
        before = load_file(joint_run / part / f"{file}.safetensors")
        after = load_file(joint_run / "joint/final" / part / f"{file}.safetensors")
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[name], after[name]) for name in before)
    log = read_log(joint_run / "joint/log.jsonl")
    assert [event["epoch"] for event in log] == [1, 2]
    assert {"discriminator_loss", "denoised_discriminator_loss", "squared_error", "psnr_db"} <= log[0].keys()


def test_stopped_and_resumed_gives_the_bits_of_an_unbroken_run(
    joint_run: Path, excerpt: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("gan", "denoiser"):
        (tmp_path / part).symlink_to(joint_run / part)
    end_step = Stage.end_step

    def stop_once(stage: Stage, step: int) -> None:
        stage.stop_signal = 15 if step == 10 else 0
        end_step(stage, step)

    monkeypatch.setattr(Stage, "end_step", stop_once)
    with pytest.raises(Interrupted, match="stopped after step 11"):
        train_joint(joint_config(), excerpt, tmp_path, OPTIONS)
    monkeypatch.undo()
    train_joint(joint_config(), excerpt, tmp_path, dataclasses.replace(OPTIONS, resume=True))
    for file in ("gan/generator", "denoiser/denoiser"):
        unbroken, resumed = (load_file(run / "joint/final" / f"{file}.safetensors") for run in (joint_run, tmp_path))
        for name in unbroken:
            assert torch.equal(unbroken[name], resumed[name]), name


def test_joint_training_is_repeated_if_the_weights_it_starts_from_changed(
    joint_run: Path, excerpt: Dataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(joint_run, run)
    assert is_finished(joint_config(), run, OPTIONS)
    generator = load_generator(run / "gan")
    assert generator.to_image.bias is not None
    torch.nn.init.zeros_(generator.to_image.bias)
    described = json.loads((run / "gan/generator.json").read_text())
    save_weights(run / "gan/generator.safetensors", generator, described["arguments"])
    assert not is_finished(joint_config(), run, OPTIONS)
    with pytest.raises(InputError, match=r"started_from: run .* was started with"):
        train_joint(joint_config(), excerpt, run, dataclasses.replace(OPTIONS, resume=True))


def one_step(config: JointConfig, scale: float = 0.05) -> tuple[JointModel, dict[str, torch.Tensor], dict[str, float]]:
    torch.manual_seed(0)
    model = initial_model(config, RunFolder(Path("unused")))
    for parameter in model.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=scale)  # from the identity nothing moves but its last layer
    before = {name: part.state_dict()[key].clone() for name, part, key in watched(model)}
    optimizers = Optimizers(*(torch.optim.Adam(part.parameters(), 1e-3) for part in model))
    label = torch.arange(32) % 10
    z = set_class(torch.randn(32, 100), label)
    counts = joint_step(model, optimizers, torch.rand(32, 1, 28, 28), label, z, config, apply_penalty=True)
    moved = {name: part.state_dict()[key] - before[name] for name, part, key in watched(model)}
    return model, moved, counts


def watched(model: JointModel) -> list[tuple[str, torch.nn.Module, str]]:
    names = {"generator": "dense.weight", "denoiser": "head.weight"}
    return [(name, part, names.get(name, "to_logits.weight")) for name, part in model._asdict().items()]


def test_each_loss_trains_what_it_should() -> None:
    _, both, counts = one_step(joint_config(from_scratch=True))
    assert all(change.abs().max() > 0 for change in both.values())
    assert counts.keys() >= {"denoised_generator_loss", "squared_error"}
    _, squared, counts = one_step(joint_config(from_scratch=True, adversarial=False))
    assert "denoised_generator_loss" not in counts
    assert squared["denoised_discriminator"].abs().max() == 0
    assert squared["denoiser"].abs().max() > 0
    _, adversarial, counts = one_step(joint_config(from_scratch=True, squared_error=False))
    assert "squared_error" not in counts
    assert adversarial["denoiser"].abs().max() > 0
    _, apart, _ = one_step(joint_config(from_scratch=True, backprop_through_denoiser=False))
    assert torch.equal(apart["generator"], squared["generator"])  # no gradient from the denoiser to the generator
    assert not torch.equal(apart["generator"], both["generator"])


def test_the_adversarial_weight_acts_on_the_denoiser_only() -> None:
    few, many = (one_step(joint_config(from_scratch=True, adversarial_weight=weight))[1] for weight in (0.1, 1000.0))
    same = torch.isclose(few["generator"], many["generator"], rtol=0, atol=1e-5)
    assert same.float().mean() > 0.99  # Adam's first step is a sign, which rounding flips where the gradient is 0
    assert not torch.allclose(few["denoiser"], many["denoiser"], rtol=0, atol=1e-5)


def test_the_squared_error_is_that_of_clipped_images(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[torch.Tensor] = []

    def measuring(restored: torch.Tensor, *others: Any) -> torch.Tensor:
        measured.append(restored)
        return log_squared_error(restored, *others)

    monkeypatch.setattr(joint_module, "log_squared_error", measuring)
    one_step(joint_config(from_scratch=True), scale=0.3)
    assert (measured[0].min().item(), measured[0].max().item()) == pytest.approx((0, 1), abs=1e-4)


def test_the_discriminator_gets_clipped_images_and_pixels_outside_get_no_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    discriminated: list[torch.Tensor] = []
    outputs: list[torch.Tensor] = []
    gradients: list[torch.Tensor] = []

    def recording_step(discriminator: Any, adam: Any, real: Any, label: Any, fake: torch.Tensor, *_: Any) -> Any:
        discriminated.append(fake.detach())
        return torch.ones_like(fake), {}

    def record_output(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if isinstance(module, UNet):
            outputs.append(output.detach())
            output.register_hook(gradients.append)

    monkeypatch.setattr(joint_module, "discriminator_step", recording_step)
    with register_module_forward_hook(record_output):
        one_step(joint_config(from_scratch=True, squared_error=False), scale=0.15)
    _, clipped = discriminated  # generated images, denoised images
    denoised, gradient = outputs[0][: len(clipped)], gradients[0][: len(clipped)]
    assert torch.equal(clipped, denoised.clamp(0, 1))
    inside = (denoised >= 0) & (denoised <= 1)
    assert 0.1 < inside.float().mean() < 0.9
    assert torch.equal(gradient != 0, inside)


def test_clipped_pixels_still_get_a_gradient() -> None:
    images = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    clipped = clip_straight_through(images)
    assert clipped.tolist() == [0, 0.5, 1]
    clipped.sum().backward()
    assert images.grad is not None
    assert images.grad.tolist() == [1, 1, 1]


def test_joint_training_without_a_loss_or_with_another_denoiser_is_refused() -> None:
    with pytest.raises(UsageError, match="losses: expected adversarial, squared_error or both, got none"):
        joint_config(adversarial=False, squared_error=False)
    with pytest.raises(UsageError, match=r"denoiser.network: expected a UNetShape, got DnCNNShape"):
        joint_config(denoiser=dataclasses.replace(cast(BlindDenoiserConfig, PRESET.denoiser), network=DnCNNShape()))


def test_other_networks_and_unfinished_stages_are_refused(trained: Path, excerpt: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"generator.safetensors: not found"):
        train_joint(joint_config(), excerpt, tmp_path, OPTIONS)
    with pytest.raises(InputError, match=r"discriminator.safetensors: not found"):
        train_joint(joint_config(), excerpt, trained, OPTIONS)


def test_an_experiment_starts_from_its_base_and_is_not_trained_twice(
    excerpt: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Experiment(description="?", gan=PRESET.gan, denoiser=PRESET.denoiser, joint=joint_config())
    monkeypatch.setitem(EXPERIMENTS, "quarter", whole)
    monkeypatch.setitem(
        EXPERIMENTS, "joint-l2-only", Experiment(description="?", joint=joint_config(adversarial=False), base="quarter")
    )
    run = run_experiment("joint-l2-only", tmp_path, excerpt, OPTIONS)
    assert run == tmp_path / "joint-l2-only-0"
    assert (run / "gan").resolve() == (tmp_path / "quarter-0/gan").resolve()
    files = [tmp_path / f"{name}-0/joint/final/denoiser/denoiser.safetensors" for name in ("quarter", "joint-l2-only")]
    both, squared = (load_file(path) for path in files)
    assert any(not torch.equal(both[name], squared[name]) for name in both)
    stamp = files[1].stat().st_mtime_ns
    assert run_experiment("joint-l2-only", tmp_path, excerpt, OPTIONS) == run
    assert files[1].stat().st_mtime_ns == stamp


def test_the_ablations_and_controls_differ_from_joint_training_in_one_thing_each() -> None:
    whole = EXPERIMENTS["quarter"]
    assert whole.joint is not None
    for name, changed in (
        ("joint-l2-only", "adversarial"),
        ("adversarial", "squared_error"),
        ("joint-no-backprop", "backprop_through_denoiser"),
    ):
        experiment = EXPERIMENTS[name]
        assert experiment.base == "quarter"
        changes: dict[str, Any] = {changed: False}
        assert experiment.joint == dataclasses.replace(whole.joint, **changes)
    gan_only, large = (cast(ConditionalGanConfig, EXPERIMENTS[name].gan) for name in ("gan-only", "large-gan"))
    gan, denoiser = cast(ConditionalGanConfig, whole.gan), cast(BlindDenoiserConfig, whole.denoiser)
    assert gan_only == dataclasses.replace(gan, epochs=gan.epochs + 2 * whole.joint.epochs)
    assert large == dataclasses.replace(gan_only, generator_blocks=large.generator_blocks)
    added = multiply_adds(build_generator(large), (100,)) - multiply_adds(build_generator(gan_only), (100,))
    assert added == pytest.approx(multiply_adds(build_denoiser(denoiser.network), (1, 28, 28)), rel=0.05)


def multiply_adds(module: torch.nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def test_stages_with_networks_of_other_sizes_are_refused(joint_run: Path, excerpt: Dataset, tmp_path: Path) -> None:
    for change, message in (
        ({"gan": dataclasses.replace(PRESET.gan, generator_widths=(8, 8, 8))}, "gan: generator_widths: expected"),
        (
            {
                "denoiser": dataclasses.replace(
                    cast(BlindDenoiserConfig, PRESET.denoiser), network=UNetShape((8, 8), (1, 0, 1))
                )
            },
            "denoiser: network:",
        ),
    ):
        with pytest.raises(InputError, match=message) as caught:
            initial_model(joint_config(**change), RunFolder(joint_run))
        assert "--set" in caught.value.hint
    faster = dataclasses.replace(PRESET.gan, learning_rate=0.1)
    initial_model(joint_config(gan=faster), RunFolder(joint_run))  # only the sizes have to agree
