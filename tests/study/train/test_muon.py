"""Muon: what one step does to matrices, and to all other weights."""

from __future__ import annotations

import pytest
import torch
from torch.optim import Adam

from gan_denoise.models.depthwise_unet import DepthwiseUNet
from gan_denoise.study.train.muon import UPDATE_RMS, Muon, orthogonalize
from gan_denoise.study.train.photo_denoiser import split_weights


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_orthogonal_matrices_keep_the_singular_vectors_and_lose_the_singular_values(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(2, *shape), full_matrices=False)
    singular = torch.logspace(0, -1.5, min(shape))  # the smallest is 0.03 of the largest
    got = orthogonalize(100 * left @ torch.diag(singular) @ right)
    assert got.shape == (2, *shape)
    cores = left.mT @ got @ right.mT  # diagonal where the singular vectors are the same
    values = torch.diagonal(cores, dim1=1, dim2=2)
    assert values.min() > 0.6
    assert values.max() < 1.25
    torch.testing.assert_close(cores, torch.diag_embed(values), atol=1e-4, rtol=0)
    torch.testing.assert_close(got, left @ cores @ right, atol=1e-4, rtol=0)


def test_a_matrix_without_gradient_stays() -> None:
    assert torch.equal(orthogonalize(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))


def test_the_layout_and_bfloat16_do_not_change_a_step() -> None:
    torch.manual_seed(3)
    weight, gradient = torch.randn(12, 6, 2, 2), torch.randn(12, 6, 2, 2)
    steps = []
    for layout, is_half in (
        (torch.contiguous_format, False),
        (torch.channels_last, False),
        (torch.channels_last, True),
    ):
        moved = weight.clone(memory_format=layout).requires_grad_()
        moved.grad = gradient.clone(memory_format=layout)
        with torch.autocast("cpu", torch.bfloat16, is_half):
            Muon([moved], [], 1.0).step()
        assert moved.dtype == torch.float32
        steps.append(moved.detach() - weight)
    assert torch.equal(steps[1], steps[0])
    torch.testing.assert_close(steps[2], steps[0], atol=0.05 * float(steps[0].abs().max()), rtol=0)


def test_a_step_moves_matrices_of_equal_and_of_other_shapes_along_their_own_gradient() -> None:
    torch.manual_seed(1)
    weights = [torch.randn(shape, requires_grad=True) for shape in ((6, 8, 1, 1), (4, 2, 2, 2), (6, 8, 1, 1))]
    before = [weight.detach().clone() for weight in weights]
    gradients = [torch.randn_like(weight) for weight in weights]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    Muon(weights, [], 0.01).step()
    for weight, old, gradient in zip(weights, before, gradients, strict=True):
        change = (old - weight.detach()).flatten(1) / (0.01 * UPDATE_RMS * max(gradient.flatten(1).shape) ** 0.5)
        torch.testing.assert_close(change, orthogonalize(gradient.flatten(1)[None])[0], atol=1e-4, rtol=0)
        rms = (old - weight.detach()).square().mean().sqrt() / 0.01
        assert rms == pytest.approx(0.2, rel=0.3)  # about Adam's


def test_the_gradients_of_earlier_steps_count_too() -> None:
    weight = torch.zeros(2, 2, 1, 1, requires_grad=True)
    muon = Muon([weight], [], 1.0)
    weight.grad = torch.eye(2).reshape(2, 2, 1, 1)
    muon.step()
    after_one = weight.detach().clone()
    weight.grad = torch.zeros(2, 2, 1, 1)
    muon.step()
    assert (weight - after_one).flatten(1).diagonal().max() < -0.1


def test_other_weights_are_updated_by_adam() -> None:
    torch.manual_seed(2)
    ours, theirs = (torch.ones(5, 1, 3, 3, requires_grad=True) for _ in range(2))
    muon, adam = Muon([], [ours], 0.01), Adam([theirs], 0.01, (0.9, 0.99))
    for _ in range(4):
        gradient = torch.randn(5, 1, 3, 3)
        ours.grad, theirs.grad = gradient, gradient.clone()
        muon.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_of_the_photo_denoiser_the_layers_that_mix_features_are_matrices() -> None:
    network = DepthwiseUNet((8, 16, 24), (1, 2, 1, 1, 1))
    matrices, others = split_weights(network)
    names = {id(weight): name for name, weight in network.named_parameters()}
    assert len(matrices) + len(others) == len(names)
    assert {names[id(weight)].split(".")[-2] for weight in matrices} == {
        *("widen", "narrow"),
        *("shrink_high", "shrink_middle", "narrow_high", "narrow_middle"),
    }
    assert {names[id(weight)].split(".")[-2] for weight in others} == {"depthwise", "head", "tail"}
