"""The report's sentences and tables follow the numbers, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from gan_denoise.eval.labels import REAL_BASELINE
from gan_denoise.markdown import code, escape_markdown, markdown_table
from gan_denoise.study.report import results_text as text
from gan_denoise.study.report import training_text as training
from gan_denoise.study.report.tables import denoising_table
from gan_denoise.study.report.verdict import Verdict


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


def subsets(raw: float, low: float, high: float, n: int = 200) -> list[dict[str, Any]]:
    """The rows of `eval subsets`: fewer images, as many as the table has, and a class."""
    others = {"raw": raw, "ratio": 9.0, "ratio_low": 8.0, "ratio_high": 10.0}
    whole = {"class": "all", "n": n, "raw": raw, "ratio": (low + high) / 2, "ratio_low": low, "ratio_high": high}
    return [{"class": "all", "n": n // 2, **others}, whole, {"class": "coat", "n": n, **others}]


@pytest.mark.parametrize(
    ("raw", "denoised", "interval", "said"),
    [
        (8.0, 4.0, (0.4, 0.6), "**lowers** FFD-1, the Fréchet distance of the generated images to real ones, from "
         "8.000 to 4.000"),
        (4.0, 8.0, (1.5, 2.5), "**raises** FFD-1, the Fréchet distance of the generated images to real ones, from "
         "4.000 to 8.000"),
        (8.0, 6.4, (0.5, 1.1), "has no clear effect on FFD-1"),
    ],
)  # fmt: skip
def test_frechet(raw: float, denoised: float, interval: tuple[float, float], said: str) -> None:
    sentence = text.describe_distance(generation(raw, denoised), subsets(raw, *interval))
    assert said in sentence
    ratio = sum(interval) / 2
    assert f", {ratio:.3g} times (95 % interval over the latents {interval[0]} to {interval[1]})" in sentence
    assert ("closer to" in sentence, "further from" in sentence) == ("lowers" in said, "raises" in said)


def test_without_an_interval_of_as_many_images_there_is_no_verdict() -> None:
    for others in ([], subsets(8.0, 0.4, 0.6, n=100), subsets(8.1, 0.4, 0.6)):  # the last are of another model
        sentence = text.describe_distance(generation(8.0, 4.0), others)
        assert sentence.startswith("The denoiser has an untested effect on FFD-1")
        assert "from 8.000 to 4.000" in sentence
        assert sentence.endswith(", 0.5 times; no interval was measured.")
    assert "not measured" in text.describe_distance(generation(None, 8.1), subsets(8.0, 0.4, 0.6))


@pytest.mark.parametrize(
    ("kids", "error", "verdict"),
    [
        ((0.010, 0.004), 0.002, Verdict.LOWERS),
        ((0.004, 0.010), 0.002, Verdict.RAISES),
        ((0.010, 0.007), 0.002, Verdict.UNCLEAR),
        ((0.010, 0.010), 0.0, Verdict.UNCLEAR),
        ((0.010, 0.004), None, Verdict.UNTESTED),
    ],
)
def test_kid_has_its_standard_error_for_an_interval(
    kids: tuple[float, float], error: float | None, verdict: Verdict
) -> None:
    sets = zip(("raw", "denoised"), kids, strict=True)
    rows = [{"set": name, "n": 200, "kid": kid, "kid_se": error} for name, kid in sets]
    assert text.distance_verdict(rows, subsets(1.0, 0.4, 0.6)) == verdict
    assert f"The denoiser {verdict} the kernel distance (KID)" in text.describe_distance(rows, [])


@pytest.mark.parametrize(
    ("interval", "sharpness", "said"),
    [
        ((0.4, 0.6), (0.2, 0.1, 0.3), "closer to real ones, at the cost of detail (sharpness -50\u00a0%)."),
        ((0.4, 0.6), (0.2, 0.199, 0.3), "closer to real ones."),
        ((0.4, 0.6), (0.1, 0.2, 0.3), "closer to real ones."),
        ((1.9, 2.1), (0.2, 0.1, 0.3), "further from real ones."),
    ],
)
def test_a_lower_distance_at_the_cost_of_detail(
    interval: tuple[float, float], sharpness: tuple[float, float, float], said: str
) -> None:
    rows = generation(1.0, sum(interval) / 2, sharpness=sharpness)
    assert text.describe_distance(rows, subsets(1.0, *interval)).endswith(said)


@pytest.mark.parametrize(
    ("here", "there", "epochs", "is_joint", "said"),
    [
        (Verdict.LOWERS, Verdict.RAISES, 3, False, "**lowers** FFD-1 in this run and **raises** it in the published "
         "run; this run trains the GAN for 3 epochs, the published run for 20."),
        (Verdict.LOWERS, Verdict.RAISES, 20, True, "**lowers** FFD-1 in this run and **raises** it in the published "
         "run; this run trains generator and denoiser jointly, the published run trains them separately."),
        (Verdict.LOWERS, Verdict.RAISES, 20, False, "**lowers** FFD-1 in this run and **raises** it in the published "
         "run; the two runs train different networks."),
        (Verdict.UNCLEAR, Verdict.RAISES, 20, False, ""),  # may be chance
        (Verdict.RAISES, Verdict.RAISES, 3, False, ""),
        (Verdict.UNTESTED, Verdict.RAISES, 3, False, ""),
        (None, Verdict.RAISES, 3, False, ""),
    ],
)  # fmt: skip
def test_runs_that_differ_in_the_effect_are_explained_by_their_training(
    here: Verdict | None, there: Verdict, epochs: int, is_joint: bool, said: str
) -> None:
    sentence = text.describe_training_effect(here, there, epochs, 20, is_joint)
    assert sentence == (f"The effect depends on the networks and their training: denoising {said}" if said else "")


@pytest.mark.parametrize(
    ("sharpness", "contrast", "said"),
    [
        ((0.1, 0.2, 0.3), (0.1, 0.2, 0.3), "the claim **holds**"),
        ((0.2, 0.1, 0.3), (0.1, 0.2, 0.3), "**holds for contrast only**"),
        ((0.1, 0.2, 0.3), (0.2, 0.2, 0.3), "contrast hardly changes, from 0.2000 to 0.2000"),
        ((0.2, 0.1, 0.3), (0.2, 0.1, 0.3), "sharpness falls from 0.2000 to 0.1000 (-50\u00a0%; real images: 0.3000)"),
        ((0.2, 0.1, 0.3), (0.2, 0.1, 0.3), "the claim **does not hold**"),
    ],
)
def test_claim(sharpness: tuple[float, float, float], contrast: tuple[float, float, float], said: str) -> None:
    assert said in text.describe_claim(generation(1, 1, sharpness=sharpness, contrast=contrast))
    assert "**is untested**" in text.describe_claim(generation(1, 1))


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        ((0.05, 0.01, 0.02), "contain more noise than"),
        ((0.01, 0.01, 0.02), "contain less noise than"),
        ((0.02, 0.01, 0.02), "contain as much noise as"),
    ],
)
def test_noise(noise: tuple[float, float, float], said: str) -> None:
    sentence = text.describe_noise(generation(1, 1, noise=noise))
    assert said in sentence
    assert f"after denoising it is {noise[1]:.4f}" in sentence


def test_methods_are_compared_at_each_noise_level() -> None:
    mixed = denoising([20, 24, 18], [22, 22, 17.5])
    network = "The network's PSNR, compared with the median filter, is"
    assert text.describe_method_comparison(mixed, "median", "float") == (
        f"{network} higher at sigma 25/255 and 0.3 (by 0.5 to 2.0 dB) and lower at sigma 15/255 (by 2.0 dB)."
    )
    assert text.describe_best_method(mixed, "float").endswith(
        "the median filter at sigma 15/255 and the network at sigma 25/255 and 0.3."
    )
    wins, losses = denoising([23, 23, 23], [20, 21, 22]), denoising([20, 21, 22], [23, 23, 23])
    assert f"{network} higher at every noise level (by 1.0 to 3.0 dB)." in text.describe_method_comparison(
        wins, "median", "float"
    )
    assert f"{network} lower at every noise level (by 1.0 to 3.0 dB)." in text.describe_method_comparison(
        losses, "median", "float"
    )
    assert f"{network} equal at every noise level." in text.describe_method_comparison(
        denoising([20, 21, 22], [20, 21, 22]), "median", "float"
    )
    assert (
        text.describe_method_comparison(wins, "wavelet", "float") == "The network and wavelet shrinkage: not measured."
    )
    assert text.describe_best_method(wins, "8-bit").endswith("not measured.")
    assert "| network | 20.00, 0.500 | **24.00**, 0.500 | **18.00**, 0.500 | 1.000 |" in denoising_table(mixed, "float")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (bench(1.0, 1.5), "is faster at batch size 8 (1.50 times)"),
        (bench(1.5, 1.0), "is slower at batch size 8 (1.50 times)"),
        (bench(1.0, 1.04), "is equally fast at batch size 8"),
        (bench(1.0, 1.5, spread=0.6), "is equally fast at batch size 8"),
        ([], "was not measured"),
    ],
)
def test_speed(rows: list[dict[str, Any]], said: str) -> None:
    assert text.describe_speed(rows, "two graphs") == f"Compared with two graphs, the fused graph {said}."
    assert bool(text.describe_unstable(rows)) == (bool(rows) and rows[0]["spread"] > 0.2)


def test_the_training_sentences_follow_the_log() -> None:
    def accuracy_sentence(real: float, fake: float) -> str:
        return training.describe_discriminator([{"accuracy_real": real, "accuracy_fake": fake}])

    assert "**it has saturated**" in accuracy_sentence(0.995, 0.999)
    assert "it has not saturated" in accuracy_sentence(0.7, 0.999)
    assert "close to chance" in accuracy_sentence(0.5, 0.55)
    assert "higher in 70.0 % of pairs: it has not saturated" in training.describe_discriminator(
        [{"pair_accuracy": 0.7}]
    )
    assert "in 55.0 % of pairs: close to chance" in training.describe_discriminator([{"pair_accuracy": 0.55}])
    assert "in 99.5 % of pairs: **it has saturated**" in training.describe_discriminator([{"pair_accuracy": 0.995}])
    assert "**mode collapse**" in training.describe_diversity(0.01, 0.27)
    assert "the generator does not draw one image for all latents" in training.describe_diversity(
        0.01, 0.05
    )  # images that are all alike
    assert "is 0.200; that of real images: not measured." in training.describe_diversity(0.2, None)
    rising = [{"epoch": e, "psnr_db": v} for e, v in ((1, 20.0), (2, 23.0), (3, 22.0))]
    assert "rises from 20.00 dB after epoch 1 to 22.00 dB after epoch 3; the maximum is 23.00 dB after epoch 2" in (
        training.describe_denoiser_training(rising, 60_000)
    )
    assert "falls from 22.00 dB" in training.describe_denoiser_training(
        [{**row, "epoch": 4 - row["epoch"]} for row in reversed(rising)], 55_000
    )
    assert "were part of the training" in training.describe_denoiser_training(rising, 55_001)
    assert "were not part of the training" in training.describe_denoiser_training(rising, 55_000)
    assert training.describe_progress("GAN", rising, {"epochs": 3}) == ""
    assert training.describe_progress("GAN", rising, {"epochs": 5}) == "Unfinished training (GAN): 3 of 5 epochs."
    assert "as in the paper." in training.describe_budget("paper", {"epochs": 20}, {"epochs": 20}, {})
    assert "These results **do not have the paper's budget**." in training.describe_budget(
        "smoke", {"epochs": 2}, {}, {}
    )
    best = training.describe_budget("best", {"epochs": 20, "batch": 64}, {"epochs": 20}, {})
    assert "as in the paper; batch size 64 (paper: 256)." in best
    assert "is unknown" in training.describe_budget(None, {}, {}, {})


def test_markdown_cells_are_escaped() -> None:
    assert escape_markdown("a|b <i> [x](y) *z*\n") == r"a\|b \<i\> \[x\](y) \*z\*?"
    assert code("a") == "`a`"
    assert code("`a``b") == "``` `a``b ```"
    assert markdown_table(["x", "y"], [["a", "**1**"]]) == "| x | y |\n| --- | ---: |\n| a | **1** |"
