"""Seeded batches: every image once an epoch, and nothing but seed and step decides."""

import torch

from gan_denoise.study.train.batches import batch_indices, seed_step, steps_per_epoch


def test_every_image_is_seen_once_an_epoch() -> None:
    steps = steps_per_epoch(1000, 256)
    assert steps == 4
    for epoch in range(2):
        seen = torch.cat([batch_indices(0, epoch * steps + i, 1000, 256) for i in range(steps)])
        assert sorted(seen.tolist()) == list(range(1000))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first = batch_indices(0, 0, 1000, 256)
    assert not torch.equal(first, batch_indices(0, 4, 1000, 256))
    assert not torch.equal(first, batch_indices(1, 0, 1000, 256))
    assert torch.equal(first, batch_indices(0, 0, 1000, 256))


def test_a_step_draws_the_same_numbers_whatever_came_before() -> None:
    seed_step(3, 7)
    wanted = torch.randn(5)
    torch.randn(100)
    seed_step(3, 7)
    assert torch.equal(torch.randn(5), wanted)
    seed_step(3, 8)
    assert not torch.equal(torch.randn(5), wanted)
    seed_step(4, 6)  # seed + step is the same as 3 + 7
    assert not torch.equal(torch.randn(5), wanted)
