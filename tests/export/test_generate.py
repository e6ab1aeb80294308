"""Images of listed seeds, and walks between latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.data.images import to_uint8
from gan_denoise.errors import UsageError
from gan_denoise.export import latents, runtime
from gan_denoise.export.generate import parse_seeds
from gan_denoise.export.images import GAP, SCALE
from gan_denoise.models.z_layout import chosen_class, split_z
from gan_denoise.options import MAX_SEED

CLASSES = 10
STEP = SCALE * (28 + GAP)


@pytest.fixture(scope="module")
def graph() -> runtime.Graph:
    return runtime.load_graph(runtime.FUSED, threads=1)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["generate", "--threads", "1", *map(str, arguments)])


def read(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_seeds_are_listed_by_numbers_and_ranges() -> None:
    assert parse_seeds("10-12", 3) == [10, 11, 12]
    assert parse_seeds("3,7, 10-12,0", 6) == [3, 7, 10, 11, 12, 0]
    assert parse_seeds(str(MAX_SEED), 1) == [MAX_SEED]


@pytest.mark.parametrize(
    "text", ["", "3,", "-3", "3-", "12-10", "a", "1.5", "٣", str(MAX_SEED + 1), f"0-{MAX_SEED + 1}"]
)
def test_other_lists_of_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--seeds: expected numbers from 0 to 9223372036854775807 and ranges"):
        parse_seeds(text, 100)


def test_seeds_that_are_too_many_or_listed_twice_are_refused() -> None:
    with pytest.raises(UsageError, match="expected at most 100 seeds, got 9223372036854775808"):
        parse_seeds(f"0-{MAX_SEED}", 100)
    with pytest.raises(UsageError, match="expected each seed once, got 1-5,3"):
        parse_seeds("1-5,3", 100)


def test_each_seed_gives_its_first_image_in_every_kind_of_output(graph: runtime.Graph) -> None:
    z = latents.set_class(np.concatenate([latents.latents(seed, 0, 1) for seed in (7, 3)]), 5, CLASSES)
    raw, denoised = graph(z)
    for out in ("a.npz", "grid.png", "folder"):
        assert run("--seeds", "7,3", "--label", "5", "--out", out).exit_code == 0
    with np.load("a.npz") as arrays:
        np.testing.assert_allclose(arrays["image"], raw, atol=1e-5)
        np.testing.assert_allclose(arrays["denoised"], denoised, atol=1e-5)
    for seed, pixels in zip((7, 3), to_uint8(denoised), strict=True):
        assert np.abs(read(f"folder/denoised/{seed:06d}.png").astype(int) - pixels).max() <= 1
    assert sorted(path.name for path in Path("folder/image").iterdir()) == ["000003.png", "000007.png"]
    assert read("grid.png").shape[0] == 2 * SCALE * (28 + GAP) + SCALE * 3 * GAP  # one row of two


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "1-3", "-n", 3), "--seeds: expected no -n beside it, got both"),
        (("--seeds", "1-3", "--seed", 0), "--seeds: expected no --seed beside it, got both"),
        (("--interpolate", 8, "-n", 1), "--interpolate: expected 2 latents or more, got 1"),
        (("--interpolate", 8, "--seeds", 5), "--interpolate: expected 2 latents or more, got 1"),
        (
            ("--interpolate", 8, "-n", 20_000, "--out", "many"),
            "--interpolate: expected at most 100000 frames, got 160000",
        ),
        (("--out", "walk.gif"), "--out: expected a name ending in .png or .npz, or a folder, got walk.gif"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments: tuple[object, ...], said: str) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == said
    assert done.exception.hint
    assert list(Path().iterdir()) == []


def test_a_walk_turns_at_a_constant_angle_and_keeps_its_keys() -> None:
    keys = latents.latents(4, 0, 3)
    walk = latents.interpolate(keys, 8, CLASSES)
    assert walk.dtype == np.float32
    np.testing.assert_array_equal(walk[::8], keys)
    lengths = np.linalg.norm(split_z(walk, CLASSES)[0], axis=1)
    assert lengths.min() > 0.9 * lengths[::8].min()  # a straight line would go down to 0.7
    units = np.eye(3, 100, dtype=np.float32)  # keys of one length
    walk = np.concatenate([latents.interpolate(units, 8, CLASSES), units[:1]])
    np.testing.assert_allclose((walk[:-1] * walk[1:]).sum(1), np.cos(np.pi / 16), atol=1e-6)


def test_a_walk_has_the_class_of_the_nearer_key_and_no_third_one() -> None:
    keys = latents.latents(0, 0, 4)
    before = chosen_class(keys, CLASSES)
    assert len(set(before)) > 2
    after = np.roll(before, -1)
    expected = [[a] * 4 + [b] * 4 for a, b in zip(before, after, strict=True)]
    assert chosen_class(latents.interpolate(keys, 8, CLASSES), CLASSES).tolist() == np.concatenate(expected).tolist()
    labelled = latents.interpolate(latents.set_class(keys, 7, CLASSES), 8, CLASSES)
    assert set(chosen_class(labelled, CLASSES)) == {7}


@pytest.mark.parametrize("other", [1, 3, -1, 0])
def test_a_walk_between_equal_or_opposite_latents_stays_finite(other: float) -> None:
    key = latents.latents(0, 0, 1)
    walk = latents.interpolate(np.concatenate([key, np.float32(other) * key]), 4, 0)
    assert np.isfinite(walk).all()
    np.testing.assert_allclose(walk[2], (1 + other) / 2 * key[0], atol=1e-6)


def test_an_animation_shows_raw_beside_denoised_and_repeats_for_ever(graph: runtime.Graph) -> None:
    assert run("--seeds", "3,7,12", "--interpolate", 4, "--out", "walk.gif").exit_code == 0
    raw, denoised = graph(latents.interpolate(latents.latents_of_seeds([3, 7, 12]), 4, CLASSES))
    with Image.open("walk.gif") as animation:
        assert (getattr(animation, "n_frames", 1), animation.info["loop"]) == (12, 0)
        for i in (0, 5, 11):
            animation.seek(i)
            frame = np.asarray(animation.convert("L"))[SCALE * GAP :: SCALE, SCALE * GAP :: SCALE].astype(int)
            assert np.abs(frame[:28, :28] - to_uint8(raw)[i]).max() <= 1
            assert np.abs(frame[:28, 28 + GAP :][:, :28] - to_uint8(denoised)[i]).max() <= 1


def test_a_walk_of_one_class_has_a_row_for_each_latent(graph: runtime.Graph) -> None:
    assert run("-n", 3, "--seed", 5, "--label", "bag", "--interpolate", 6, "--out", "walk.png").exit_code == 0
    grid = read("walk.png").astype(int)
    image = graph(latents.interpolate(latents.set_class(latents.latents(5, 0, 3), 8, CLASSES), 6, CLASSES))[0]
    height = grid.shape[0] - SCALE * GAP
    assert height % 3 == 0
    row = grid[height // 3 + SCALE * GAP :][: SCALE * 28 : SCALE, -6 * STEP :: SCALE]  # of the second latent
    for column in range(6):
        cell = row[:, column * (28 + GAP) :][:, :28]
        assert np.abs(cell - to_uint8(image)[6 + column]).max() <= 1


def test_a_walk_in_colour_is_an_animation_in_colour(tmp_path: Path) -> None:
    from gan_denoise.export import writers

    colours = np.zeros((2, 3, 4, 4), np.float32)
    colours[0, 0], colours[1, 2] = 1, 1  # red, then blue
    writers.write_animation([(colours, colours)], tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as animation:
        animation.seek(1)
        assert animation.convert("RGB").getpixel((SCALE * GAP, SCALE * GAP)) == (0, 0, 255)
