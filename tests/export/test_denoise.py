"""The command denoise: which model, what is written, errors midway, a repeated call, standard streams."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from denoise_helpers import noise_16, photo_model, png_16, save_model
from PIL import Image
from typer.testing import CliRunner, Result

from gan_denoise import console
from gan_denoise.cli import app
from gan_denoise.data.open_image import read_header
from gan_denoise.errors import GanDenoiseError, InputError, OutputError, UsageError
from gan_denoise.export import runtime
from gan_denoise.export.denoise import camera_raw, denoise_files, tiling
from gan_denoise.export.denoise.progress import describe_speed, show_progress
from gan_denoise.export.denoise.record import NAME

OPENED: list[str] = []  # an audit hook cannot be removed, so one is added for all tests
sys.addaudithook(lambda event, arguments: OPENED.append(str(arguments[0])) if event == "open" else None)
FASHION = ("--model", "fashion")
HALF = ("--model", "half.onnx")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_model("half.onnx", "half")


def denoise(*arguments: object, content: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["denoise", *map(str, arguments)], input=content)


def error_of(done: Result) -> GanDenoiseError:
    assert isinstance(done.exception, GanDenoiseError), done.exception
    return done.exception


def noise_file(path: str, mode: str = "L", size: tuple[int, int] = (28, 28)) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
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


def text(path: str) -> str:
    Path(path).write_text("hello")
    return path


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def assert_halved(result: str, source: str) -> None:
    """That the network "half" made one file of the other."""
    np.testing.assert_allclose(pixels(result), pixels(source) / 2, atol=0.51)


def names(folder: str = "clean") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


# --- which model --------------------------------------------------------------------------------


@contextmanager
def shipped(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder of shipped models whose photograph denoiser halves; gives its hash."""
    folder = Path("shipped")
    shutil.copytree(runtime.SHIPPED, folder)
    content = photo_model("half")
    (folder / "photo.onnx").write_bytes(content)
    hashes = json.loads((folder / "sha256.json").read_text())
    (folder / "sha256.json").write_text(json.dumps(hashes | {"photo.onnx": sha256(content).hexdigest()}))
    monkeypatch.setattr(runtime, "SHIPPED", folder)
    yield sha256(content).hexdigest()


def test_photographs_have_their_model_and_grey_images_of_28_pixels_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [
        noise_file("grey.png"),
        noise_file("equal.png", "RGB"),
        coloured("red.png"),
        noise_file("l.png", "L", (29, 28)),
    ]
    fashion = runtime.load_graph(runtime.DENOISER).sha256
    with shipped(monkeypatch) as photo:
        used = json.loads(denoise(*images, "--out", "clean", "--json").stdout)["models"]
        assert used == {"photo": photo, "fashion": fashion}
        assert pixels("clean/red.png").max() == 128  # 255 halved
        np.testing.assert_array_equal(pixels("clean/grey.png"), pixels("clean/equal.png"))
        denoise(*images[:1], "--out", "named", "--model", "photo")
    assert_halved("named/grey.png", "grey.png")


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
            assert (result.mode, result.size) == ("L", source.size)


# --- what is written ----------------------------------------------------------------------------


def test_each_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [noise_file("a.png"), noise_file("b.png", "RGB"), noise_file("c.png", size=(70, 50)), noise_file("d.jpg")]
    decoders: list[Any] = []
    make_decoder = PIL.Image._getdecoder

    def record(*arguments: Any) -> Any:  # Pillow makes a decoder each time that it decodes a file
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
    assert "1 BMP image written as PNG, since its format is not written (e.bmp)" in done.stderr
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
    assert facts["settings"] == {"strength": 1, "keep_format": False, "compare": False}
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
