"""The generation table and its parts, on the shipped graphs and real images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from prdc import compute_prdc
from scipy import linalg, ndimage

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.fashion_mnist import CLASSES
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.generation import diagnostics, evaluate
from gan_denoise.eval.generation import reference as reference_module
from gan_denoise.eval.generation.evaluate import evaluate_generation, evaluate_sets
from gan_denoise.eval.generation.features import load_extractor
from gan_denoise.eval.generation.reference import (
    RealImages,
    collect,
    compare_with_reference,
    extract_features,
    measure_real,
    measure_set,
)
from gan_denoise.eval.labels import REAL_BASELINE
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.kid import kid
from gan_denoise.export import latents, runtime
from gan_denoise.options import FFD_1

N = 150
COLUMNS = ["set", "n", "ffd_1", "kid", "kid_se", "precision", "recall", "density", "coverage"]
LOOKS = ["sharpness", "contrast", "noise"]


@pytest.fixture(scope="module")
def data() -> Dataset:
    """The first 300 test images, and training images of which 200 count as unseen."""
    whole = sources.load_fashion_mnist()
    train, test = (Split(part.images[:n], part.labels[:n]) for part, n in ((whole.train, 1200), (whole.test, 300)))
    return Dataset(train, test, whole.source, whole.sha256, whole.classes, whole.name)


@pytest.fixture(scope="module")
def real(data: Dataset) -> RealImages:
    return measure_real(data, load_extractor(FFD_1, 1), N)


@pytest.fixture(scope="module")
def fused() -> runtime.Graph:
    return runtime.load_graph(runtime.FUSED, threads=1)


def test_raw_denoised_and_the_baseline_have_all_columns(fused: runtime.Graph, real: RealImages) -> None:
    rows = evaluate_generation(fused, real, N)
    assert [row["set"] for row in rows] == ["raw", "denoised", REAL_BASELINE]
    assert all(list(row) == [*COLUMNS, *LOOKS, "class_preserved", "class_accuracy"] for row in rows[:2])
    assert list(rows[2]) == [*COLUMNS, *LOOKS, "class_preserved"]
    assert [row["n"] for row in rows] == [N, N, N]
    assert all(0.8 < row["class_accuracy"] < 1.0 for row in rows[:2])
    assert rows[0]["class_preserved"] == 1.0
    assert 0.95 < rows[1]["class_preserved"] < 1.0
    assert min(rows[0]["coverage"], rows[2]["coverage"]) > 0.1
    assert rows[2]["class_preserved"] is None


def test_the_rows_are_those_of_a_plain_computation(fused: runtime.Graph, real: RealImages, data: Dataset) -> None:
    rows = evaluate_generation(fused, real, N, seed=3)
    test = real.reference.network.extract(data.test.images)
    reference = ffd.load_pinned_metric().reference
    labels = []
    for row, images in zip(rows, fused(latents.latents(3, 0, N)), strict=False):
        pixels = np.rint(images * 255).astype(np.float32) / np.float32(255)
        actual, logits = ffd.load_network(threads=1)(pixels)
        labels.append(logits.argmax(axis=1))
        mean, covariance = actual.astype(np.float64).mean(axis=0), np.cov(actual.astype(np.float64), rowvar=False)
        overlap = np.sqrt(linalg.eigvals(covariance @ reference.covariance).real.clip(min=0)).sum()
        expected = ((mean - reference.mean) ** 2).sum() + np.trace(covariance + reference.covariance) - 2 * overlap
        assert row["ffd_1"] == pytest.approx(expected, rel=1e-3)
        assert (row["kid"], row["kid_se"]) == pytest.approx(kid(actual, test), rel=1e-3)
        names = ("precision", "recall", "density", "coverage")
        plain = compute_prdc(test.astype(np.float64), actual.astype(np.float64), nearest_k=5)
        assert {name: row[name] for name in names} == pytest.approx(plain, abs=0.01)
        assert row["contrast"] == pytest.approx(pixels.std(axis=(1, 2, 3)).mean(), rel=1e-3)
    assert rows[1]["class_preserved"] == pytest.approx((labels[0] == labels[1]).mean(), abs=0.01)


def test_the_rows_depend_on_the_seed_and_not_on_the_batch(
    fused: runtime.Graph, real: RealImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = (evaluate_generation(fused, real, 100, seed) for seed in (3, 4))
    monkeypatch.setattr(evaluate, "BATCH", 7)
    again = evaluate_generation(fused, real, 100, seed=3)
    for row, same, different in zip(first, again, other, strict=True):
        assert [same[name] for name in LOOKS] == pytest.approx([row[name] for name in LOOKS], rel=1e-3)
        assert same["ffd_1"] == pytest.approx(row["ffd_1"], rel=1e-3)
        assert (different["contrast"] == row["contrast"]) is (row["set"] == REAL_BASELINE)


def test_any_sets_are_measured_beside_each_other(real: RealImages, data: Dataset) -> None:
    images = data.train.images[:N]

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, N, 40):
            some = images[start : start + 40]
            yield {"unchanged": some, "blurred": ndimage.gaussian_filter(some, (0, 1, 1))}
        yield {"few": images[:50]}

    rows = {row["set"]: row for row in evaluate_sets(batches(), real)}
    assert list(rows) == ["unchanged", "blurred", "few", REAL_BASELINE]
    assert rows["blurred"]["ffd_1"] > 3 * rows["unchanged"]["ffd_1"]
    assert abs(rows["unchanged"]["kid"]) < 4 * rows["unchanged"]["kid_se"]
    assert rows["unchanged"]["kid"] < 0.5 * rows["blurred"]["kid"]
    assert rows["unchanged"]["coverage"] > rows["blurred"]["coverage"]
    assert rows["blurred"]["sharpness"] < 0.3 * rows["unchanged"]["sharpness"]
    assert 0.3 < rows["blurred"]["class_preserved"] < rows["unchanged"]["class_preserved"] == 1.0
    assert [rows["few"][name] for name in (*COLUMNS[1:], "class_preserved")] == [50, *[None] * 7, None]
    assert rows["few"]["contrast"] > 0


def test_a_set_is_measured_equally_in_one_batch_and_in_many(real: RealImages, data: Dataset) -> None:
    images, network = data.train.images[:N], real.reference.network
    parts = collect(({"x": images[start : start + 40]} for start in range(0, N, 40)), network)["x"]
    whole = extract_features(to_float(images), network)
    assert (len(parts), len(whole)) == (N, N)
    np.testing.assert_array_equal(whole.labels, parts.labels)
    row, compared = measure_set("x", parts, real.reference), compare_with_reference(whole, real.reference)
    assert compared.pop("distance") == pytest.approx(row["ffd_1"], rel=1e-4)
    assert compared == {name: pytest.approx(row[name], abs=0.01) for name in compared}
    with pytest.raises(InputError, match="expected at least 97 samples"):
        compare_with_reference(extract_features(to_float(images[:96]), network), real.reference)


def test_features_are_kept_of_the_first_images_only(
    real: RealImages, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_module, "MAX_FEATURES", 100)
    batches = ({"x": data.train.images[start : start + 30]} for start in range(0, N, 30))
    row = evaluate_sets(batches, real)[0]
    features = real.reference.network.extract(data.train.images[:N])
    assert row["n"] == N
    assert row["kid"] == pytest.approx(kid(features[:100], real.reference.features)[0], rel=1e-3)
    assert row["ffd_1"] == pytest.approx(ffd.distance(data.train.images[:N], ffd.load_network(threads=1)), rel=1e-6)


def test_a_baseline_of_too_few_real_images_is_not_measured(data: Dataset) -> None:
    few = replace(data, train=Split(data.train.images[:60], data.train.labels[:60]))
    baseline = measure_real(few, load_extractor(FFD_1, 1), N).real_baseline
    assert (baseline["n"], baseline["ffd_1"], baseline["precision"]) == (10, None, None)
    assert baseline["contrast"] > 0


def conditional(images: np.ndarray) -> runtime.Graph:
    """A graph that gives the image of the class that the last latents choose, and as denoised the next class's."""
    nodes = [
        helper.make_node("Slice", ["z", "from", "to", "axis"], ["last"]),
        helper.make_node("ArgMax", ["last"], ["class"], axis=1, keepdims=0),
        helper.make_node("Gather", ["images", "class"], ["image"]),
        helper.make_node("Gather", ["others", "class"], ["denoised"]),
    ]
    pixels = to_float(images)
    arrays = {"from": [90], "to": [100], "axis": [1]}
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in arrays.items()]
    constants += [
        numpy_helper.from_array(pixels, "images"),
        numpy_helper.from_array(np.roll(pixels, -1, 0), "others"),
    ]
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 100])
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 1, 28, 28]) for n in ("image", "denoised")]
    graph = helper.make_graph(nodes, "graph", [z], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"classes": "10"})
    onnx.checker.check_model(model)
    return runtime.Graph(model.SerializeToString(), runtime.FUSED, "conditional", threads=1)


def test_class_accuracy_is_measured_for_graphs_with_classes(real: RealImages, data: Dataset, exported: Path) -> None:
    labels = real.reference.labels
    right = np.array([np.flatnonzero((labels == c) & (data.test.labels == c))[0] for c in range(10)])
    raw, denoised, baseline = evaluate_generation(conditional(data.test.images[right]), real, 120)
    assert (raw["class_accuracy"], denoised["class_accuracy"], denoised["class_preserved"]) == (1.0, 0.0, 0.0)
    assert raw["recall"] == 0.0  # ten images again and again
    assert "class_accuracy" not in baseline
    assert evaluate.requested_classes(runtime.load_graph(runtime.FUSED, exported), 120, 0) is None


def test_the_classes_of_sets_and_their_recall(real: RealImages, data: Dataset) -> None:
    images = data.train.images[:N]
    trousers = data.train.images[data.train.labels == 1][:60]
    sets = collect([{"real": images, "collapsed": trousers}], real.reference.network)
    rows = diagnostics.class_rows(sets, real.reference)
    assert [(row["set"], row["class"]) for row in rows] == [(s, c) for s in ("real", "collapsed") for c in CLASSES]
    actual = {(row["set"], row["class"]): row for row in rows}
    for name in sets:
        assert sum(actual[name, c]["fraction"] for c in CLASSES) == pytest.approx(1.0)
    assert actual["real", "Bag"]["real_fraction"] == pytest.approx(np.mean(real.reference.labels == 8))
    assert actual["collapsed", "Trouser"]["fraction"] > 0.9
    assert actual["collapsed", "Trouser"]["recall"] > 0.5
    assert actual["collapsed", "Sneaker"]["recall"] == 0.0 < actual["real", "Sneaker"]["recall"]
    summary = diagnostics.class_summary(sets, real.reference)
    assert summary["collapsed"]["total_variation"] > 0.8 > 0.2 > summary["real"]["total_variation"]
    assert summary["collapsed"]["missing"] >= 6 > summary["real"]["missing"] == 0


def test_copies_are_distinguished_from_images_that_were_not_trained_on(data: Dataset) -> None:
    copies = np.concatenate([data.train.images[:30], data.test.images[300 - 30 :]])
    rows = diagnostics.copy_rows({"half copied": copies}, data)
    assert [(row["set"], row["n"]) for row in rows] == [("half copied", 60), ("test images", 60)]
    assert 0.5 <= rows[0]["near_copy_fraction"] < 0.6
    assert rows[0]["median_distance"] < 0.5 * rows[1]["median_distance"]
    assert rows[1]["near_copy_fraction"] == pytest.approx(1 / 60)
