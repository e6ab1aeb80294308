"""Seeded batches: every image once an epoch; seed and step determine the rest."""

import pytest
import torch

from gan_denoise.errors import UsageError
from gan_denoise.study.train.batches import batch_indices, seed_step, steps_per_epoch


def test_every_image_is_used_once_an_epoch() -> None:
    steps = steps_per_epoch(1000, 256)
    assert steps == 4
    for epoch in range(2):
        used = torch.cat([batch_indices(0, epoch * steps + i, 1000, 256) for i in range(steps)])
        assert sorted(used.tolist()) == list(range(1000))


def test_epochs_and_seeds_have_different_orders() -> None:
    first = batch_indices(0, 0, 1000, 256)
    assert not torch.equal(first, batch_indices(0, 4, 1000, 256))
    assert not torch.equal(first, batch_indices(1, 0, 1000, 256))
    assert torch.equal(first, batch_indices(0, 0, 1000, 256))


def test_a_step_draws_the_same_numbers_whatever_came_before() -> None:
    seed_step(3, 7)
    expected = torch.randn(5)
    torch.randn(100)
    seed_step(3, 7)
    assert torch.equal(torch.randn(5), expected)
    seed_step(3, 8)
    assert not torch.equal(torch.randn(5), expected)
    seed_step(4, 6)  # seed + step is the same as 3 + 7
    assert not torch.equal(torch.randn(5), expected)


def test_a_last_batch_of_one_image_is_refused_by_the_number_of_images() -> None:
    assert steps_per_epoch(23, 17) == 2
    with pytest.raises(UsageError, match="does not leave 1 of 18 images over, got 17"):
        steps_per_epoch(18, 17)
