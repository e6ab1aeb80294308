"""What the runs of `study compare` say, in words: does denoising help, when, by how much, and at what cost?"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from gan_denoise.eval.labels import FUSED, NETWORK, NOT_MEASURED
from gan_denoise.study.compare.statistics import (
    JOINT,
    MEAN,
    NONE,
    SAMPLE,
    Estimate,
    Point,
    curves_of,
    groups_of,
    pairs_of,
    ratio_of,
)
from gan_denoise.study.report.results_text import SAME
from gan_denoise.study.rows import Row, Rows, join_words, number

WAYS = {MEAN: "In one pass", SAMPLE: "By sampling", JOINT: "Joined in training"}
BASE = "quarter"  # the run whose budget the controls spend without a denoiser
CONTROLS = {
    "gan-only": "the join's updates spent on the generator alone",
    "large-gan": "the join's updates and the denoiser's operations spent on the generator alone",
}
LOWERS, RAISES, OPEN = "**lowers** the distance", "**raises** it", "decides nothing"


def verdict_of(ratio: Estimate) -> str:
    """LOWERS or RAISES where the whole interval does, or one seed by more than 2 %; else OPEN."""
    low, high = (ratio.low, ratio.high) if ratio.low is not None and ratio.high is not None else (ratio.value,) * 2
    band = SAME if ratio.low is None else 0.0
    return LOWERS if high < 1 - band else RAISES if low > 1 + band else OPEN


def describe_answer(rows: Rows) -> str:
    """The verdicts counted over all runs, epochs and ways to denoise, with the raw distances at which they fall."""
    points = [point for curve in curves_of(rows).values() for point in curve]
    if not points:
        return f"Whether denoising helps: {NOT_MEASURED}."
    found = _by_verdict(points)
    parts = [f"{verdict} in {len(there)} ({_raws(there)})" for verdict, there in found.items()]
    several = "one run, epoch and way to denoise" if len(points) == 1 else "runs, epochs and ways to denoise"
    verb = join_words(parts).replace(RAISES, "**raises** it" if LOWERS in found else "**raises** the distance")
    return f"Of {len(points)} {several} that were measured, denoising {verb}."


def control_ratio(rows: Rows, control: str) -> Estimate | None:
    """The raw distance of a control over that of the run whose budget it spends, both at their last epoch."""
    base, spent = _last(rows, BASE, (MEAN, NONE)), _last(rows, control, (NONE,))
    return _paired(base, "raw", spent, "raw")


def describe_control(rows: Rows, control: str) -> str:
    """Whether the joined system is worth more than its cost spent on the generator; nothing where that was not run."""
    spent, joined = _last(rows, control, (NONE,)), _last(rows, BASE, (JOINT,))
    if not spent:
        return ""
    name = f"`{control}` ({CONTROLS.get(control, control)})"
    alone, pays = control_ratio(rows, control), _paired(spent, "raw", joined, "denoised")
    first = f"{name} comes to {NOT_MEASURED if alone is None else _times(alone)} of the distance of `{BASE}` undenoised"
    if pays is None:
        return f"{first}; the joined system against it: {NOT_MEASURED}."
    said = {LOWERS: "the join **is worth its cost**", RAISES: "the join **is not worth its cost**"}
    verdict = said.get(verdict_of(pays), f"the two are not told apart{_why_open(pays)}")
    return f"{first}; the joined system's denoised images come to {_times(pays)} of the control's: {verdict}."


def describe_stability(run: str, denoiser: str, rows: Rows) -> str:
    """How far the seeds of a run lie apart at its last epoch, and whether one collapsed; nothing for one seed.

    Collapsed is a generator whose recall is below half of that of the median seed.
    """
    last = list(_last(rows, run, (denoiser,)).values())
    recalls = [value for row in last if (value := number(row, "recall_raw")) is not None]
    if len(last) < 2 or len(recalls) < len(last):
        return ""
    spreads = [f"{name} {_spread([number(row, name) for row in last])}" for name in ("raw", "denoised")]
    lost = sum(recall < statistics.median(recalls) / 2 for recall in recalls)
    accuracy = [value for row in last if (value := number(row, "pair_accuracy")) is not None]
    right = f"; the discriminator puts {100 * statistics.mean(accuracy):.0f} % of pairs right" if accuracy else ""
    return (
        f"{WAYS.get(denoiser, denoiser)} (`{run}`), {len(last)} seeds, mean and standard deviation: {join_words(spreads)}; "
        f"{lost or 'none'} collapsed (lowest recall {min(recalls):.3f}){right}."
    )


def _spread(values: Sequence[float | None]) -> str:
    found = [value for value in values if value is not None]
    if len(found) < 2:
        return NOT_MEASURED
    return f"{statistics.mean(found):.3f} ± {statistics.stdev(found):.3f}"


def describe_cost(denoising: Rows, bench: Rows) -> str:
    """What the network costs: weights and time, from the tables of the study."""
    network = [row for row in denoising if row.get("method") == NETWORK]
    times = [value for row in network if (value := number(row, "ms_per_image")) is not None]
    weights = next((value for row in network if (value := number(row, "parameters")) is not None), None)
    fused = [
        (batch, time) for row in bench if row.get("name") == FUSED for batch, time in [_batch_and_time(row)] if time
    ]
    if not times and weights is None:
        return f"What the denoiser costs: {NOT_MEASURED}."
    parts = [f"{weights:,.0f} weights" if weights is not None else f"weights {NOT_MEASURED}"]
    parts += [f"{statistics.median(times):.2f} ms an image on one thread" if times else f"time {NOT_MEASURED}"]
    whole = ""
    if fused:
        batch, time = max(fused)
        whole = f"; generator and denoiser together take {time / batch:.2f} ms an image at batch {batch:.0f}"
    return f"The denoiser costs {join_words(parts)}{whole}."


def seeds_of(rows: Rows) -> int:
    """The largest number of seeds that a run was compared with."""
    return max((len(group) for group in groups_of(rows).values()), default=0)


def describe_seeds(rows: Rows) -> str:
    """Whether there are error bars."""
    seeds = seeds_of(rows)
    if seeds < 2:
        return "there are no error bars"
    return f"only the runs under 'Does denoising help?' have several seeds, up to {seeds}, and intervals"


def _by_verdict(points: Sequence[Point]) -> dict[str, list[Point]]:
    grouped = {v: [point for point in points if verdict_of(point.ratio) == v] for v in (LOWERS, RAISES, OPEN)}
    return {verdict: there for verdict, there in grouped.items() if there}


def _last(rows: Rows, run: str, denoisers: Sequence[str]) -> dict[object, Row]:
    """By seed, the row of the last epoch of a run among those ways to denoise."""
    found: dict[object, Row] = {}
    for row in rows:
        if row.get("run") == run and row.get("denoiser") in denoisers:
            seed = row.get("seed")
            if seed not in found or (number(row, "epoch") or 0) > (number(found[seed], "epoch") or 0):
                found[seed] = row
    return found


def _paired(before: Mapping[object, Row], first: str, after: Mapping[object, Row], second: str) -> Estimate | None:
    both = [{first: before[seed].get(first), "_": after[seed].get(second)} for seed in before if seed in after]
    return ratio_of(pairs_of(both, first, "_"))


def _batch_and_time(row: Row) -> tuple[float, float]:
    return number(row, "batch") or 1.0, number(row, "p50_ms") or 0.0


def _raws(points: Sequence[Point]) -> str:
    low, high = (f"{end(point.raw for point in points):.3g}" for end in (min, max))
    return f"raw distance {low}" if low == high else f"raw distances {low} to {high}"


def _times(ratio: Estimate) -> str:
    return f"{ratio.value:.3f} times{_interval(ratio, '.3f')}"


def _interval(found: Estimate, form: str) -> str:
    if found.low is None or found.high is None:
        return " (one seed, no interval)"
    return f" ({found.low:{form}} to {found.high:{form}}, {found.seeds} seeds)"


def _why_open(ratio: Estimate) -> str:
    return f", within {100 * SAME:.0f} %" if ratio.low is None else ": the interval includes no change"
