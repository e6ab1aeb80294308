"""Sentences about the rows of `study compare`: whether, when and by how much denoising helps, and at what cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from gan_denoise.eval.labels import FUSED, NETWORK, NOT_MEASURED
from gan_denoise.study.compare.paired import last_rows, paired_ratio
from gan_denoise.study.compare.statistics import Estimate, Point, build_curves, group_by_snapshot
from gan_denoise.study.report.verdict import Verdict, verdict_of
from gan_denoise.study.rows import (
    GAUSSIAN,
    JOINT,
    JOINT_FILTERS,
    MEAN,
    NLM,
    NONE,
    SAMPLE,
    Rows,
    get_number,
    join_words,
)

DENOISER_NAMES = {
    MEAN: "separate training",
    SAMPLE: "separate training, stochastic sampling",
    JOINT: "joint training",
} | {
    GAUSSIAN: "Gaussian filter",
    NLM: "non-local means",
    JOINT_FILTERS[GAUSSIAN]: "Gaussian filter after joint training",
    JOINT_FILTERS[NLM]: "non-local means after joint training",
}
BASE = "quarter"  # the run whose compute the controls spend without a denoiser
CONTROLS = {
    "gan-only": "the GAN alone, with as many updates as joint training has",
    "large-gan": "the GAN alone, with as many updates, and the denoiser's operations in a larger generator",
}


def describe_answer(rows: Rows) -> str:
    """The number of each verdict over all runs, epochs and denoisers, with the raw distances that it occurs at."""
    points = [point for curve in build_curves(rows).values() for point in curve]
    if not points:
        return f"Whether denoising helps: {NOT_MEASURED}."
    verdicts = {verdict: [p for p in points if verdict_of(p.ratio) == verdict] for verdict in Verdict}
    parts = [
        f"{verdict} the distance in {len(those)} ({_raw_range(those)})" for verdict, those in verdicts.items() if those
    ]
    case = "case" if len(points) == 1 else "cases"
    exploratory = "; these verdicts are exploratory, not corrected for their number" if len(points) > 1 else ""
    where = f"In {len(points)} {case} (run, epoch and denoiser) of `study compare`"
    return f"{where}, denoising {join_words(parts)}{exploratory}."


def control_ratio(rows: Rows, control: str) -> Estimate | None:
    """The raw distance of a control over that of run BASE, both at their last epoch, paired by seed."""
    base, spent = last_rows(rows, BASE, (MEAN, NONE)), last_rows(rows, control, (NONE,))
    return paired_ratio(base, "raw", spent, "raw")


def describe_control(rows: Rows, control: str) -> str:
    """Whether joint training beats a control of the same compute; empty where the control was not run."""
    control_rows, joint_rows = last_rows(rows, control, (NONE,)), last_rows(rows, BASE, (JOINT,))
    if not control_rows:
        return ""
    raw, denoised = control_ratio(rows, control), paired_ratio(control_rows, "raw", joint_rows, "denoised")
    first = (
        f"Control `{control}` ({CONTROLS.get(control, control)}): its distance is "
        f"{NOT_MEASURED if raw is None else _format_ratio(raw)} the raw distance of `{BASE}`"
    )
    if denoised is None:
        return f"{first}; joint training compared with it: {NOT_MEASURED}."
    conclusions = {
        Verdict.LOWERS: "at equal compute, joint training **is better**",
        Verdict.RAISES: "at equal compute, joint training **is not better**",
        Verdict.UNCLEAR: "no clear difference (the interval includes 1)",
        Verdict.UNTESTED: "whether they differ was not tested (one training, no interval)",
    }
    return (
        f"{first}; the distance of jointly trained, denoised images is {_format_ratio(denoised)} the control's: "
        f"{conclusions[verdict_of(denoised)]}."
    )


def describe_stability(run: str, denoiser: str, rows: Rows) -> str:
    """The spread between the seeds of a run at its last epoch, and how many collapsed; empty for one seed.

    A generator counts as collapsed if its recall is below half of the median seed's.
    """
    last = list(last_rows(rows, run, (denoiser,)).values())
    recalls = [value for row in last if (value := get_number(row, "recall_raw")) is not None]
    if len(last) < 2 or len(recalls) < len(last):
        return ""
    spreads = [f"{name} {_mean_and_std([get_number(row, name) for row in last])}" for name in ("raw", "denoised")]
    collapsed = sum(recall < statistics.median(recalls) / 2 for recall in recalls)
    accuracies = [value for row in last if (value := get_number(row, "pair_accuracy")) is not None]
    accuracy = f"; discriminator accuracy on pairs {100 * statistics.mean(accuracies):.0f} %" if accuracies else ""
    seeds = f"{collapsed or 'no'} seed{'s' if collapsed > 1 else ''}"
    name = DENOISER_NAMES.get(denoiser, denoiser)
    return (
        f"Run `{run}`, {name}, {len(last)} seeds: distance (mean ± standard deviation) "
        f"{join_words(spreads)}; {seeds} collapsed (lowest recall {min(recalls):.3f}){accuracy}."
    )


def describe_cost(denoising: Rows, bench: Rows, threads: object) -> str:
    """The network's weights and time, from the tables of the study; the benchmark has that number of threads."""
    network = [row for row in denoising if row.get("method") == NETWORK]
    times = [value for row in network if (value := get_number(row, "ms_per_image")) is not None]
    weights = next((value for row in network if (value := get_number(row, "parameters")) is not None), None)
    if not times and weights is None:
        return f"The cost of the denoiser: {NOT_MEASURED}."
    parts = [f"{weights:,.0f} weights" if weights is not None else f"weights {NOT_MEASURED}"]
    parts += [f"{statistics.median(times):.2f} ms per image on one thread" if times else f"time {NOT_MEASURED}"]
    fused = [
        (get_number(row, "batch") or 1.0, ms)
        for row in bench
        if row.get("name") == FUSED and (ms := get_number(row, "p50_ms"))
    ]
    text = f"The denoiser costs {join_words(parts)}"
    if not fused or threads != 1:  # times of several threads do not compare with that of one
        return f"{text}."
    batch, ms = max(fused)
    return f"{text}; generator and denoiser fused take {ms / batch:.2f} ms on one thread at batch size {batch:.0f}."


def count_seeds(rows: Rows) -> int:
    """The largest number of seeds that a run was compared with."""
    return max((len(group) for group in group_by_snapshot(rows).values()), default=0)


def describe_seeds(compared: Rows, crossover: Rows, has_latents: bool) -> str:
    """Where there are intervals over several seeds, by the rows of `study compare`, and whether over latents."""
    places = {"figures K and L": crossover, "the section 'Comparison of runs'": compared}
    counts = {place: count for place, rows in places.items() if (count := count_seeds(rows)) > 1}
    over_seeds = join_words(f"{place} (up to {count})" for place, count in counts.items()) if counts else ""
    seeds = f"there are several seeds in {over_seeds}" if counts else ""
    if not has_latents:
        return (seeds and f"{seeds}, with intervals") or "there are no confidence intervals"
    return f"its confidence intervals are over its latents, not over trainings{seeds and f'; {seeds}'}"


def _mean_and_std(values: Sequence[float | None]) -> str:
    measured = [value for value in values if value is not None]
    if len(measured) < 2:
        return NOT_MEASURED
    return f"{statistics.mean(measured):.3f} ± {statistics.stdev(measured):.3f}"


def _raw_range(points: Sequence[Point]) -> str:
    low, high = (f"{end(point.raw for point in points):.3g}" for end in (min, max))
    return f"raw distance {low}" if low == high else f"raw distances {low} to {high}"


def _format_ratio(ratio: Estimate) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.3f} times (one seed, no interval)"
    seeds = f"{ratio.seeds} seeds" if ratio.seeds > 1 else "one seed, over its latents"
    return f"{ratio.value:.3f} times ({ratio.low:.3f} to {ratio.high:.3f}, {seeds})"
