"""Dropout with a faster random mask on the CPU: four decisions per random number instead of one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 1 << 16  # values of 16 random bits: the probability is rounded to a multiple of 1 / 65,536


class Dropout(nn.Dropout):
    """`nn.Dropout` with another mask: one draw of 64 bits decides on four elements of x, of any dense layout.

    In training mode an element is 0 with probability `p`, else divided by 1 - p. Draws from torch's global generator.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        keep = draws.view(torch.int16)[: x.numel()] >= min(round(self.p * LEVELS), LEVELS - 1) - LEVELS // 2
        mask = keep.as_strided(x.shape, x.stride()).to(x.dtype)  # in the memory order of x
        return x * mask.div_(1 - self.p)
