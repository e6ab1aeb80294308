"""One optimizer update that refuses to happen when a number is not finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

from gan_denoise.errors import DivergedError


def update(optimizer: Optimizer, loss: Tensor, max_gradient_norm: float = math.inf) -> None:
    """Step down the gradient of `loss`, scaled to `max_gradient_norm` where it is longer.

    Raises DivergedError, the weights as they were, when the loss or the gradient is NaN or infinite.
    """
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
    if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
        raise DivergedError(f"loss {loss.item()}, gradient norm {norm.item()} found, finite numbers wanted")
    optimizer.step()
