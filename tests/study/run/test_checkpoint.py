"""Checkpoints: exact round trips; the last two are kept."""

from pathlib import Path

import torch
from torch import nn

from gan_denoise.study.run import checkpoint


def trained(steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    adam = torch.optim.Adam(network.parameters(), 0.1)
    for step in range(steps):
        torch.manual_seed(step)
        adam.zero_grad()
        network(torch.randn(8, 3)).square().sum().backward()
        adam.step()
    return network, adam


def test_a_restored_training_continues_bit_for_bit(tmp_path: Path) -> None:
    network, adam = trained(3)
    checkpoint.save(tmp_path, 3, {"network": network, "adam": adam}, {"sums": {"loss": 0.1}})
    saved = checkpoint.load_latest(tmp_path)
    assert saved is not None
    assert (saved.step, saved.trainer_state) == (3, {"sums": {"loss": 0.1}})
    fresh, fresh_adam = trained(0)
    checkpoint.restore({"network": fresh, "adam": fresh_adam}, saved.tensors)
    for step in range(3, 5):
        torch.manual_seed(step)
        fresh_adam.zero_grad()
        fresh(torch.randn(8, 3)).square().sum().backward()
        fresh_adam.step()
    unbroken, _ = trained(5)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value), name


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path) is None


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    network, adam = trained(1)
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"network": network, "adam": adam}, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000002.json",
        "step-00000002.safetensors",
        "step-00000003.json",
        "step-00000003.safetensors",
    ]
