"""A paired test for few values: the sign-flip permutation test, exact up to 20 pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gan_denoise.data.images import Vector
from gan_denoise.errors import InputError

EXACT_PAIRS = 20  # up to here all sign patterns are counted; above it DRAWS random ones
DRAWS = 100_000


def sign_flip_p(differences: Sequence[float]) -> float:
    """The two-sided p value of n paired differences: how many sign patterns give a mean as far from 0 as theirs.

    If both sides of a pair are exchangeable, each of the 2^n patterns is equally probable (Fisher 1935, The Design of
    Experiments, section 21). No distribution is assumed. Raises InputError without values or if one is not finite.
    """
    values = np.asarray(differences, np.float64)
    if not len(values) or not np.isfinite(values).all():
        raise InputError.expected("paired test", "1 or more finite differences", list(differences))
    is_exact = len(values) <= EXACT_PAIRS
    sums = _all_sums(values) if is_exact else _random_sums(values)
    extreme = int((np.abs(sums) >= abs(values.sum()) - 1e-12 * np.abs(values).sum()).sum())
    return extreme / len(sums) if is_exact else (extreme + 1) / (len(sums) + 1)


def smallest_p(n: int) -> float:
    """The smallest p value that n pairs can give, when all differences have one sign."""
    return 2.0 ** (1 - n) if n <= EXACT_PAIRS else 1 / (DRAWS + 1)


def pairs_needed(p: float) -> int:
    """The number of pairs from which on a p value below `p` is possible."""
    return next(n for n in range(1, EXACT_PAIRS + 2) if smallest_p(n) < p)


def _all_sums(values: Vector) -> Vector:
    """The sums of all sign patterns whose first sign is +, (2^(n - 1),); the others are their negatives."""
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _random_sums(values: Vector) -> Vector:
    """The sums of DRAWS random sign patterns, the same at each call."""
    rng, part = np.random.Generator(np.random.Philox(0)), 1_000
    signs = (2.0 * rng.integers(0, 2, (part, len(values)), np.int8) - 1 for _ in range(DRAWS // part))
    return np.concatenate([pattern @ values for pattern in signs])
