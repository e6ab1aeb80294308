"""The kernel inception distance between two sets of features (KID, Bińkowski et al. 2018, arXiv:1801.01401)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_denoise.eval.metrics.frechet import check_features, check_widths

BLOCKS = 10

Features = NDArray[np.floating]


def kid(a: Features, b: Features, seed: int = 0) -> tuple[float, float]:
    """The squared maximum mean discrepancy of features (N, D) and (M, D), and its standard error.

    Both sets are shuffled by `seed` and split into 10 blocks; the value is the mean of the blocks' unbiased estimates.
    So it does not decrease with N as the Fréchet distance does, and can be negative for similar sets. The paper draws
    100 subsets of 1,000 with replacement; disjoint blocks are independent, so their spread gives the standard error of
    the mean. Raises InputError when a set has fewer than 20 features, widths differ or a value is not finite.
    """
    for features in (a, b):
        check_features(features, minimum=2 * BLOCKS)
    check_widths(a.shape[1], b.shape[1])
    rng = np.random.default_rng(seed)
    values = [squared_mmd(*pair) for pair in zip(_blocks(a, rng), _blocks(b, rng), strict=True)]
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(BLOCKS))


def squared_mmd(a: Features, b: Features) -> float:
    """The unbiased squared MMD of (N, D) and (M, D) under the kernel (x.y / D + 1)^3 (Gretton et al. 2012, lemma 6)."""
    n, m = len(a), len(b)
    same_a, same_b = _kernel(a, a), _kernel(b, b)
    within_a = (same_a.sum() - np.trace(same_a)) / (n * (n - 1))
    within_b = (same_b.sum() - np.trace(same_b)) / (m * (m - 1))
    return float(within_a + within_b - 2 * _kernel(a, b).mean())


def _blocks(features: Features, rng: np.random.Generator) -> list[Features]:
    order = rng.permutation(len(features))
    return [features[part].astype(np.float64) for part in np.array_split(order, BLOCKS)]


def _kernel(a: Features, b: Features) -> NDArray[np.float64]:
    values: NDArray[np.float64] = (a @ b.T / a.shape[1] + 1) ** 3  # (N, M)
    return values
