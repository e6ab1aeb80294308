"""What the routes of a server share: settings, models with their batchers, limits, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gan_denoise.errors import GanDenoiseError
from gan_denoise.export.serve.batcher import Batcher, Quota
from gan_denoise.export.serve.metrics import Metrics, ModelMetrics
from gan_denoise.export.serve.models import Model, load_models
from gan_denoise.export.serve.protocol import VERSION, ServeError
from gan_denoise.options import BATCH, Provider

MAX_ROWS = 256  # of one request
BODIES = 16  # bodies of the largest size that are held at once
RETRY_S = 2.0  # between tries to load a model that is missing
LOADING, STOPPING = "the models are being loaded", "the server is shutting down"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of `serve` choose."""

    model: Path | None = None  # None: the shipped models
    batch: int = BATCH
    delay_s: float = 0.002
    queue: int = 1024  # rows
    timeout_s: float = 5.0
    max_body: int = 8 * 2**20  # bytes
    threads: int = 0  # one per available core
    provider: Provider = Provider.cpu

    @property
    def max_rows(self) -> int:
        """How many rows one request may have."""
        return min(self.queue, MAX_ROWS)


@dataclass(frozen=True, slots=True)
class Served:
    """A model, and what runs and counts its rows."""

    model: Model
    batcher: Batcher
    metrics: ModelMetrics


class Service:
    """Models that are loaded while the server already answers, and what limits their use.

    `problem` says why the server is not ready; it is empty when it is. `report` is called with a new problem, `note`
    with what else is worth a line.
    """

    def __init__(
        self, settings: Settings, report: Callable[[str], object], note: Callable[[str], object] = bool
    ) -> None:
        self.settings, self._report, self._note = settings, report, note
        self.rows = Quota("queue", "rows", settings.queue)
        self.bodies = Quota("bodies", "bytes", BODIES * settings.max_body)
        self.metrics = Metrics(lambda: self.rows.used)
        self.problem = LOADING
        self.served: dict[str, Served] = {}
        self._in_progress = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Load the models and run them during the block."""
        with ThreadPoolExecutor(1, "graph") as pool:  # one run at a time: a graph has threads of its own
            loading = asyncio.create_task(self._load(pool))
            yield
            loading.cancel()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """A block that `drain` waits for."""
        self._in_progress += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_progress -= 1
            if not self._in_progress:
                self._idle.set()

    async def drain(self) -> None:
        """Take no more infer requests, and wait for the end of those in progress."""
        self.problem = STOPPING
        await self._idle.wait()

    def find(self, name: str, version: str) -> Served:
        """The model of that name. Raises ServeError 503 while the server is not ready, 404 for other names."""
        if self.problem:
            raise ServeError(503, self.problem, [(b"connection", b"close")])
        if name not in self.served or version != VERSION:
            known = ", ".join(self.served)
            raise ServeError(404, f"model: expected {known}, version {VERSION}, got {name[:40]!r}, {version[:40]!r}")
        return self.served[name]

    async def _load(self, pool: ThreadPoolExecutor) -> None:
        """Load the models; where that fails, report it, and try again, since a volume may be mounted later."""
        settings, loop = self.settings, asyncio.get_running_loop()
        while True:
            try:
                arguments = settings.model, settings.threads, settings.provider, self._note
                models = await loop.run_in_executor(pool, load_models, *arguments)
                break
            except GanDenoiseError as error:
                self._fail(error.message)
            await asyncio.sleep(RETRY_S)
        for name, model in models.items():
            metrics = ModelMetrics(self.metrics, name)
            batcher = Batcher(model.graph, settings.batch, settings.delay_s, pool, metrics.observe_run)
            self.served[name] = Served(model, batcher, metrics)
        gc.freeze()  # what lives as long as the server need not be looked at by each collection
        if self.problem != STOPPING:
            self.problem = ""

    def _fail(self, message: str) -> None:
        if self.problem not in (message, STOPPING):
            self.problem = message
            self._report(message)
