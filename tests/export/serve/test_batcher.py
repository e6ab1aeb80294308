"""Rows of many callers in one run: the same outputs, and no caller suffers from another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from gan_denoise.export import runtime
from gan_denoise.export.latents import latents
from gan_denoise.export.runtime import DENOISER, GENERATOR, PHOTO_GREY, Graph
from gan_denoise.export.serve.batcher import Batcher, Quota
from gan_denoise.export.serve.protocol import ServeError

Runs = list[int]


def with_batcher(
    graph: Graph, use: Callable[[Batcher, Runs], Awaitable[Any]], batch: int = 8, delay_s: float = 0.2
) -> Any:
    """What `use` returns, given a batcher and the list of the rows of its runs."""

    async def run() -> Any:
        runs: Runs = []
        with ThreadPoolExecutor(1) as pool:
            return await use(
                Batcher(graph, batch, delay_s, pool, lambda rows, waited_s, run_s: runs.append(rows)), runs
            )

    with ThreadPoolExecutor(1) as thread:  # the loop of a browser of other tests may run in this one
        return thread.submit(asyncio.run, run()).result()


@pytest.fixture(scope="module")
def generator() -> Graph:
    return runtime.load_graph(GENERATOR, threads=1)


@pytest.fixture(scope="module")
def picky() -> Graph:
    """A denoiser that fails at run time if a pixel is no index of a list of one number: 0 or -1."""
    sides: list[str | int] = ["batch", 1, 2, 2]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("noisy", "denoised")]
    nodes = [
        helper.make_node("Cast", ["noisy"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["list", "index"], ["denoised"]),
    ]
    values = helper.make_tensor("list", TensorProto.FLOAT, [1], [0.5])
    graph = helper.make_graph(nodes, "picky", ends[:1], ends[1:], [values])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    return Graph(model.SerializeToString(), DENOISER, "picky.onnx", threads=1)


def test_rows_of_many_callers_run_together_and_come_back_to_their_callers(generator: Graph) -> None:
    z = latents(0, 0, 8)
    parts = np.split(z, [1, 3, 4])

    async def use(batcher: Batcher, runs: Runs) -> list[Any]:
        futures = [future for part in parts for future in batcher.submit(part)]
        results = await asyncio.wait_for(asyncio.gather(*futures), 20)
        assert runs == [8]  # without waiting 0.2 s for more, since the batch is full
        return results

    results = with_batcher(generator, use, delay_s=60)
    np.testing.assert_array_equal(np.concatenate([image for (image,) in results]), generator(z)[0])


def test_few_rows_run_after_the_delay_and_many_in_several_runs(generator: Graph) -> None:
    z = latents(0, 0, 19)

    async def use(batcher: Batcher, runs: Runs) -> Any:
        (alone,) = batcher.submit(z[:1])
        await alone
        many = await asyncio.gather(*batcher.submit(z))
        assert runs == [1, 8, 8, 3]
        return np.concatenate([image for (image,) in many])

    image = with_batcher(generator, use, delay_s=0.01)
    np.testing.assert_array_equal(image, generator.batched(z, 8)[0])


def test_a_caller_whose_rows_cannot_run_does_not_fail_its_neighbours(picky: Graph) -> None:
    good = np.zeros((2, 1, 2, 2), np.float32)

    async def use(batcher: Batcher, runs: Runs) -> None:
        futures = [batcher.submit(rows)[0] for rows in (good, good + 7, good[:1])]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert runs == [5]
        first, error, last = results
        assert isinstance(error, ServeError)
        assert error.status == 500
        for rows, result in ((2, first), (1, last)):
            assert not isinstance(result, BaseException)
            np.testing.assert_array_equal(result[0], np.full((rows, 1, 2, 2), 0.5, np.float32))

    with_batcher(picky, use, delay_s=0.01)


def test_rows_of_a_caller_that_left_are_not_run(generator: Graph) -> None:
    z = latents(0, 0, 5)

    async def use(batcher: Batcher, runs: Runs) -> None:
        left, stays = batcher.submit(z[:3])[0], batcher.submit(z[3:])[0]
        left.cancel()
        np.testing.assert_array_equal((await stays)[0], generator(z[3:])[0])
        assert runs == [2]
        batcher.submit(z)[0].cancel()
        await asyncio.sleep(0.05)  # longer than the delay: nothing is left to run
        assert runs == [2]
        assert len(await asyncio.gather(*batcher.submit(z))) == 1

    with_batcher(generator, use, delay_s=0.01)


def test_only_images_of_equal_size_run_together_and_few_large_ones() -> None:
    graph = runtime.load_graph(PHOTO_GREY, threads=1)
    small, wide = np.full((2, 1, 8, 8), 0.5, np.float32), np.full((1, 1, 8, 16), 0.25, np.float32)

    async def use(batcher: Batcher, runs: Runs) -> None:
        futures = [batcher.submit(rows)[0] for rows in (small, small, wide, small)]
        results = await asyncio.gather(*futures)
        assert runs == [4, 1, 2]
        for rows, (denoised,) in zip((small, small, wide, small), results, strict=True):
            np.testing.assert_allclose(denoised, graph(rows)[0], atol=1e-6)
        assert len(batcher.submit(np.zeros((3, 1, 1024, 512), np.float32))) == 2  # two of these are a tile

    with_batcher(graph, use, delay_s=0.01)


def test_a_quota_is_given_back_at_the_end_of_a_lease() -> None:
    quota = Quota("queue", "rows", 10)
    with quota.lease() as take:
        take(4)
        take(6)
        with (
            quota.lease() as take_more,
            pytest.raises(ServeError, match="at most 10 rows, got 1 more than 10") as caught,
        ):
            take_more(1)
        assert caught.value.status == 503
        assert quota.used == 10
    assert quota.used == 0
