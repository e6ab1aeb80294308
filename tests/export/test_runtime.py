"""The runtime: reproducible latents, checked graphs, and untrusted files that are refused."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from gan_denoise.errors import InputError, UsageError
from gan_denoise.export import latents, runtime
from gan_denoise.export.generate import parse_label
from gan_denoise.options import MAX_SEED


def test_a_latent_depends_on_seed_and_index_alone() -> None:
    all_at_once = latents.latents(5, 0, 40)
    assert all_at_once.shape == (40, 100)
    assert all_at_once.dtype == np.float32
    for start, count in ((0, 1), (17, 3), (39, 1)):
        assert np.array_equal(latents.latents(5, start, count), all_at_once[start : start + count])
    assert not np.array_equal(latents.latents(6, 0, 40), all_at_once)
    assert latents.latents(5, 0, 0).shape == (0, 100)


def test_latents_are_those_that_were_published() -> None:
    """Bits that change here change every published image."""
    digest = hashlib.sha256(latents.latents(0, 0, 64).tobytes()).hexdigest()
    assert digest == "ef4a797ed5295d06025b7eb1a3cc5e13763547ba70e34d87af636127296c092f"


@pytest.mark.parametrize("seed", [0, 7, MAX_SEED])
def test_another_seed_is_valid_and_has_other_latents(seed: int) -> None:
    other = latents.another_seed(seed)
    assert 0 <= other <= MAX_SEED
    assert not np.array_equal(latents.latents(other, 0, 1), latents.latents(seed, 0, 1))


def test_latents_are_standard_normal() -> None:
    z = latents.latents(1, 0, 2000).astype(np.float64)
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    neighbours = np.mean(z[:-1] * z[1:])
    assert neighbours == pytest.approx(0, abs=0.01)


def test_a_class_is_chosen_by_two_entries_changing_places() -> None:
    z = latents.latents(0, 0, 200)
    chosen = latents.set_class(z, 7, classes=10)
    assert (chosen[:, -10:].argmax(axis=1) == 7).all()
    assert np.array_equal(chosen[:, :-10], z[:, :-10])
    assert np.array_equal(np.sort(chosen[:, -10:]), np.sort(z[:, -10:]))
    assert np.array_equal(z, latents.latents(0, 0, 200))  # the argument is unchanged


def test_labels_are_numbers_or_starts_of_names(exported: Path) -> None:
    graph = runtime.load_graph(runtime.FUSED, exported)
    with pytest.raises(InputError, match="--label: expected a model with classes, got sneaker for one without"):
        parse_label(graph, "sneaker")
    graph.metadata = {"classes": "3", "class_names": "T-shirt/top,Shirt,Sneaker"}
    assert [parse_label(graph, name) for name in ("t-shirt", "SHIRT", "2", "sne")] == [0, 1, 2, 2]
    for name in ("3", "hat"):
        with pytest.raises(UsageError, match=f"--label: expected one of 0 T-shirt/top, 1 Shirt, 2 Sneaker, got {name}"):
            parse_label(graph, name)
    for name, fitting in (("s", "Shirt, Sneaker"), ("", "T-shirt/top, Shirt, Sneaker")):
        with pytest.raises(UsageError, match=rf"--label: expected one class, got '{name}' \(fits {fitting}\)"):
            parse_label(graph, name)


def test_the_fused_graph_runs_any_batch_with_the_same_images(exported: Path) -> None:
    fused = runtime.load_graph(runtime.FUSED, exported)
    z = latents.latents(0, 0, 65)
    image, denoised = fused(z)
    assert image.shape == denoised.shape == (65, 1, 28, 28)
    assert image.min() >= 0
    assert image.max() <= 1
    for batch in (1, 2, 7, 64):
        again = fused.batched(z, batch)
        np.testing.assert_allclose(again[0], image, atol=1e-5)
        np.testing.assert_allclose(again[1], denoised, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 13, 100])
def test_threads_change_nothing_about_the_images(threads: int, count: int) -> None:
    z = latents.latents(0, 0, count)
    plain = runtime.make_session(runtime.read_graph(runtime.FUSED, None), "fused", threads=1)
    expected = plain.run(["image", "denoised"], {"z": z})
    for images, reference in zip(runtime.load_graph(runtime.FUSED, threads=threads)(z), expected, strict=True):
        np.testing.assert_array_equal(images, reference)


def test_a_large_batch_is_split_between_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = runtime.load_graph(runtime.FUSED, threads=2)
    runs: list[tuple[int, int]] = []
    run = graph._run

    def record(session: object, samples: np.ndarray) -> tuple[np.ndarray, ...]:
        runs.append((threading.get_ident(), len(samples)))
        return run(session, samples)

    monkeypatch.setattr(graph, "_run", record)
    graph(latents.latents(0, 0, 3))
    assert runs == [(threading.get_ident(), 3)]
    runs.clear()
    graph(latents.latents(0, 0, 100))
    assert sorted(count for _, count in runs) == [*[7] * 12, *[8] * 2]
    assert threading.get_ident() not in {thread for thread, _ in runs}
    assert len({thread for thread, _ in runs}) == 2


def test_metadata_name_the_origin_of_a_graph(exported: Path) -> None:
    fused = runtime.load_graph(runtime.FUSED, exported)
    assert set(fused.metadata) == {"version", "config_sha256", "data_sha256", "dataset", "seed", "pixel_range"}
    assert fused.metadata["pixel_range"] == "[0, 1]"
    assert fused.metadata["seed"] == "0,0"


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (np.zeros((2, 100), np.float64), "float64"),
        (np.zeros((2, 99), np.float32), r"expected float32 \['N', 100\], got float32 \[2, 99\]"),
        (np.full((2, 100), np.nan, np.float32), "NaN"),
    ],
)
def test_wrong_samples_are_refused(exported: Path, samples: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        runtime.load_graph(runtime.FUSED, exported)(samples)


def untrusted_model(
    tmp_path: Path, name: str = "z", outputs: tuple[str, ...] = ("image",), side: int | str = 4
) -> Path:
    nodes = [helper.make_node("Identity", [name], [output]) for output in outputs]
    value = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", side]) for output in outputs]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", side])], value)
    path = tmp_path / "untrusted.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_graph_with_other_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a graph z -> image, got x -> image"):
        runtime.load_graph(runtime.GENERATOR, untrusted_model(tmp_path, name="x"))
    with pytest.raises(InputError, match=r"expected a graph z -> image, denoised, got z -> image"):
        runtime.load_graph(runtime.FUSED, untrusted_model(tmp_path))
    assert runtime.load_graph(runtime.GENERATOR, untrusted_model(tmp_path)).input_shape == (4,)


def test_a_graph_with_free_sizes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a free batch and fixed sizes, got"):
        runtime.load_graph(runtime.GENERATOR, untrusted_model(tmp_path, side="W"))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 1000, None])
def test_files_that_are_not_models_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "fused.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"fused\.onnx: (expected an ONNX model, got|not found)"):
        runtime.load_graph(runtime.FUSED, path)


def test_weights_outside_the_file_are_refused(tmp_path: Path) -> None:
    model = onnx.load(untrusted_model(tmp_path))
    weight = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    path = tmp_path / "outside.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="expected all weights inside the file"):
        runtime.load_graph(runtime.GENERATOR, path)
