"""The command denoise: which model, what is written, errors midway."""

from __future__ import annotations

import io
import json
import os
import shlex
import struct
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from denoise_helpers import (
    FASHION,
    HALF,
    assert_halved,
    coloured,
    cut_off,
    denoise,
    error_of,
    names,
    noise_16,
    noise_file,
    pixels,
    png_16,
    png_chunk,
    save_model,
    shipped,
    text,
)
from PIL import Image, ImageCms
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.data.open_image import read_header
from gan_denoise.errors import UsageError
from gan_denoise.export import runtime
from gan_denoise.export.denoise import denoise_files
from gan_denoise.export.denoise.record import NAME

OPENED: list[str] = []  # an audit hook cannot be removed, so one is added for all tests
sys.addaudithook(lambda event, arguments: OPENED.append(str(arguments[0])) if event == "open" else None)

pytestmark = pytest.mark.usefixtures("folder_with_half")


# --- which model --------------------------------------------------------------------------------


def test_photographs_have_their_model_and_grey_images_of_28_pixels_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [
        noise_file("grey.png"),
        noise_file("equal.png", "RGB"),
        coloured("red.png"),
    ]
    large = [noise_file("l.png", "L", (29, 28)), noise_file("rgb.png", "RGB", (29, 28))]
    fashion = runtime.load_graph(runtime.DENOISER).sha256
    with shipped(monkeypatch) as photo:
        used = json.loads(denoise(*images, "--out", "clean", "--json").stdout)["models"]
        assert used == {"photo": photo["photo"], "fashion": fashion}
        assert pixels("clean/red.png").max() == 128  # 255 halved
        np.testing.assert_array_equal(pixels("clean/grey.png")[..., None].repeat(3, -1), pixels("clean/equal.png"))
        used = json.loads(denoise(*images[:1], *large, "--out", "named", "--model", "photo", "--json").stdout)["models"]
        assert used == {"photo-grey": photo["photo-grey"]}
    for name in ("grey.png", "l.png", "rgb.png"):
        assert_halved(f"named/{name}", name)


def test_a_grey_image_stored_in_colour_keeps_its_channels_and_its_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.open(noise_file("a.png", "RGB", (40, 40))).save("b.png", icc_profile=profile)
    with shipped(monkeypatch):
        assert denoise("b.png", "--out", "clean").exit_code == 0
    with Image.open("clean/b.png") as image:
        assert (image.mode, image.info["icc_profile"]) == ("RGB", profile)
    assert_halved("clean/b.png", "b.png")


def test_names_are_names_and_paths_are_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    save_model("photo", "copy")
    image = noise_file("a.png")
    with shipped(monkeypatch):
        assert denoise(image, "--out", "name", "--model", "photo").exit_code == 0
        assert denoise(image, "--out", "file", "--model", "./photo").exit_code == 0
    np.testing.assert_array_equal(pixels("file/a.png"), pixels(image))
    assert pixels("name/a.png").max() < 130
    error = error_of(denoise(image, "--out", "x", "--model", "phto"))
    assert (error.exit_code, error.message) == (3, "phto: not found")


def test_a_damaged_shipped_model_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with shipped(monkeypatch):
        Path("shipped/photo.onnx").write_bytes(b"other")
        images = [noise_file(name, "RGB", (30, 30)) for name in ("a.png", "b.png")]
        error = error_of(denoise(*images, "--out", "clean"))
    assert error.message == "photo.onnx: expected the shipped model, got a damaged file"
    assert not Path("clean").exists()


def test_a_model_of_fixed_size_takes_what_it_took() -> None:
    for image in (noise_file("a.png"), noise_file("rgb.png", "RGB"), noise_file("large.png", size=(50, 70))):
        done = denoise(image, "--out", "clean", *FASHION)
        assert done.exit_code == 0
        with Image.open(f"clean/{image}") as result, Image.open(image) as source:
            assert (result.mode, result.size) == (source.mode, source.size)


# --- what is written ----------------------------------------------------------------------------


def test_each_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [noise_file("a.png"), noise_file("b.png", "RGB"), noise_file("c.png", size=(70, 50)), noise_file("d.jpg")]
    decoders: list[Any] = []
    make_decoder = PIL.Image._getdecoder

    def record(*arguments: Any) -> Any:  # Pillow makes a decoder each time that it decodes a file
        if arguments[1] != "raw":  # to make an image of an array
            decoders.append(arguments)
        return make_decoder(*arguments)

    monkeypatch.setattr(PIL.Image, "_getdecoder", record)
    OPENED.clear()
    assert denoise(*files, "--out", "clean", *FASHION).exit_code == 0
    assert len(decoders) == len(files)
    assert {file: count for file, count in Counter(OPENED).items() if file in files} == dict.fromkeys(files, 2)


def test_16_bits_and_alpha_reach_the_file() -> None:
    save_model("copy.onnx", "copy")
    content = noise_16(4)
    Path("a.png").write_bytes(png_16(content))
    assert denoise("a.png", "--out", "clean", "--model", "copy.onnx").exit_code == 0
    from denoise_helpers import read_png_16

    np.testing.assert_array_equal(read_png_16(Path("clean/a.png").read_bytes()), content)


def test_formats_are_png_unless_they_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    images = [noise_file(name, "RGB") for name in ("a.jpeg", "b.TIF", "c.webp", "d.png", "e.bmp", "f.gif")]
    assert denoise(*images, "--out", "png", *HALF).exit_code == 0
    assert names("png") == sorted([NAME, *(f"{letter}.png" for letter in "abcdef")])
    done = denoise(*images, "--out", "kept", *HALF, "--keep-format")
    assert done.exit_code == 0
    assert names("kept") == sorted([NAME, "a.jpeg", "b.TIF", "c.webp", "d.png", "e.png", "f.png"])
    kinds = [read_header(Path(f"kept/{name}")).format for name in ("a.jpeg", "b.TIF", "c.webp", "d.png", "e.png")]
    assert kinds == ["JPEG", "TIFF", "WEBP", "PNG", "PNG"]
    assert "written as PNG, since their formats are not written: 1 BMP image (e.bmp)" in done.stderr
    os.rename("a.jpeg", "wrong.png")  # named by its content
    assert denoise("wrong.png", "--out", "kept", *HALF, "--keep-format").stdout == "kept/wrong.jpg\n"


def test_before_and_after_stand_side_by_side() -> None:
    noise_file("a.jpg", "RGB", (30, 20))
    assert denoise("a.jpg", "--out", "clean", *HALF, "--compare").stdout == "clean/a.png\nclean/a-compare.png\n"
    both = pixels("clean/a-compare.png")
    assert both.shape == (20, 68, 3)
    np.testing.assert_array_equal(both[:, :30], pixels("a.jpg"))
    np.testing.assert_array_equal(both[:, 38:], pixels("clean/a.png"))
    noise_file("a-compare.png")
    with pytest.raises(UsageError, match=r"both written as a-compare\.png"):
        raise error_of(denoise("a.jpg", "a-compare.png", "--out", "x", *HALF, "--compare"))


@pytest.mark.parametrize(("strength", "expected"), [(0, 200), (0.5, 150), (1.5, 50)])
def test_strength_blends(strength: float, expected: int) -> None:
    Image.new("RGB", (9, 9), (200, 200, 200)).save("a.png")
    assert denoise("a.png", "--out", "clean", *HALF, "--strength", strength).exit_code == 0
    assert np.unique(pixels("clean/a.png")).tolist() == [expected]


@pytest.mark.parametrize("strength", ["-0.1", "1.6", "nan", "much"])
def test_other_strengths_are_refused(strength: str) -> None:
    done = denoise(noise_file("a.png"), "--out", "clean", *HALF, "--strength", strength)
    assert getattr(done.exception, "exit_code", None) == 2 or done.exit_code == 2
    assert not Path("clean").exists()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2000, 1), (1, 1100)])
@pytest.mark.row(92)
def test_any_size_is_denoised(size: tuple[int, int]) -> None:
    assert denoise(noise_file("a.png", size=size), "--out", "clean", *HALF).exit_code == 0
    assert_halved("clean/a.png", "a.png")


def test_json_says_what_was_done() -> None:
    done = denoise(noise_file("a.png", size=(200, 100)), cut_off("bad.png"), "--out", "clean", *HALF, "--json")
    facts = json.loads(done.stdout)
    assert facts["written"] == ["clean/a.png"]
    assert facts["megapixels"] == pytest.approx(0.02)
    provider = {"half.onnx": "cpu"}
    assert facts["settings"] == {"strength": 1, "keep_format": False, "compare": False, "provider": provider}
    assert facts["failed"][0]["image"] == "bad.png"
    assert facts["model_sha256"] == sha256(Path("half.onnx").read_bytes()).hexdigest()
    assert error_of(done).exit_code == 3


def test_the_hint_works_and_is_left_out_where_there_is_none() -> None:
    done = denoise(noise_file("a b.png", size=(40, 40)), "--out", "clean", *HALF, "--strength", 0.5)
    hint = next(line for line in done.stderr.splitlines() if line.startswith("next: gan-denoise "))
    again = CliRunner().invoke(app, shlex.split(hint)[2:])
    assert again.exit_code == 0
    assert names() == sorted([NAME, "a b-compare.png", "a b.png"])
    assert "next:" not in again.stderr
    assert "next: gan-denoise eval denoising" in denoise(noise_file("g.png"), "--out", "grey", *FASHION).stderr


# --- errors midway ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (cut_off, "bad.png: unreadable image"),
        (coloured, "bad.png: expected a grey image, as the model needs, got one with colours"),
        (text, "bad.png: expected an image"),
        (lambda path: noise_file(path, size=(27, 99)), "bad.png: expected 28x28 pixels or more, got 27x99"),
        (lambda path: path, "bad.png: not found"),
    ],
)
@pytest.mark.row(89)
def test_a_bad_image_does_not_stop_the_others(save: Any, message: str) -> None:
    files = [noise_file("first.png"), save("bad.png"), noise_file("last.png")]
    done = denoise(*files, "--out", "clean", *FASHION)
    error = error_of(done)
    assert (error.exit_code, error.message) == (3, "IMAGES: 1 of 3 could not be denoised, named above")
    assert f"error: {message}" in done.stderr
    assert done.stdout == "clean/first.png\nclean/last.png\n"
    assert names() == [NAME, "first.png", "last.png"]


@pytest.mark.row(89)
def test_a_folder_without_images_does_not_stop_the_others() -> None:
    Path("empty").mkdir()
    done = denoise(noise_file("a.png"), "empty", "--out", "clean", *HALF)
    assert error_of(done).message == "IMAGES: 1 of 2 could not be denoised, named above"
    assert "error: empty: expected image files" in done.stderr
    assert names() == [NAME, "a.png"]


@pytest.mark.row(89)
def test_an_animation_of_a_billion_frames_by_its_header_does_not_stop_the_others() -> None:
    content = Path(noise_file("a.png")).read_bytes()
    frames = png_chunk(b"acTL", struct.pack(">II", 2**30, 0))
    control = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 28, 28, 0, 0, 1, 1, 0, 0))
    Path("many.png").write_bytes(content[:33] + frames + control + content[33:])
    done = denoise("many.png", "a.png", "--out", "clean", *HALF)
    assert "error: many.png: expected at most 100,000 frames, got 1,073,741,824" in done.stderr
    assert names() == [NAME, "a.png"]


@pytest.mark.parametrize(("arguments", "what"), [(("", "--out", "clean"), "IMAGES"), (("a.png", "--out", ""), "--out")])
@pytest.mark.row(104)
def test_an_empty_name_is_not_the_current_folder(arguments: tuple[str, ...], what: str) -> None:
    noise_file("a.png")
    error = error_of(denoise(*arguments, *HALF))
    assert (error.exit_code, error.message) == (2, f"{what}: expected a file or folder, got an empty name")
    assert names(".") == ["a.png", "half.onnx"]


@pytest.mark.row(104)
def test_a_file_can_have_the_name_of_standard_input() -> None:
    Path(noise_file("a.png")).rename("-")
    other = io.BytesIO()
    Image.new("L", (3, 3), 200).save(other, "PNG")
    assert denoise("-", "./-", "--out", "clean", *HALF, content=other.getvalue()).exit_code == 0
    assert names() == ["-.png", NAME, "stdin.png"]
    assert (pixels("clean/stdin.png").shape, pixels("clean/-.png").shape) == ((3, 3), (28, 28))


@pytest.mark.row(104)
def test_a_closed_standard_output_is_an_error() -> None:
    noise_file("a.png")
    shell = f"{shlex.quote(sys.executable)} -m gan_denoise denoise a.png --out - --model half.onnx >&-"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr.splitlines()[0]) == (4, "error: --out -: standard output is closed")


@pytest.mark.parametrize("save", [cut_off, coloured, text])
@pytest.mark.row(89)
def test_the_only_image_raises_its_own_error(save: Any) -> None:
    done = denoise(save("bad.png"), "--out", "clean", *FASHION)
    assert error_of(done).message.startswith("bad.png: ")
    assert (done.stdout, done.stderr) == ("", "")
    assert not Path("clean").exists()


@pytest.mark.row(89)
def test_an_image_that_needs_too_much_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(denoise_files, "denoise_pixels", fail)
    assert error_of(denoise(noise_file("a.png"), "--out", "clean", *HALF)).message.startswith(
        "a.png: not enough memory"
    )


def test_a_turned_image_is_checked_by_its_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    Image.fromarray(np.zeros((28, 40), np.uint8)).save("turned.png", exif=exif)
    assert denoise("turned.png", "--out", "clean", *FASHION).exit_code == 0
    with Image.open("clean/turned.png") as image:
        assert image.size == (28, 40)


@pytest.mark.row(90)
def test_the_only_original_is_never_replaced() -> None:
    content = Path(noise_file("a.png")).read_bytes()
    error = error_of(denoise("a.png", "--out", ".", *HALF, "--force"))
    assert (error.exit_code, error.message) == (
        2,
        "--out: expected another folder than that of the images, got ., where a.png is",
    )
    Path("clean").mkdir()
    Path("clean/a.png").symlink_to("../a.png")
    assert error_of(denoise("a.png", "--out", "clean", *HALF, "--force")).exit_code == 2
    assert Path("a.png").read_bytes() == content
