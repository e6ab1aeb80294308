"""The documents: generated from the code, run as they are written, linked to files that exist."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from gan_denoise.cli import app
from gan_denoise.export import latents, runtime

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
README = (ROOT / "README.md").read_text()
GENERATED = ("best/report.md", "paper/report.md")  # by `study report`
PAGES = sorted(page for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")] if not str(page).endswith(GENERATED))


def script(name: str) -> ModuleType:
    """A program of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(file: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / file), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_readme_is_short_and_starts_with_a_command() -> None:
    lines = README.splitlines()
    assert len(lines) <= 200
    assert max(map(len, lines)) <= 120
    assert len(README.split("```")[0].split()) < 100  # words before the first command
    assert re.findall(r"^## (.*)", README, re.M) == [
        "Use the model",
        "Do the study",
        "Your own data",
        "Deploy",
        "What is the paper's, and what is ours",
        "Project layout",
        "Licence and citation",
    ]


def test_the_readmes_image_can_be_read_on_github_and_loads_fast() -> None:
    target, figure = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert README.index(target) < README.index("```")  # on the first screen
    assert (ROOT / figure).read_text().startswith("<?xml")
    assert (ROOT / figure).stat().st_size < 100_000
    with Image.open(ROOT / target) as image:
        assert 1_400 <= image.width <= 1_800  # about twice GitHub's column
    assert (ROOT / target).stat().st_size < 300_000


def test_the_commands_page_is_up_to_date() -> None:
    assert (DOCS / "cli.md").read_text() == script("cli_docs").render_page(), "make docs"


def test_the_api_page_is_up_to_date() -> None:
    assert (DOCS / "api.md").read_text() == script("api_docs").render_page(), "make docs"


def test_the_page_of_photographs_is_that_of_their_list() -> None:
    page = (DOCS.parent / "export/shipped/photograph_licences.md").read_text()
    assert page == script("photograph_licences").render_page(), "make docs"
    assert page.count("| held-out |") >= 6


def test_the_list_of_components_is_that_of_the_locks() -> None:
    def locked(document: dict[str, Any]) -> list[tuple[Any, ...]]:  # a licence is known if its package is installed
        return [(c["purl"], c["scope"], c.get("hashes")) for c in document["components"]]

    published = json.loads((DOCS / "components.cdx.json").read_text())
    assert locked(published) == locked(script("components").list_components()), "make docs"
    scopes = {c["name"]: c["scope"] for c in published["components"]}
    assert (scopes["onnxruntime"], scopes["protobuf"], scopes["torch"]) == ("required", "required", "optional")
    licences = {c["name"]: c["licenses"][0]["license"]["name"] for c in published["components"] if "licenses" in c}
    assert (licences["onnx"], licences["onnxruntime-web"]) == ("Apache-2.0", "MIT")


def test_the_commands_page_has_every_command_and_option() -> None:
    page = (DOCS / "cli.md").read_text()
    for words in ("eval generation", "train joint", "export", "study compare"):
        command: Any = typer.main.get_command(app)
        for word in words.split():
            command = command.commands[word]
        section = page.split(f"## gan-denoise {words}\n")[1].split("\n## ")[0]
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
        assert options - {"--help"} == set(
            re.findall(
                r"(?<![\w-])--?[a-z][a-z-]*(?=[, `])",
                "\n".join(line.split("`")[1] + " " for line in section.splitlines() if line.startswith("- `-")),
            )
        )


@pytest.mark.parametrize("page", [README, script("api_docs").OPENING], ids=["README.md", "api.md"])
def test_the_python_of_the_readme_and_the_api_page_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(code.strip().splitlines()) <= 6
    names: dict[str, Any] = {}
    exec(code, names)
    for images in (names["image"], names["denoised"], names["clean"]):
        assert (images.shape, images.dtype) == ((16, 1, 28, 28), np.float32)
        assert 0 <= images.min() < images.max() <= 1
    assert 30 < float(capsys.readouterr().out) < 60  # dB: the shipped denoiser changes its generator's images little


def test_the_commands_of_the_documents_exist_with_their_options() -> None:
    texts = [page.read_text() for page in PAGES if page.name not in ("cli.md", "LOG.md")]
    lines = [line.split("  #")[0] for text in texts for line in re.findall(r"^(?:\S*/)?gan-denoise (.*)", text, re.M)]
    assert len(lines) > 30
    for line in lines:
        words, command = line.split(), typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


@pytest.mark.parametrize("page", [*PAGES, DOCS / "tour.py"], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_documents_link_to_files_and_headings_that_exist(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#:\s]*)#?([^)\s:]*)\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)", file.read_text(), re.M)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def test_every_row_of_the_reliability_page_names_the_modules_that_test_it() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", (DOCS / "reliability.md").read_text(), re.M)
    numbers = [int(row) for row, _ in rows]
    assert numbers == sorted(set(numbers))
    for row, modules in rows:
        files = re.findall(r"`([\w/]*test_\w+\.py)`", modules)
        assert files
        for file in files:
            marks = re.findall(
                r"mark\.row\(([\d, ]+)\)", (ROOT / ("" if "/" in file else "tests/faults") / file).read_text()
            )
            assert row in {number.strip() for mark in marks for number in mark.split(",")}, (row, file)


def test_the_examples_are_short_and_quoted_unchanged_in_the_document() -> None:
    page = (DOCS / "replace.md").read_text()
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name for file in files] == ["denoiser.py", "generator.py", "metric.py"]
    for file in files:
        code = file.read_text()
        assert f"```python\n{code}```" in page
        assert len(code.splitlines()) < 40
    assert f"```diff\n{(EXAMPLES / 'residual.diff').read_text()}```" in page


@pytest.fixture
def patched(tmp_path: Path) -> Callable[..., Callable[..., subprocess.CompletedProcess[str]]]:
    """Applies residual.diff to a copy of the package; returns a function that runs a command of the copy."""

    def apply(*options: str) -> Callable[..., subprocess.CompletedProcess[str]]:
        package = tmp_path / "gan_denoise"
        skipped = shutil.ignore_patterns("__pycache__", "ort")
        for folder in ("data", "eval", "export", "models", "study"):
            shutil.copytree(ROOT / folder, package / folder, ignore=skipped)
        for file in ROOT.glob("*.py"):
            shutil.copy(file, package)
        subprocess.run(["git", "apply", *options, EXAMPLES / "residual.diff"], cwd=package, check=True)

        def run_command(*words: object) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "gan_denoise.cli", *map(str, words)]
            environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
            return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

        return run_command

    return apply


TRAIN_RESIDUAL = ("train", "denoiser", "--preset", "residual", "--threads", 1, "--out", "run")
FEW = ("--set", "images=2048", "--set", "epochs=2", "--set", "batch=32")


def test_a_network_of_ones_own_goes_through_the_study(
    patched: Callable[..., Callable[..., subprocess.CompletedProcess[str]]], tmp_path: Path
) -> None:
    run_command = patched()
    for words in ((*TRAIN_RESIDUAL, *FEW), ("export", "run", "--out", "exported")):
        done = run_command(*words)
        assert done.returncode == 0, done.stderr
    graph = runtime.load_graph(runtime.DENOISER, tmp_path / "exported")
    clean = runtime.load_graph(runtime.GENERATOR)(latents.latents(0, 0, 16))[0]
    noisy = clean + 0.3 * np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    assert np.square(graph(noisy)[0] - clean).mean() < 0.6 * np.square(noisy.clip(0, 1) - clean).mean()


def test_a_configuration_that_no_trainer_takes_fails(
    patched: Callable[..., Callable[..., subprocess.CompletedProcess[str]]], tmp_path: Path
) -> None:
    done = patched("--exclude=study/train/dispatch.py")(*TRAIN_RESIDUAL, *FEW)
    assert done.returncode == 1
    assert "ResidualConfig" in done.stderr
    assert not (tmp_path / "run/denoiser/denoiser.safetensors").exists()


def test_a_generator_of_ones_own_goes_before_the_shipped_denoiser(tmp_path: Path) -> None:
    run("generator.py", tmp_path / "own.onnx", 2_000)
    image, denoised = runtime.load_graph(runtime.FUSED, tmp_path / "own.onnx")(latents.latents(0, 0, 200))
    assert image.mean() == pytest.approx(0.286, abs=0.03)  # as bright as Fashion-MNIST
    assert image.std(axis=0).max() > 0.2  # and not one image only
    np.testing.assert_allclose(runtime.load_graph(runtime.DENOISER)(image)[0], denoised, atol=1e-5)


def test_a_denoiser_of_ones_own_follows_the_shipped_generator(tmp_path: Path) -> None:
    run("denoiser.py", tmp_path / "own", 40)
    z = latents.latents(0, 0, 16)
    image, denoised = runtime.load_graph(runtime.FUSED, tmp_path / "own")(z)
    np.testing.assert_allclose(image, runtime.load_graph(runtime.GENERATOR)(z)[0], atol=1e-5)
    denoiser = runtime.load_graph(runtime.DENOISER, tmp_path / "own")
    np.testing.assert_allclose(denoiser(image)[0], denoised, atol=1e-5)
    noisy = image + 0.3 * np.random.default_rng(0).standard_normal(image.shape, dtype=np.float32)
    error = np.square(denoiser(noisy)[0] - image).mean()
    assert error < 0.6 * np.square(noisy.clip(0, 1) - image).mean()


def test_a_metric_of_ones_own_is_printed_as_ours_are() -> None:
    rows = json.loads(run("metric.py", 100, "--json"))["rows"]
    assert [(row["set"], row["n"]) for row in rows] == [("raw", 100), ("denoised", 100), ("test images", 100)]
    assert all(0.05 < row["asymmetry"] < 0.3 for row in rows)


def test_the_notebook_is_the_script_and_was_run() -> None:
    content = (DOCS / "tour.ipynb").read_text()
    assert len(content) < 300_000
    assert str(ROOT) not in content
    assert "/home" not in content
    published, fresh = json.loads(content), script("notebook").make_notebook((DOCS / "tour.py").read_text())
    assert len(published["cells"]) > 10
    for old, new in zip(published["cells"], fresh["cells"], strict=True):
        assert (old["cell_type"], old["source"], old["id"]) == (new["cell_type"], new["source"], new["id"])
        assert [comparable(output) for output in old.get("outputs", [])] == [
            comparable(output) for output in new.get("outputs", [])
        ]


def comparable(output: dict[str, Any]) -> object:
    """The parts of an output that are equal on all machines: text without decimals, size and kind of an image."""
    if output["output_type"] == "stream":
        return re.sub(r"\d+\.\d+", "x", output["text"])
    return output["data"]["text/plain"], sorted(output["data"])
