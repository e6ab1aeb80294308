"""The report follows the numbers, whatever they are, and its page loads nothing from outside."""

from __future__ import annotations

import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.labels import REAL_BASELINE
from gan_denoise.export import latents, runtime
from gan_denoise.export.images import grid, save_png
from gan_denoise.study.report import plots
from gan_denoise.study.report.build import write_report
from gan_denoise.study.report.results import load_study
from gan_denoise.study.run import mode_collapse

HOSTILE = "<script>alert(1) `x` ![y](z.png)"  # a folder's name


@pytest.fixture(scope="module")
def study(trained: Path, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder with real networks and invented results, under a hostile name."""
    folder = tmp_path_factory.mktemp("study") / HOSTILE
    shutil.copytree(trained, folder)
    shutil.copytree(exported, folder / "export")
    (folder / "study.json").write_text(json.dumps({"preset": "quick"}))
    write_results(folder / "results", frechet=7.5)
    return folder


@pytest.fixture(scope="module")
def report(study: Path, excerpt: Dataset) -> Path:
    """The HTML page of its report."""
    return write_report(study, excerpt, published=study / "none.json")


def write_results(folder: Path, frechet: float) -> dict[str, Any]:
    """Write four result files, with FFD-1 `frechet` for the raw images; returns their content by name."""
    names = ("set", "n", "ffd_1", "sharpness", "contrast", "noise")
    sets = [
        ("raw", 200, frechet, 0.2, 0.2, 0.01),
        ("denoised", 200, frechet / 2, 0.1, 0.3, 0.005),
        (REAL_BASELINE, 200, 0.1, 0.3, 0.3, 0.02),
    ]
    columns = {"noise": "float", "sigma": 25 / 255, "ssim": 0.5, "ms_per_image": 1.0, "n": 8}
    tables = {
        "generation": [dict(zip(names, values, strict=True)) for values in sets],
        "subsets": [{"class": "all", "n": 200, "raw": frechet, "ratio": 0.5, "ratio_low": 0.4, "ratio_high": 0.6}],
        "denoising": [{"method": m, "psnr_db": v, **columns} for m, v in (("network", 24.0), ("median", 22.0))],
        "bench": [{"name": n, "batch": 8, "p50_ms": t} for n, t in (("fused", 1.0), ("two graphs", 2.0))],
    }
    machine = {"cpu": "some | CPU", "threads": 1, "versions": {"onnxruntime": "1.2.3"}}
    header = {"machine": machine, "model_sha256": "ab" * 32, "settings": {"seed": 0, "features": "f@1"}}
    results = {name: {**header, "rows": rows} for name, rows in tables.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        (folder / f"{name}.json").write_text(json.dumps(result))
    return results


class Page(HTMLParser):
    """Collects the sources and links of a page, and the alternative text of each image."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.texts: list[str | None] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.sources += [values["src"] or ""] if "src" in values else []
        self.links += [values["href"] or ""] if "href" in values else []
        self.texts += [values.get("alt")] if tag == "img" else []


def test_report_shows_the_study_and_nothing_from_outside(study: Path, report: Path) -> None:
    page, text = Page(report), report.read_text()
    assert report == study / "report.html"
    assert len(page.texts) == 13  # figures 1 to 4, A to F (D with two epochs), I and J; G, H and K need other runs
    assert all(page.texts)
    assert all(source.startswith("data:image/") for source in page.sources)
    assert page.links
    assert all(link.startswith("#") for link in page.links)
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert page.tags.count("script") == 1  # ours, which has no source
    assert not re.search(r"url\(|@import", text)
    assert text.count("&lt;script&gt;alert(1) `x` ![y](z.png)") >= 3  # title, heading, commands
    markdown = (study / "report.md").read_text()
    for figure in re.findall(r"\]\((figures/[^)]+)\)", markdown):
        assert (study / figure).stat().st_size > 1000
    for label in (*"12", *"ABCDEFIJ"):
        assert f"*Figure {label}. " in markdown
    assert "*Figures 3 and 4. " in markdown


def test_report_has_the_numbers_and_their_commands(report: Path) -> None:
    markdown = report.with_suffix(".md").read_text()
    assert (
        "The denoiser **lowers** FFD-1, the Fréchet distance of the generated images to real ones, from 7.500 to 3.750"
        in markdown
    )
    assert "These results **do not have the paper's budget**." in markdown
    assert "the claim **holds for contrast only**" in markdown
    assert "| raw | 200 | 7.500 | 0.2000 | 0.2000 | 0.0100 |" in markdown
    assert "some \\| CPU, 1 thread, onnxruntime 1.2.3" in markdown
    for command in ("study run --preset quick", "eval denoising", "eval generation", "bench", "train gan"):
        assert f"gan-denoise {command} --" in markdown
    assert "the fused graph is faster at batch size 8 (2.00 times)" in markdown


def test_each_table_names_the_command_that_measures_it_again(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", frechet=7.5)
    (tmp_path / "results/controls.json").write_text(json.dumps({**results["generation"], "rows": []}))
    options = f"--model {tmp_path / 'export'} --threads 1 --seed 0"
    study = load_study(tmp_path, None)
    assert study.measure_command("generation") == f"gan-denoise eval generation {options} -n 200"
    assert study.measure_command("denoising") == f"gan-denoise eval denoising {options} -n 8"
    assert study.measure_command("bench") == f"gan-denoise bench {options}"
    assert study.measure_command("controls") == f"gan-denoise eval controls {options}"  # no rows, so no -n


@pytest.mark.usefixtures("report")
def test_figures_3_and_4_show_the_first_latents_of_seed_0(study: Path, tmp_path: Path) -> None:
    fused = runtime.load_graph(runtime.FUSED, study / "export", threads=1)
    for name, images in zip(("before", "after"), fused(latents.latents(0, 0, 48)), strict=True):
        plots.draw_rows({"": images}, tmp_path / name)
        assert (study / f"figures/{name}.png").read_bytes() == (tmp_path / name).read_bytes()


def test_report_has_the_same_bytes_again(study: Path, report: Path, excerpt: Dataset) -> None:
    first = {path: path.read_bytes() for path in [*study.glob("report.*"), *study.glob("figures/*")]}
    assert len(first) == 15
    for path in first:
        path.unlink()
    assert write_report(study, excerpt, published=study / "none.json") == report
    assert {path: path.read_bytes() for path in first} == first


def test_controls_are_shown_where_they_were_measured(study: Path, tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", frechet=7.5)
    assert "eval controls" not in write_report(tmp_path, None).with_suffix(".md").read_text()
    row = {**results["generation"]["rows"][0], "set": "raw, non-local means", "ffd_1": 6.25}
    (tmp_path / "results/controls.json").write_text(json.dumps({**results["generation"], "rows": [row]}))
    markdown = write_report(tmp_path, None, published=study / "none.json").with_suffix(".md").read_text()
    assert "| raw, non-local means | 200 | 6.250 |" in markdown
    assert markdown.count("gan-denoise eval controls --model") == 2  # under the table, and among the commands
    assert f"--json > {tmp_path / 'results/controls.json'}" in markdown
    content = {**results["generation"], "rows": [row], "model_sha256": "cd" * 32}
    (tmp_path / "results/controls.json").write_text(json.dumps(content))
    assert "| raw, non-local means |" not in write_report(tmp_path, None).with_suffix(".md").read_text()


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_published_results_are_shown_beside_those_of_smaller_presets(tmp_path: Path, preset: str) -> None:
    results = write_results(tmp_path / "results", frechet=7.5)
    results["generation"]["rows"][0]["ffd_1"] = 1.25
    results["training"] = {"machine": "a big one", "hours": 3.5}
    (tmp_path / "published.json").write_text(json.dumps(results))
    (tmp_path / "study.json").write_text(json.dumps({"preset": preset}))
    write_report(tmp_path, None, published=tmp_path / "published.json")
    markdown = (tmp_path / "report.md").read_text()
    is_shown = preset == "quick"
    assert ("| raw (paper, published) | 200 | 1.250 |" in markdown) == is_shown
    assert ("| network (paper, published) | 24.00, 0.500 |" in markdown) == is_shown
    assert ("trained in 3.5 h on a big one" in markdown) == is_shown
    assert "| raw | 200 | 7.500 |" in markdown


def test_missing_results_are_not_measured_and_not_zero(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    markdown = write_report(empty, None, published=empty / "none").with_suffix(".md").read_text()
    assert markdown.count("not measured") >= 10
    assert markdown.count("not available") >= 10
    assert not re.search(r"[ (]0(\.0+)?[ ,;)%]|\bnan\b|None", markdown)

    write_results(tmp_path / "part/results", frechet=7.5)
    path = tmp_path / "part/results/generation.json"
    result = json.loads(path.read_text())
    result["rows"][1] |= {"ffd_1": None, "sharpness": float("nan")}
    path.write_text(json.dumps(result))
    markdown = write_report(tmp_path / "part", None).with_suffix(".md").read_text()
    assert (
        f"| denoised | 200 |{7 * ' not measured |'} 0.3000 | 0.0050 |" in markdown
    )  # the published rows have all columns
    assert "FFD-1 before and after denoising: not measured." in markdown


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study\.json: expected a JSON file, got an unreadable one"):
        write_report(tmp_path, None)
    (tmp_path / "study.json").unlink()
    (tmp_path / "gan").mkdir()
    for content in ("[]", "null", '{"fingerprint": null}', '{"fingerprint": {"config": 5}}', '{"inexact_resumes": 5}'):
        (tmp_path / "gan/meta.json").write_text(content)
        with pytest.raises(InputError, match=r"gan/meta\.json: expected .*, got "):
            write_report(tmp_path, None)
    assert not (tmp_path / "report.md").exists()


def test_a_folder_that_does_not_exist_is_refused_and_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    error = CliRunner().invoke(app, ["study", "report", str(folder)]).exception
    assert isinstance(error, InputError)
    assert (error.message, error.hint) == (f"{folder}: not found", f"gan-denoise study run --out {folder}")
    assert not folder.exists()


def test_a_run_of_other_images_than_those_given_is_refused_in_one_line(tmp_path: Path, excerpt: Dataset) -> None:
    (tmp_path / "gan").mkdir()
    fingerprint = {"config": {}, "image_shape": [3, 32, 32], "data_sha256": "a" * 64}
    (tmp_path / "gan/meta.json").write_text(json.dumps({"fingerprint": fingerprint}))
    with pytest.raises(InputError) as raised:
        write_report(tmp_path, excerpt)
    assert raised.value.message.startswith(
        f"{tmp_path / 'gan'}: expected a stage trained on fashion-mnist, 1x28x28, got "
    )
    assert "fashion-mnist (SHA-256 aaaaaaaaaaaa), 3x32x32" in raised.value.message
    assert raised.value.hint == "--dataset and --data choose the images that it was trained on"


def test_without_matplotlib_the_extra_is_named(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError) as raised:
        write_report(study, None)
    assert (raised.value.message, raised.value.exit_code) == ("matplotlib: not installed", 3)


def test_a_grid_is_read_back_as_its_images(tmp_path: Path, excerpt: Dataset) -> None:
    images = to_float(excerpt.test.images[:64])
    save_png(grid(images), tmp_path / "grid.png")
    np.testing.assert_array_equal(plots.images_of_grid(tmp_path / "grid.png"), images)
    assert mode_collapse.inter_image_std(images) == pytest.approx(0.27, abs=0.03)
    assert mode_collapse.inter_image_std(np.repeat(images[:1], 8, 0)) == 0
    save_png(grid(images).crop((0, 0, 100, 100)), tmp_path / "cut.png")
    (tmp_path / "text.png").write_text("text")
    for name in ("cut.png", "text.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            plots.images_of_grid(tmp_path / name)


def test_bars_are_drawn_in_groups_with_their_heights(tmp_path: Path) -> None:
    plots.draw_bars({"1": {"a": 1.0, "b": 2.345}, "8": {"a": 0.5, "b": 3.0}}, tmp_path / "bars.svg", "batch", "speed")
    drawn = (tmp_path / "bars.svg").read_text()
    for text in ("1.0", "2.3", "0.5", "3.0", "batch", "speed"):
        assert f"<!-- {text} -->" in drawn
