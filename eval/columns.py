"""The columns of all result tables: the key in rows and JSON, the title in tables, and the format of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gan_denoise.eval.labels import NOT_MEASURED

Format = str | Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result table; `format` is a format specification or a function of the number."""

    key: str
    title: str
    format: Format = ""
    is_detail: bool = False  # left out of tables on a terminal; JSON, CSV and markdown have it


def _sigma(sigma: float) -> str:
    """Noise levels that are whole numbers of 255 are printed as such: 15/255."""
    levels = 255 * sigma
    return "0" if not sigma else f"{levels:.0f}/255" if abs(levels - round(levels)) < 1e-6 else f"{sigma:g}"


def _compared(key: str, title: str, form: str = ".3f") -> list[Column]:
    """A metric before and after denoising, with the change and its interval."""
    parts = ("raw", "denoised", "low", "high")
    return [
        Column(f"{key}_change", f"Δ {title}", form),
        *(Column(f"{key}_{part}", f"{title}, {part}", form) for part in parts),
    ]


def _details(key: str) -> list[Column]:
    """What is measured before and after denoising, and not compared."""
    return [Column(f"{key}_{when}", f"{key}, {when}", ".4f", is_detail=True) for when in ("raw", "denoised")]


_ALL = (
    Column("set", "images"),
    Column("features", "features"),
    Column("n", "n", ",d"),
    # eval generation, eval controls, eval ffd
    Column("ffd_1", "FFD-1", ".3f"),
    Column("distance", "Fréchet distance", ".4g"),
    Column("kid", "KID", ".5f"),
    Column("kid_se", "KID, SE", ".5f"),
    Column("precision", "precision", ".3f"),
    Column("recall", "recall", ".3f"),
    Column("density", "density", ".3f"),
    Column("coverage", "coverage", ".3f"),
    Column("sharpness", "sharpness", ".4f"),
    Column("contrast", "contrast", ".4f"),
    Column("noise", "noise", ".4f"),  # in the denoising table the kind of noise
    Column("class_preserved", "class preserved", ".1%"),
    Column("class_accuracy", "class accuracy", ".1%"),
    # eval classes, eval copies
    Column("class", "class"),
    Column("fraction", "fraction", ".1%"),
    Column("real_fraction", "real fraction", ".1%"),
    Column("median_distance", "median distance", ".3f"),
    Column("near_copy_fraction", "near copies", ".2%"),
    # eval denoising
    Column("method", "method"),
    Column("sigma", "sigma", _sigma),
    Column("psnr_db", "PSNR, dB", ".2f"),
    Column("psnr_se", "PSNR, SE", ".2f"),
    Column("ssim", "SSIM", ".4f"),
    Column("gain_db", "gain, dB", "+.2f"),
    Column("worst_gain_db", "worst gain, dB", "+.2f"),
    Column("ms_per_image", "ms/image", ".3f"),
    Column("ms_per_megapixel", "ms/megapixel", ",.0f"),
    Column("parameters", "parameters", ",d"),
    Column("multiply_adds", "multiply-adds", ",d"),
    Column("multiply_adds_per_pixel", "multiply-adds/pixel", ",d"),
    # bench
    Column("name", "backend"),
    Column("batch", "batch"),
    Column("p50_ms", "p50, ms", ".2f"),
    Column("p90_ms", "p90, ms", ".2f"),
    Column("p99_ms", "p99, ms", ".2f"),
    Column("images_per_s", "images/s", ",.0f"),
    Column("repeats", "repeats"),
    Column("spread", "spread", ".0%"),
    Column("stable", "stable"),
    Column("relative_time", "relative time", ".3f"),
    Column("relative_time_low", "relative time, low", ".3f"),
    Column("relative_time_high", "relative time, high", ".3f"),
    Column("largest_difference", "largest difference", ".1e"),
    Column("sgemm_fraction", "of SGEMM", ".0%"),
    Column("node", "node"),
    Column("operator", "operator"),
    Column("ms", "ms", ".3f"),
    # study compare and its report
    Column("run", "run"),
    Column("seed", "seed"),
    Column("seeds", "seeds"),
    Column("epoch", "epoch"),
    Column("denoiser", "denoiser"),
    Column("effect", "effect"),
    Column("real", "real", ".4g"),
    Column("raw", "raw", ".4g"),
    Column("denoised", "denoised", ".4g"),
    Column("raw_sd", "raw, SD", ".2g"),
    Column("denoised_sd", "denoised, SD", ".2g"),
    Column("against", "against"),
    Column("lower", "lower at"),
    Column("p", "p", ".3g"),
    Column("smallest_p", "smallest p", ".3g"),
    Column("ratio", "ratio", ".3f"),
    Column("ratio_low", "ratio, low", ".3f"),
    Column("ratio_high", "ratio, high", ".3f"),
    Column("alone", "generator alone", ".4g"),
    Column("alone_ratio", "ratio to alone", ".3f"),
    Column("alone_ratio_low", "ratio to alone, low", ".3f", is_detail=True),
    Column("alone_ratio_high", "ratio to alone, high", ".3f", is_detail=True),
    Column("excess_ratio", "ratio above real", ".3f"),
    *(Column(f"kid_{images}", f"KID, {images}", ".5f", is_detail=True) for images in ("real", "raw", "denoised")),
    Column("kid_max_se", "KID, largest SE", ".5f", is_detail=True),
    *_details("sharpness"),
    *_details("noise"),
    Column("width_px", "width, px"),
    Column("seconds", "seconds", ".0f", is_detail=True),
    *_compared("precision", "precision"),
    *_compared("recall", "recall"),
    *(Column(f"psnr_{level}", f"PSNR at {level}/255", ".2f") for level in (15, 25, 50)),
    Column("clean_db", "PSNR, clean", ".2f"),
    Column("pair_accuracy", "pair accuracy"),
    Column("denoised_pair_accuracy", "pair accuracy, denoised"),
)
COLUMNS = {column.key: column for column in _ALL}


def title_of(key: str) -> str:
    """The title of a column in tables; the key itself where the column is not in COLUMNS."""
    return COLUMNS[key].title if key in COLUMNS else key


def is_detail(key: str) -> bool:
    """Whether a column is left out of tables on a terminal."""
    return key in COLUMNS and COLUMNS[key].is_detail


def format_value(key: str, value: Any) -> str:
    """A value as the tables print it; a missing value or NaN is "not measured", never 0."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "NO"
    form = COLUMNS[key].format if key in COLUMNS else ""
    if form and is_number(value):
        return form(value) if callable(form) else format(value, form)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def is_number(value: Any) -> bool:
    """Whether the value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
