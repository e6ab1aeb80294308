"""The command denoise: headers checked first, each image decoded once, and errors midway."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from PIL import Image
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.errors import InputError

OPENED: list[str] = []  # an audit hook cannot be removed, so one is added for all tests
sys.addaudithook(lambda event, arguments: OPENED.append(str(arguments[0])) if event == "open" else None)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def noise_file(path: str, mode: str = "L", size: tuple[int, int] = (28, 28)) -> str:
    noise = np.random.default_rng(0).integers(0, 256, size[::-1], np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def cut_off(path: str) -> str:
    """A PNG file whose header is intact and whose pixels are not."""
    content = Path(noise_file(path)).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    return path


def coloured(path: str) -> str:
    Image.new("RGB", (28, 28), "red").save(path)
    return path


def test_each_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [noise_file("a.png"), noise_file("b.png", "RGB"), noise_file("c.png", size=(70, 50)), noise_file("d.jpg")]
    decoders: list[Any] = []
    make_decoder = PIL.Image._getdecoder

    def record(*arguments: Any) -> Any:  # Pillow makes a decoder each time that it decodes a file
        decoders.append(arguments)
        return make_decoder(*arguments)

    monkeypatch.setattr(PIL.Image, "_getdecoder", record)
    OPENED.clear()
    done = CliRunner().invoke(app, ["denoise", *files, "--out", "clean"], catch_exceptions=False)
    assert done.exit_code == 0
    assert len(decoders) == len(files)
    assert {file: count for file, count in Counter(OPENED).items() if file in files} == dict.fromkeys(files, 2)


@pytest.mark.parametrize(
    ("size", "mode", "message"),
    [
        ((27, 99), "L", "bad.png: expected 28x28 pixels or more, got 27x99"),
        ((28, 28), "RGB", "bad.png: expected an image"),
    ],
)
def test_what_a_header_shows_is_refused_before_anything_is_written(
    size: tuple[int, int], mode: str, message: str
) -> None:
    Image.new(mode, size).save("bad.png", format="PNG" if mode == "L" else "PDF")
    done = CliRunner().invoke(app, ["denoise", noise_file("good.png"), "bad.png", "--out", "clean"])
    assert isinstance(done.exception, InputError)
    assert done.exception.message.startswith(message)
    assert not Path("clean").exists()


@pytest.mark.parametrize(
    ("save", "message"), [(cut_off, "bad.png: "), (coloured, "bad.png: expected a grey image, as the model needs, got")]
)
def test_bad_pixels_stop_the_command_there_and_earlier_files_stay(save: Any, message: str) -> None:
    files = [noise_file("first.png"), save("bad.png"), noise_file("last.png")]
    done = CliRunner().invoke(app, ["denoise", *files, "--out", "clean"])
    assert isinstance(done.exception, InputError)
    assert done.exception.message.startswith(message)
    assert [path.name for path in Path("clean").iterdir()] == ["first.png"]
    with Image.open("clean/first.png") as image:
        assert image.size == (28, 28)


def test_a_turned_image_is_checked_by_its_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    Image.fromarray(np.zeros((28, 40), np.uint8)).save("turned.png", exif=exif)
    assert CliRunner().invoke(app, ["denoise", "turned.png", "--out", "clean"]).exit_code == 0
    with Image.open("clean/turned.png") as image:
        assert image.size == (28, 40)
