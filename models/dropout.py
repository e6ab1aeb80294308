"""Dropout whose mask costs little: torch draws a number at a time on the CPU, this one four."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 1 << 16  # of a draw: the probability is rounded to a multiple of 1 / 65,536


class Dropout(nn.Dropout):
    """Zeros with probability `p` while training, and what is left divided by 1 - p, of x of any dense layout.

    The same as `nn.Dropout`, from torch's global generator too but other draws: one of 64 bits decides on four numbers.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = draws.view(torch.int16)[: x.numel()] >= min(round(self.p * LEVELS), LEVELS - 1) - LEVELS // 2
        mask = kept.as_strided(x.shape, x.stride()).to(x.dtype)  # in the order in which x lies in memory
        return x * mask.div_(1 - self.p)
