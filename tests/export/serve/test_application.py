"""The application called as an ASGI server calls it, in this process: routes, answers and errors."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serve_helpers import Answer, binary, infer_body, seeds, tensor

from gan_denoise.errors import OutputError, UsageError
from gan_denoise.export import runtime
from gan_denoise.export.latents import latents
from gan_denoise.export.serve.application import Application
from gan_denoise.export.serve.commands import parse_size
from gan_denoise.export.serve.server import listen
from gan_denoise.export.serve.service import LOADING, Settings
from gan_denoise.export.shard_workers import run_workers

SETTINGS = Settings(threads=1, batch=4, delay_s=0, max_body=200_000)


class Caller:
    """Asks an application whose models are loaded, in an event loop of a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.entries: list[dict[str, Any]] = []
        self.application = Application(settings, self.entries.append)
        self._loop = asyncio.new_event_loop()
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._loop.run_forever)
        self._running = self.application.service.run()
        self._wait(self._running.__aenter__())

    def close(self) -> None:
        self._wait(self._running.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.shutdown()
        self._loop.close()
        gc.unfreeze()

    def until_ready(self) -> Caller:
        async def ready() -> None:
            while self.application.service.problem:
                await asyncio.sleep(0.01)

        self._wait(ready())
        return self

    def drain(self) -> None:
        self._wait(self.application.service.drain())

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        return self._wait(self._ask(method, path, body, headers))

    def infer(self, model: str, document: object, data: bytes = b"", **headers: str) -> Answer:
        body, headers = infer_body(document, data, headers)
        return self.ask("POST", f"/v2/models/{model}/infer", body, **headers)

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Event().wait()  # the caller stays

        async def send(message: Any) -> None:
            sent.append(message)

        named = {"content-length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "scheme": "http",
            "headers": [(name.encode(), text.encode()) for name, text in named.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self.application(scope, receive, send)
        start, *parts = sent
        content = b"".join(part.get("body", b"") for part in parts)
        return Answer(start["status"], {name.decode(): text.decode() for name, text in start["headers"]}, content)


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    caller = Caller(SETTINGS)
    try:
        yield caller.until_ready()
    finally:
        caller.close()


@pytest.fixture(scope="module")
def fused() -> runtime.Graph:
    return runtime.load_graph(runtime.FUSED, threads=1)


def test_health_and_metadata_say_what_is_served(caller: Caller, fused: runtime.Graph) -> None:
    assert caller.ask("GET", "/v2/health/live").json == {"live": True}
    assert caller.ask("GET", "/v2/health/ready").json == {"ready": True}
    assert caller.ask("GET", "/v2").json["extensions"] == ["binary_tensor_data"]
    assert caller.ask("GET", "/v2/models/fused/versions/1/ready").status == 200
    described = caller.ask("GET", "/v2/models/fused").json
    assert described["parameters"]["sha256"] == fused.sha256
    assert described["parameters"]["provider"] == "cpu"
    assert [output["name"] for output in described["outputs"]] == ["image", "denoised"]
    assert caller.ask("GET", "/v2/models/photo").json["parameters"]["multiple"] == 8


@pytest.mark.parametrize("is_binary", [False, True])
def test_latents_give_the_graphs_images(caller: Caller, fused: runtime.Graph, is_binary: bool) -> None:
    z = latents(5, 0, 3)
    document, data = binary("z", z) if is_binary else ({"inputs": [tensor("z", z.ravel().tolist(), 3, 100)]}, b"")
    answer = caller.infer("fused", {**document, "parameters": {"binary_data_output": is_binary}}, data)
    assert answer.status == 200, answer.body
    for name, expected in zip(("image", "denoised"), fused(z), strict=True):
        np.testing.assert_allclose(answer.arrays()[name], expected, atol=1e-6)


def test_seeds_labels_and_outputs_choose_what_comes_back(caller: Caller, fused: runtime.Graph) -> None:
    document = seeds(0, 7, parameters={"label": "bag"}, outputs=[{"name": "denoised"}], id="mine")
    answer = caller.infer("fused", document, x_request_id="abc")
    assert answer.status == 200, answer.body
    assert (answer.json["id"], answer.headers["x-request-id"], list(answer.arrays())) == ("mine", "abc", ["denoised"])
    classifier = runtime.load_graph(runtime.FEATURES, threads=1)
    assert classifier(answer.arrays()["denoised"])[1].argmax(axis=1).tolist() == [8, 8]
    entry = caller.entries[-1]
    assert (entry["id"], entry["model"], entry["rows"], entry["status"]) == ("abc", "fused", 2, 200)


def test_the_denoiser_and_the_photograph_model_take_images(caller: Caller) -> None:
    noisy = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    assert caller.infer("denoiser", *binary("noisy", noisy)).arrays()["denoised"].shape == noisy.shape
    photo = np.random.default_rng(0).random((1, 3, 16, 24), np.float32)
    assert caller.infer("photo", *binary("noisy", photo)).arrays()["denoised"].shape == photo.shape


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b"{", 400),
        (b"[" * 50_000, 400),
        ({"inputs": []}, 400),
        (seeds(1, parameters={"label": "nonsense"}), 400),
        (seeds(1, outputs=[{"name": "none"}]), 400),
        ({"inputs": [tensor("z", [0.0] * 100, -1, 100)]}, 400),
        ({"inputs": [tensor("z", [0.0] * 100, 2**40, 2**40)]}, 400),
        ({"inputs": [tensor("z", [0.0] * 99, 1, 100)]}, 400),
        ({"inputs": [tensor("z", [float("nan")] * 100, 1, 100)]}, 400),
        ({"inputs": [tensor("seed", list(range(300)), 300, datatype="INT64")]}, 400),
        (b" " * 300_000, 413),
    ],
)
def test_requests_that_lie_get_an_error_of_one_form(caller: Caller, document: object, status: int) -> None:
    answer = caller.infer("fused", document)
    assert (answer.status, list(answer.json)) == (status, ["error"])
    assert caller.infer("fused", seeds(1)).status == 200


def test_other_paths_methods_types_and_models_are_refused(caller: Caller) -> None:
    statuses = [
        caller.ask("GET", "/nothing").status,
        caller.ask("GET", "/v2/models/fused/infer").status,
        caller.ask("GET", "/v2/models/none").status,
        caller.ask("GET", "/v2/models/fused/versions/2").status,
        caller.infer("fused", seeds(1), content_type="text/plain").status,
    ]
    assert statuses == [404, 405, 404, 404, 400]


def test_metrics_and_the_interface_are_described(caller: Caller) -> None:
    caller.infer("fused", seeds(1, 2, 3))
    metrics = caller.ask("GET", "/metrics").body.decode()
    assert 'model="fused"' in metrics
    paths = caller.ask("GET", "/openapi.json").json["paths"]
    assert {"/v2/health/ready", "/metrics"} <= paths.keys()
    assert any("infer" in path for path in paths)


def test_a_server_without_its_model_is_live_and_not_ready_and_one_that_stops_too(tmp_path: Path) -> None:
    missing = Caller(Settings(model=tmp_path / "none", threads=1))
    try:
        assert missing.ask("GET", "/v2/health/live").status == 200
        answer = missing.ask("GET", "/v2/health/ready")
        assert (answer.status, answer.json["ready"]) == (503, False)
        assert answer.json["error"] == LOADING or "none" in answer.json["error"]
        assert missing.infer("fused", seeds(1)).status == 503
        missing.drain()
        assert "shutting down" in missing.ask("GET", "/v2/health/ready").json["error"]
    finally:
        missing.close()


def test_a_taken_port_and_an_unknown_host_are_refused() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OutputError, match="--port: expected a free port, got"):
            listen("127.0.0.1", port)
    with pytest.raises(UsageError, match="--host: expected an address of this machine"):
        listen("no such host", 0)


def test_sizes_are_numbers_of_bytes() -> None:
    assert [parse_size(text) for text in ("500000", "8MiB", "2kib")] == [500_000, 8 * 2**20, 2048]
    for text in ("0", "8MB", "-1", "many"):
        with pytest.raises(UsageError, match="--max-body"):
            parse_size(text)


def test_workers_of_this_process_make_the_shards_that_are_missing(fused: runtime.Graph, tmp_path: Path) -> None:
    from gan_denoise.console import untracked
    from gan_denoise.export.shard_job import Job, made_with
    from gan_denoise.export.shard_manifest import Manifest
    from gan_denoise.options import FileFormat

    job = Job(tmp_path, 0, 6, 2, None, 2, FileFormat.npz)
    manifest = Manifest(tmp_path, job.describe(fused), made_with(fused, job))
    manifest.write({}, manifest.made_with)
    run_workers(2, fused, job, manifest, [0, 1, 2], untracked)
    assert manifest.finish([job.path(number).name for number in range(3)])
