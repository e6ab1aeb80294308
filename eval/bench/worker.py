"""One backend in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import GanDenoiseError, InputError, OutputError
from gan_denoise.eval.bench.backends import load_pipeline
from gan_denoise.eval.bench.third_party import Pipeline


class Worker:
    """A contender in a process of its own: sessions whose threads spin in one process spoil each other's times.

    A context manager; the process ends with it. Raises what loading the contender raised.
    """

    def __init__(self, name: str, model: Path | None, threads: int, title: str = "") -> None:
        self.name = title or name
        context = multiprocessing.get_context("spawn")  # a fork would copy the parent's threads' locks
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, model, threads), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._ask(None)
        except BaseException:
            self._stop()
            raise

    def time(self, z: ArrayF32, calls: int) -> list[float]:
        """Seconds of each of `calls` calls with z (N, latent), after one that is not counted. Raises as `run`."""
        durations, _ = self._ask((z, calls))
        return durations

    def run(self, z: ArrayF32) -> tuple[ArrayF32, ...]:
        """(image, denoised) for z (N, latent). Raises InputError when it fails, OutputError when its process ended."""
        _, outputs = self._ask((z, 0))
        return outputs

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _ask(self, question: tuple[ArrayF32, int] | None) -> tuple[list[float], tuple[ArrayF32, ...]]:
        """The answer to (z, calls), or to None whether it is ready."""
        try:
            self._pipe.send(question)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            code = self._process.exitcode
            hint = "free some memory" if code and code < 0 else ""
            raise OutputError(f"{self.name}: its process ended with {code}", hint) from error
        if isinstance(answer, GanDenoiseError):
            raise answer
        durations, outputs = answer
        return durations, outputs

    def _stop(self) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection, name: str, model: Path | None, threads: int) -> None:
    """The worker's side: load, then answer requests until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    pipeline: Pipeline | None = None
    with contextlib.suppress(EOFError, OSError):  # the other side is gone
        while True:
            question = pipe.recv()
            try:
                pipeline = pipeline or load_pipeline(name, model, threads)
                pipe.send(([], ()) if question is None else _answer(pipeline, *question))
            except GanDenoiseError as error:
                pipe.send(error)
            except OSError:
                raise
            except Exception as error:  # whatever a peer and its compiler raise
                reason = (str(error).strip() or "no reason given").splitlines()[0][:160]
                pipe.send(InputError(f"{name}: {type(error).__name__} ({reason})"))


def _answer(pipeline: Pipeline, z: ArrayF32, calls: int) -> tuple[list[float], tuple[ArrayF32, ...]]:
    outputs = pipeline(z)
    durations = _durations(pipeline, z, calls)
    return durations, () if calls else tuple(np.asarray(output) for output in outputs)


def _durations(pipeline: Pipeline, z: ArrayF32, calls: int) -> list[float]:
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        pipeline(z)
        seconds.append(time.perf_counter() - start)
    return seconds
