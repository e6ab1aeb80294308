"""The study's report: the paper with our figures and tables in it, as markdown and as one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_denoise import __version__
from gan_denoise.eval.labels import EAGER, GAUSSIAN, NETWORK, NLM, REAL_DENOISED, TWO_GRAPHS
from gan_denoise.eval.noise import NOISES
from gan_denoise.files import write_atomic
from gan_denoise.markdown import bullets, code, escape_markdown
from gan_denoise.study.report import figures as figures
from gan_denoise.study.report.comparison import distances, headline
from gan_denoise.study.report.comparison_text import describe_answer, describe_seeds
from gan_denoise.study.report.figures import denoiser_strip
from gan_denoise.study.report.html import to_html
from gan_denoise.study.report.results import CONTROLS, KEPT_RESULTS, Study, load_study, source_line, trained_with
from gan_denoise.study.report.results_text import (
    METHODS,
    describe_against,
    describe_best,
    describe_claim,
    describe_faster,
    describe_frechet,
    describe_noise,
    describe_shares,
    describe_unstable,
)
from gan_denoise.study.report.spectra import spectra
from gan_denoise.study.report.tables import bench_table, denoising_table, generation_table, settings_table
from gan_denoise.study.report.texts import ABSTRACT, BEST_TEXTS, JOINED, PAPER_TEXTS, TITLE
from gan_denoise.study.report.training_text import (
    PAPER,
    describe_budget,
    describe_denoiser_training,
    describe_discriminator,
    describe_inexact,
    describe_progress,
    describe_time,
    describe_variety,
)

CONTROL_NOTES = (GAUSSIAN, NLM, "tuned", REAL_DENOISED)
NOISE_NAMES = {"float": "Unclipped noise", "8-bit": "Noise clipped and rounded to 8 bits, as files hold it"}


def write_report(folder: Path, test_images: NDArray[np.uint8] | None, kept: Path = KEPT_RESULTS) -> Path:
    """Write `report.md`, `report.html` and `figures/` into a study's folder; returns the page's path.

    `test_images` (N, 28, 28) are shown noisy and denoised. `kept` has the results of preset `paper` to show beside.
    What the folder lacks is "not measured". Raises InputError when a file in it is damaged or matplotlib missing,
    OutputError when writing fails.
    """
    study = load_study(folder, test_images, kept)
    sections: list[Callable[[Study], list[str]]] = [
        _opening,
        _methods,
        _data,
        _training,
        _answer,
        _generated,
        _denoised,
        _restored,
        _speed,
        _limits,
        _commands,
    ]
    paragraphs = [paragraph for section in sections for paragraph in section(study) if paragraph]
    markdown = "\n\n".join(paragraphs) + "\n"
    page = to_html(markdown, f"{TITLE}: {folder.name}", folder)
    write_atomic(study.run.report, markdown)
    write_atomic(study.run.page, page)
    return study.run.page


def _opening(study: Study) -> list[str]:
    budget = describe_budget(study.preset, study.config("gan"), study.config("denoiser"))
    if study.kept:
        budget += f" The kept figures of preset `{PAPER}` stand beside this run's own."
    elif study.preset != PAPER:
        budget += f" No kept figures of preset `{PAPER}` were found to show beside them."
    generation = study.rows("generation")
    kept = study.kept_rows("generation")
    return [
        f"# {TITLE}",
        f"The study in {code(study.folder)}, by gan-denoise {__version__}.",
        budget if study.preset == PAPER else f"> {budget}",
        "## Abstract",
        ABSTRACT.format(joined=JOINED if "joint" in study.stages() else "")
        if generation or study.logs["gan"]
        else "Nothing was trained or measured here yet.",
        " ".join([describe_frechet(generation), describe_claim(generation), describe_noise(generation)]),
        describe_answer(study.compared()) if study.compared() else "",
        f"In the kept run of preset `{PAPER}`: {describe_frechet(kept)}" if kept else "",
        f"{describe_best(study.rows('denoising'), NOISES[0])} {describe_faster(study.rows('bench'), TWO_GRAPHS)}",
    ]


def _methods(study: Study) -> list[str]:
    words = BEST_TEXTS if "discriminator_blocks" in study.config("gan") else PAPER_TEXTS
    return [
        "## Methods",
        words["opening"]
        + " Figures 1 to 4 are those that the paper description for; ours have letters. The architectures are "
        "read off the networks that were trained.",
        words["discriminator"],
        figures.architecture(study, "1", "discriminator"),
        words["denoiser"],
        figures.architecture(study, "2", "denoiser"),
        words["generator"],
        figures.architecture(study, "A", "generator"),
        words["losses"],
        settings_table(study.config("gan"), study.config("denoiser")),
        f"Commands: {', '.join(code(study.dry_run_command(stage)) for stage in study.stages())}.",
    ]


def _data(study: Study) -> list[str]:
    digest = study.fingerprint("gan").get("data_sha256")
    return [
        "## Data",
        "Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747; MIT licence): 60,000 training and 10,000 test images of "
        "clothes, 28x28 grey, ten classes. Pixels are divided by 255. The last 5,000 training images were used to "
        "choose settings; the test images are used for the tables below alone.",
        f"SHA-256 of the data: {code(digest)}." if digest else "",
        "Command: `gan-denoise data info`.",
    ]


def _training(study: Study) -> list[str]:
    seen = study.config("denoiser").get("images")
    return [
        "## Training",
        *(describe_progress(name, study.logs[stage], study.config(stage)) for stage, name in study.stages().items()),
        figures.gan_curves(study),
        describe_discriminator(study.logs["gan"]),
        figures.denoiser_curves(study),
        describe_denoiser_training(study.logs["denoiser"], seen),
        figures.joint_curves(study),
        distances(study),
        " ".join(describe_time(name, study.logs[stage]) for stage, name in study.stages().items()),
        bullets(trained_with(study)),
        f"Command: {code(study.run_command())}.",
    ]


def _answer(study: Study) -> list[str]:
    found = headline(study)
    return ["## Does denoising help?", *found] if found else []


def _generated(study: Study) -> list[str]:
    return [
        "## Generated images over the epochs",
        figures.epochs(study),
        describe_variety(*figures.inter_image_stds(study)),
    ]


def _denoised(study: Study) -> list[str]:
    rows, kept = study.rows("generation"), study.kept_rows("generation")
    tables = (study.results["generation"], study.kept.get("generation", {}))
    features = sorted({code(name) for table in tables if (name := table.get("settings", {}).get("features"))})
    about = (
        f"FFD-1 is the Fréchet distance on the features {' and '.join(features)} of a Fashion-MNIST classifier, "
        "against the test images; it is no FID and does not compare with one. KID is the kernel distance on the same "
        "features ± its standard error; precision and density say how many images look real, recall and coverage "
        "how much of the real variety they reach; the same class is the share that the classifier sees unchanged."
        + describe_shares(rows)
    )
    return [
        "## The denoiser on generated images",
        figures.before_and_after(study),
        *spectra(study),
        *([generation_table(rows, kept), source_line(study, "generation")] if rows else ["Table: not measured."]),
        about if features else "",
        *_controls(study),
        bullets([describe_frechet(rows), describe_claim(rows), describe_noise(rows)]),
        f"In the kept run of preset `{PAPER}`:" if kept else "",
        bullets([describe_frechet(kept), describe_claim(kept), describe_noise(kept)]) if kept else "",
    ]


def _controls(study: Study) -> list[str]:
    rows, notes = study.rows(CONTROLS), study.results[CONTROLS].get("notes", {})
    if not rows or study.results[CONTROLS].get("model_sha256") != study.results["generation"].get("model_sha256"):
        return []  # not measured, or another model's
    return [
        "Controls: what plain filters make of the same images, what else draws images, and what the denoiser makes "
        "of real ones.",
        generation_table(rows),
        bullets(
            [
                f"{escape_markdown(name)}: {escape_markdown(str(said))}."
                for name, said in notes.items()
                if name in CONTROL_NOTES
            ]
        ),
        source_line(study, CONTROLS),
    ]


def _restored(study: Study) -> list[str]:
    rows, kept = study.rows("denoising"), study.kept_rows("denoising")
    blocks = [
        "## The denoiser on noisy real images",
        figures.restored(study),
        denoiser_strip(study),
        "The classical filters are tuned on held-out training images for each kind and strength of noise "
        "(`gan-denoise eval tune`); the network is one for all and is not told the strength. "
        "PSNR is the mean over the images, ± its standard error where that was measured.",
        figures.psnr_curves(study),
    ]
    for noise in NOISES:
        if not any(row.get("noise") == noise for row in rows):
            continue
        others = [method for method in METHODS if method != NETWORK]
        blocks += [
            f"### {NOISE_NAMES[noise]}",
            denoising_table(rows, noise, kept),
            source_line(study, "denoising"),
            describe_best(rows, noise),
            bullets([describe_against(rows, method, noise) for method in others]),
        ]
    return blocks if rows else [*blocks, "Table: not measured."]


def _speed(study: Study) -> list[str]:
    rows = study.rows("bench")
    skipped = study.results["bench"].get("skipped")
    reasons = [f"{name}: not measured ({why})." for name, why in skipped.items()] if isinstance(skipped, dict) else []
    if not rows:
        return ["## Speed", "Table: not measured."]
    return [
        "## Speed",
        bench_table(rows, study.kept_rows("bench")),
        source_line(study, "bench"),
        bullets(
            [
                describe_faster(rows, TWO_GRAPHS),
                describe_faster(rows, EAGER),
                *(escape_markdown(reason) for reason in reasons),
            ]
        ),
        describe_unstable(rows),
    ]


def _limits(study: Study) -> list[str]:
    seeds = sorted({str(study.fingerprint(stage).get("seed", "not recorded")) for stage in study.stages()})
    inexact = [escape_markdown(describe_inexact(name, study.changes(stage))) for stage, name in study.stages().items()]
    return [
        "## Limits",
        bullets(
            [
                f"One training run, seed {' and '.join(seeds)}: {describe_seeds(study.compared())}, and a small "
                "difference may be chance.",
                *inexact,
                "The images are small and grey. The denoiser has seen Gaussian noise only; real cameras make others.",
                "A denoiser whose only loss is a squared error averages over what it cannot know: expect blur. The "
                "variance of the Laplacian (sharpness) rises with noise and with edges, so less of it can be either.",
                "The wavelet estimate of noise takes fine texture for noise, in real images too.",
                "A number without ± or brackets has no interval: it is of one set of images, or of one training.",
                "Times hold for the machine and the threads named under the table.",
            ]
        ),
    ]


def _commands(study: Study) -> list[str]:
    lines = ["gan-denoise data fetch", study.run_command()]
    lines += [study.measuring_command(table) for table in study.results if table != CONTROLS]
    apart = [study.controls_command()] if study.rows(CONTROLS) else []
    apart += [study.comparing_command()] if study.compared() else []
    return [
        "## How to make these figures again",
        "\n".join(f"    {line}" for line in [*lines, *apart, study.report_command()]),
        f"`study run` does all the others in order{' but those that write with >' if apart else ''}; the last draws "
        "the figures. The same seed, machine and threads give the same weights.",
    ]
