from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from prdc import compute_prdc

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics import prdc as module
from gan_denoise.eval.metrics.prdc import overlap, prdc, squared_radii
from gan_denoise.export import runtime


@pytest.fixture(scope="module")
def features(excerpt: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Of 100 test images, and of 180 training images darkened, so that the sets overlap in part."""
    network = runtime.load_graph(runtime.FEATURES, threads=1)
    images = to_float(excerpt.train.images[:180])
    images[:90] *= np.float32(0.6)
    return network.batched(to_float(excerpt.test.images))[0], network.batched(images)[0]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("chunk", [7, 500])
def test_all_four_are_those_of_the_package_prdc(
    features: tuple[np.ndarray, np.ndarray], k: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    real, generated = (part.astype(np.float64) for part in features)
    expected = compute_prdc(real, generated, nearest_k=k)
    assert 0.1 < expected["precision"] < 0.99  # a comparison of ones would say little
    assert prdc(overlap(real, generated, k), k) == pytest.approx(expected, abs=1e-12)


def test_points_on_a_line_are_their_closed_form() -> None:
    real = np.array([[0.0], [1.0], [3.0], [6.0]])  # radii with k = 1: 1, 1, 2, 3
    generated = np.array([[0.5], [5.5], [20.0], [30.0]])  # radii: 5, 5, 10, 10
    assert squared_radii(real, 1).tolist() == [1.0, 1.0, 4.0, 9.0]
    actual = overlap(real, generated, k=1)
    assert actual.n_containing_balls.tolist() == [2, 1, 0, 0]  # 0.5 is in the balls of 0 and 1; 5.5 in that of 6
    assert actual.covered.tolist() == [True, True, False, True]
    assert actual.recalled.tolist() == [True, True, True, True]
    assert prdc(actual, k=1) == {"precision": 0.5, "recall": 1.0, "density": 0.75, "coverage": 0.75}


def test_a_set_against_itself_is_1_and_against_a_far_one_0(features: tuple[np.ndarray, np.ndarray]) -> None:
    real = features[0]
    assert prdc(overlap(real, real)) == pytest.approx(dict.fromkeys(("precision", "recall", "density", "coverage"), 1))
    assert set(prdc(overlap(real, real + 100)).values()) == {0.0}


def test_a_collapsed_generator_is_precise_and_recalls_nothing(features: tuple[np.ndarray, np.ndarray]) -> None:
    real = features[0]
    actual = prdc(overlap(real, np.repeat(real[:1], 50, axis=0)))
    assert (actual["precision"], actual["recall"]) == (1.0, 0.0)
    assert actual["coverage"] < 0.2


@pytest.mark.parametrize("move", [lambda x: x + 1e5, lambda x: 1e-5 * x])
def test_neither_offset_nor_scale_changes_them(
    features: tuple[np.ndarray, np.ndarray], move: Callable[[np.ndarray], np.ndarray]
) -> None:
    real, generated = (part.astype(np.float64) for part in features)
    assert prdc(overlap(move(real), move(generated))) == prdc(overlap(real, generated))


def test_known_radii_save_the_work_and_change_nothing(features: tuple[np.ndarray, np.ndarray]) -> None:
    known = overlap(*features, real_radii=squared_radii(features[0]))
    assert prdc(known) == prdc(overlap(*features))


def test_the_matrix_of_distances_is_never_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 50)
    sets = np.random.default_rng(0).standard_normal((2, 2000, 3))  # 32 MB a matrix, 0.8 MB a chunk
    tracemalloc.start()
    overlap(*sets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_too_few_other_widths_and_nan_are_refused() -> None:
    enough = np.random.default_rng(0).standard_normal((6, 3))
    assert squared_radii(enough, 5).shape == (6,)
    for pair in ((enough, enough[:5]), (enough[:5], enough)):
        with pytest.raises(InputError, match=r"expected \(N, D\) with N of 6 or more, got \[5, 3\]"):
            overlap(*pair)
    with pytest.raises(InputError, match="expected equal widths, got 3 and 2"):
        overlap(enough, enough[:, :2])
    with pytest.raises(InputError, match="finite"):
        overlap(enough, np.full((6, 3), np.nan))
