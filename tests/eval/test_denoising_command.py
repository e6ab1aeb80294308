"""`eval denoising` of photographs, as a user calls it; test_commands.py has it on Fashion-MNIST."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from photograph_helpers import averaging_network, colour_crop, grey_crop, save_images
from typer.testing import CliRunner

from gan_denoise import machine
from gan_denoise.errors import UsageError
from gan_denoise.eval import commands
from gan_denoise.eval.denoising.photographs import methods, tables
from gan_denoise.eval.noise import parse_sigmas

cli = typer.Typer()
cli.add_typer(commands.app, name="eval")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle machine, and no filter but the median."""
    monkeypatch.setattr(machine, "busy_cores", lambda: 0.0)
    median = methods.classical_methods()["median"]
    monkeypatch.setattr(tables, "classical_methods", lambda: {"median": median})


def test_photographs_are_measured_and_printed_in_each_format(tmp_path: Path) -> None:
    clean = save_images(tmp_path / "clean", a=grey_crop(), b=colour_crop())
    network = averaging_network(tmp_path / "n.onnx")
    arguments = ["eval", "denoising", "--clean", str(clean), "--model", str(network), "--threads", "1", "-n", "1"]
    arguments += ["--sigma", "25/255", "--versus", f"same={network}"]
    as_json, as_csv, as_table = (
        CliRunner().invoke(cli, [*arguments, *more], catch_exceptions=False)
        for more in (["--json"], ["--format", "csv"], [])
    )
    content = json.loads(as_json.stdout)
    assert (content["command"], len(content["rows"]), content["settings"]["seed"]) == ("eval denoising", 16, 0)
    assert [row["method"] for row in content["rows"][:4]] == ["noisy", "network", "same", "median"]
    assert content["rows"][1]["per_image"][0]["image"] == "a"
    assert as_csv.stdout.splitlines()[0].startswith("method,noise,sigma,psnr_db,psnr_se,ssim,ms_per_megapixel,")
    assert "25/255" in as_table.stdout
    assert "per_image" not in as_table.stdout
    assert as_table.stderr == ""  # no next command is known to work


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--noisy", "x"], "--noisy: expected --clean DIR with it, got no --clean", ""),
        (["--sigma", "0.1"], "--sigma: expected --clean DIR with it, got no --clean", ""),
        (["--model", "photo"], "--model: expected a denoiser of Fashion-MNIST images, got photo, ", "--clean DIR"),
        (
            ["--clean", "x", "--all"],
            "--clean, --all: expected one of them, got both",
            "--all is for the images of a data set",
        ),
        (["--clean", "x", "--data", "y"], "--clean, --data: expected one of them, got both", "--data is for"),
        (["--clean", "x", "--other-data"], "--clean, --other-data: expected one of them, got both", "--other-data is"),
        (["--clean", "x", "--noisy", "y", "--seed", "1"], "--noisy, --seed: expected one of them", "that is added"),
        (["--clean", "x", "--noisy", "y", "--sigma", "0.1"], "--noisy, --sigma: expected one of them", "is added"),
        (["--clean", "x", "--sigma", "25"], "--sigma: expected numbers above 0 and up to 1", "--sigma 15/255,"),
        (["--clean", "x", "--versus", "BM3D=y"], "--versus: expected NAME=FILE|FOLDER with a name that no", ""),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], message: str, hint: str) -> None:
    error = CliRunner().invoke(cli, ["eval", "denoising", *arguments]).exception
    assert isinstance(error, UsageError)
    assert error.message.startswith(message)
    assert hint in error.hint


def test_names_of_other_tables_are_free(tmp_path: Path) -> None:
    network = averaging_network(tmp_path / "n.onnx")
    clean = save_images(tmp_path / "clean", a=grey_crop())
    arguments = ["--clean", str(clean), "--model", str(network), "--name", "Gaussian", "--threads", "1", "--json"]
    done = CliRunner().invoke(cli, ["eval", "denoising", *arguments], catch_exceptions=False)
    assert json.loads(done.stdout)["rows"][1]["method"] == "Gaussian"


def test_sigmas_are_numbers_or_fractions_in_any_order() -> None:
    assert parse_sigmas("50/255, 0.1,15/255") == (15 / 255, 0.1, 50 / 255)
    assert parse_sigmas("1") == (1.0,)


@pytest.mark.parametrize("text", ["", "15,25", "0", "-0.1", "a", "1/0", "0.1,,0.2", "nan", "1e400", "1.01"])
def test_other_sigmas_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--sigma: expected numbers above 0 and up to 1, with commas, got '"):
        parse_sigmas(text)
