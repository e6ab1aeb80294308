"""Shards: the images of one file, resumed after an interruption, and no other files overwritten."""

import fcntl
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from gan_denoise import machine
from gan_denoise.data.images import to_uint8
from gan_denoise.errors import InputError, LockedError, OutputError
from gan_denoise.eval.inputs import load_image_sets
from gan_denoise.export import latents, runtime, shards
from gan_denoise.export.runtime import Graph
from gan_denoise.export.shard_manifest import Manifest
from gan_denoise.export.shards import write_shards


@pytest.fixture(scope="module")
def graph(exported: Path) -> Graph:
    return runtime.load_graph(runtime.FUSED, exported, threads=1)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 10)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_shards_hold_the_images_of_their_latents(graph: Graph, tmp_path: Path) -> None:
    write_shards(graph, 3, 25, tmp_path / "out", batch=4)
    assert names(tmp_path / "out") == ["000000.npz", "000001.npz", "000002.npz", "shards.json"]
    with np.load(tmp_path / "out/000002.npz") as arrays:
        assert sorted(arrays) == ["denoised", "image"]
        stored = arrays["image"], arrays["denoised"]
    expected = graph(latents.latents(3, 20, 5, graph.input_shape[0]))
    for images, floats in zip(stored, expected, strict=True):
        assert images.dtype == np.uint8
        assert images.shape == (5, 28, 28)
        assert np.abs(images.astype(int) - to_uint8(floats)).max() <= 1  # another batch, another rounding
    description = json.loads((tmp_path / "out/shards.json").read_text())
    files, made_with = description.pop("files"), description.pop("made_with")
    assert description.pop("file_format") == "npz"
    assert description == {"model_sha256": graph.sha256, "seed": 3, "label": None, "n": 25, "images_per_file": 10}
    assert made_with.pop("processor") == machine.processor_kind()
    assert made_with == {"threads": 1, "batch": 4, "provider": "cpu", "onnxruntime": onnxruntime.__version__}
    shard_names = names(tmp_path / "out")[:3]
    hashes = [hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() for name in shard_names]
    assert files == {name: {"sha256": sha256} for name, sha256 in zip(shard_names, hashes, strict=True)}


def damaged(shard: Path, how: str) -> None:
    whole = shard.read_bytes()
    if how == "missing":
        shard.unlink()
    elif how == "fewer images":
        np.savez(shard, image=np.zeros((5, 28, 28), np.uint8), denoised=np.zeros((5, 28, 28), np.uint8))
    elif how == "an array":
        with shard.open("wb") as file:
            np.save(file, np.zeros((10, 28, 28), np.uint8))
    elif how == "one bit":
        shard.write_bytes(whole[:5_000] + bytes([whole[5_000] ^ 1]) + whole[5_001:])
    else:
        shard.write_bytes({"empty": b"", "short": whole[:500], "flipped": whole[:4] + b"\xff" * 26 + whole[30:]}[how])


HOW = ["missing", "fewer images", "an array", "empty", "short", "flipped", "one bit"]


@pytest.mark.row(94)
@pytest.mark.parametrize("how", HOW)
def test_missing_and_damaged_shards_are_written_again_and_no_others(graph: Graph, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    write_shards(graph, 3, 30, out)
    before = {name: (out / name).read_bytes() for name in names(out)}
    damaged(out / "000001.npz", how)
    (out / ".000002.npz.gan-denoise-0123abcd.npz").write_bytes(b"half")
    modified = (out / "000000.npz").stat().st_mtime_ns
    write_shards(graph, 3, 30, out)
    assert {name: (out / name).read_bytes() for name in names(out)} == before
    assert (out / "000000.npz").stat().st_mtime_ns == modified
    write_shards(graph, 3, 30, out, force=True)
    assert (out / "000000.npz").stat().st_mtime_ns > modified


def test_a_shard_appears_whole_or_not_at_all(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(file: Any, **arrays: np.ndarray) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OutputError, match=r"000000.npz: No space left on device"):
        write_shards(graph, 3, 30, tmp_path / "out")
    assert names(tmp_path / "out") == ["shards.json"]


def test_a_call_takes_as_many_images_as_asked(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    run = Graph.__call__

    def counted(self: Graph, samples: np.ndarray) -> tuple[np.ndarray, ...]:
        sizes.append(len(samples))
        return run(self, samples)

    monkeypatch.setattr(Graph, "__call__", counted)
    write_shards(graph, 3, 25, tmp_path / "out", batch=4)
    assert sizes == [4, 4, 2, 4, 4, 2, 4, 1]


def test_one_process_at_a_time_writes_to_a_folder(graph: Graph, tmp_path: Path) -> None:
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LockedError, match="another process is writing to it"):
            write_shards(graph, 3, 30, tmp_path, force=True)
        holder.kill()
    assert names(tmp_path) == []
    write_shards(graph, 3, 30, tmp_path)  # an empty folder is not in the way
    assert len(names(tmp_path)) == 4


@pytest.mark.parametrize("change", [{"seed": 4}, {"count": 20}, {"label": 1}])
def test_shards_of_other_images_are_not_overwritten_unless_forced(
    graph: Graph, tmp_path: Path, change: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    asked: dict[str, Any] = {"seed": 3, "count": 30, "label": None}
    write_shards(graph, asked["seed"], asked["count"], out)
    before = (out / "000002.npz").read_bytes()
    other = asked | change
    if "label" in change:
        graph.metadata["classes"] = "10"
    with pytest.raises(OutputError, match="exists with other contents"):
        write_shards(graph, other["seed"], other["count"], out, label=other["label"])
    assert (out / "000002.npz").read_bytes() == before
    write_shards(graph, other["seed"], other["count"], out, label=other["label"], force=True)
    assert len(names(out)) == other["count"] // 10 + 1
    with np.load(out / "000001.npz") as arrays:
        z = latents.latents(other["seed"], 10, 10, graph.input_shape[0])
        z = z if other["label"] is None else latents.set_class(z, other["label"], 10)
        assert np.abs(arrays["image"].astype(int) - to_uint8(graph(z)[0])).max() <= 1


@pytest.mark.parametrize("name", ["notes.txt", "2024-results.npz", ".000001.npz.mine"])
def test_a_folder_of_other_files_is_not_overwritten(graph: Graph, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="exists with other contents, not overwritten"):
        write_shards(graph, 3, 30, tmp_path)
    assert names(tmp_path) == [name]
    write_shards(graph, 3, 30, tmp_path, force=True)
    assert (tmp_path / name).read_text() == "mine"
    assert len(names(tmp_path)) == 5


def test_an_unexpected_file_with_the_name_of_a_shard_is_not_overwritten_even_if_forced(
    graph: Graph, tmp_path: Path
) -> None:
    (tmp_path / "000001.npz").write_text("mine")
    with pytest.raises(OutputError, match=r"000001.npz: unexpected file, not overwritten"):
        write_shards(graph, 3, 30, tmp_path, force=True)
    assert (tmp_path / "000001.npz").read_text() == "mine"


def test_an_existing_file_is_replaced_only_if_forced(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out: exists, not overwritten"):
        write_shards(graph, 3, 30, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
    write_shards(graph, 3, 30, tmp_path / "out", force=True)
    assert len(names(tmp_path / "out")) == 4


def test_shards_are_read_back_as_sets(graph: Graph, tmp_path: Path) -> None:
    write_shards(graph, 3, 25, tmp_path / "out")
    sets = load_image_sets(tmp_path / "out")
    image, denoised = graph(latents.latents(3, 0, 25, graph.input_shape[0]))
    for name, floats in (("image", image), ("denoised", denoised)):
        assert sets[name].shape == (25, 28, 28)
        assert np.abs(sets[name].astype(int) - to_uint8(floats)).max() <= 1
    np.savez(tmp_path / "out/000003.npz", other=sets["image"])
    with pytest.raises(InputError, match="expected the same arrays in each file, got different ones"):
        load_image_sets(tmp_path / "out")


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


@pytest.mark.row(95)
def test_the_parts_together_are_the_whole(graph: Graph, tmp_path: Path) -> None:
    write_shards(graph, 3, 75, tmp_path / "whole")
    complete = [write_shards(graph, 3, 75, tmp_path / "parts", part=(k, 3)) for k in (2, 1)]
    assert complete == [False, False]
    shards_there = [int(name[:6]) for name in names(tmp_path / "parts") if name.endswith(".npz")]
    assert shards_there == [0, 1, 3, 4, 6, 7]
    assert len([name for name in names(tmp_path / "parts") if name.endswith(".jsonl")]) == 2
    assert write_shards(graph, 3, 75, tmp_path / "parts", part=(3, 3))
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    before = (tmp_path / "parts/000000.npz").stat().st_mtime_ns
    assert write_shards(graph, 3, 75, tmp_path / "parts", part=(9, 9))  # a part without files
    assert (tmp_path / "parts/000000.npz").stat().st_mtime_ns == before


@pytest.mark.row(95)
def test_another_model_is_refused_by_its_hash(graph: Graph, tmp_path: Path) -> None:
    write_shards(graph, 3, 30, tmp_path / "out", part=(1, 2))
    before = content(tmp_path / "out")
    with pytest.raises(
        OutputError, match=f"--model: expected the model of its other files, sha256 {graph.sha256}, got"
    ):
        write_shards(runtime.load_graph(runtime.FUSED, threads=1), 3, 30, tmp_path / "out", part=(2, 2))
    assert content(tmp_path / "out") == before


@pytest.mark.row(95)
def test_another_number_of_threads_is_refused_or_agrees_within_a_level(
    graph: Graph, exported: Path, tmp_path: Path
) -> None:
    write_shards(graph, 3, 40, tmp_path / "one")
    write_shards(graph, 3, 40, tmp_path / "both", part=(1, 2))
    two = runtime.load_graph(runtime.FUSED, exported, threads=2)
    with pytest.raises(OutputError, match="both: threads: expected 1, as for its other files, got 2") as refused:
        write_shards(two, 3, 40, tmp_path / "both")
    assert refused.value.hint.startswith("--threads 1; --other-machine adds to it")
    assert write_shards(two, 3, 40, tmp_path / "both", other_machine=True)
    files = json.loads((tmp_path / "both/shards.json").read_text())["files"]
    made_with = [facts.get("made_with", {}).get("threads") for facts in files.values()]
    assert made_with == [None, 2, None, 2]
    for name in files:
        with np.load(tmp_path / "one" / name) as one, np.load(tmp_path / "both" / name) as both:
            for key in ("image", "denoised"):
                assert np.abs(one[key].astype(int) - both[key]).max() <= 1
    assert write_shards(graph, 3, 40, tmp_path / "both", other_machine=True)  # whole: hashes of either count


@pytest.mark.parametrize(
    ("change", "said"),
    [("avx2", "processor: expected .*, as for its other files, got "), (None, "batch: expected 64, .*, got 32")],
)
def test_another_processor_or_batch_is_refused(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str | None, said: str
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: AMD EPYC\nflags\t\t: fpu avx avx2 fma\n")
    monkeypatch.setattr(machine, "CPUINFO", info)
    assert machine.processor_kind() == "AMD EPYC avx avx2 fma"
    write_shards(graph, 3, 30, tmp_path / "out", part=(1, 2))
    if change:
        info.write_text("model name\t: AMD EPYC\nflags\t\t: fpu avx avx2 avx512f fma\n")
    with pytest.raises(OutputError, match=f"out: {said}"):
        write_shards(graph, 3, 30, tmp_path / "out", 64 if change else 32)
    assert names(tmp_path / "out")[:2] == ["000000.npz", "000002.npz"]


def test_a_folder_of_the_earlier_version_goes_on(graph: Graph, tmp_path: Path) -> None:
    write_shards(graph, 3, 30, tmp_path / "new")
    old = tmp_path / "old"
    write_shards(graph, 3, 30, old)
    description = json.loads((old / "shards.json").read_text())
    for key in ("files", "made_with", "file_format"):
        del description[key]
    (old / "shards.json").write_text(json.dumps(description))
    (old / "000001.npz").unlink()
    damaged(old / "000002.npz", "short")
    modified = (old / "000000.npz").stat().st_mtime_ns
    assert write_shards(graph, 3, 30, old)
    assert (old / "000000.npz").stat().st_mtime_ns == modified
    files = json.loads((old / "shards.json").read_text())["files"]
    assert [facts.get("made_with", "as the folder") for facts in files.values()] == [None, *["as the folder"] * 2]
    for name in ("000000.npz", "000001.npz", "000002.npz"):
        assert (old / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


def test_without_locks_shards_are_written(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    assert write_shards(graph, 3, 30, tmp_path / "out")
    assert len(names(tmp_path / "out")) == 4


def test_a_folder_that_another_process_starts_afresh_is_left_alone(graph: Graph, tmp_path: Path) -> None:
    first = Manifest(tmp_path, {"seed": 1}, {})
    first.write({}, {})
    with first.claim(0) as free:
        assert free
    first.write({"000000.npz": {"sha256": "0"}}, {})  # the same images, in a new file
    with first.claim(0) as free:
        assert free
    Manifest(tmp_path, {"seed": 2}, {}).write({}, {})
    with pytest.raises(OutputError, match="another process replaced its contents"), first.claim(0):
        pass
    first.close()


def test_a_log_that_was_cut_off_loses_its_last_line_alone(graph: Graph, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_shards(graph, 3, 30, out, part=(1, 2))  # shards 0 and 2
    (log,) = out.glob("*.jsonl")
    log.write_text(log.read_text()[:-20])
    modified = [(out / name).stat().st_mtime_ns for name in ("000000.npz", "000002.npz")]
    assert write_shards(graph, 3, 30, out)
    after = [(out / name).stat().st_mtime_ns for name in ("000000.npz", "000002.npz")]
    assert (after[0] == modified[0], after[1] > modified[1]) == (True, True)
    write_shards(graph, 3, 30, tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")
