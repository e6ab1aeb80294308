"""One backend in its own process."""

from __future__ import annotations

import contextlib
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import GanDenoiseError, InputError, one_line
from gan_denoise.eval.bench.backends import load_pipeline
from gan_denoise.eval.bench.third_party import Pipeline
from gan_denoise.options import Provider
from gan_denoise.spawn import Context, ended_error, ignore_interrupts


class Worker:
    """A backend in its own process: spinning threads of several sessions in one process would disturb the timing.

    A context manager that ends the process. Raises what loading the backend raised.
    """

    def __init__(
        self, name: str, model: Path | None, threads: int, title: str = "", provider: Provider = Provider.cpu
    ) -> None:
        self.name = title or name
        context = Context()
        self._pipe, child_pipe = context.Pipe()
        self._process = context.Process(target=_serve, args=(child_pipe, name, model, threads, provider), daemon=True)
        self._process.start()
        child_pipe.close()
        try:
            self._request(None)
        except BaseException:
            self._stop()
            raise

    def time(self, z: ArrayF32, calls: int) -> list[float]:
        """Seconds of each of `calls` calls with z (N, latent), after one untimed call. Raises as `run`."""
        durations, _ = self._request((z, calls))
        return durations

    def run(self, z: ArrayF32) -> tuple[ArrayF32, ...]:
        """(image, denoised) for z (N, latent).

        Raises InputError when the call fails, OutputError when the process ended, UsageError when it did because the
        script has no main guard.
        """
        _, outputs = self._request((z, 0))
        return outputs

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _request(self, request: tuple[ArrayF32, int] | None) -> tuple[list[float], tuple[ArrayF32, ...]]:
        """Send (z, calls), or None to load the backend; return the durations and the outputs."""
        try:
            self._pipe.send(request)
            response = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            code = self._process.exitcode
            hint = "free some memory" if code and code < 0 else ""
            raise ended_error(f"{self.name}: its process ended with {code}", hint) from error
        if isinstance(response, GanDenoiseError):
            raise response
        durations, outputs = response
        return durations, outputs

    def _stop(self) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection, name: str, model: Path | None, threads: int, provider: Provider) -> None:
    """The loop of the worker process: load the backend, then serve requests until the parent closes the pipe."""
    ignore_interrupts()
    pipeline: Pipeline | None = None
    with contextlib.suppress(EOFError, OSError):  # the parent closed the pipe
        while True:
            request = pipe.recv()
            try:
                pipeline = pipeline or load_pipeline(name, model, threads, provider)
                pipe.send(([], ()) if request is None else _run(pipeline, *request))
            except GanDenoiseError as error:
                pipe.send(error)
            except OSError:
                raise
            except Exception as error:  # a third-party runtime and its compiler may raise anything
                pipe.send(InputError(f"{name}: {type(error).__name__} ({one_line(error)})"))


def _run(pipeline: Pipeline, z: ArrayF32, calls: int) -> tuple[list[float], tuple[ArrayF32, ...]]:
    outputs = pipeline(z)
    durations = _time_calls(pipeline, z, calls)
    return durations, () if calls else tuple(np.asarray(output) for output in outputs)


def _time_calls(pipeline: Pipeline, z: ArrayF32, calls: int) -> list[float]:
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        pipeline(z)
        seconds.append(time.perf_counter() - start)
    return seconds
