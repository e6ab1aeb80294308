"""The dropout with a faster mask: like torch's, except for its random numbers."""

import pytest
import torch

from gan_denoise.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_fraction_dropped_is_p_and_the_rest_is_scaled(p: float, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 7, 31, 29).abs().add(0.1).contiguous(memory_format=layout)
    y = Dropout(p)(x)
    dropped = (y == 0).double()
    assert dropped.mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / x.numel()) ** 0.5)
    torch.testing.assert_close(y[y != 0], (x / (1 - p))[y != 0])
    assert y.stride() == x.stride()
    for dim in range(4):  # every position has the same fraction, and neighbours are independent
        other_dims = [i for i in range(4) if i != dim]
        fractions = dropped.mean(dim=other_dims)
        assert (fractions - p).abs().max() < 6 * (p * (1 - p) * x.shape[dim] / x.numel()) ** 0.5
        ahead, behind = (dropped.narrow(dim, start, x.shape[dim] - 1) - p for start in (1, 0))
        assert abs((ahead * behind).mean().item()) < 6 * p * (1 - p) / ahead.numel() ** 0.5


def test_the_four_decisions_of_a_draw_are_independent() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.3)(torch.ones(400_000)) == 0).double().reshape(-1, 4) - 0.3
    covariance = dropped.T @ dropped / len(dropped)
    torch.testing.assert_close(covariance, torch.eye(4).double() * 0.21, atol=0.004, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_is_that_of_the_elements_that_remain(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(1001, dtype=dtype, requires_grad=True)
    y = Dropout(0.25)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())
    assert y.dtype == dtype


def test_a_seed_repeats_the_mask_and_evaluation_has_none() -> None:
    dropout, x = Dropout(0.3), torch.ones(1000)
    torch.manual_seed(1)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x
