"""Sentences about the study's result tables: pure functions of rows, true whatever the numbers are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from gan_denoise.eval.bench.timing import UNSTABLE
from gan_denoise.eval.columns import format_value
from gan_denoise.eval.generation.subsets import ALL_CLASSES
from gan_denoise.eval.labels import DENOISED, FUSED, NETWORK, NOISY, NOT_MEASURED, RAW, REAL_BASELINE
from gan_denoise.markdown import escape_markdown
from gan_denoise.study.compare.statistics import Estimate
from gan_denoise.study.report.verdict import Verdict, verdict_of
from gan_denoise.study.rows import Rows, find_row, get_number, join_words

SAME = 0.02  # a relative change of sharpness or contrast up to this counts as none
SAME_DISTANCE = 1e-3  # relative: of the same images, measured again
SAME_NOISE = 0.1  # the same for the wavelet estimate of noise
SAME_DB = 0.05  # dB
SAME_TIME = 0.05  # a relative difference of times up to this counts as none

METHODS = {
    NOISY: "the noisy image",
    NETWORK: "the network",
    "Gaussian": "the Gaussian filter",
    "median": "the median filter",
    "total variation": "total variation",
    "wavelet": "wavelet shrinkage",
    "non-local means": "non-local means",
    "BM3D": "BM3D",
    "support-vector regression": "support-vector regression",
}


DISTANCES = {
    "ffd_1": "FFD-1, the Fréchet distance of the generated images to real ones",
    "distance": "the Fréchet distance of the generated images to real ones",
    "kid": "the kernel distance (KID) of the generated images to real ones",
}


def describe_distance(rows: Rows, subsets: Rows) -> str:
    """Whether denoising moves the generated images closer to real ones, and whether that costs detail.

    `subsets` has the interval of the ratio of distances over the latents, of as many images.
    """
    key = _distance_key(rows)
    raw, denoised, baseline = (get_number(find_row(rows, set=name), key) for name in (RAW, DENOISED, REAL_BASELINE))
    verdict, ratio = distance_verdict(rows, subsets), _latents_ratio(rows, subsets)
    if verdict is None or raw is None or denoised is None:
        return f"FFD-1 before and after denoising: {NOT_MEASURED}."
    form = {"ffd_1": ".3f", "distance": ".4g", "kid": ".5f"}[key]
    real = NOT_MEASURED if baseline is None else f"{baseline:{form}}"
    values = f"from {raw:{form}} to {denoised:{form}} (real images: {real})"
    times = f", {ratio.value:.3g} times" if ratio else f", {denoised / raw:.3g} times" if key != "kid" and raw else ""
    interval = f" (95 % interval over the latents {ratio.low:.3g} to {ratio.high:.3g})" if ratio else ""
    ends = {
        Verdict.LOWERS: f": by this metric the denoised images are closer to real ones{_detail_loss(rows)}",
        Verdict.RAISES: ": by this metric the denoised images are further from real ones",
        Verdict.UNTESTED: "; no interval was measured",
    }
    return f"The denoiser {verdict} {DISTANCES[key]}, {values}{times}{interval}{ends.get(verdict, '')}."


def distance_verdict(rows: Rows, subsets: Rows) -> Verdict | None:
    """The effect of denoising on the distance to real images; None where there is no distance.

    By the interval over the latents; a difference of KID is clear above two of its standard errors.
    """
    key = _distance_key(rows)
    raw, denoised = (get_number(find_row(rows, set=name), key) for name in (RAW, DENOISED))
    if raw is None or denoised is None:
        return None
    if key != "kid":
        return verdict_of(_latents_ratio(rows, subsets))
    errors = [get_number(find_row(rows, set=name), "kid_se") for name in (RAW, DENOISED)]
    known = [error for error in errors if error is not None]
    if len(known) < 2:
        return Verdict.UNTESTED
    if abs(denoised - raw) <= 2 * max(known):
        return Verdict.UNCLEAR
    return Verdict.LOWERS if denoised < raw else Verdict.RAISES


def _latents_ratio(rows: Rows, subsets: Rows) -> Estimate | None:
    """The ratio of distances with its interval over the latents; None where `subsets` are not of the table's images."""
    table = find_row(rows, set=RAW) or {}
    row = find_row(subsets, **{"class": ALL_CLASSES, "n": table.get("n")})
    raw, same = (get_number(found, name) for found, name in ((table, _distance_key(rows)), (row, "raw")))
    if raw is None or same is None or not math.isclose(raw, same, rel_tol=SAME_DISTANCE):
        return None
    ratio, low, high = (get_number(row, name) for name in ("ratio", "ratio_low", "ratio_high"))
    return None if ratio is None or low is None or high is None else Estimate(ratio, low, high, seeds=1)


def _distance_key(rows: Rows) -> str:
    """FFD-1, another Fréchet distance, or KID where there are too few images for one."""
    raw = find_row(rows, set=RAW)
    return next((key for key in DISTANCES if get_number(raw, key) is not None), "ffd_1")


def describe_training_effect(
    here: Verdict | None, there: Verdict | None, epochs: object, published_epochs: int, is_joint: bool
) -> str:
    """Why this run and the published run of preset `paper` have opposite effects on FFD-1; empty where not."""
    if {here, there} != {Verdict.LOWERS, Verdict.RAISES}:  # else chance explains the difference
        return ""
    if is_joint:
        reason = "this run trains generator and denoiser jointly, the published run trains them separately"
    elif epochs != published_epochs:
        reason = f"this run trains the GAN for {epochs} epochs, the published run for {published_epochs}"
    else:
        reason = "the two runs train different networks"
    return (
        f"The effect depends on the networks and their training: denoising {here} FFD-1 in this run and {there} it in "
        f"the published run; {reason}."
    )


def describe_claim(rows: Rows) -> str:
    """Whether the numbers support the claim that the denoiser improves sharpness and contrast."""
    changes, supported = [], []
    for name in ("sharpness", "contrast"):
        raw, denoised, real = (get_number(find_row(rows, set=kind), name) for kind in (RAW, DENOISED, REAL_BASELINE))
        if raw is None or denoised is None:
            changes.append(f"{name} was {NOT_MEASURED}")
            continue
        verb = "hardly changes," if _is_same(raw, denoised) else "rises" if denoised > raw else "falls"
        of_real = "" if real is None else f"; real images: {real:.4f}"
        changes.append(f"{name} {verb} from {raw:.4f} to {denoised:.4f} ({_percent(raw, denoised)}{of_real})")
        supported += [name] if verb == "rises" else []
    verdict = {0: "does not hold", 1: f"holds for {''.join(supported)} only", 2: "holds"}[len(supported)]
    if all(NOT_MEASURED in change for change in changes):
        verdict = "is untested"
    claim = "The paper's readme claims sharper images with more contrast."
    return f"{claim} Here {join_words(changes)}: the claim **{verdict}**."


def describe_noise(rows: Rows) -> str:
    """Whether generated images contain noise that a denoiser could remove, by the wavelet estimate."""
    raw, denoised, real = (get_number(find_row(rows, set=kind), "noise") for kind in (RAW, DENOISED, REAL_BASELINE))
    if raw is None or real is None:
        return f"Noise in generated and in real images: {NOT_MEASURED}."
    values = f"{raw:.4f} and {real:.4f}"
    if _is_same(real, raw, SAME_NOISE):
        text = f"By the wavelet estimate, generated images contain as much noise as real ones ({values})"
    elif raw > real:
        text = f"By the wavelet estimate, generated images contain more noise than real ones ({values})"
    else:
        text = f"By the wavelet estimate, generated images contain less noise than real ones ({values})"
    after = NOT_MEASURED if denoised is None else f"{denoised:.4f}"
    return f"{text}; after denoising it is {after}."


def describe_fraction_error(rows: Rows) -> str:
    """The largest binomial standard error of a fraction of this many images."""
    counts = [count for row in rows if (count := get_number(row, "n"))]
    if not counts:
        return ""
    count = min(counts)
    return f" A fraction of {count:,.0f} images has a standard error of at most {0.5 / math.sqrt(count):.3f}."


def describe_best_method(rows: Rows, noise: str) -> str:
    """Which method has the best PSNR at each noise level of one kind of noise."""
    winners: dict[str, list[str]] = {}
    for sigma in positive_sigmas(rows, noise):
        methods = [str(row["method"]) for row in rows if row.get("noise") == noise and row.get("sigma") == sigma]
        measured = [(psnr, method) for method in methods if (psnr := psnr_of(rows, method, noise, sigma)) is not None]
        if measured:
            winners.setdefault(max(measured)[1], []).append(format_value("sigma", sigma))
    if not winners:
        return f"Denoising of real images: {NOT_MEASURED}."
    parts = [f"{METHODS.get(method, method)} at sigma {join_words(sigmas)}" for method, sigmas in winners.items()]
    return f"On noisy test images the highest PSNR is that of {join_words(parts)}."


def describe_method_comparison(rows: Rows, method: str, noise: str) -> str:
    """The noise levels at which the network has a higher, an equal or a lower PSNR than another method."""
    name = METHODS.get(method, method)
    gains: dict[str, dict[str, float]] = {"higher": {}, "equal": {}, "lower": {}}
    for sigma in positive_sigmas(rows, noise):
        network, other = (psnr_of(rows, m, noise, sigma) for m in (NETWORK, method))
        if network is not None and other is not None:
            gain = network - other
            outcome = "equal" if abs(gain) < SAME_DB else "higher" if gain > 0 else "lower"
            gains[outcome][format_value("sigma", sigma)] = abs(gain)
    outcomes = {outcome: by_sigma for outcome, by_sigma in gains.items() if by_sigma}
    if not outcomes:
        return f"The network and {name}: {NOT_MEASURED}."
    parts = [
        f"{outcome} {'at every noise level' if len(outcomes) == 1 else 'at sigma ' + join_words(by_sigma)}"
        f"{_decibel_range(by_sigma.values()) if outcome != 'equal' else ''}"
        for outcome, by_sigma in outcomes.items()
    ]
    return f"The network's PSNR, compared with {name}, is {join_words(parts)}."


def list_sigmas(rows: Rows, noise: str) -> list[float]:
    """The noise levels of one kind of noise in the order of the rows."""
    return list(dict.fromkeys(float(row["sigma"]) for row in rows if row.get("noise") == noise and "sigma" in row))


def positive_sigmas(rows: Rows, noise: str) -> list[float]:
    """The noise levels above 0; at 0 a filter that knows sigma returns its input, so there is nothing to compare."""
    return [sigma for sigma in list_sigmas(rows, noise) if sigma > 0]


def psnr_of(rows: Rows, method: str, noise: str, sigma: float) -> float | None:
    """The PSNR of a method in dB; None where it was not measured."""
    return get_number(find_row(rows, method=method, noise=noise, sigma=sigma), "psnr_db")


def describe_speed(rows: Rows, backend: str) -> str:
    """The fused graph's median latency compared with another backend's, for each batch size.

    A difference within 5 %, or within the spread of either row, counts as none.
    """
    outcomes: dict[str, list[str]] = {"faster": [], "slower": [], "equally fast": []}
    for batch in dict.fromkeys(row.get("batch") for row in rows):
        pair = [find_row(rows, name=name, batch=batch) for name in (FUSED, backend)]
        fused_ms, backend_ms = (get_number(row, "p50_ms") for row in pair)
        if fused_ms and backend_ms:
            spread = max(SAME_TIME, *(get_number(row, "spread") or 0.0 for row in pair))
            factor = max(backend_ms / fused_ms, fused_ms / backend_ms)
            if factor - 1 <= spread:
                outcomes["equally fast"].append(f"{batch}")
            else:
                outcomes["faster" if backend_ms > fused_ms else "slower"].append(f"{batch} ({factor:.2f} times)")
    parts = [f"{outcome} at batch size {join_words(batches)}" for outcome, batches in outcomes.items() if batches]
    return f"Compared with {backend}, the fused graph {'is ' + join_words(parts) if parts else 'was ' + NOT_MEASURED}."


def describe_unstable(rows: Rows) -> str:
    """How many rows of the benchmark are unreliable; empty for none."""
    count = sum(row.get("stable") is False for row in rows)
    limit = f"{UNSTABLE:.0%}".replace("%", " %")
    return f"{count} of {len(rows)} rows are unstable: their rounds differ by more than {limit}." if count else ""


def describe_busy(notes: Mapping[str, str]) -> str:
    """That other programs used the cores during the benchmark; empty where they did not."""
    return f"Measured on a busy machine: {escape_markdown(notes['busy'])}." if "busy" in notes else ""


def _detail_loss(rows: Rows) -> str:
    """That denoising costs sharpness; empty where it does not."""
    raw, denoised = (get_number(find_row(rows, set=kind), "sharpness") for kind in (RAW, DENOISED))
    if raw is None or denoised is None or denoised >= raw or _is_same(raw, denoised):
        return ""
    return f", at the cost of detail (sharpness {_percent(raw, denoised)})"


def _decibel_range(gains: Iterable[float]) -> str:
    low, high = min(gains := list(gains)), max(gains)
    return f" (by {low:.1f} dB)" if f"{low:.1f}" == f"{high:.1f}" else f" (by {low:.1f} to {high:.1f} dB)"


def _is_same(before: float, after: float, tolerance: float = SAME) -> bool:
    return abs(after - before) <= tolerance * abs(before)


def _percent(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.0f}\u00a0%" if before else "from 0"
