"""The command denoise: a repeated call, standard streams, progress, camera raw."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from denoise_helpers import (
    FASHION,
    HALF,
    assert_halved,
    denoise,
    error_of,
    names,
    noise_16,
    noise_file,
    pixels,
    save_model,
    shipped,
)
from PIL import Image

from gan_denoise import console
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export.denoise import camera_raw, denoise_files, tiling
from gan_denoise.export.denoise.progress import describe_speed, show_progress
from gan_denoise.export.denoise.record import NAME

pytestmark = pytest.mark.usefixtures("folder_with_half")


# --- a repeated call ----------------------------------------------------------------------------


@pytest.mark.row(90)
def test_a_stopped_call_goes_on_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(5):
        noise_file(f"photos/sub/{i}.png")
    count = 0

    def stop_at_the_third(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return tiling.denoise_pixels(*arguments)

    with monkeypatch.context() as context:
        context.setattr(denoise_files, "denoise_pixels", stop_at_the_third)
        done = denoise("photos", "--out", "clean", *HALF)
    assert done.exit_code == 130
    assert "2 files written; the same command continues" in done.stderr
    assert names() == [NAME, "sub/0.png", "sub/1.png"]
    times = [Path(f"clean/sub/{i}.png").stat().st_mtime_ns for i in range(2)]
    done = denoise("photos", "--out", "clean", *HALF)
    assert done.stdout == "".join(f"clean/sub/{i}.png\n" for i in range(2, 5))
    assert "2 files of an earlier call kept" in done.stderr
    assert times == [Path(f"clean/sub/{i}.png").stat().st_mtime_ns for i in range(2)]
    done = denoise("photos", "--out", "clean", *HALF, "--json")
    assert (json.loads(done.stdout)["written"], len(json.loads(done.stdout)["kept"])) == ([], 5)


def change_output() -> None:
    Image.new("L", (28, 28)).save("clean/a.png")


def change_source() -> None:
    Image.new("L", (28, 28), 9).save("a.png")
    os.utime("a.png", ns=(1, 1))


def cut_the_record() -> None:
    record = Path("clean") / NAME
    record.write_text(record.read_text()[:40])


@pytest.mark.parametrize(
    ("change", "options", "how"),
    [
        (None, (*HALF, "--strength", "0.5"), "exists and was made with another strength"),
        (None, FASHION, "exists and was made with another model"),
        (change_source, HALF, "exists and was made with another source"),
        (change_output, HALF, "exists and was made with another content"),
        (cut_the_record, HALF, "exists"),
        (lambda: (Path("clean") / NAME).unlink(), HALF, "exists"),
        (lambda: (Path("clean") / NAME).write_bytes(b"\xff[1]\n{}\n"), HALF, "exists"),
    ],
)
@pytest.mark.row(90)
def test_what_another_call_wrote_is_not_mixed(change: Any, options: tuple[str, ...], how: str) -> None:
    assert denoise(noise_file("a.png"), "--out", "clean", *HALF).exit_code == 0
    if change:
        change()
    before = Path("clean/a.png").read_bytes()
    noise_file("b.png")
    error = error_of(denoise("b.png", "a.png", "--out", "clean", *options))
    assert (type(error), error.message) == (OutputError, f"clean/a.png: {how}, not overwritten")
    assert Path("clean/a.png").read_bytes() == before
    assert not Path("clean/b.png").exists()
    assert error.hint.startswith("--force overwrites it")
    assert denoise("b.png", "a.png", "--out", "clean", *options, "--force").exit_code == 0
    repeated = denoise("b.png", "a.png", "--out", "clean", *options)
    assert (repeated.exit_code, repeated.stdout) == (0, "")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.row(90)
def test_what_another_call_writes_meanwhile_is_not_overwritten(monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    noise_file("a.png")

    def write_other(*arguments: Any) -> Any:
        monkeypatch.undo()
        assert denoise("a.png", "--out", "clean", *HALF, "--strength", "0.5").exit_code == 0
        return tiling.denoise_pixels(*arguments)

    with monkeypatch.context() as context:
        context.setattr(denoise_files, "denoise_pixels", write_other)
        context.setattr(monkeypatch, "undo", context.undo)
        done = denoise("a.png", "--out", "clean", *HALF, *(["--force"] if force else []))
    if force:
        assert done.exit_code == 0
        assert_halved("clean/a.png", "a.png")
    else:
        assert error_of(done).message == "clean/a.png: exists and was made with another strength, not overwritten"
        np.testing.assert_allclose(pixels("clean/a.png"), pixels("a.png") * 0.75, atol=0.51)


@pytest.mark.row(90)
def test_a_default_call_does_not_keep_what_a_named_model_made_of_a_small_grey_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise_file("a.png")
    with shipped(monkeypatch):
        assert denoise("a.png", "--out", "clean", "--model", "photo").exit_code == 0
        error = error_of(denoise("a.png", "--out", "clean"))
    assert error.message == "clean/a.png: exists and was made with another model, not overwritten"


@pytest.mark.row(90)
def test_the_result_of_another_named_model_is_not_that_of_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    noise_file("a.png", size=(40, 40))
    with shipped(monkeypatch):
        assert denoise("a.png", "--out", "clean", *FASHION).exit_code == 0
        error = error_of(denoise("a.png", "--out", "clean"))
        assert error.message == "clean/a.png: exists and was made with another model, not overwritten"
        assert denoise("a.png", "--out", "clean", "--force").exit_code == 0
        assert_halved("clean/a.png", "a.png")
        assert denoise("a.png", "--out", "clean").stdout == ""


def test_a_file_that_is_removed_is_written_again() -> None:
    noise_file("a.png")
    for _ in range(2):
        assert denoise("a.png", "--out", "clean", *HALF).stdout == "clean/a.png\n"
        Path("clean/a.png").unlink()


def test_a_file_of_the_user_is_in_the_way() -> None:
    noise_file("a.png")
    Path("clean").mkdir()
    Path("clean/a.png").write_text("mine")
    error = error_of(denoise("a.png", "--out", "clean", *HALF))
    assert (error.exit_code, error.message) == (4, "clean/a.png: exists, not overwritten")
    assert names() == ["a.png"]


# --- standard streams ---------------------------------------------------------------------------


def test_one_image_goes_through_standard_streams() -> None:
    content = Path(noise_file("a.jpg", "RGB", (40, 30))).read_bytes()
    done = denoise("-", "--out", "-", *HALF, content=content)
    assert done.exit_code == 0
    with Image.open(io.BytesIO(done.stdout_bytes)) as image:
        assert (image.format, image.size) == ("PNG", (40, 30))
        np.testing.assert_allclose(np.asarray(image), pixels("a.jpg") / 2, atol=0.51)
    kept = denoise("-", "--out", "-", *HALF, "--keep-format", content=content)
    assert Image.open(io.BytesIO(kept.stdout_bytes)).format == "JPEG"
    assert denoise("-", "--out", "clean", *HALF, content=content).stdout == "clean/stdin.png\n"
    assert denoise("-", "--out", "clean", *HALF, content=content).stdout == ""
    other = Path(noise_file("b.jpg", "RGB", (30, 30))).read_bytes()
    assert error_of(denoise("-", "--out", "clean", *HALF, content=other)).exit_code == 4
    assert denoise("a.jpg", "--out", "-", *HALF).stdout_bytes == done.stdout_bytes
    assert denoise(noise_file("c.png"), "--out", "-", *HALF).exit_code == 0  # nothing is written beside it
    assert denoise("a.jpg", "--out", "-", *HALF, "--keep-format").stdout_bytes == kept.stdout_bytes


@pytest.mark.parametrize(
    ("arguments", "content", "code", "message"),
    [
        (("-", "--out", "-"), b"hello", 3, "-: expected an image"),
        (("-", "--out", "-"), b"", 3, "-: expected an image (PNG, JPEG, BMP, GIF, TIFF, WEBP, PPM), got an empty file"),
        (("-", "a.png", "--out", "-"), b"", 2, "IMAGES: expected one image"),
        (("-", "-", "--out", "x"), b"", 2, "IMAGES: expected one image"),
        (("a.png", "--out", "-", "--json"), b"", 2, "--json: expected an output folder, got --out -"),
        (("a.png", "--out", "-", "--compare"), b"", 2, "--compare: expected an output folder, got --out -"),
        ((".", "--out", "-"), b"", 2, "IMAGES: expected one image for standard output, got the folder ."),
        (("pages.tif", "--out", "-"), b"", 3, "pages.tif: expected one image for standard output, got 2 pages"),
    ],
)
def test_what_standard_streams_do_not_take(arguments: tuple[str, ...], content: bytes, code: int, message: str) -> None:
    noise_file("a.png")
    Image.new("L", (28, 28)).save("pages.tif", save_all=True, append_images=[Image.new("L", (28, 28))])
    done = denoise(*arguments, *HALF, content=content)
    assert error_of(done).exit_code == code
    assert error_of(done).message.startswith(message)
    assert done.stdout_bytes == b""


# --- progress and camera raw --------------------------------------------------------------------


def test_progress_is_in_megapixels_and_on_terminals_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert describe_speed(12_300_000, 2_400_000) == "12 MP, 2.4 MP/s"
    assert describe_speed(0, None) == "0 MP"
    with show_progress(10) as advance:
        advance(5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(console, "shows_progress", lambda: True)
    monkeypatch.setattr("gan_denoise.export.denoise.progress.shows_progress", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with show_progress(10_000_000) as advance:
        advance(5_000_000)
    shown = capsys.readouterr()
    assert "5 MP" in shown.err
    assert shown.out == ""


class Developed:
    """What rawpy gives for a file: a context manager with sizes and pixels."""

    sizes = types.SimpleNamespace(width=50, height=40)

    def __enter__(self) -> Developed:
        return self

    def __exit__(self, *_: object) -> None: ...

    def postprocess(self, use_camera_wb: bool, output_bps: int) -> np.ndarray:
        assert (use_camera_wb, output_bps) == (True, 16)
        return noise_16(3)


class LibRawError(Exception):
    """The name of rawpy's error."""


def imread(path: str) -> Developed:
    if not Path(path).stat().st_size:
        raise LibRawError("Unsupported file format")
    return Developed()


def test_camera_raw_is_developed_to_tiff_of_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    import tifffile

    module = types.SimpleNamespace(imread=imread, LibRawError=LibRawError)
    monkeypatch.setitem(sys.modules, "rawpy", module)
    monkeypatch.setattr(camera_raw, "can_develop", lambda: True)
    save_model("copy.onnx", "copy")
    Path("photos").mkdir()
    Path("photos/a.NEF").write_bytes(b"raw")
    assert denoise("photos", "--out", "clean", "--model", "copy.onnx").stdout == "clean/a.tif\n"
    np.testing.assert_array_equal(tifffile.imread("clean/a.tif"), noise_16(3))
    Path("photos/b.dng").touch()
    done = denoise("photos", "--out", "clean", "--model", "copy.onnx")
    assert "error: photos/b.dng: unreadable camera raw file (Unsupported file format)" in done.stderr


@pytest.mark.parametrize("content", [b"II*\0\x10\0\0\0CR\x02\0" + bytes(100), b"II*\0" + bytes(100)])
def test_camera_raw_without_rawpy_names_the_extra(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(camera_raw, "can_develop", lambda: False)
    Path("a.cr2").write_bytes(content)
    error = error_of(denoise("a.cr2", "--out", "clean", *HALF))
    assert isinstance(error, InputError)
    assert error.message.endswith("got a camera raw file")
    assert 'pip install "gan-denoise[raw]"' in error.hint


@pytest.mark.parametrize("out", ["ünï", "🦆", "a b", "-x"])
def test_any_name_of_a_folder_works(out: str) -> None:
    noise_file(f"in {out}/é/日本.png")
    assert denoise(f"in {out}", f"--out={out}", *HALF).exit_code == 0
    assert names(out) == [NAME, "é/日本.png"]


MEMORY = """
import sys
from pathlib import Path
from gan_denoise.export.denoise.denoise_files import Settings, denoise_files
from gan_denoise.export.denoise.denoisers import Denoisers
for image in sys.argv[1:]:
    denoise_files([Path(image)], Path("clean"), Denoisers("half.onnx", threads=1), Settings())
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.row(92)
def test_a_photograph_needs_a_few_bytes_a_pixel() -> None:
    """So 24 megapixels need 0.3 GB beside the 0.4 GB of a network at work on a tile."""
    Image.new("RGB", (1000, 1000), "red").save("small.jpg")
    Image.new("RGB", (3000, 2000), "red").save("large.jpg")
    command = [sys.executable, "-c", MEMORY, "small.jpg", "large.jpg"]
    small, large = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert 1024 * (large - small) < 14 * 5_000_000
