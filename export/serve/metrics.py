"""What a server counts, for Prometheus. Labels are names of models, kinds of routes and status codes: few values."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ModelMetrics:
    """The metrics of one model, with its label already set: finding a label's metric takes longer than counting."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self.rows = metrics.rows.labels(name)
        self.batch_rows = metrics.batch_rows.labels(name)
        self.wait_seconds = metrics.wait_seconds.labels(name)
        self.run_seconds = metrics.run_seconds.labels(name)
        self.request_seconds = metrics.request_seconds.labels(name)
        self._requests = {("infer", 200): metrics.requests.labels("infer", name, 200)}
        self._all_requests, self._name = metrics.requests, name

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that names the model."""
        requests = self._requests.get((route, status)) or self._all_requests.labels(route, self._name, status)
        requests.inc()
        if route == "infer":
            self.request_seconds.observe(seconds)

    def observe_run(self, rows: int, waited_s: float, run_s: float) -> None:
        """Count a run of the graph: its rows, how long the first of them waited, how long it took."""
        self.rows.inc(rows)
        self.batch_rows.observe(rows)
        self.wait_seconds.observe(waited_s)
        self.run_seconds.observe(run_s)


class Metrics:
    """All metrics of a server; `queue_rows` tells how many rows wait or run."""

    def __init__(self, queue_rows: Callable[[], int]) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._registry = registry
        requests = "Requests that were answered"
        self.requests = Counter("gan_denoise_requests", requests, ["route", "model", "status"], registry=registry)
        self.rows = Counter("gan_denoise_rows", "Rows that the graph ran on", ["model"], registry=registry)
        self.batch_rows = Histogram(
            "gan_denoise_batch_rows", "Rows of one run of the graph", ["model"], registry=registry, buckets=ROWS
        )
        self.wait_seconds = self._seconds("wait", "From a request to the run of the graph, of the first row of a run")
        self.run_seconds = self._seconds("run", "One run of the graph")
        self.request_seconds = self._seconds("request", "From the head of an infer request to its answer")
        queue = Gauge("gan_denoise_queue_rows", "Rows that wait or run", registry=registry)
        queue.set_function(queue_rows)

    def render(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def _seconds(self, name: str, text: str) -> Histogram:
        name = f"gan_denoise_{name}_seconds"
        return Histogram(name, text, ["model"], registry=self._registry, buckets=SECONDS)
