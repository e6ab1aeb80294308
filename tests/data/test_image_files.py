"""Listing images: which files of a folder count, and which are skipped and reported."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_helpers import run_command
from data_helpers import photograph
from PIL import Image

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.datasets import load_dataset
from gan_denoise.data.image_files import Skipped, image_name, list_image_files, scan_folder, walk_image_folders
from gan_denoise.data.open_image import open_image
from gan_denoise.data.paired_images import read_image_pairs
from gan_denoise.errors import InputError
from gan_denoise.eval.inputs import load_image_sets

CLUTTER = ("._a.png", ".hidden.png", "Thumbs.db", "desktop.ini", ".DS_Store")
LIST = """
import sys
from pathlib import Path
from gan_denoise.data.image_files import Skipped, list_image_files
print(len(list_image_files(Path(sys.argv[1]), Skipped())))
"""
CLUTTER_FOLDERS = ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "lost+found", ".git")


def clutter(folder: Path) -> None:
    """What systems leave in a folder, files called images among it."""
    for name in CLUTTER:
        (folder / name).write_bytes(b"\0\5\26\7")
    for name in CLUTTER_FOLDERS:
        (folder / name).mkdir()
        (folder / name / "x.png").write_bytes(b"\0\5\26\7")


@pytest.mark.row(56)
def test_image_files_have_suffixes_in_any_case_and_systems_leave_none(tmp_path: Path) -> None:
    clutter(tmp_path)
    for name in ("b.PNG", "a.png", "c.JpEg", "d.webp", "notes.txt", "photo.heic", "e.nef"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    skipped = Skipped()
    files, folders = scan_folder(tmp_path, skipped)
    assert [path.name for path in files] == ["a.png", "b.PNG", "c.JpEg", "d.webp"]
    assert [path.name for path in folders] == ["sub"]
    for part in ("10 hidden or system files", "1 other file (notes.txt)", "1 HEIC file", "1 camera raw file (e.nef)"):
        assert part in str(skipped)


@pytest.mark.row(56)
def test_only_regular_files_and_links_to_them_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("L", (28, 28)).save("a.png")
    os.mkfifo("pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    Path("link.png").symlink_to("a.png")
    Path("broken.png").symlink_to("missing.png")
    Path("loop.png").symlink_to("loop.png")
    Path("device.png").symlink_to("/dev/zero")
    skipped = Skipped()
    assert [path.name for path in list_image_files(Path(), skipped)] == ["a.png", "link.png"]
    assert "3 special files" in str(skipped)
    assert "2 broken links" in str(skipped)


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("pipe.png", "expected a regular file, got a pipe"),
        ("device.png", "expected a regular file, got a device"),
        ("folder.png", "expected a regular file, got a folder"),
        ("broken.png", "broken link"),
        ("missing.png", "not found"),
    ],
)
@pytest.mark.row(56)
def test_a_pipe_or_device_is_refused_without_opening_it(tmp_path: Path, name: str, got: str) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "broken.png").symlink_to("nowhere")
    with pytest.raises(InputError, match=f"{name}: {got}"):
        open_image(tmp_path / name, 1)


@pytest.mark.parametrize("read", [load_image_sets, lambda path: load_dataset("npz", path)])
@pytest.mark.row(56)
def test_a_pipe_in_place_of_arrays_is_refused(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(InputError, match=r"pipe\.npz: expected a regular file, got a pipe"):
        read(tmp_path / "pipe.npz")


@pytest.mark.row(56)
def test_a_walk_visits_each_folder_once_and_leaves_one_out(tmp_path: Path) -> None:
    for name in ("a.png", "in/b.png", "in/deep/c.png", "out/d.png", "__MACOSX/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "in/up").symlink_to(tmp_path)  # a loop
    (tmp_path / "a").symlink_to(tmp_path / "in")  # sorts before the folder that it leads to
    (tmp_path / "outside").symlink_to(tmp_path / "out")
    skipped = Skipped()
    folders = list(walk_image_folders(tmp_path, skipped, exclude=tmp_path / "out"))
    assert str(skipped) == "1 hidden or system file (__MACOSX), 2 repeated folders (a)"
    assert [(str(folder.relative_to(tmp_path)), len(files)) for folder, files in folders] == [
        (".", 1),
        ("in", 1),
        ("in/deep", 1),
    ]


@pytest.mark.row(56)
def test_ten_thousand_files_are_listed_without_a_system_call_for_each(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace: not installed")
    images = tmp_path / "images"
    images.mkdir()
    (images / "0.png").touch()
    for i in range(1, 10_000):
        os.link(images / "0.png", images / f"{i}.png")
    strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=%file,%desc"]
    command = [*strace, sys.executable, "-c", LIST, str(images)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("10000\n", "")
    calls = (tmp_path / "trace").read_text().partition(f'"{images}", O_')[2]
    assert 0 < calls.count("getdents64(") < calls.count("\n") < 1000


def test_only_known_suffixes_are_removed_from_names() -> None:
    names = ("a.png", "a.b.c.PNG", "scan.0001", "scan.0001.tif", ".png", "x.nef")
    assert [image_name(Path(name)) for name in names] == ["a", "a.b.c", "scan.0001", "scan.0001", ".png", "x.nef"]


@pytest.mark.row(57)
def test_ffd_names_sets_by_their_paths_and_a_set_that_is_too_small(tmp_path: Path, excerpt: Dataset) -> None:
    for folder in ("x", "x/x", "x/deep/x"):
        (tmp_path / folder).mkdir(parents=True)
        for i, image in enumerate(excerpt.test.images[:97]):
            Image.fromarray(image).save(tmp_path / folder / f"{i}.{('png', 'PNG')[i % 2]}")
    clutter(tmp_path / "x")
    done = run_command("eval", "ffd", "x", "--format", "csv", cwd=tmp_path, check=True)
    assert [line.split(",")[:2] for line in done.stdout.splitlines()[1:]] == [
        ["x", "97"],
        ["x/deep/x", "97"],
        ["x/x", "97"],
    ]
    assert "x: skipped 10 hidden or system files" in done.stderr
    (tmp_path / "x/x/0.png").unlink()
    done = run_command("eval", "ffd", "x", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-2] == "error: x: set x/x: expected 97 or more images, got 96"


@pytest.mark.row(56)
def test_pairs_meet_in_composed_and_decomposed_names(tmp_path: Path) -> None:
    for folder, accent in (("noisy", "é"), ("clean", "e\u0301")):
        (tmp_path / folder).mkdir()
        clutter(tmp_path / folder)
        for i in range(3):
            photograph(i).save(tmp_path / folder / f"{accent}{i}.png")
    data = read_image_pairs(tmp_path / "noisy", tmp_path / "clean", 28, 1)
    assert data.train.noisy is not None
    np.testing.assert_array_equal(data.train.noisy, data.train.images)
