"""Faults of checkpoints: failing system calls and kills while saving, injected by strace."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from straced import Straced
from torch import nn

from gan_denoise.errors import InputError
from gan_denoise.study.run import checkpoint

CALLS = ["openat", "write", "fsync", "rename", "unlink"]


@pytest.fixture(scope="module")
def saver() -> Iterator[Straced]:
    saver = Straced("saver.py")
    yield saver
    saver.close()


def modules(step: int) -> checkpoint.Modules:
    """The modules that saver.py saves."""
    network = nn.Linear(32, 32)
    nn.init.constant_(network.weight, step)
    return {"network": network}


def loaded_step(folder: Path) -> int:
    """The step of the newest intact checkpoint, whose tensors must be those of that step."""
    saved = checkpoint.load_latest(folder)
    assert saved is not None
    assert torch.equal(saved.tensors["network/weight"], torch.full((32, 32), float(saved.step)))
    return saved.step


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.row(17)
def test_killed_at_any_call_the_old_or_the_new_one_loads(saver: Straced, tmp_path: Path, call: str) -> None:
    steps = []
    for when in range(1, 100):
        folder = tmp_path / str(when)
        status = saver.serve(str(folder), call, "signal=KILL", when)
        steps.append(loaded_step(folder))
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert steps == sorted(steps)  # the later the kill, the newer
    assert set(steps) == {2, 3}


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["openat", "write", "fsync", "rename"])
@pytest.mark.row(18)
def test_a_call_that_fails_leaves_the_old_one_and_no_temporary(
    saver: Straced, tmp_path: Path, call: str, fault: str
) -> None:
    failed = 0
    for when in range(1, 100):
        folder = tmp_path / str(when)
        status = saver.serve(str(folder), call, f"error={fault}", when)
        assert loaded_step(folder) in (2, 3)
        assert not list(folder.glob(".*"))
        if status == 0:
            break
        assert os.waitstatus_to_exitcode(status) == 4
        failed += 1
    assert failed >= 2


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.row(19)
def test_after_any_bit_flip_the_previous_one_loads_with_a_warning(tmp_path: Path, suffix: str) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, modules(step), {"sums": {"loss": 0.5}})
    damaged = tmp_path / f"step-00000002{suffix}"
    content = damaged.read_bytes()
    for bit in range(0, 8 * len(content), 61):  # one bit in every eighth byte, each of the eight positions in turn
        damaged.write_bytes(flipped(content, bit))
        with pytest.warns(UserWarning, match=r"step-00000002.json: damaged"):
            assert loaded_step(tmp_path) == 1


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.row(19)
def test_only_damaged_ones_are_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, modules(1), {})
    (tmp_path / "step-00000001.safetensors").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(InputError, match="expected an intact checkpoint, got 1 damaged"),
    ):
        checkpoint.load_latest(tmp_path)
