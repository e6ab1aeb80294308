"""Layers of a network whose batch is divided among ranks: batch norm and random layers act on the whole batch."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from gan_denoise.models.autoencoder import GaussianNoise
from gan_denoise.models.dropout import Dropout
from gan_denoise.study.run import ranks


def use_whole_batch(network: nn.Module) -> None:
    """Make the layers of `network` see the whole batch in training mode, in place, if there are several ranks.

    Batch norm takes the mean and variance over all ranks; dropout and noise layers draw for all and keep this rank's.
    A network whose weights are not trained, such as an EMA, stays as it is: the first rank runs it alone.
    """
    if ranks.count() == 1 or not any(parameter.requires_grad for parameter in network.parameters()):
        return
    for layer in network.modules():
        match layer:
            case nn.BatchNorm2d():
                layer.forward = functools.partial(_normalize, layer)  # type: ignore[method-assign]
            case Dropout() | GaussianNoise():
                layer.forward = functools.partial(_draw, layer, layer.forward)  # type: ignore[method-assign]


def _draw(layer: nn.Module, forward: Any, x: Tensor) -> Tensor:
    result: Tensor = ranks.as_whole_batch(forward, x) if layer.training else forward(x)
    return result


def _normalize(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    if not norm.training:
        return nn.BatchNorm2d.forward(norm, x)
    mean, variance = _statistics(x)
    _update_running(norm, mean, variance, ranks.count() * x.numel() // x.shape[1])
    normalized: Tensor = _BatchNorm.apply(x, mean, variance, norm.weight, norm.bias, norm.eps)
    return normalized


@torch.no_grad()
def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) over all ranks, which have as many rows each, of x (N, C, H, W)."""
    variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
    means, variances = ranks.gather(torch.stack([mean, variance])).unbind(1)  # (ranks, C) each
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


@torch.no_grad()
def _update_running(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, values: int) -> None:
    """As torch does, for statistics over `values` numbers; the running variance is the unbiased one."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (values / (values - 1)), norm.momentum)
    norm.num_batches_tracked += 1


class _BatchNorm(torch.autograd.Function):
    """Batch norm by the given statistics, whose own gradients are included: those of the whole batch.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> Tensor:
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(x, mean, inverse, weight)
        return batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse, weight = ctx.saved_tensors
        (gradient,) = gradients  # (N, C, H, W), with respect to the result
        centred = x - mean[:, None, None]
        sum_gradient = gradient.sum((0, 2, 3), dtype=torch.float32)
        sum_product = (gradient * centred).sum((0, 2, 3), dtype=torch.float32) * inverse
        means = ranks.average(torch.stack([sum_gradient, sum_product])) * (x.shape[1] / x.numel())
        slope = weight * inverse
        of_x = (-slope * inverse * means[1])[:, None, None]
        shift = (-slope * means[0])[:, None, None]
        gradient_x = gradient * slope[:, None, None] + centred * of_x + shift
        return gradient_x.to(x.dtype), None, None, sum_product, sum_gradient, None
