"""The layout of z is the same for numpy arrays and torch tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_denoise.export.latents import latents
from gan_denoise.export.latents import set_class as set_class_in_array
from gan_denoise.models.z_layout import chosen_class, split_z
from gan_denoise.study.train.losses import set_class as set_class_in_tensor


@pytest.mark.parametrize("classes", [0, 1, 10, 99])
def test_arrays_and_tensors_are_split_alike(classes: int) -> None:
    z = latents(0, 0, 5)
    free, entries = split_z(z, classes)
    assert (free.shape, entries.shape) == ((5, 100 - classes), (5, classes))
    assert np.array_equal(np.concatenate([free, entries], axis=1), z)
    for part, tensor in zip((free, entries), split_z(torch.from_numpy(z), classes), strict=True):
        assert np.array_equal(part, tensor.numpy())


def test_the_parts_of_an_array_are_views() -> None:
    z = latents(0, 0, 5)
    free, entries = split_z(z, 10)
    free[:], entries[:] = 1, 2
    assert (z[:, :90] == 1).all()
    assert (z[:, 90:] == 2).all()


def test_the_largest_class_entry_chooses_the_class() -> None:
    z = np.zeros((3, 14), np.float32)
    z[:, :4] = 9  # free entries choose nothing
    z[[0, 1, 2], [4, 13, 8]] = 1
    assert chosen_class(z, 10).tolist() == chosen_class(torch.from_numpy(z), 10).tolist() == [0, 9, 4]


def test_arrays_and_tensors_are_given_a_class_by_the_same_swap() -> None:
    z = latents(0, 0, 50)
    in_tensor = set_class_in_tensor(torch.from_numpy(z), torch.full((50,), 7), 10)
    assert np.array_equal(set_class_in_array(z, 7, 10), in_tensor.numpy())
