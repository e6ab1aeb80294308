"""Any number of pictures: shards that hold what a file would, that go on, and that are nobody else's."""

import json
from pathlib import Path

import numpy as np
import pytest

from gan_denoise.data.fashion_mnist import to_uint8
from gan_denoise.errors import OutputError
from gan_denoise.export import runtime, shards
from gan_denoise.export.runtime import Graph
from gan_denoise.export.shards import write_shards


@pytest.fixture(scope="module")
def graph(exported: Path) -> Graph:
    return runtime.load(runtime.FUSED, exported, threads=1)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 10)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_shards_hold_the_pictures_of_their_latents(graph: Graph, tmp_path: Path) -> None:
    write_shards(graph, 3, 25, tmp_path / "out", batch=4)
    assert names(tmp_path / "out") == ["000000.npz", "000001.npz", "000002.npz", "shards.json"]
    with np.load(tmp_path / "out/000002.npz") as arrays:
        assert sorted(arrays) == ["denoised", "image"]
        found = arrays["image"], arrays["denoised"]
    wanted = graph(runtime.latents(3, 20, 5, graph.input_shape[0]))
    for images, floats in zip(found, wanted, strict=True):
        assert images.dtype == np.uint8
        assert images.shape == (5, 28, 28)
        assert np.abs(images.astype(int) - to_uint8(floats)).max() <= 1  # another batch, another rounding
    described = json.loads((tmp_path / "out/shards.json").read_text())
    assert described == {"model_sha256": graph.sha256, "seed": 3, "label": None, "n": 25, "pictures_a_file": 10}


def test_what_is_missing_or_damaged_is_made_again_and_nothing_else(graph: Graph, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_shards(graph, 3, 30, out)
    before = {name: (out / name).read_bytes() for name in names(out)}
    (out / "000001.npz").unlink()
    (out / "000002.npz").write_bytes(before["000002.npz"][:500])
    kept = (out / "000000.npz").stat().st_mtime_ns
    write_shards(graph, 3, 30, out)
    with np.load(out / "000001.npz") as again, np.load(out / "000002.npz") as mended:
        assert again["image"].shape == mended["image"].shape == (10, 28, 28)
    assert {name: (out / name).read_bytes() for name in ("000001.npz", "000002.npz")} == {
        name: before[name] for name in ("000001.npz", "000002.npz")
    }
    assert (out / "000000.npz").stat().st_mtime_ns == kept


@pytest.mark.parametrize("change", [{"seed": 4}, {"count": 20}, {"label": 1}])
def test_other_pictures_are_kept_unless_forced(graph: Graph, tmp_path: Path, change: dict[str, int]) -> None:
    out = tmp_path / "out"
    asked = {"seed": 3, "count": 30, "label": None}
    write_shards(graph, asked["seed"], asked["count"], out)
    before = (out / "000002.npz").read_bytes()
    other = asked | change
    if "label" in change:
        graph.metadata["classes"] = "10"
    with pytest.raises(OutputError, match="holds other pictures"):
        write_shards(graph, other["seed"], other["count"], out, label=other["label"])
    assert (out / "000002.npz").read_bytes() == before
    write_shards(graph, other["seed"], other["count"], out, label=other["label"], force=True)
    assert len(names(out)) == other["count"] // 10 + 1
    with np.load(out / "000001.npz") as arrays:
        z = runtime.latents(other["seed"], 10, 10, graph.input_shape[0])
        z = z if other["label"] is None else runtime.of_class(z, other["label"], 10)
        assert np.abs(arrays["image"].astype(int) - to_uint8(graph(z)[0])).max() <= 1


def test_a_folder_of_something_else_is_kept(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists and holds other pictures"):
        write_shards(graph, 3, 30, tmp_path)
    assert names(tmp_path) == ["notes.txt"]
    write_shards(graph, 3, 30, tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
