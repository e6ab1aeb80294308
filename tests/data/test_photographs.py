"""Photographs: the list, packages of Debian, tiles and their cache, commands."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from typer.testing import CliRunner

from gan_denoise.data import commands, debian, photographs, tiles
from gan_denoise.data.datasets import load_dataset
from gan_denoise.data.images import ImagesU8
from gan_denoise.data.photograph_packages import fetch_photographs
from gan_denoise.data.photographs import (
    HELD_OUT,
    TRAIN,
    list_packages,
    list_photographs,
    load_held_out_photographs,
    load_photographs,
)
from gan_denoise.errors import InputError, UsageError

REAL = Path(skimage.__file__).parent / "data"
PACKAGE, OLD, NEW = "some-photographs", "bookworm", "trixie"
FOLDER = "usr/share/backgrounds"
# Photographs of scikit-image: name, split, largest scale.
CHOSEN = (
    ("hubble_deep_field.jpg", TRAIN, None),  # 1000x872
    ("coffee.png", TRAIN, None),  # 600x400
    ("motorcycle_left.png", TRAIN, None),  # 741x500
    ("brick.png", TRAIN, 0.4),  # 512x512
    ("rocket.jpg", HELD_OUT, None),  # 640x427
)
N_TILES = {TRAIN: (3 * 3 + 2 * 2 + 2 * 2) + 2 * 2 + 2 * 2 + 2 * 2, HELD_OUT: 2 * 2}  # at one to three scales


def entry(name: str, split: str, scale: float | None) -> dict[str, object]:
    content = (REAL / name).read_bytes()
    known = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "split": split, "scale": scale}
    return {"title": name, "author": "A", "licence": "CC0-1.0", "package": PACKAGE, "path": f"{FOLDER}/{name}", **known}


@pytest.fixture
def listed(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without data whose list of photographs is CHOSEN; the photographs are in its folder `unpacked`."""
    (bare / "unpacked" / FOLDER).mkdir(parents=True)
    for name, _, _ in CHOSEN:
        shutil.copy(REAL / name, bare / "unpacked" / FOLDER)
    entries = [entry(*chosen) for chosen in CHOSEN]
    (bare / "list.json").write_text(json.dumps({"releases": {PACKAGE: OLD}, "photographs": entries}))
    monkeypatch.setattr(photographs, "LIST", bare / "list.json")
    list_photographs.cache_clear()
    yield bare
    list_photographs.cache_clear()


def change(path: Path) -> None:
    """Change a byte of a file, whose size stays."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_names_free_photographs_once_and_holds_one_in_eight_out() -> None:
    everything = list_photographs()
    for field in ("title", "sha256"):
        assert len({getattr(photo, field) for photo in everything}) == len(everything)
    assert {photo.licence for photo in everything} <= {
        "CC0-1.0",
        "CC-BY-4.0",
        "CC-BY-SA-3.0",
        "CC-BY-SA-4.0",
        "GPL-2.0-or-later",
        "LGPL-3.0-only",
        "public domain",
    }
    assert all(photo.author and len(photo.sha256) == 64 for photo in everything)
    assert {photo.package for photo in everything} == {*list_packages(), "scikit-image"}
    splits = Counter(photo.split for photo in everything)
    assert set(splits) == {TRAIN, HELD_OUT}
    assert 6 <= splits[HELD_OUT] == pytest.approx(len(everything) / 8, abs=2)


def test_the_photographs_of_scikit_image_are_the_installed_ones_and_not_those_to_test_on(tmp_path: Path) -> None:
    installed = [photo for photo in list_photographs() if photo.package == "scikit-image"]
    found = photographs.find_photographs(tmp_path, installed)
    assert [file.parent for file in found.values()] == [REAL] * len(installed)
    assert not {"page.png", "text.png", "camera.png"} & {file.name for file in found.values()}


# --- tiles -----------------------------------------------------------------------------------------------------------


def test_tiles_cover_an_image_and_the_last_ends_at_the_edge() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 400, 192), dtype=np.uint8)
    for height, tops in ((192, [0]), (384, [0, 192]), (400, [0, 192, 208])):
        cut = tiles.cut_tiles(image[:, :height])
        assert all((tile == image[:, top : top + 192]).all() for tile, top in zip(cut, tops, strict=True))
    assert tiles.cut_tiles(image[:, :191]) == []


@pytest.mark.parametrize(
    ("size", "limit", "relative", "scaled"),
    [
        ((1000, 800), None, 1.0, (500, 400)),
        ((1000, 800), 0.25, 1.0, (250, 200)),
        ((3000, 2500), None, 1.0, (1440, 1200)),
        ((3000, 2500), None, 0.5, (720, 600)),
    ],
)
def test_photographs_are_scaled_to_half_or_1200_pixels(
    size: tuple[int, int], limit: float | None, relative: float, scaled: tuple[int, int]
) -> None:
    assert tiles.scale_down(Image.new("L", size), limit, relative).size == scaled


def test_one_in_four_flat_tiles_is_kept() -> None:
    sky = np.linspace(100, 140, 384, dtype=np.uint8)[:, None, None].repeat(384 * 5, 1).repeat(3, 2)
    noisy = np.clip(sky + np.random.default_rng(0).normal(0, 1, sky.shape), 0, 255).astype(np.uint8)
    with Image.open(REAL / "gravel.png") as gravel:
        noisy[:, :384] = np.asarray(gravel.convert("RGB"))[:384, :384]
    kept = tiles.tile_photograph(Image.fromarray(noisy), None, (1.0,))  # five tiles, four flat
    assert [tiles.is_flat(tile) for tile in kept] == [False, True]


# --- loading ---------------------------------------------------------------------------------------------------------


def expected_held_out() -> ImagesU8:
    with Image.open(REAL / "rocket.jpg") as image:
        return np.asarray(image.resize((320, 214), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


def test_a_photograph_is_cut_at_four_scales() -> None:
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(rng.integers(0, 256, (75, 75, 3), np.uint8)).resize((2400, 2400))
    kept = tiles.tile_photograph(photograph, None, tiles.RELATIVE_SCALES)  # 1200, 840, 600 and 420 pixels a side
    assert len(kept) == 7 * 7 + 5 * 5 + 4 * 4 + 3 * 3


def test_tiles_of_the_held_out_photographs_are_not_trained_on(listed: Path) -> None:
    dataset = load_photographs(listed / "unpacked")
    assert (dataset.name, dataset.classes, dataset.train.shape) == ("photos", (), (3, 192, 192))
    assert (len(dataset.train), len(dataset.held_out)) == (N_TILES[TRAIN], N_TILES[HELD_OUT])
    assert not dataset.train.labels.any()
    half = expected_held_out()
    corners = [(top, left) for top in (0, 22) for left in (0, 128)]
    for tile, (top, left) in zip(dataset.held_out.images, corners, strict=True):
        assert (tile == half[:, top : top + 192, left : left + 192]).all()
    means = dataset.held_out.images.mean((2, 3))
    assert np.abs(dataset.train.images.mean((2, 3))[:, None] - means).sum(-1).min() > 1
    ((title, whole),) = load_held_out_photographs(listed / "unpacked").items()
    assert title == "rocket.jpg"
    assert (whole == half).all()


def test_tiles_are_made_once(listed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first = load_photographs(listed / "unpacked")
    assert "cutting 5 photographs into tiles, once" in capsys.readouterr().err
    monkeypatch.setattr(photographs, "tile_photograph", None)  # not called
    again = load_photographs(listed / "unpacked")
    assert (again.train.images == first.train.images).all()
    assert again.sha256 == first.sha256
    monkeypatch.setattr(photographs, "RULES", (*tiles.RULES, "another"))
    with pytest.raises(TypeError, match="not callable"):
        load_photographs(listed / "unpacked")


def test_damaged_tiles_are_cut_again(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sha256 = load_photographs(listed / "unpacked").sha256
    file = listed / "cache/photographs" / photographs.TILES
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    for damaged in (bytes(content), bytes(content[:5000]), b""):
        file.write_bytes(damaged)
        assert load_photographs(listed / "unpacked").sha256 == sha256
        assert f"{file}: damaged" in capsys.readouterr().err
    with np.load(file) as npz:
        arrays = dict(npz)
    arrays["train"][0, 0, 0, 0] ^= 1
    np.savez(file, **arrays)  # a good file with another content
    assert load_photographs(listed / "unpacked").sha256 == sha256
    assert f"{file}: damaged (SHA-256)" in capsys.readouterr().err


def test_one_photograph_in_four_may_be_missing(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = load_photographs(listed / "unpacked")
    change(listed / "unpacked" / FOLDER / "coffee.png")
    fewer = load_photographs(listed / "unpacked")
    assert len(fewer.train) == N_TILES[TRAIN] - 4
    assert fewer.sha256 != whole.sha256
    message = "continuing without 1 photograph, missing or changed: coffee.png of some-photographs"
    assert message in capsys.readouterr().err
    (listed / "unpacked" / FOLDER / "hubble_deep_field.jpg").unlink()
    with pytest.raises(
        InputError, match=r"expected 4 train photographs, got 2, without hubble_deep_field.jpg of .*, coffee.png"
    ):
        load_photographs(listed / "unpacked")


def test_without_photographs_the_hint_says_how_to_get_them(listed: Path) -> None:
    with pytest.raises(InputError, match=r"cache/photographs: expected 4 train photographs, got 0, without") as caught:
        load_photographs()
    assert "gan-denoise data fetch --dataset photos" in caught.value.hint
    with pytest.raises(InputError, match="elsewhere: expected a folder with the photographs, got no folder"):
        load_photographs(Path("elsewhere"))


@pytest.mark.parametrize(("size", "channels", "match"), [(64, 3, "--size .* 192, got 64"), (192, 1, "--channels .* 3")])
def test_photographs_have_one_size(size: int, channels: int, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        load_dataset("photos", None, size, channels)


# --- packages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def apt(listed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """apt with a repository of its own: this machine's lists have a newer package, in which a photograph changed."""
    if debian.missing_tool():
        pytest.skip(f"no {debian.missing_tool()}")
    for name in ("etc/apt/sources.list.d", "state/lists/partial", "archives/partial"):
        (listed / "apt" / name).mkdir(parents=True)
    (listed / "apt/status").touch()
    write_release(listed, OLD, "1")
    change(listed / "unpacked" / FOLDER / "rocket.jpg")
    write_release(listed, NEW, "2")
    shutil.rmtree(listed / "unpacked")
    sources = listed / "apt/etc/apt"
    (sources / "sources.list").write_text(f"deb [trusted=yes] file:{listed}/repository {NEW} main\n")
    (listed / "apt.conf").write_text(
        f'Dir::Etc "{sources}"; Dir::State "{listed}/apt/state"; Dir::State::status "{listed}/apt/status"; '
        f'Dir::Cache "{listed}/apt"; APT::Sandbox::User "root";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(listed / "apt.conf"))
    monkeypatch.setattr(debian, "APT_SOURCES", sources)
    subprocess.run(["apt-get", "-qq", "update"], check=True, capture_output=True)
    return listed


def write_release(folder: Path, release: str, version: str) -> None:
    """Build the package from `unpacked` and add it to the repository."""
    tree, repository = folder / "unpacked", folder / "repository"
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout
    index = repository / f"dists/{release}/main/binary-{architecture.strip()}/Packages"
    index.parent.mkdir(parents=True)
    control = f"Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: images\n"
    (tree / "DEBIAN").mkdir(exist_ok=True)
    (tree / "DEBIAN/control").write_text(control)
    archive = repository / f"{PACKAGE}_{version}_all.deb"
    build = ["dpkg-deb", "-Znone", "--root-owner-group", "-b", str(tree), str(archive)]
    subprocess.run(build, check=True, capture_output=True)
    content = archive.read_bytes()
    known = f"Filename: {archive.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    index.write_text(f"{control}{known}\n")
    sha256, size = hashlib.sha256(index.read_bytes()).hexdigest(), index.stat().st_size
    (repository / f"dists/{release}/Release").write_text(
        f"Codename: {release}\nArchitectures: {architecture}Components: main\n"
        f"SHA256:\n {sha256} {size} main/{index.parent.name}/Packages\n"
    )


def test_a_photograph_that_changed_comes_from_the_release_in_which_it_was_read(apt: Path) -> None:
    lines: list[str] = []
    cache = fetch_photographs(None, lines.append)
    assert lines == [f"downloading {PACKAGE}", f"downloading {PACKAGE} of {OLD}"]
    assert sorted(file.name for file in cache.rglob("*.*g")) == sorted(name for name, _, _ in CHOSEN)
    assert len(load_photographs().train) == N_TILES[TRAIN]
    assert not [path for path in cache.rglob("*") if path.suffix == ".deb" or path.name == "control"]
    assert fetch_photographs(None, lines.append) == cache
    assert len(lines) == 2  # nothing is downloaded again


def test_a_package_that_is_nowhere_is_named(apt: Path) -> None:
    shutil.rmtree(apt / "repository")
    with pytest.raises(InputError, match=r"got 0, without hubble_deep_field\.jpg") as caught:
        fetch_photographs()
    assert f"{PACKAGE}: E: " in caught.value.hint
    assert "--data DIR" in caught.value.hint


def test_without_apt_the_steps_by_hand_are_said(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(listed))
    with pytest.raises(InputError, match=r"^Debian's packages: apt-get is not installed$") as caught:
        fetch_photographs()
    assert f"apt-get download {PACKAGE}" in caught.value.hint
    assert "then --data DIR" in caught.value.hint


# --- commands --------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    result = CliRunner().invoke(commands.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_commands_fetch_inspect_and_draw_photographs(listed: Path) -> None:
    content = json.loads(run("fetch", "--dataset", "photos", "--data", str(listed / "unpacked"), "--json"))
    assert len(content["written"]) == len(content["sha256"]) == len(CHOSEN)
    assert content["sha256"][f"{PACKAGE}/{FOLDER}/rocket.jpg"] == entry("rocket.jpg", HELD_OUT, None)["sha256"]
    shutil.rmtree(listed / "unpacked")
    summary = json.loads(run("info", "--dataset", "photos", "--json"))
    assert (summary["image_shape"], summary["licences"]) == ([3, 192, 192], {"CC0-1.0": 5})
    assert (summary["train"]["count"], summary["test"]["count"]) == (N_TILES[TRAIN], N_TILES[HELD_OUT])
    assert run("info", "--dataset", "photos", "--format", "csv").splitlines()[:2] == [
        "title,author,licence,package,split",
        "hubble_deep_field.jpg,A,CC0-1.0,some-photographs,train",
    ]
    assert "| rocket.jpg | A | CC0-1.0 | some-photographs | held-out |" in run(
        "info", "--dataset", "photos", "--format", "markdown"
    )
    shown = run("info", "--dataset", "photos")
    assert f"5 photographs, {N_TILES[TRAIN]} tiles to train on, 4 held out" in shown
    assert "licences: 5 CC0-1.0\n" in shown
    assert f"{summary['sha256']}  all tiles\n" in shown
    run("preview", "--dataset", "photos", "--out", str(listed / "a.png"))
    with Image.open(listed / "a.png") as image:
        assert (image.mode, image.size) == ("RGB", (10 * 196, 10 * 196))


def test_fetch_refuses_other_data_sets() -> None:
    with pytest.raises(UsageError, match="--dataset: expected fashion-mnist, mnist, kmnist or photos, got npz"):
        run("fetch", "--dataset", "npz")
