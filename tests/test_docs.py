"""What the documents say: made from the help, run as it stands, linked to what exists."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer

from gan_denoise.cli import app
from gan_denoise.export import latents, runtime

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
README = (ROOT / "README.md").read_text()


def script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(file: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / file), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_command_lines_document_is_up_to_date() -> None:
    assert (DOCS / "cli.md").read_text() == script("cli").page(), "make docs"


def test_the_list_of_components_is_that_of_the_locks() -> None:
    def known(document: dict[str, Any]) -> list[tuple[Any, ...]]:  # licences are known where a package is installed
        return [(c["purl"], c["scope"], c.get("hashes")) for c in document["components"]]

    kept = json.loads((DOCS / "components.cdx.json").read_text())
    assert known(kept) == known(script("components").document()), "make docs"
    scopes = {c["name"]: c["scope"] for c in kept["components"]}
    assert (scopes["onnxruntime"], scopes["protobuf"], scopes["torch"]) == ("required", "required", "optional")
    licences = {c["name"]: c["licenses"][0]["license"]["name"] for c in kept["components"] if "licenses" in c}
    assert (licences["onnx"], licences["onnxruntime-web"]) == ("Apache-2.0", "MIT")


def test_the_command_lines_document_has_every_command_and_option() -> None:
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


def test_the_readmes_python_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    for images in (names["image"], names["denoised"]):
        assert (images.shape, images.dtype) == ((16, 1, 28, 28), np.float32)
        assert 0 <= images.min() < images.max() <= 1


def test_the_commands_of_the_documents_exist_with_their_options() -> None:
    texts = [README, *(path.read_text() for path in DOCS.glob("*.md") if path.name != "cli.md")]
    lines = [line.split("  #")[0] for text in texts for line in re.findall(r"^(?:\S*/)?gan-denoise (.*)", text, re.M)]
    assert len(lines) > 20
    for line in lines:
        words, command = line.split(), typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


@pytest.mark.parametrize("page", ["how_it_works.md", "replace.md", "cli.md", "tour.py"])
def test_the_documents_link_to_what_exists(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text()):
        assert (DOCS / target).exists(), target


def test_the_examples_are_short_and_stand_in_the_document_as_they_are() -> None:
    page = (DOCS / "replace.md").read_text()
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name for file in files] == ["denoiser.py", "generator.py", "metric.py"]
    for file in files:
        code = file.read_text()
        assert f"```python\n{code}```" in page
        assert len(code.splitlines()) < 40


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
    assert "/work" not in content
    assert "/home" not in content
    made = script("notebook")
    kept, fresh = json.loads(content), made.notebook((DOCS / "tour.py").read_text())
    assert len(made.cells((DOCS / "tour.py").read_text())) == len(kept["cells"]) > 10
    for old, new in zip(kept["cells"], fresh["cells"], strict=True):
        assert (old["cell_type"], old["source"], old["id"]) == (new["cell_type"], new["source"], new["id"])
        assert [shape(output) for output in old.get("outputs", [])] == [shape(o) for o in new.get("outputs", [])]


def shape(output: dict[str, Any]) -> object:
    """What an output is like on any machine: its words without figures, or an image of its size."""
    if output["output_type"] == "stream":
        return re.sub(r"\d+\.\d+", "x", output["text"])
    return output["data"]["text/plain"], sorted(output["data"])
