"""The `eval` commands that write files of this package: the filters' parameters and FFD-1's reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import print_result
from gan_denoise.errors import missing_extra
from gan_denoise.options import MAX_SEED, OUTPUT, DataOption, ForceOption, JsonOption, QuietOption


def ffd_reference(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Output file.", rich_help_panel=OUTPUT)] = Path("ffd-1.npz"),
    data: DataOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compute the reference of FFD-1 from the test images.

    Example: gan-denoise eval ffd-reference --out ffd-1.npz
    """
    from gan_denoise.data import sources
    from gan_denoise.eval.metrics import ffd
    from gan_denoise.export import runtime
    from gan_denoise.files import check_overwrite, write_atomic

    check_overwrite(out, force)
    test_images = sources.load_fashion_mnist(data).test.images
    write_atomic(out, ffd.reference_file(test_images, runtime.load_graph(runtime.FEATURES)))
    print_result("eval ffd-reference", [out], as_json, (), written=[out])


def tune(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Output file.")] = Path("tuned.json"),
    n: Annotated[int, typer.Option("-n", min=1, max=5_000, help="Number of held-out training images.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the noise.")] = 1,
    data: DataOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tune the classical filters on held-out training images (about 30 minutes).

    Example: gan-denoise eval tune --out eval/denoising/tuned.json --force
    """
    from gan_denoise.console import tracked
    from gan_denoise.data import sources
    from gan_denoise.data.dataset import split_holdout
    from gan_denoise.data.images import to_float
    from gan_denoise.eval.denoising.filters import FILTERS, TUNED
    from gan_denoise.eval.denoising.methods import NEEDS, not_installed
    from gan_denoise.eval.denoising.tuning import tune as search
    from gan_denoise.files import check_overwrite, write_atomic
    from gan_denoise.machine import versions

    check_overwrite(out, force)
    if missing := [name for name in not_installed() if name in FILTERS]:
        raise missing_extra(NEEDS[missing[0]], "compare")
    dataset = sources.load_fashion_mnist(data)
    _, holdout = split_holdout(dataset.train)
    rows = list(search(to_float(holdout.images[:n]), seed, track=tracked("tuning")))
    content = {
        "images": f"the first {n} held-out training images",
        "n": n,
        "seed": seed,
        "data_sha256": dataset.sha256,
        "versions": {name: version for name, version in versions().items() if name not in ("onnxruntime", "torch")},
        "rows": rows,
    }
    write_atomic(out, json.dumps(content, indent=1) + "\n")
    facts = {"written": [out], "settings": {"n": n, "seed": seed}, "rows": rows}
    used = out.resolve() == TUNED.resolve()  # the file that `eval denoising` reads
    print_result("eval tune", [f"{out}: {len(rows)} settings"], as_json, ("eval", "denoising") if used else (), **facts)
