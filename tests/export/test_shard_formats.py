"""Folders of shards as WebDataset tar files and as Parquet."""

from __future__ import annotations

import gc
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_denoise.errors import InputError, OutputError
from gan_denoise.export import latents, runtime, shards
from gan_denoise.export.runtime import Graph
from gan_denoise.export.shard_formats import largest_size
from gan_denoise.export.shards import write_shards
from gan_denoise.models.z_layout import chosen_class
from gan_denoise.options import FileFormat

FORMATS = pytest.mark.parametrize("file_format", [FileFormat.webdataset, FileFormat.parquet])
COUNT = 25


@pytest.fixture(scope="module")
def graph() -> Graph:
    return runtime.load_graph(runtime.FUSED, threads=1)  # with classes


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 10)


def write(graph: Graph, out: Path, file_format: FileFormat, **more: Any) -> dict[str, bytes]:
    """Write a folder; the content of its files."""
    write_shards(graph, 3, COUNT, out, file_format=file_format, **more)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def arrays(graph: Graph, out: Path) -> dict[str, np.ndarray]:
    """The same images as arrays."""
    write_shards(graph, 3, COUNT, out)
    parts = [np.load(path) for path in sorted(out.glob("*.npz"))]
    return {name: np.concatenate([part[name] for part in parts]) for name in ("image", "denoised")}


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def classes() -> list[int]:
    return [int(number) for number in chosen_class(latents.latents(3, 0, COUNT), 10)]


def test_tar_files_hold_the_images_and_classes_without_times_and_owners(graph: Graph, tmp_path: Path) -> None:
    files = write(graph, tmp_path / "tars", FileFormat.webdataset)
    assert list(files) == ["000000.tar", "000001.tar", "000002.tar", "shards.json"]
    expected = arrays(graph, tmp_path / "arrays")
    with tarfile.open(tmp_path / "tars/000002.tar") as tar:
        members = tar.getmembers()
        for member in members:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
        read = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    assert list(read)[:3] == ["000000020.image.png", "000000020.denoised.png", "000000020.cls"]
    assert len(read) == 3 * 5
    for i in range(20, COUNT):
        for name in ("image", "denoised"):
            np.testing.assert_array_equal(pixels(read[f"{i:09d}.{name}.png"]), expected[name][i])
    assert [int(read[f"{i:09d}.cls"]) for i in range(20, COUNT)] == classes()[20:]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
def test_webdataset_reads_the_tar_files(graph: Graph, tmp_path: Path) -> None:
    import webdataset

    write(graph, tmp_path / "tars", FileFormat.webdataset)
    urls = [str(path) for path in sorted((tmp_path / "tars").glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("l8"))
    gc.collect()
    expected = arrays(graph, tmp_path / "arrays")
    assert [sample["__key__"] for sample in samples] == [f"{i:09d}" for i in range(COUNT)]
    assert [sample["cls"] for sample in samples] == classes()
    np.testing.assert_array_equal(np.stack([sample["denoised.png"] for sample in samples]), expected["denoised"])


def test_parquet_holds_the_images_and_classes(graph: Graph, tmp_path: Path) -> None:
    from pyarrow import parquet

    files = write(graph, tmp_path / "columns", FileFormat.parquet, label=4)
    assert list(files) == ["000000.parquet", "000001.parquet", "000002.parquet", "shards.json"]
    table = parquet.read_table(tmp_path / "columns/000001.parquet").to_pydict()
    assert table["index"] == list(range(10, 20))
    assert table["label"] == [4] * 10
    write_shards(graph, 3, COUNT, tmp_path / "arrays", label=4)
    with np.load(tmp_path / "arrays/000001.npz") as expected:
        for name in ("image", "denoised"):
            np.testing.assert_array_equal(np.stack([pixels(png) for png in table[name]]), expected[name])


@FORMATS
def test_the_same_images_give_the_same_bytes_also_in_parts(
    graph: Graph, tmp_path: Path, file_format: FileFormat
) -> None:
    whole = write(graph, tmp_path / "whole", file_format)
    write(graph, tmp_path / "parts", file_format, part=(2, 2))
    assert write(graph, tmp_path / "parts", file_format, part=(1, 2)) == whole
    name = next(iter(whole))
    damaged = bytearray(whole[name])
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "whole" / name).write_bytes(damaged)
    assert write(graph, tmp_path / "whole", file_format) == whole
    size = sum(len(content) for name, content in whole.items() if name != "shards.json")
    # What the space check counts with: tar files end with up to 10 KB of padding, Parquet files with their columns.
    assert 0.3 < size / (COUNT * largest_size(file_format, 28 * 28)) < 1 + 3 * 10_240 / (COUNT * 1_700)


@FORMATS
def test_a_model_without_classes_has_none_in_its_files(exported: Path, tmp_path: Path, file_format: FileFormat) -> None:
    unconditional = runtime.load_graph(runtime.FUSED, exported, threads=1)
    assert unconditional.classes == 0
    files = write(unconditional, tmp_path / "out", file_format)
    if file_format is FileFormat.webdataset:
        with tarfile.open(tmp_path / "out/000000.tar") as tar:
            assert {name.split(".", 1)[1] for name in tar.getnames()} == {"image.png", "denoised.png"}
    else:
        from pyarrow import parquet

        assert parquet.read_schema(tmp_path / "out/000000.parquet").names == ["index", "image", "denoised"]
    assert len(files) == 4


def test_another_format_is_another_content(graph: Graph, tmp_path: Path) -> None:
    before = write(graph, tmp_path, FileFormat.webdataset)
    with pytest.raises(OutputError, match="exists with other contents, not overwritten"):
        write_shards(graph, 3, COUNT, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert list(write(graph, tmp_path, FileFormat.npz, force=True)) == [
        *(f"00000{i}.npz" for i in range(3)),
        "shards.json",
    ]


def test_without_pyarrow_the_extra_is_named_before_anything_is_written(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="pyarrow: not installed") as missing:
        write_shards(graph, 3, COUNT, tmp_path / "out", file_format=FileFormat.parquet)
    assert missing.value.hint == 'pip install "gan-denoise[parquet]"'
    assert not (tmp_path / "out").exists()
