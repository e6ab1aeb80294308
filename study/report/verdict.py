"""The one rule for what denoising does to the distance to real images, for one training and for several alike.

Where there are too few images for a Fréchet distance, the report has KID with its standard errors instead of intervals.
"""

from __future__ import annotations

from enum import StrEnum

from gan_denoise.study.compare.statistics import Estimate


class Verdict(StrEnum):
    """What the 95 % interval of the ratio of distances, after over before denoising, says; over seeds or latents."""

    LOWERS = "**lowers**"  # the whole interval is below 1
    RAISES = "**raises**"  # above 1
    UNCLEAR = "has no clear effect on"  # it includes 1
    UNTESTED = "has an untested effect on"  # there is no interval


def verdict_of(ratio: Estimate | None) -> Verdict:
    """The verdict on a ratio of distances."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return Verdict.UNTESTED
    if ratio.high < 1:
        return Verdict.LOWERS
    return Verdict.RAISES if ratio.low > 1 else Verdict.UNCLEAR
