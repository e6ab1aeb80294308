from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.errors import OutputError
from gan_denoise.eval.denoising import filters
from gan_denoise.eval.denoising.parallel import in_batches, processes

pytestmark = pytest.mark.xdist_group("serial")  # alone among the tests of times and kills


@pytest.fixture(scope="module")
def clean(excerpt: Dataset) -> np.ndarray:
    return to_float(excerpt.test.images[:7])


def test_batches_come_back_in_order_and_none_is_larger(clean: np.ndarray) -> None:
    seen = []

    def halve(images: ImagesF32) -> ImagesF32:
        seen.append(len(images))
        time.sleep(0.05 if images[0, 0, 0, 0] == clean[0, 0, 0, 0] else 0)
        return images / np.float32(2)

    np.testing.assert_array_equal(in_batches(halve, clean, 3)[0], clean / 2)
    assert seen == [3, 3, 1]
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal(in_batches(halve, clean, 2, pool)[0], clean / 2)
    assert sorted(seen[3:]) == [1, 2, 2, 2]


def test_the_time_is_the_work_and_not_the_waiting(clean: np.ndarray) -> None:
    def work(images: ImagesF32) -> ImagesF32:
        start = time.thread_time()
        while time.thread_time() - start < 0.1:
            pass
        return images

    def wait(images: ImagesF32) -> ImagesF32:
        time.sleep(0.3)
        return images

    with ThreadPoolExecutor(2) as pool:
        assert 0.2 <= in_batches(work, clean, 4, pool)[1] < 0.25  # two batches
    assert in_batches(wait, clean, 7)[1] < 0.05


def test_one_worker_is_this_process() -> None:
    with processes(1) as pool:
        assert pool is None


def test_processes_give_what_one_gives_and_their_death_is_reported(clean: np.ndarray) -> None:
    median = partial(filters.restore, "median", sigma=0.1, parameters={"footprint": "3x3", "border": "reflect"})
    with processes(2) as pool:
        assert pool is not None
        assert pool.submit(os.getpid).result() != os.getpid()
        restored, seconds = in_batches(median, clean, 2, pool)
        np.testing.assert_array_equal(restored, median(clean))
        assert seconds > 0
        assert pool.submit(os._exit, 1).exception() is not None
        with pytest.raises(OutputError, match="worker: died"):
            in_batches(median, clean, 2, pool)
