from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photograph_helpers import colour_crop, grey_crop, save_images
from PIL import Image

from gan_denoise.errors import InputError
from gan_denoise.eval.denoising.photographs.files import PhotographFiles, find_photograph_files, read_photograph


def test_photographs_are_sorted_by_name_and_read_in_grey_or_colour(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "set", b=colour_crop(), a=grey_crop())
    (folder / "notes.txt").write_text("no image")
    photographs = find_photograph_files(folder)
    assert [photograph.name for photograph in photographs] == ["a", "b"]
    (grey, noisy), (colour, _) = (read_photograph(photograph) for photograph in photographs)
    np.testing.assert_array_equal(grey, grey_crop()[None])
    np.testing.assert_array_equal(colour, colour_crop().transpose(2, 0, 1))
    assert noisy is None
    assert [photograph.name for photograph in find_photograph_files(folder, n=1)] == ["a"]


def test_pairs_are_matched_by_name_without_suffix(tmp_path: Path) -> None:
    clean = save_images(tmp_path / "clean", a=colour_crop(), b=grey_crop())
    noisy = save_images(tmp_path / "noisy", ".tif", b=255 - grey_crop(), a=255 - colour_crop())
    pairs = find_photograph_files(clean, noisy)
    assert pairs == [PhotographFiles(clean / f"{name}.png", noisy / f"{name}.tif") for name in "ab"]
    for pair, expected in zip(pairs, (colour_crop().transpose(2, 0, 1), grey_crop()[None]), strict=True):
        for pixels, wanted in zip(read_photograph(pair), (expected, 255 - expected), strict=True):
            np.testing.assert_array_equal(pixels, wanted)


def test_a_pair_is_grey_only_if_both_are(tmp_path: Path) -> None:
    clean = save_images(tmp_path / "clean", a=np.repeat(grey_crop(60, 70)[..., None], 3, axis=2))
    noisy = save_images(tmp_path / "noisy", a=colour_crop())
    first, second = read_photograph(find_photograph_files(clean, noisy)[0])
    assert second is not None
    assert (first.shape, second.shape) == ((3, 60, 70), (3, 60, 70))
    assert read_photograph(find_photograph_files(clean)[0])[0].shape == (1, 60, 70)


def test_sixteen_bits_stay_and_later_frames_and_alpha_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = grey_crop().astype(np.uint16) * 256 + 7
    folder = save_images(tmp_path / "set", deep=deep)
    pages = [Image.fromarray(grey_crop()), Image.fromarray(grey_crop()[::-1])]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(np.dstack([colour_crop(), colour_crop()[..., 0]])).save(folder / "transparent.png")
    read = [read_photograph(photograph)[0] for photograph in find_photograph_files(folder)]
    for actual, wanted in zip(read, (deep[None], grey_crop()[None], colour_crop().transpose(2, 0, 1)), strict=True):
        assert actual.dtype == wanted.dtype
        np.testing.assert_array_equal(actual, wanted)
    assert "skipped 1 later frame (pages.tif)" in capsys.readouterr().err


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected image files \(.*\), got none; skipped 1 HEIC file \(a.heic\)"):
        find_photograph_files(tmp_path)
    with pytest.raises(InputError, match=r"missing: expected a folder of image files"):
        find_photograph_files(tmp_path / "missing")


def test_an_image_without_a_partner_is_refused(tmp_path: Path) -> None:
    clean = save_images(tmp_path / "clean", a=grey_crop(), b=grey_crop())
    noisy = save_images(tmp_path / "noisy", a=grey_crop())
    with pytest.raises(InputError, match=r"b.png: expected an image of the same name in .*noisy, got none"):
        find_photograph_files(clean, noisy)


def test_sizes_that_differ_in_a_pair_are_refused_and_named(tmp_path: Path) -> None:
    clean = save_images(tmp_path / "clean", a=grey_crop(50, 40))
    noisy = save_images(tmp_path / "noisy", a=grey_crop(50, 41))
    with pytest.raises(InputError, match=r"noisy/a.png: expected 40x50 pixels as in .*clean/a.png, got 41x50"):
        find_photograph_files(clean, noisy)
    turned = save_images(tmp_path / "turned", a=grey_crop(40, 50))  # the header alone could be a turned image's
    with pytest.raises(InputError, match=r"turned/a.png: expected 40x50 pixels as in .*clean/a.png, got 50x40"):
        read_photograph(find_photograph_files(clean, turned)[0])


def test_unreadable_and_tiny_images_stop_before_anything_is_measured(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "set", a=grey_crop(), b=grey_crop(7, 7), c=grey_crop(7, 6))
    with pytest.raises(InputError, match=r"c.png: expected 7 or more pixels a side, got 6x7"):
        find_photograph_files(folder)
    assert len(find_photograph_files(folder, n=2)) == 2
    (folder / "b.png").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"b.png: expected an image \(.*\), got a web page"):
        find_photograph_files(folder)
    Image.new("L", (9, 9)).save(folder / "b.png")
    assert len(find_photograph_files(folder, n=2)) == 2
