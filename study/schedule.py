"""Learning rates over a run, as factors of the peak."""

from __future__ import annotations

from torch.optim import Optimizer


def warmed_and_decayed(step: int, total: int, warm_up: int, decay: float) -> float:
    """A factor in (0, 1] for `step` of `total`: up over `warm_up` steps, flat, and down to 0 over the share `decay`.

    Both slopes are straight, and the last step's factor is the smallest above 0.
    """
    up = min(1.0, (step + 1) / (warm_up + 1))
    down = min(1.0, (total - step) / (decay * total)) if decay else 1.0
    return up * down


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give all of the optimizer's weights the learning rate `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
