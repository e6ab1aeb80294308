"""Build the study's report: the paper's structure with this study's figures and tables, as markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gan_denoise import __version__
from gan_denoise.data.dataset import Dataset
from gan_denoise.eval.labels import TWO_GRAPHS
from gan_denoise.eval.noise import NOISES
from gan_denoise.export.run_folder import DENOISER, GAN, JOINT
from gan_denoise.files import write_atomic
from gan_denoise.markdown import bullets, code, escape_markdown
from gan_denoise.study.report import curves, figures
from gan_denoise.study.report.answer import answer_section
from gan_denoise.study.report.appendix import appendix_section
from gan_denoise.study.report.comparison import comparison_section, distance_figure
from gan_denoise.study.report.comparison_text import describe_answer, describe_seeds
from gan_denoise.study.report.html import to_html
from gan_denoise.study.report.results import (
    CONTROLS,
    FEATURES,
    PAPER_RESULTS,
    SUBSETS,
    Study,
    load_study,
    training_facts,
)
from gan_denoise.study.report.results_sections import (
    denoised_generation_section,
    denoising_section,
    generation_section,
    speed_section,
)
from gan_denoise.study.report.results_text import (
    describe_best_method,
    describe_claim,
    describe_distance,
    describe_noise,
    describe_speed,
    describe_training_effect,
    distance_verdict,
)
from gan_denoise.study.report.tables import settings_table
from gan_denoise.study.report.texts import (
    ABSTRACT,
    BEST_TEXTS,
    DATA,
    JOINT_TRAINING,
    LIMIT_OF_FASHION_MNIST,
    LIMIT_OF_OWN_DATA,
    LIMITS,
    PAPER_TEXTS,
    TITLE,
    data_name,
    describe_data,
)
from gan_denoise.study.report.training_text import (
    PAPER,
    PAPER_EPOCHS,
    describe_budget,
    describe_denoiser_training,
    describe_discriminator,
    describe_inexact,
    describe_progress,
    describe_time,
)
from gan_denoise.study.rows import get_number


def write_report(folder: Path, dataset: Dataset | None, published: Path = PAPER_RESULTS) -> Path:
    """Write `report.md`, `report.html` and `figures/` into a study's folder; returns the path of the HTML page.

    The test images of `dataset` are shown noisy and denoised. `published` is the JSON file of preset `paper`'s
    published results, shown beside those of a run on Fashion-MNIST. Missing results are reported as not measured.
    Raises InputError if a file is damaged, a stage was trained on other data, or matplotlib is missing; OutputError if
    writing fails.
    """
    study = load_study(folder, dataset, published)
    sections: list[Callable[[Study], list[str]]] = [
        _title,
        answer_section,
        _abstract,
        _methods,
        _data,
        _training,
        _comparison,
        generation_section,
        denoised_generation_section,
        denoising_section,
        speed_section,
        _limits,
        _commands,
        appendix_section,
    ]
    paragraphs = [paragraph for section in sections for paragraph in section(study) if paragraph]
    markdown = "\n\n".join(paragraphs) + "\n"
    page = to_html(markdown, f"{TITLE}: {folder.name}", folder)
    write_atomic(study.run.report, markdown)
    write_atomic(study.run.page, page)
    return study.run.page


def _title(study: Study) -> list[str]:
    return [f"# {TITLE}", f"The study in {code(study.folder)}, by gan-denoise {__version__}."]


def _abstract(study: Study) -> list[str]:
    budget = describe_budget(study.preset, study.config(GAN), study.config(DENOISER), study.preset_changes)
    is_paper = study.preset == PAPER and not study.preset_changes
    if study.published:
        budget += f" The published results of preset `{PAPER}` are shown for comparison."
    elif not is_paper and study.is_fashion_mnist:
        budget += f" The published results of preset `{PAPER}` were not found."
    rows, published = study.rows("generation"), study.published_rows("generation")
    subsets, published_subsets = study.rows(SUBSETS), study.published_rows(SUBSETS)
    verdicts = distance_verdict(rows, subsets), distance_verdict(published, published_subsets)
    is_joint = JOINT in study.stages()
    return [
        "## Abstract",
        budget if is_paper else f"> {budget}",
        ABSTRACT.format(data=data_name(study), joint=JOINT_TRAINING if is_joint else "")
        if rows or study.logs[GAN]
        else "Nothing has been trained or measured yet.",
        " ".join(["**This run.**", describe_distance(rows, subsets), describe_claim(rows), describe_noise(rows)]),
        f"**Published run of preset `{PAPER}`, {PAPER_EPOCHS} epochs.** "
        f"{describe_distance(published, published_subsets)}"
        if published
        else "",
        describe_training_effect(*verdicts, study.config(GAN).get("epochs"), PAPER_EPOCHS, is_joint),
        describe_answer(study.compare_rows()) if study.compare_rows() else "",
        f"{describe_best_method(study.rows('denoising'), NOISES[0])} {describe_speed(study.rows('bench'), TWO_GRAPHS)}",
    ]


def _methods(study: Study) -> list[str]:
    texts = BEST_TEXTS if "discriminator_blocks" in study.config(GAN) else PAPER_TEXTS
    return [
        "## Methods",
        f"{texts['opening']} Figures 1 to 4 are those that the paper asks for; the other figures have letters. The "
        "diagrams are drawn from the trained networks.",
        texts["discriminator"],
        figures.architecture_figure(study, "1", "discriminator"),
        texts["denoiser"],
        figures.architecture_figure(study, "2", "denoiser"),
        texts["generator"],
        figures.architecture_figure(study, "A", "generator"),
        texts["losses"],
        settings_table(*(with_used_images(study, study.config(stage)) for stage in (GAN, DENOISER))),
        f"Commands: {', '.join(code(study.dry_run_command(stage)) for stage in study.stages())}.",
    ]


def with_used_images(study: Study, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration with the number of images that there were, if these are fewer than it takes."""
    if study.dataset is None or "images" not in config:
        return config
    return {**config, "images": min(config["images"], len(study.dataset.train))}


def _data(study: Study) -> list[str]:
    digest = study.fingerprint(GAN).get("data_sha256")
    return [
        "## Data",
        DATA if study.is_fashion_mnist else describe_data(study),
        f"SHA-256 of the data: {code(digest)}." if digest else "",
        f"Command: {code(study.data_command())}.",
    ]


def _training(study: Study) -> list[str]:
    images = study.config(DENOISER).get("images")
    return [
        "## Training",
        *(describe_progress(name, study.logs[stage], study.config(stage)) for stage, name in study.stages().items()),
        curves.gan_curves(study),
        describe_discriminator(study.logs[GAN]),
        curves.denoiser_curves(study),
        describe_denoiser_training(
            study.logs[DENOISER], images, study.dataset is None or study.dataset.validates_on_training
        ),
        curves.joint_curves(study),
        distance_figure(study),
        " ".join(describe_time(name, study.logs[stage]) for stage, name in study.stages().items()),
        bullets(training_facts(study)),
        f"Command: {code(study.run_command())}.",
    ]


def _comparison(study: Study) -> list[str]:
    paragraphs = comparison_section(study)
    return ["## Comparison of runs", *paragraphs] if paragraphs else []


def _limits(study: Study) -> list[str]:
    seeds = sorted({str(study.fingerprint(stage).get("seed", "not recorded")) for stage in study.stages()})
    has_latents = any(get_number(row, "ratio_low") for row in [*study.rows(FEATURES), *study.rows(SUBSETS)])
    intervals = describe_seeds(study.compare_rows(), study.crossover_rows(), has_latents)
    inexact = [escape_markdown(describe_inexact(name, study.changes(stage))) for stage, name in study.stages().items()]
    return [
        "## Limits",
        bullets(
            [
                f"One training run, seed {' and '.join(seeds)}: {intervals}. A small difference may be due to chance.",
                *inexact,
                LIMIT_OF_FASHION_MNIST if study.is_fashion_mnist else LIMIT_OF_OWN_DATA,
                *LIMITS,
            ]
        ),
    ]


def _commands(study: Study) -> list[str]:
    study_commands = [*(["gan-denoise data fetch"] if study.is_fashion_mnist else []), study.run_command()]
    study_commands += [study.measure_command(table) for table in study.results if table != CONTROLS]
    extra_commands = [study.controls_command()] if study.rows(CONTROLS) else []
    extra_commands += [study.compare_command()] if study.compare_rows() else []
    extra_commands += [study.imagenet_command()] if study.imagenet_rows() else []
    study_commands += [study.crossover_command()] if study.crossover_rows() else []
    except_extra = ", except those with `>`" if extra_commands else ""
    return [
        "## Reproducing these results",
        "\n".join(f"    {line}" for line in [*study_commands, *extra_commands, study.report_command()]),
        f"`study run` runs all the other commands in order{except_extra}; `study report` draws the figures. The same "
        "seed, machine and number of threads give the same weights.",
    ]
