"""The optimizer of the photo denoiser: Muon for matrices, Adam for all other weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTUM = 0.95  # of the gradients of matrices
BETAS, EPSILON = (0.9, 0.99), 1e-8  # of Adam
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # of the quintic iteration a x + b (x x') x + c (x x')^2 x
NEWTON_SCHULZ_STEPS = 5
UPDATE_RMS = 0.2  # of an update of a matrix, relative to the learning rate: about that of Adam's


class Muon(Optimizer):
    """Muon for `matrices` and Adam for `others`, with one learning rate.

    A convolution's weight (out, in, k, k) is a matrix (out, in * k * k). The update of a matrix is its momentum with
    all singular values set to about 1, so directions with small gradients are learned as fast as those with large ones.
    Matrices of one shape are orthogonalized in one batch.
    Source: Jordan 2024, kellerjordan.github.io/posts/muon; the scale of the updates: Liu et al. 2025, arXiv:2502.16982.
    `torch.optim.Muon` takes two-dimensional weights only. Under autocast the matrix products are in bfloat16.
    """

    def __init__(self, matrices: Iterable[Tensor], others: Iterable[Tensor], learning_rate: float) -> None:
        super().__init__([{"params": list(matrices)}, {"params": list(others)}], {"lr": learning_rate})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all weights by their gradients."""
        matrices, others = self.param_groups
        by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for weight in matrices["params"]:
            by_shape[len(weight), weight[0].numel()].append(weight)
        for shape, weights in by_shape.items():
            updates = orthogonalize(torch.stack([self._momentum(weight).flatten(1) for weight in weights]))
            rate = matrices["lr"] * UPDATE_RMS * max(shape) ** 0.5
            for weight, update in zip(weights, updates, strict=True):
                weight.sub_(update.reshape(weight.shape), alpha=rate)
        for weight in others["params"]:
            weight.sub_(self._adam(weight), alpha=others["lr"])

    def _momentum(self, weight: Tensor) -> Tensor:
        """Nesterov's momentum of the gradients of a weight."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        return weight.grad.lerp(momentum, MOMENTUM)

    def _adam(self, weight: Tensor) -> Tensor:
        """Adam's update of a weight, for a learning rate of 1. Source: Kingma and Ba 2015, arXiv:1412.6980."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state |= {"step": torch.tensor(0), "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        step = int(state["step"]) + 1
        state["step"] = torch.tensor(step)
        mean = state["mean"].lerp_(weight.grad, 1 - BETAS[0])
        square = state["square"].lerp_(weight.grad.square(), 1 - BETAS[1])
        unbiased_mean, unbiased_square = (
            average / (1 - beta**step) for average, beta in zip((mean, square), BETAS, strict=True)
        )
        update: Tensor = unbiased_mean / (unbiased_square.sqrt() + EPSILON)
        return update


def orthogonalize(matrices: Tensor) -> Tensor:
    """Matrices (N, rows, columns) with the same singular vectors and singular values of 0.6 to 1.25 after five steps.

    Those below 0.002 of a matrix's norm stay smaller, zeros stay zeros.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if is_tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + EPSILON)
    first, third, fifth = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.mT
        x = first * x + (third * square + fifth * (square @ square)) @ x
    return x.mT if is_tall else x
