"""The epoch after which denoising stops to help, by its written rule."""

from __future__ import annotations

from gan_denoise.study.compare.crossover import crossovers


def rows(seed: int, ratios: list[float | None], denoiser: str = "mean") -> list[dict[str, object]]:
    return [
        {"run": "paper", "seed": seed, "epoch": epoch, "denoiser": denoiser, "ratio": ratio}
        for epoch, ratio in enumerate(ratios, start=1)
    ]


def test_it_is_the_last_epoch_at_which_denoising_lowers_the_distance_over_the_seeds() -> None:
    (found,) = crossovers(
        [*rows(0, [0.7, 0.9, 1.1, 1.2]), *rows(1, [0.7, 1.1, 0.9, 1.2]), *rows(2, [0.9, 1.0, 1.1, 1.3])]
    )
    assert found == {"run": "paper", "denoiser": "mean", "first": 1, "last": 3, "open": False, "epochs": [2, 3, 1]}


def test_it_is_open_where_denoising_still_helps_at_the_end_and_0_where_it_never_did() -> None:
    (found,) = crossovers([*rows(0, [0.7, 0.9]), *rows(1, [1.1, 1.2])])
    assert (found["first"], found["last"], found["open"]) == (0, 2, True)


def test_runs_and_denoisers_are_apart_and_one_epoch_has_none() -> None:
    found = crossovers(
        [*rows(0, [0.7, 1.1]), *rows(0, [0.9, 0.9], "gaussian"), *rows(0, [0.5], "joint"), *rows(0, [None] * 3, "none")]
    )
    assert [(each["denoiser"], each["epochs"]) for each in found] == [("mean", [1]), ("gaussian", [2])]
