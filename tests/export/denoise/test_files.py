"""Paths given to denoise: files, folders, pages; and folders of our own given as --model."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from command_helpers import run_command
from PIL import Image

from gan_denoise.data.image_files import Skipped
from gan_denoise.errors import InputError, OutputError, UsageError
from gan_denoise.export import runtime
from gan_denoise.export.denoise import camera_raw
from gan_denoise.export.denoise.files import list_jobs
from gan_denoise.export.denoise.record import NAME
from gan_denoise.export.package.huggingface import write_huggingface


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), 99).save(name, format="PNG")


def outputs(*images: str, keep_format: bool = False) -> list[str]:
    listing = list_jobs([Path(image) for image in images], Path("clean"), Skipped(), keep_format)
    assert not listing.failed
    return [str(target) for job in listing.jobs for target in job.targets]


@pytest.mark.row(64)
def test_a_folder_is_denoised_with_its_sub_folders_but_without_its_output() -> None:
    save("photos/a.PNG", "photos/sub/deep/b.png", "photos/._a.png", "photos/__MACOSX/c.png")
    Path("photos/notes.txt").touch()
    done = run_command("denoise", "photos", "--out", "photos/clean", check=True)
    written = ["photos/clean/a.png", "photos/clean/sub/deep/b.png"]
    assert done.stdout.splitlines() == written
    assert "skipped 2 hidden or system files" in done.stderr
    assert "1 other file (notes.txt)" in done.stderr
    done = run_command("denoise", "photos", "--out", "photos/clean", "--force", check=True)
    assert done.stdout.splitlines() == written


@pytest.mark.row(64)
def test_folders_that_cannot_be_denoised_are_refused() -> None:
    Path("photos/empty").mkdir(parents=True)
    Path("photos/a.heic").touch()
    done = run_command("denoise", "photos", "--out", "clean")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        "error: photos: expected image files (.png .jpg .jpeg ...), got none; skipped 1 HEIC file (a.heic)",
    )
    done = run_command("denoise", "photos", "--out", "./photos")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: --out: expected another folder than that of the images, got photos",
    )


@pytest.mark.row(64)
def test_a_pipe_is_refused_at_once() -> None:
    os.mkfifo("pipe.png")
    done = run_command("denoise", "pipe.png", "--out", "clean", timeout=30)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        "error: pipe.png: expected a regular file, got a pipe",
    )


@pytest.mark.row(65)
def test_only_known_suffixes_are_cut_from_names() -> None:
    save("scan.0001", "scan.0002", "a.b.c.png")
    assert outputs("scan.0001", "scan.0002", "a.b.c.png") == [
        "clean/scan.0001.png",
        "clean/scan.0002.png",
        "clean/a.b.c.png",
    ]


@pytest.mark.row(65)
def test_one_image_by_two_paths_is_denoised_once() -> None:
    save("x/a.png")
    assert outputs("x/a.png", "./x/a.png", "x/../x/a.png", str(Path("x/a.png").absolute())) == ["clean/a.png"]
    assert outputs("x", "x/a.png") == ["clean/a.png"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.png", "x/a.png"),
        ("a.png", "a.bmp"),
        ("a.png", "A.png"),
        ("é.png", unicodedata.normalize("NFD", "é.jpg")),
        ("straße.png", "STRASSE.png"),
        ("a", "a.png"),
    ],
)
@pytest.mark.row(65)
def test_two_images_with_one_output_are_named(first: str, second: str) -> None:
    save(first, second)
    with pytest.raises(UsageError) as caught:
        outputs(first, second)
    assert f"got {first} and {second}, both written as" in caught.value.message


@pytest.mark.row(65)
def test_images_of_a_folder_that_differ_in_the_suffix_alone_keep_it() -> None:
    save("x/a.png", "x/b.png", "x/deep/a.bmp")
    Image.new("L", (28, 28)).save("x/A.tif")
    assert outputs("x") == ["clean/A.tif.png", "clean/a.png.png", "clean/b.png", "clean/deep/a.png"]
    assert outputs("x", keep_format=True) == ["clean/A.tif", "clean/a.png", "clean/b.png", "clean/deep/a.png"]
    save("y/a.png", "y/a.bmp")  # the format of one of them is not kept
    assert outputs("y", keep_format=True) == ["clean/a.bmp.png", "clean/a.png"]
    listing = list_jobs([Path("x")], Path("clean"), Skipped(), keep_format=True, compare=True)
    assert [str(path) for job in listing.jobs for path in job.comparisons] == [
        *("clean/A.tif-compare.png", "clean/a.png-compare.png"),
        *("clean/b-compare.png", "clean/deep/a-compare.png"),
    ]


def test_camera_raw_beside_its_jpeg_file_needs_no_longer_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_raw, "can_develop", lambda: True)
    save("x/a.png", "x/a.bmp", "y/a.png")
    Path("y/a.cr2").write_bytes(b"raw")
    assert outputs("y") == ["clean/a.tif", "clean/a.png"]
    assert outputs("x") == ["clean/a.bmp.png", "clean/a.png.png"]


@pytest.mark.row(63)
def test_pages_and_frames_become_files() -> None:
    pages = [Image.new("L", (28 + i, 28), 40 * i) for i in range(3)]
    pages[0].save("scan.tif", save_all=True, append_images=pages[1:])
    done = run_command("denoise", "scan.tif", "--out", "clean", "--model", "fashion", check=True)
    assert done.stdout.splitlines() == [f"clean/scan-00{i}.png" for i in range(3)]
    images = [np.asarray(Image.open(f"clean/scan-00{i}.png"), float) for i in range(3)]
    assert [image.shape for image in images] == [(28, 28), (28, 29), (28, 30)]
    assert images[0].mean() < images[1].mean() < images[2].mean()
    save("scan-001.png")
    with pytest.raises(UsageError, match=r"got scan\.tif and scan-001\.png, both written as scan-001\.png"):
        outputs("scan.tif", "scan-001.png")


@pytest.mark.row(63)
def test_a_later_page_that_is_too_small_is_named_and_the_earlier_ones_stay() -> None:
    page = Image.new("L", (28, 28))
    page.save("scan.tif", save_all=True, append_images=[Image.new("L", (27, 28))])
    done = run_command("denoise", "scan.tif", "--out", "clean", "--model", "fashion")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        "error: scan.tif: expected 28x28 pixels or more, got 27x28",
    )
    assert sorted(path.name for path in Path("clean").iterdir()) == [NAME, "scan-000.png"]


@pytest.mark.row(66)
def test_the_hub_folder_is_a_model() -> None:
    write_huggingface(None, Path("hub"))
    assert runtime.load_graph(runtime.FUSED, Path("hub")).sha256 == runtime.load_graph(runtime.FUSED).sha256
    run_command("generate", "--model", "hub", "-n", "1", "--out", "a.png", check=True)
    save("noisy.png")
    run_command("denoise", "noisy.png", "--model", "hub", "--out", "clean", check=True)
    assert runtime.load_graph(runtime.DENOISER, Path("hub")).sha256 == runtime.load_graph(runtime.DENOISER).sha256


@pytest.mark.row(66)
def test_the_hub_folder_keeps_no_part_of_the_model_before() -> None:
    write_huggingface(None, Path("hub"))
    Path("fused.onnx").write_bytes(runtime.read_graph(runtime.FUSED, None))
    with pytest.raises(OutputError, match=r"exists, not overwritten"):
        write_huggingface(Path("fused.onnx"), Path("hub"))
    assert Path("hub/onnx/denoiser.onnx").exists()
    Path("hub/notes.txt").touch()
    write_huggingface(Path("fused.onnx"), Path("hub"), force=True)
    assert not Path("hub/onnx/denoiser.onnx").exists()
    assert Path("hub/notes.txt").exists()


@pytest.mark.row(66)
def test_a_folder_without_a_graph_names_the_files_that_were_searched() -> None:
    Path("empty").mkdir()
    with pytest.raises(
        InputError, match=r"empty: expected a folder with fused\.onnx or onnx/model\.onnx, got no \.onnx file"
    ):
        runtime.load_graph(runtime.FUSED, Path("empty"))
    Path("fused.onnx").write_bytes(runtime.read_graph(runtime.FUSED, None))
    write_huggingface(Path("fused.onnx"), Path("hub"))
    with pytest.raises(
        InputError, match=r"hub: expected .* denoiser\.onnx or onnx/denoiser\.onnx, got onnx/model\.onnx"
    ):
        runtime.load_graph(runtime.DENOISER, Path("hub"))
