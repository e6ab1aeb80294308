"""Inference under faults: invalid counts, arrays and images, existing outputs, a disk that fills up."""

import shlex
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_helpers import COLD, cold_command, run_command
from PIL import Image
from tmpfs import on_tmpfs

from gan_denoise.errors import InputError
from gan_denoise.export import latents, runtime

SMALLER = {"export.commands.MAX_IN_MEMORY": 10_000, "export.shards.SHARD": 1_000}
PEAK = "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; " + (
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, cwd=cwd)


@pytest.mark.parametrize("count", ["0", "-1", "x"])
@pytest.mark.row(30)
def test_nonsense_counts_are_usage_errors(tmp_path: Path, count: str) -> None:
    assert run("generate", "-n", count, cwd=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["grid.png", "arrays.npz"])
@pytest.mark.row(30)
def test_a_billion_images_for_one_file_is_a_usage_error(tmp_path: Path, out: str) -> None:
    done = run("generate", "-n", 10**9, "--out", out, cwd=tmp_path)
    assert done.returncode == 2
    assert "expected at most 100000 for one file, got 1000000000" in done.stderr
    assert "--out FOLDER takes any number" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row(30)
def test_a_billion_images_to_a_small_disk_are_refused_before_the_first(tmp_path: Path) -> None:
    done = on_tmpfs(tmp_path, "size=100m", *COLD, "generate", "-n", 10**9, "--out", tmp_path / "many")
    assert done.returncode == 4
    assert done.stderr == (
        f"error: {tmp_path / 'many'}: expected 1568.0 GB free, got 0.1 GB\n"
        "hint: choose another --out, fewer images, or free some space\n"
    )
    assert ".npz" not in done.stdout


@pytest.mark.row(30)
def test_existing_files_survive_when_there_is_no_space(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    for out in ("file", "folder", "new/folder"):
        done = run("generate", "-n", 10**12, "--out", out, "--force", cwd=tmp_path)
        assert done.returncode == 4
        assert "expected 1568000.0 GB free, got " in done.stderr
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.row(30)
def test_memory_does_not_grow_with_the_number_of_images(exported: Path, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        arguments = ["generate", "--model", str(exported), "-n", str(count), "--out", str(tmp_path / str(count))]
        command = [*cold_command(SMALLER), *arguments]
        done = subprocess.run([sys.executable, "-c", PEAK, *command], capture_output=True, text=True, check=True)
        return 1024 * int(done.stdout.split()[-1])

    assert peak(40_001) - peak(10_001) < 0.3 * 30_000 * 2 * 28 * 28


@pytest.mark.row(31)
def test_invalid_latents_are_refused(exported: Path) -> None:
    graph, z = runtime.load_graph(runtime.FUSED, exported), latents.latents(0, 0, 3)
    cases: tuple[tuple[Any, str], ...] = (
        (np.full_like(z, np.nan), "expected finite numbers, got NaN or infinity"),
        (np.where(np.arange(100) == 7, np.inf, z).astype(np.float32), "expected finite numbers, got NaN or infinity"),
        (z.astype(np.float64), r"expected float32 \['N', 100\], got float64 \[3, 100\]"),
        (z[:, :99], r"expected float32 .*, got float32 \[3, 99\]"),
        (z[None], r"expected float32 .*, got float32 \[1, 3, 100\]"),
    )
    for wrong, message in cases:
        with pytest.raises(InputError, match=f"^z: {message}"):
            graph(wrong)


def grey(value: float) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        np.savez(path, images=np.full((97, 1, 28, 28), value, np.float32))

    return save


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (grey(np.nan), "expected values in [0, 1], got nan to nan"),
        (grey(255), "expected values in [0, 1], got 255.0 to 255.0"),
        (lambda path: np.savez(path, a=np.zeros((97, 28, 28), np.float64)), "in [0, 1], got float64 [97, 28, 28]"),
        (lambda path: np.savez(path, a=np.zeros((97, 3, 28, 28), np.uint8)), "in [0, 1], got uint8 [97, 3, 28, 28]"),
        (lambda path: np.savez(path, a=np.zeros((97, 32, 32), np.uint8)), "in [0, 1], got uint8 [97, 32, 32]"),
        (lambda path: np.savez(path, a=np.array([{}], object)), "Object arrays cannot be loaded"),
    ],
)
@pytest.mark.row(31)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, save: Callable[[Path], None], said: str) -> None:
    save(tmp_path / "a.npz")
    done = run("eval", "ffd", "a.npz", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def pixel_bomb(path: Path) -> None:
    """A PNG of 50,000 x 50,000 pixels, 2.5 GB, in 300 KB."""
    side = 50_000
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (
            lambda path: Image.new("RGB", (28, 28), "red").save(path),
            "expected a grey image, as the model needs, got one with colours",
        ),
        (
            lambda path: Image.new("F", (28, 28), 2).save(path, format="TIFF"),
            "expected float pixels from 0 to 1, got 2 to 2",
        ),
        (lambda path: Image.new("L", (99, 27)).save(path), "expected 28x28 pixels or more, got 99x27"),
        (lambda path: path.write_text("hello"), "expected an image (PNG, "),
        (
            lambda path: Image.new("1", (13_000, 13_000)).save(path),
            "expected at most 160,000,000 pixels, got 13000x13000",
        ),
        (pixel_bomb, "Image size (2500000000 pixels) exceeds limit"),
    ],
)
@pytest.mark.row(31)
def test_images_that_do_not_fit_are_named_and_the_others_written(
    tmp_path: Path, save: Callable[[Path], None], said: str
) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "good.png")
    save(tmp_path / "bad.png")
    command = [
        sys.executable,
        "-c",
        PEAK,
        *COLD,
        "denoise",
        "good.png",
        "bad.png",
        "--out",
        "clean",
        "--model",
        "fashion",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 3
    error, *more, last = done.stderr.splitlines()  # and no warning of Pillow's
    assert last == "error: IMAGES: 1 of 2 could not be denoised, named above"
    assert error.startswith("error: bad.png: ")
    assert said in error
    assert [line.split(": ")[0] for line in more] in ([], ["hint"])
    assert (tmp_path / "clean/good.png").exists()
    written, peak = done.stdout.splitlines()
    assert written == "clean/good.png"
    assert int(peak) < 500_000  # kilobytes


@pytest.mark.parametrize("out", ["grid.png", "arrays.npz", "folder"])
@pytest.mark.row(32)
def test_an_existing_output_is_not_overwritten_without_force(tmp_path: Path, out: str) -> None:
    (tmp_path / out).write_text("mine")
    done = run("generate", "-n", "2", "--out", out, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"error: {out}: exists, not overwritten\nhint: --force overwrites it\n"
    assert (tmp_path / out).read_text() == "mine"
    assert run("generate", "-n", "2", "--out", out, "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / out).is_dir() or (tmp_path / out).stat().st_size > 1_000


@pytest.mark.parametrize("out", ["a/b/grid.png", "a/b/arrays.npz", "a/b/folder"])
@pytest.mark.row(32)
def test_a_missing_folder_is_made(tmp_path: Path, out: str) -> None:
    assert run("generate", "-n", "2", "--out", out, cwd=tmp_path).returncode == 0
    assert (tmp_path / out).exists()


@pytest.mark.parametrize(("count", "out"), [(2_000, "grid.png"), (1_000, "arrays.npz"), (1_000, "folder")])
@pytest.mark.row(32)
def test_a_disk_that_fills_up_midway_leaves_no_part(tmp_path: Path, count: int, out: str) -> None:
    command = [*COLD, "generate", "-n", count, "--batch", 256, "--out", tmp_path / out]
    done = on_tmpfs(tmp_path, "size=400k", *command)
    assert done.returncode == 4, done.stderr
    assert done.stderr.splitlines()[-2:] == [
        f"error: {tmp_path / out}: No space left on device",
        "hint: choose another --out, or free some space",
    ]
    assert done.stdout.split() == [f"{tmp_path}:"]


@pytest.mark.row(32)
def test_a_disk_that_others_fill_leaves_whole_shards_only(exported: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    fill = f"while kill -0 $$ && [ ! -e {many}/000001.npz ]; do :; done; head -c 15m /dev/zero > {tmp_path}/others"
    command = [*cold_command(SMALLER), "generate", "--model", exported, "-n", 10_001, "--out", many]
    script = f"({fill}) 2>/dev/null & exec {shlex.join(map(str, command))}"
    done = on_tmpfs(tmp_path, "size=17m", "sh", "-c", script)
    assert done.returncode == 4, done.stderr
    assert "npz: No space left on device\nhint: choose another --out, or free some space\n" in done.stderr
    listed = done.stdout.split(f"{many}:")[1].split()
    assert {"000000.npz", "000001.npz", "shards.json"} <= set(listed)
    assert not [name for name in listed if name.startswith(".")]
