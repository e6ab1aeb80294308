"""Generated images as grids, folders and arrays, and image files read back."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_denoise.errors import InputError
from gan_denoise.export import writers
from gan_denoise.export.images import CAPTION, GAP, SCALE, read_image


def batches(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two batches of images: raw ones of one grey each, and the denoised ones half as bright."""
    grey = (np.arange(count, dtype=np.float32) / 255).reshape(-1, 1, 1, 1)
    raw = np.ones((count, 1, 28, 28), np.float32) * grey
    return [(raw[:5], raw[:5] / 2), (raw[5:], raw[5:] / 2)]


def test_a_folder_holds_every_image_at_its_number(tmp_path: Path) -> None:
    writers.write_folder(batches(12), tmp_path / "out")
    names = [f"{i:06d}.png" for i in range(12)]
    for folder in ("image", "denoised"):
        assert sorted(p.name for p in (tmp_path / "out" / folder).iterdir()) == names
    assert np.asarray(Image.open(tmp_path / "out/image/000007.png")).tolist() == np.full((28, 28), 7).tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_replaces_another_of_more_images(tmp_path: Path) -> None:
    writers.write_folder(batches(12), tmp_path / "out")
    writers.write_folder(batches(6), tmp_path / "out")
    assert len(list((tmp_path / "out/image").iterdir())) == 6


def test_arrays_are_float32_in_order(tmp_path: Path) -> None:
    writers.write_arrays(batches(12), tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert sorted(arrays) == ["denoised", "image"]
        assert arrays["image"].dtype == np.float32
        assert arrays["image"].shape == (12, 1, 28, 28)
        np.testing.assert_array_equal(arrays["image"][7], np.float32(7 / 255))


def test_a_grid_shows_raw_above_denoised(tmp_path: Path) -> None:
    writers.write_grid(batches(20), tmp_path / "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    left, side = CAPTION + SCALE * GAP, 28 * SCALE
    first = grid[SCALE * GAP :][:side, left:]
    second = grid[SCALE * (2 * GAP + 28) :][:side, left:]
    for i in (1, 9, 15):
        column = i * SCALE * (28 + GAP)
        assert (first[:, column : column + side] == i).all()
        assert (second[:, column : column + side] == round(i / 2)).all()


def test_a_failed_generation_leaves_no_folder(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield from batches(12)
        raise InputError("midway")

    with pytest.raises(InputError, match="midway"):
        writers.write_folder(broken(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def image(path: Path, mode: str = "L", size: tuple[int, int] = (28, 28)) -> Path:
    Image.new(mode, size, 51 if mode == "L" else None).save(path)
    return path


def test_a_grey_image_is_read_in_range(tmp_path: Path) -> None:
    pixels = read_image(image(tmp_path / "a.png"), (1, 28, 28))
    assert pixels.shape == (1, 1, 28, 28)
    np.testing.assert_allclose(pixels, 0.2, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "mode"), [("a.webp", "RGB"), ("a.gif", "P"), ("a.png", "LA"), ("a.png", "RGBA"), ("a.png", "1")]
)
def test_a_grey_image_is_grey_however_its_file_keeps_it(tmp_path: Path, file: str, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 2 if mode == "1" else 256, (28, 28), np.uint8)
    noise *= 255 if mode == "1" else 1
    kept = Image.fromarray(noise)
    (kept if mode == "P" else kept.convert(mode)).save(tmp_path / file, lossless=True)
    pixels = read_image(tmp_path / file, (1, 28, 28))
    np.testing.assert_array_equal(np.rint(pixels[0, 0] * 255), noise)


def test_a_rotated_camera_image_is_read_upright(tmp_path: Path) -> None:
    lying = Image.fromarray(np.arange(28 * 40, dtype=np.uint16).reshape(28, 40).astype(np.uint8))
    exif = lying.getexif()
    exif[0x0112] = 6  # turned clockwise to be seen
    lying.save(tmp_path / "a.png", exif=exif)
    pixels = read_image(tmp_path / "a.png", (1, 40, 28))
    np.testing.assert_array_equal(np.rint(pixels[0, 0] * 255), np.rot90(np.asarray(lying), -1))


def test_missing_foreign_and_truncated_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.png: not found"):
        read_image(tmp_path / "missing.png", (1, 28, 28))
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match="expected an image"):
        read_image(tmp_path / "text.png", (1, 28, 28))
    noise = np.random.default_rng(0).integers(0, 255, (28, 28), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="unreadable"):
        read_image(tmp_path / "half.png", (1, 28, 28))
