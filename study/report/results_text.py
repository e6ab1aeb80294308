"""What the study's numbers say, in words: pure functions of rows, true whichever way the numbers came out."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gan_denoise.eval.bench.timing import UNSTABLE
from gan_denoise.eval.columns import format_value
from gan_denoise.eval.labels import DENOISED, FUSED, NETWORK, NOISY, NOT_MEASURED, RAW, REAL_BASELINE
from gan_denoise.study.rows import Row, Rows, join_words, number, row_of

SAME = 0.02  # relative change that counts as none
SAME_DB = 0.05  # dB
SAME_TIME = 0.05  # the least relative difference of times that is worth a word

METHODS = {
    NOISY: "the noisy image left as it is",
    NETWORK: "the network",
    "Gaussian": "the Gaussian filter",
    "median": "the median filter",
    "total variation": "total variation",
    "wavelet": "wavelet shrinkage",
    "non-local means": "non-local means",
    "BM3D": "BM3D",
    "support-vector regression": "support-vector regression",
}


def describe_frechet(rows: Rows) -> str:
    """Whether the denoiser brings the generated images closer to real ones."""
    raw, denoised, floor = (number(row_of(rows, set=name), "ffd_1") for name in (RAW, DENOISED, REAL_BASELINE))
    if raw is None or denoised is None:
        return f"The Fréchet distance with and without the denoiser: {NOT_MEASURED}."
    beside = NOT_MEASURED if floor is None else f"{floor:.3f}"
    end = f"from {raw:.3f} to {denoised:.3f} (real images among themselves: {beside})"
    if _same(raw, denoised):
        return f"The denoiser hardly changes the Fréchet distance of the generated images, {end}."
    verb, where = ("lowers", "closer to") if denoised < raw else ("raises", "further from")
    factor = f", by a factor of {max(raw, denoised) / min(raw, denoised):.2f}" if min(raw, denoised) > 0 else ""
    return (
        f"The denoiser **{verb}** the Fréchet distance of the generated images {end}{factor}: "
        f"by this measure it takes them {where} real ones."
    )


def describe_claim(rows: Rows) -> str:
    """The claim that the denoiser improves sharpness and contrast, held against the numbers."""
    moves, held = [], []
    for name in ("sharpness", "contrast"):
        raw, denoised, real = (number(row_of(rows, set=kind), name) for kind in (RAW, DENOISED, REAL_BASELINE))
        if raw is None or denoised is None:
            moves.append(f"{name} was not measured")
            continue
        verb = "hardly moves" if _same(raw, denoised) else "rises" if denoised > raw else "falls"
        beside = "" if real is None else f", real images {real:.4f}"
        moves.append(f"{name} {verb} from {raw:.4f} to {denoised:.4f} ({_percent(raw, denoised)}{beside})")
        held += [name] if verb == "rises" else []
    verdict = {0: "does not hold", 1: f"holds for {''.join(held)} alone", 2: "holds"}[len(held)]
    if len(moves) == sum("not measured" in move for move in moves):
        verdict = "is untested"
    return f"The paper's readme claims sharper images with more contrast. Here {join_words(moves)}: the claim **{verdict}**."


def describe_noise(rows: Rows) -> str:
    """Whether generated images hold noise that a denoiser could remove, by the wavelet estimate."""
    raw, denoised, real = (number(row_of(rows, set=kind), "noise") for kind in (RAW, DENOISED, REAL_BASELINE))
    if raw is None or real is None:
        return f"Noise in generated and in real images: {NOT_MEASURED}."
    if _same(real, raw, 0.1):
        text = f"By the wavelet estimate generated images hold as much noise as real ones ({raw:.4f} and {real:.4f})"
    else:
        more = raw > real
        text = (
            f"By the wavelet estimate generated images hold {'more' if more else 'less'} noise than real ones "
            f"({raw:.4f} against {real:.4f}){'' if more else ', so there is no surplus for a denoiser to remove'}"
        )
    after = NOT_MEASURED if denoised is None else f"{denoised:.4f}"
    return f"{text}; after the denoiser it is {after}."


def describe_shares(rows: Rows) -> str:
    """How exact the shares among so many images are: the binomial standard error where it is largest."""
    counts = [count for row in rows if (count := number(row, "n"))]
    if not counts:
        return ""
    count = min(counts)
    return f" A share of {count:,.0f} images has a standard error of at most {0.5 / math.sqrt(count):.3f}."


def describe_best(rows: Rows, noise: str) -> str:
    """Which method has the best PSNR at each strength of one kind of noise."""
    winners: dict[str, list[str]] = {}
    for sigma in strengths_of(rows, noise):
        here = [(value, str(row["method"])) for row in rows if (value := _psnr(row, noise, sigma)) is not None]
        if here:
            winners.setdefault(max(here)[1], []).append(format_value("sigma", sigma))
    if not winners:
        return f"Denoising of real images: {NOT_MEASURED}."
    parts = [f"{METHODS.get(method, method)} at {join_words(where)}" for method, where in winners.items()]
    return f"The best PSNR on noisy test images comes from {join_words(parts)}."


def describe_against(rows: Rows, method: str, noise: str) -> str:
    """At which strengths the network has a better PSNR than another method, and where it loses."""
    name = METHODS.get(method, method)
    gains: dict[str, dict[str, float]] = {"beats": {}, "is level with": {}, "loses to": {}}
    for sigma in strengths_of(rows, noise):
        ours, theirs = (_psnr_of(rows, m, noise, sigma) for m in (NETWORK, method))
        if ours is not None and theirs is not None:
            gain = ours - theirs
            verb = "is level with" if abs(gain) < SAME_DB else "beats" if gain > 0 else "loses to"
            gains[verb][format_value("sigma", sigma)] = abs(gain)
    found = {verb: there for verb, there in gains.items() if there}
    if not found:
        return f"Against {name}: {NOT_MEASURED}."
    everywhere = "at every strength" if len(found) == 1 else ""
    parts = [
        f"{verb} {name if i == 0 else 'it'} {everywhere or 'at ' + join_words(there)}{_by(verb, there.values())}"
        for i, (verb, there) in enumerate(found.items())
    ]
    return f"The network {join_words(parts)}."


def sigmas_of(rows: Rows, noise: str) -> list[float]:
    """The strengths of one kind of noise in the order of the rows."""
    return list(dict.fromkeys(float(row["sigma"]) for row in rows if row.get("noise") == noise and "sigma" in row))


def strengths_of(rows: Rows, noise: str) -> list[float]:
    """The same without 0, where a method that is told so returns its input and nothing can be compared."""
    return [sigma for sigma in sigmas_of(rows, noise) if sigma > 0]


def describe_faster(rows: Rows, other: str) -> str:
    """The fused graph's median time against another contender's, batch by batch.

    A difference within 5 % or within the spread of either row is called none.
    """
    outcomes: dict[str, list[str]] = {"is faster": [], "is slower": [], "shows no difference": []}
    for batch in dict.fromkeys(row.get("batch") for row in rows):
        ours, theirs = (row_of(rows, name=name, batch=batch) for name in (FUSED, other))
        mine, its = number(ours, "p50_ms"), number(theirs, "p50_ms")
        if mine and its:
            spread = max(SAME_TIME, *(number(row, "spread") or 0.0 for row in (ours, theirs)))
            ratio = its / mine
            level = max(ratio, 1 / ratio) - 1 <= spread
            verb = "shows no difference" if level else "is faster" if ratio > 1 else "is slower"
            outcomes[verb].append(f"{batch}" if level else f"{batch} ({max(ratio, 1 / ratio):.2f} times)")
    parts = [f"{verb} at batch {join_words(where)}" for verb, where in outcomes.items() if where]
    return f"Against {other} the fused graph {join_words(parts) if parts else 'was ' + NOT_MEASURED}."


def describe_unstable(rows: Rows) -> str:
    """How many rows of the benchmark are not to be trusted, or nothing."""
    count = sum(row.get("stable") is False for row in rows)
    limit = f"{UNSTABLE:.0%}".replace("%", " %")
    return f"{count} of {len(rows)} rows are unstable: their rounds differ by more than {limit}." if count else ""


def _psnr(row: Row, noise: str, sigma: float) -> float | None:
    return number(row, "psnr_db") if row.get("noise") == noise and row.get("sigma") == sigma else None


def _psnr_of(rows: Rows, method: str, noise: str, sigma: float) -> float | None:
    return number(row_of(rows, method=method, noise=noise, sigma=sigma), "psnr_db")


def _by(verb: str, decibels: Iterable[float]) -> str:
    low, high = min(decibels := list(decibels)), max(decibels)
    if verb == "is level with":
        return ""
    return f" (by {low:.1f} dB)" if f"{low:.1f}" == f"{high:.1f}" else f" (by {low:.1f} to {high:.1f} dB)"


def _same(before: float, after: float, band: float = SAME) -> bool:
    return abs(after - before) <= band * abs(before)


def _percent(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.0f}\u00a0%" if before else "from 0"
