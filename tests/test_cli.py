"""The command line as a user sees it: exit codes, one-line errors with a hint, no data lost."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from command_helpers import run_command, start_command
from PIL import Image
from typer.testing import CliRunner

from gan_denoise import __version__
from gan_denoise.cli import app

ROOT = Path(__file__).parent.parent


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, cwd=cwd)


def denoised_in(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays["denoised"]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, np.int16)


def test_the_version_and_the_entry_points() -> None:
    version = f"gan-denoise {__version__}\n"
    as_module = [sys.executable, "-m", "gan_denoise", "--version"]
    assert subprocess.run(as_module, capture_output=True, text=True).stdout == version
    script = subprocess.run([sys.executable, str(ROOT / "cli.py"), "--version"], capture_output=True, text=True)
    assert script.stdout == version


def test_python_m_gives_the_errors_and_exit_codes_of_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gan_denoise", "generate", "--model", "missing.onnx", "--out", "grid.png"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: missing.onnx: ")
    assert "Traceback" not in done.stderr


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All commands and groups below the group, with their paths."""
    for name, command in group.commands.items():
        yield f"{path} {name}".strip(), command
        yield from commands(command, f"{path} {name}") if hasattr(command, "commands") else ()


def test_every_command_has_a_help_with_an_example_of_its_own() -> None:
    by_path = dict(commands(typer.main.get_command(app)))
    assert {"generate", "eval denoising", "study check", "train joint", "data info", "train"} <= by_path.keys()
    for path, command in by_path.items():
        done = CliRunner().invoke(app, [*path.split(), "--help"])
        assert done.exit_code == 0
        assert f"Example: gan-denoise {path}" in done.stdout
        options = {option for parameter in command.params for option in parameter.opts}
        if not hasattr(command, "commands"):
            assert {"--json", "--quiet"} <= options, path
        assert not {"--csv", "--markdown"} & options, path


def test_the_next_command_is_named_on_stderr_except_with_json_or_quiet(tmp_path: Path) -> None:
    arguments = ("generate", "-n", "97", "--out", "a folder")
    plain = run(*arguments, cwd=tmp_path)
    assert (plain.stdout, plain.stderr) == ("a folder\n", "next: gan-denoise eval ffd 'a folder'\n")
    quiet = run(*arguments, "--force", "-q", cwd=tmp_path)
    assert (quiet.stdout, quiet.stderr) == ("a folder\n", "")
    as_json = run(*arguments, "--force", "--json", cwd=tmp_path)
    content = json.loads(as_json.stdout)
    assert as_json.stderr == ""
    assert (content["command"], content["version"], content["written"]) == ("generate", __version__, ["a folder"])
    assert content["settings"] == {"n": 97, "seed": 0, "label": None, "batch": 64, "provider": "cpu"}
    measured = run("eval", "ffd", "a folder", "--format", "csv", cwd=tmp_path)
    assert measured.stdout.splitlines()[0] == "set,n,ffd_1"
    assert measured.stderr == ""  # no command is known to work on any images


@pytest.mark.parametrize("arguments", [("--json", "--format", "csv"), ("--format", "table", "--json")])
def test_json_and_another_format_are_refused_in_one_line(arguments: tuple[str, ...]) -> None:
    done = run("eval", "ffd", "missing", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    value = arguments[arguments.index("--format") + 1]
    assert done.stderr == f"error: --json, --format: expected one of them, got --json --format {value}\n"


def test_an_unknown_format_is_a_usage_error() -> None:
    assert run("eval", "ffd", "missing", "--format", "html").returncode == 2


def test_training_can_be_silent_and_print_json(tmp_path: Path) -> None:
    arguments = ("train", "denoiser", "--preset", "smoke", "--threads", "1", "--json", "--quiet", "--out", "a")
    done = run(*arguments, cwd=tmp_path)
    content = json.loads(done.stdout)
    assert done.stderr == ""
    assert (content["written"], content["settings"]["batch"], content["settings"]["threads"]) == (["a/denoiser"], 32, 1)
    exported = json.loads(run("export", "a", "--json", "--out", "b", cwd=tmp_path).stdout)
    assert exported["written"] == ["b/denoiser.onnx"]
    assert exported["worst_difference"]["denoiser.onnx"] < 1e-4


def test_a_shell_can_complete_commands_and_options() -> None:
    for words, completion in (("gan-denoise ev", "eval"), ("gan-denoise quantize i", "int8")):
        count = str(len(words.split()) - 1)
        environment = {**os.environ, "_GAN_DENOISE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
        program = Path(sys.executable).parent / "gan-denoise"
        done = subprocess.run([program], capture_output=True, text=True, env=environment, check=False)
        assert done.stdout.split() == [completion]


@pytest.mark.parametrize("arguments", [("generate",), ("eval", "generation"), ("train", "gan")])
@pytest.mark.parametrize(("option", "value"), [("--seed", 2**63), ("--threads", 1025)])
def test_seeds_and_threads_beyond_bounds_are_usage_errors(
    tmp_path: Path, arguments: tuple[str, ...], option: str, value: int
) -> None:
    assert run(*arguments, option, value, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("name", ["a.jpg", "b.npy", "c.TIFF"])
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str) -> None:
    assert run("generate", "--out", name, cwd=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_not_overwritten(tmp_path: Path) -> None:
    assert run("generate", "-n", "3", "--out", "out", cwd=tmp_path).returncode == 0
    assert run("generate", "-n", "2", "--out", "out", "--force", cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / "out/image").iterdir())) == 2
    (tmp_path / "out/image/photo.raw").write_text("mine")
    done = run("generate", "-n", "1", "--out", "out", "--force", cwd=tmp_path)
    assert done.returncode == 4
    assert "photo.raw: unexpected file, not overwritten" in done.stderr
    assert (tmp_path / "out/image/photo.raw").read_text() == "mine"


def test_a_name_that_is_too_long_is_one_line_and_exit_4(tmp_path: Path) -> None:
    done = run("generate", "-n", "1", "--out", "x" * 300 + ".png", cwd=tmp_path)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shape", ["grid.png", "out.npz", "folder"])
def test_generate_from_the_shipped_model(tmp_path: Path, shape: str) -> None:
    done = run("generate", "-n", "20", "--out", shape, "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{shape}\n", "")
    if shape == "out.npz":
        with np.load(tmp_path / shape) as arrays:
            assert arrays["image"].shape == arrays["denoised"].shape == (20, 1, 28, 28)
            assert 0.05 < arrays["image"].std() < 0.5  # images, not a constant
            assert np.abs(arrays["image"] - arrays["denoised"]).max() > 0.01
    if shape == "folder":
        assert len(list((tmp_path / shape).glob("*/*.png"))) == 40


def test_images_do_not_depend_on_count_and_batch_size(tmp_path: Path) -> None:
    run("generate", "-n", "30", "--batch", "7", "--out", "a.npz", cwd=tmp_path)
    run("generate", "-n", "3", "--out", "b.npz", cwd=tmp_path)
    run("generate", "-n", "3", "--seed", "1", "--out", "c.npz", cwd=tmp_path)
    a, b, c = (denoised_in(tmp_path / f"{name}.npz") for name in "abc")
    np.testing.assert_allclose(a[:3], b, atol=1e-5)
    assert np.abs(b - c).max() > 0.1


def test_sharded_output_resumes_after_a_kill(exported: Path, tmp_path: Path) -> None:
    command = ("generate", "--model", exported, "-n", "10001", "--threads", "1", "--out", "many")
    smaller = {"export.commands.MAX_IN_MEMORY": 10_000, "export.shards.SHARD": 1_000}
    killed = start_command(*command, cwd=tmp_path, constants=smaller)
    while not (tmp_path / "many/000001.npz").exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    assert killed.wait(60) == -signal.SIGKILL
    first = (tmp_path / "many/000000.npz").stat()
    assert not (tmp_path / "many/000010.npz").exists()

    done = run_command(*command, cwd=tmp_path, constants=smaller)
    assert (done.returncode, done.stdout, done.stderr) == (0, "many\n", "next: gan-denoise eval ffd many\n")
    assert (tmp_path / "many/000000.npz").stat().st_mtime_ns == first.st_mtime_ns
    shapes = [denoised_in(tmp_path / f"many/{i:06d}.npz").shape for i in range(11)]
    assert shapes == [(1_000, 28, 28)] * 10 + [(1, 28, 28)]

    other = run_command(*command, "--seed", "1", cwd=tmp_path, constants=smaller)
    assert other.returncode == 4
    assert "many: exists with other contents, not overwritten\nhint: --force overwrites it" in other.stderr


def test_an_invalid_model_is_one_line_and_exit_3(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    for model in ("text.onnx", "missing.onnx", "."):
        done = run("generate", "--model", model, "--out", "grid.png", cwd=tmp_path)
        assert done.returncode == 3
        assert re.search(
            "expected an ONNX model, got|onnx: not found|expected a folder with fused.onnx or onnx/model.onnx",
            done.stderr,
        )
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "grid.png").exists()


def test_the_generators_file_is_no_fused_model(tmp_path: Path, exported: Path) -> None:
    done = run("generate", "--model", exported / "generator.onnx", "--out", "grid.png", cwd=tmp_path)
    assert done.returncode == 3
    assert "expected a graph z -> image, denoised, got z -> image" in done.stderr


def test_denoise_takes_image_files_and_keeps_their_names(tmp_path: Path) -> None:
    run("generate", "-n", "2", "--out", "made", cwd=tmp_path)
    done = run("denoise", "made/image/000000.png", "made/image/000001.png", "--out", "clean", cwd=tmp_path)
    assert done.stdout.splitlines() == ["clean/000000.png", "clean/000001.png"]
    fused, denoised = pixels(tmp_path / "made/denoised/000001.png"), pixels(tmp_path / "clean/000001.png")
    assert np.abs(fused - denoised).max() <= 3  # the input file is rounded, the fused graph's image is not


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("L", (28, 28)).save(tmp_path / folder / "x.png")
    done = run("denoise", "a/x.png", "b/x.png", "--out", "clean", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: IMAGES: expected different names, got a/x.png and b/x.png, both written as x.png\n"
    )
    assert run("denoise", "a/x.png", "./a/x.png", "--out", "clean", cwd=tmp_path).stdout == "clean/x.png\n"
    (tmp_path / "file").touch()
    done = run("denoise", "a/x.png", "--out", "file/deeper", cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (4, "error: file: expected a folder, got a file")


def test_the_longest_name_is_written_and_a_longer_one_refused_before_any_is(tmp_path: Path) -> None:
    longest, longer = f"{'x' * 251}.png", "y" * 255
    for name in ("a.png", longest, longer):
        Image.new("L", (28, 28)).save(tmp_path / name, format="PNG")
    done = run("denoise", "a.png", longer, "--out", "clean", cwd=tmp_path)
    assert (done.returncode, "y.png: File name too long" in done.stderr) == (4, True)
    assert not (tmp_path / "clean").exists()
    assert run("denoise", longest, "--out", "clean", cwd=tmp_path).returncode == 0
    assert (tmp_path / "clean" / longest).exists()


def test_dry_run_prints_the_resolved_configuration() -> None:
    done = run("train", "gan", "--preset", "paper", "--epochs", "3", "--seed", "7", "--dry-run")
    config = json.loads(done.stdout)
    assert (config["epochs"], config["batch"], config["seed"], config["images"]) == (3, 256, 7, 60_000)


def test_an_option_out_of_range_is_named(tmp_path: Path) -> None:
    done = run("train", "gan", "--batch", "1", "--out", tmp_path)
    assert done.returncode == 2
    assert "--batch: expected 2 to 60000 (the number of images), got 1" in done.stderr


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    done = run("--debug", "generate", "--model", tmp_path / "missing.onnx", "--out", tmp_path / "grid.png")
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_export_writes_a_folder_that_generate_takes(trained: Path, tmp_path: Path) -> None:
    assert run("export", trained, "--out", tmp_path / "out").returncode == 0
    assert run("generate", "--model", tmp_path / "out", "-n", "2", "--out", tmp_path / "a.npz").returncode == 0
    assert run("export", trained, "--out", tmp_path / "out").returncode == 4


SIGNALLED = """
import os, signal, sys, time
from gan_denoise import cli

def run():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(60)
    except BaseException:  # as the import of a compiled module does
        if sys.argv[2] == "replaced":
            raise ImportError("initialization failed", name="onnxruntime")
    time.sleep(60)

cli._run = run
cli.main()
"""


@pytest.mark.row(102)
@pytest.mark.parametrize("exception", ["lost", "replaced"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_whose_import_catches_its_exception(number: int, exception: str) -> None:
    command = [sys.executable, "-c", SIGNALLED, str(int(number)), exception]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")
