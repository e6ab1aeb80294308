"""Two-sided 95 % confidence intervals: over training seeds (Student's t), and over the samples of one training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from gan_denoise.data.images import Vector
from gan_denoise.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate from n values and its confidence interval from `low` to `high`."""

    value: float
    low: float
    high: float
    n: int


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of n values, one per seed, and its interval with n - 1 degrees of freedom.

    Raises InputError when n is below 2, which gives no spread, or a value is not finite.
    """
    numbers = _finite(values)
    mean, error = numbers.mean(), numbers.std(ddof=1) / np.sqrt(len(numbers))
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(numbers) - 1) * error
    return Interval(float(mean), float(mean - reach), float(mean + reach), len(numbers))


def difference_interval(before: Sequence[float], after: Sequence[float]) -> Interval:
    """The mean of after - before over n pairs, such as raw and denoised images of one training seed."""
    first, second = _pairs(before, after)
    return mean_interval(list(second - first))


def ratio_interval(before: Sequence[float], after: Sequence[float]) -> Interval:
    """The geometric mean of after / before over n pairs; the interval is that of the logarithms, so it is positive.

    Raises InputError as `mean_interval`, when the lengths differ, or when a value is not above 0.
    """
    first, second = _pairs(before, after)
    if not (min(first.min(), second.min()) > 0):
        raise InputError.expected("ratio", "values above 0", f"{min(first.min(), second.min()):g}")
    logs = mean_interval(list(np.log(second / first)))
    value, low, high = (float(np.exp(number)) for number in (logs.value, logs.low, logs.high))
    return Interval(value, low, high, logs.n)


def paired_ratio_interval(before: float, after: float, changes: tuple[Vector, Vector]) -> Interval:
    """after / before of one pair of distances, with its interval over the n samples that both were measured on.

    `changes` are the influences of the samples on both distances, each (n,): that of sample i on both is that of one
    latent, so what the two distances share cancels. Raises InputError when n is below 2 or a distance is not above 0.
    """
    if not min(before, after) > 0:
        raise InputError.expected("ratio", "values above 0", f"{min(before, after):g}")
    first, second = _pairs(list(changes[0]), list(changes[1]))
    error = float(np.std(second / after - first / before, ddof=1)) / math.sqrt(len(first))  # of the logarithm
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    return Interval(after / before, after / before * math.exp(-reach), after / before * math.exp(reach), len(first))


def _pairs(before: Sequence[float], after: Sequence[float]) -> tuple[Vector, Vector]:
    if len(before) != len(after):
        raise InputError.expected("pairs", "as many values before as after", f"{len(before)} and {len(after)}")
    return _finite(before), _finite(after)


def _finite(values: Sequence[float]) -> Vector:
    numbers = np.asarray(values, np.float64)
    if len(numbers) < 2 or not np.isfinite(numbers).all():
        raise InputError.expected("interval", "2 or more finite values", list(values))
    return numbers
