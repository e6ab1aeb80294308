"""The report's sentences and tables follow the numbers in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from gan_denoise.eval.labels import REAL_BASELINE
from gan_denoise.markdown import code, escape_markdown, markdown_table
from gan_denoise.study.report import results_text as words
from gan_denoise.study.report import training_text as training
from gan_denoise.study.report.tables import denoising_table


def generation(raw: float | None, denoised: float | None, **fields: tuple[float, float, float]) -> list[dict[str, Any]]:
    """Rows of the generation table; `fields` are (raw, denoised, real)."""
    sets = (("raw", raw), ("denoised", denoised), (REAL_BASELINE, 0.1))
    rows: list[dict[str, Any]] = [{"set": name, "n": 200, "ffd_1": f} for name, f in sets]
    for name, values in fields.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


def denoising(network: list[float], median: list[float]) -> list[dict[str, Any]]:
    """Rows of the denoising table at 15/255, 25/255 and 0.3."""
    sigmas = (15 / 255, 25 / 255, 0.3)
    both = {"network": network, "median": median}
    return [
        {"method": m, "noise": "float", "sigma": s, "psnr_db": v, "ssim": 0.5, "ms_per_image": 1.0, "n": 8}
        for m, values in both.items()
        for s, v in zip(sigmas, values, strict=True)
    ]


def bench(fused_ms: float, other_ms: float, spread: float = 0.0) -> list[dict[str, Any]]:
    times = {"fused": fused_ms, "two graphs": other_ms}
    return [{"name": n, "batch": 8, "p50_ms": t, "spread": spread, "stable": spread <= 0.2} for n, t in times.items()]


@pytest.mark.parametrize(
    ("raw", "denoised", "said"),
    [
        (8.0, 4.0, "**lowers** the Fréchet distance of the generated images from 8.000 to 4.000"),
        (4.0, 8.0, "**raises** the Fréchet distance of the generated images from 4.000 to 8.000"),
        (8.0, 8.1, "hardly changes"),
        (None, 8.1, "not measured"),
    ],
)
def test_frechet(raw: float | None, denoised: float | None, said: str) -> None:
    text = words.describe_frechet(generation(raw, denoised))
    assert said in text
    assert ("by a factor of 2.00" in text) == ("**" in said)
    assert ("closer to" in text, "further from" in text) == ("lowers" in said, "raises" in said)


@pytest.mark.parametrize(
    ("sharpness", "contrast", "said"),
    [
        ((0.1, 0.2, 0.3), (0.1, 0.2, 0.3), "the claim **holds**"),
        ((0.2, 0.1, 0.3), (0.1, 0.2, 0.3), "**holds for contrast alone**"),
        ((0.1, 0.2, 0.3), (0.2, 0.2, 0.3), "contrast hardly moves"),
        ((0.2, 0.1, 0.3), (0.2, 0.1, 0.3), "sharpness falls from 0.2000 to 0.1000 (-50\u00a0%, real images 0.3000)"),
        ((0.2, 0.1, 0.3), (0.2, 0.1, 0.3), "the claim **does not hold**"),
    ],
)
def test_claim(sharpness: tuple[float, float, float], contrast: tuple[float, float, float], said: str) -> None:
    assert said in words.describe_claim(generation(1, 1, sharpness=sharpness, contrast=contrast))
    assert "**is untested**" in words.describe_claim(generation(1, 1))


@pytest.mark.parametrize(
    ("noise", "said"),
    [((0.05, 0.01, 0.02), "hold more noise"), ((0.01, 0.01, 0.02), "less"), ((0.02, 0.01, 0.02), "as much noise as")],
)
def test_noise(noise: tuple[float, float, float], said: str) -> None:
    text = words.describe_noise(generation(1, 1, noise=noise))
    assert said in text
    assert ("no surplus" in text) == (said == "less")


def test_denoising_names_where_the_network_wins_and_loses() -> None:
    mixed = denoising([20, 24, 18], [22, 22, 17.5])
    both = "beats the median filter at 25/255 and 0.3 (by 0.5 to 2.0 dB) and loses to it at 15/255 (by 2.0 dB)"
    assert words.describe_against(mixed, "median", "float") == f"The network {both}."
    assert words.describe_best(mixed, "float").endswith(
        "the median filter at 15/255 and the network at 25/255 and 0.3."
    )
    wins, losses = denoising([23, 23, 23], [20, 21, 22]), denoising([20, 21, 22], [23, 23, 23])
    assert "beats the median filter at every strength (by 1.0 to 3.0 dB)." in words.describe_against(
        wins, "median", "float"
    )
    assert "loses to the median filter at every strength" in words.describe_against(losses, "median", "float")
    assert "is level with" in words.describe_against(denoising([20, 21, 22], [20, 21, 22]), "median", "float")
    assert words.describe_against(wins, "wavelet", "float") == "Against wavelet shrinkage: not measured."
    assert words.describe_best(wins, "8-bit").endswith("not measured.")
    assert "| network | 20.00, 0.500 | **24.00**, 0.500 | **18.00**, 0.500 | 1.000 |" in denoising_table(mixed, "float")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (bench(1.0, 1.5), "is faster at batch 8 (1.50 times)"),
        (bench(1.5, 1.0), "is slower at batch 8 (1.50 times)"),
        (bench(1.0, 1.04), "shows no difference at batch 8"),
        (bench(1.0, 1.5, spread=0.6), "shows no difference at batch 8"),
        ([], "was not measured"),
    ],
)
def test_speed(rows: list[dict[str, Any]], said: str) -> None:
    assert words.describe_faster(rows, "two graphs") == f"Against two graphs the fused graph {said}."
    assert bool(words.describe_unstable(rows)) == (bool(rows) and rows[0]["spread"] > 0.2)


def test_training_is_judged_from_its_log() -> None:
    def said(real: float, fake: float) -> str:
        return training.describe_discriminator([{"accuracy_real": real, "accuracy_fake": fake}])

    assert "**it has saturated**" in said(0.995, 0.999)
    assert "it has not saturated" in said(0.7, 0.999)
    assert "guessing" in said(0.5, 0.55)
    assert "higher in 70.0 % of pairs: it has not saturated" in training.describe_discriminator(
        [{"pair_accuracy": 0.7}]
    )
    assert "in 55.0 % of pairs: little better than guessing" in training.describe_discriminator(
        [{"pair_accuracy": 0.55}]
    )
    assert "in 99.5 % of pairs: **it has saturated**" in training.describe_discriminator([{"pair_accuracy": 0.995}])
    assert "**the generator has collapsed**" in training.describe_variety(0.01, 0.27)
    assert "has not collapsed" in training.describe_variety(0.01, 0.05)  # images that are all alike
    assert "is 0.200; that of real ones: not measured." in training.describe_variety(0.2, None)
    rising = [{"epoch": e, "psnr_db": v} for e, v in ((1, 20.0), (2, 23.0), (3, 22.0))]
    assert "rises from 20.00 dB after epoch 1 to 22.00 dB after epoch 3; its best was 23.00 dB after epoch 2" in (
        training.describe_denoiser_training(rising, 60_000)
    )
    assert "falls from 22.00 dB" in training.describe_denoiser_training(
        [{**row, "epoch": 4 - row["epoch"]} for row in reversed(rising)], 55_000
    )
    assert "were part of the training" in training.describe_denoiser_training(rising, 55_001)
    assert "were not part of the training" in training.describe_denoiser_training(rising, 55_000)
    assert training.describe_progress("GAN", rising, {"epochs": 3}) == ""
    assert training.describe_progress("GAN", rising, {"epochs": 5}) == "The GAN is unfinished: 3 of 5 epochs."
    assert "as the paper says" in training.describe_budget("paper", {"epochs": 20}, {"epochs": 20})
    assert "**not figures of the paper's budget**" in training.describe_budget("smoke", {"epochs": 2}, {})
    ours = training.describe_budget("best", {"epochs": 20, "batch": 64}, {"epochs": 20})
    assert "as the paper says, in batches of 64 where the paper has 256" in ours
    assert "is not known" in training.describe_budget(None, {}, {})


def test_markdown_cells_mean_nothing_but_themselves() -> None:
    assert escape_markdown("a|b <i> [x](y) *z*\n") == r"a\|b \<i\> \[x\](y) \*z\*?"
    assert code("a") == "`a`"
    assert code("`a``b") == "``` `a``b ```"
    assert markdown_table(["x", "y"], [["a", "**1**"]]) == "| x | y |\n| --- | ---: |\n| a | **1** |"
