"""After which epoch denoising stops to help: the crossover, by a rule that was fixed before it was measured."""

from __future__ import annotations

from typing import Any

from gan_denoise.study.rows import Rows, get_number

CROSSOVER_RULE = (
    "the last measured epoch at which the denoised distance is below the raw one, 0 if there is none; the smallest and "
    "the largest over the seeds; open if it is the last measured epoch of a seed"
)


def crossovers(rows: Rows) -> list[dict[str, Any]]:
    """For each run and denoiser with several epochs, by CROSSOVER_RULE: `first, last` epoch and whether it is `open`.

    `epochs` are by seed, in the order of the rows.
    """
    measured: dict[tuple[str, str], dict[Any, dict[int, bool]]] = {}
    for row in rows:
        ratio = get_number(row, "ratio")
        if ratio is not None:
            of_seed = measured.setdefault((str(row["run"]), str(row["denoiser"])), {}).setdefault(row["seed"], {})
            of_seed[int(row["epoch"])] = ratio < 1
    found = []
    for (run, denoiser), seeds in measured.items():
        if all(len(epochs) > 1 for epochs in seeds.values()):
            last_helped = [max((epoch for epoch, helps in of.items() if helps), default=0) for of in seeds.values()]
            is_open = any(helped == max(of) for helped, of in zip(last_helped, seeds.values(), strict=True))
            found.append(
                {
                    "run": run,
                    "denoiser": denoiser,
                    "first": min(last_helped),
                    "last": max(last_helped),
                    "open": is_open,
                    "epochs": last_helped,
                }
            )
    return found
