"""Differentiable augmentation: what it changes, and that gradients pass."""

import numpy as np
import pytest
import torch

from gan_denoise.study.train.augmentation import FILL, augment, change_colour, cut_out, shift


@pytest.fixture
def images() -> torch.Tensor:
    """Sixty different images (60, 3, 28, 28) in [0, 1]."""
    torch.manual_seed(0)
    return torch.rand(60, 3, 28, 28)


def test_a_shift_moves_every_image_by_whole_pixels_up_to_an_eighth_of_the_side(images: torch.Tensor) -> None:
    moved = shift(images)
    offsets = set()
    for before, after in zip(images, moved, strict=True):
        framed = torch.nn.functional.pad(before, (4, 4, 4, 4), value=FILL)
        fits = [
            (dy, dx)
            for dy in range(-4, 5)
            for dx in range(-4, 5)
            if torch.equal(framed[:, 4 + dy : 32 + dy, 4 + dx : 32 + dx], after)
        ]
        assert len(fits) == 1
        offsets.add(fits[0])
    assert len(offsets) > 20  # each image has its own
    assert max(abs(offset) for pair in offsets for offset in pair) == 4


def test_a_square_of_half_the_side_becomes_grey(images: torch.Tensor) -> None:
    result = cut_out(images)
    cut = (result != images).all(dim=1)  # (N, H, W)
    assert bool((result.movedim(1, -1)[cut] == FILL).all())
    for covered in cut:
        rows, columns = covered.any(dim=1), covered.any(dim=0)
        assert torch.equal(covered, rows.unsqueeze(1) & columns)  # a rectangle
        assert rows.sum() <= 14
        assert columns.sum() <= 14
    assert cut.sum(dim=(1, 2)).max() > 100
    assert torch.equal(result.movedim(1, -1)[~cut], images.movedim(1, -1)[~cut])


def test_colours_change_by_image_and_a_grey_image_stays_grey(images: torch.Tensor) -> None:
    changed = change_colour(images)
    brightness = changed.mean(dim=(1, 2, 3)) - images.mean(dim=(1, 2, 3))
    assert len(brightness.unique()) == len(images)
    assert 0.2 < float(brightness.abs().max()) <= 0.25 + 1e-6
    grey = change_colour(images[:, :1].expand(-1, 3, -1, -1))
    assert torch.allclose(grey[:, 0], grey[:, 1], atol=1e-6)


def test_the_gradient_of_a_moved_pixel_reaches_the_pixel_it_came_from(images: torch.Tensor) -> None:
    images.requires_grad_()
    moved = shift(images)
    (gradient,) = torch.autograd.grad((moved.square() / 2).sum(), images)
    reached = gradient != 0
    assert torch.equal(gradient[reached], images[reached])
    assert int(reached.sum()) == int((moved != FILL).sum())


def test_steps_of_one_seed_are_equal(images: torch.Tensor) -> None:
    def augmented(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        return augment(images).numpy()

    np.testing.assert_array_equal(augmented(1), augmented(1))
    assert (augmented(1) != augmented(2)).mean() > 0.5
