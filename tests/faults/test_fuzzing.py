"""Faults of data: no bytes make a reader crash, hang, or raise anything but an InputError."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from denoise_helpers import noise_16
from PIL import Image

from gan_denoise.export.denoise.metadata import Metadata
from gan_denoise.export.denoise.picture import Picture
from gan_denoise.export.denoise.write_picture import write_picture

EXCERPT = Path(__file__).parents[1] / "excerpt"
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.row(1)
def test_mutated_archives(fuzz: Callable[..., None], tmp_path: Path) -> None:
    shutil.copytree(EXCERPT, tmp_path, dirs_exist_ok=True)
    fuzz("data", EXCERPT / f"{IMAGES}.gz")


@pytest.mark.parametrize("kind", ["images", "labels"])
@pytest.mark.row(5)
def test_mutated_idx_files(fuzz: Callable[..., None], tmp_path: Path, kind: str) -> None:
    file = tmp_path / "original"
    file.write_bytes(gzip.decompress((EXCERPT / f"{IMAGES if kind == 'images' else LABELS}.gz").read_bytes()))
    fuzz(kind, file)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.row(31)
def test_mutated_arrays(fuzz: Callable[..., None], tmp_path: Path, save: Callable[..., None]) -> None:
    file = tmp_path / "original.npz"
    save(file, image=np.zeros((2, 28, 28), np.uint8), denoised=np.full((2, 1, 28, 28), 0.5, np.float32))
    fuzz("arrays", file)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff"])
@pytest.mark.row(31)
def test_mutated_images(fuzz: Callable[..., None], tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"original.{kind}"
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(file)
    fuzz("image", file)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.row(31, 91)
def test_mutated_photographs_with_metadata(fuzz: Callable[..., None], tmp_path: Path, kind: str) -> None:
    """16 bits a channel and EXIF, which `denoise` reads and writes itself."""
    file, exif = tmp_path / f"original.{kind}", Image.Exif()
    exif[0x0112], exif[271] = 6, "Maker"
    exif.get_ifd(0x8769).update({0x829A: 0.01})
    source = Picture(noise_16(3, 12, 10).transpose(2, 0, 1), None, Metadata(exif=exif.tobytes()[6:], xmp=b"<x/>"), {})
    with file.open("wb") as opened:
        write_picture(opened, source.pixels, source, kind.upper(), file)
    fuzz("picture", file)
