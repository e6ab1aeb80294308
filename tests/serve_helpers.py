"""A running `gan-denoise serve`, and ways to ask it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from command_helpers import RunningCommand, start_command
from numpy.typing import NDArray

PIXELS = 28 * 28


@dataclass(frozen=True)
class Answer:
    """What the server answered; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The output tensors, from JSON or binary data."""
        length = self.headers.get("inference-header-content-length")
        end = int(length) if length else len(self.body)
        arrays = {}
        for output in json.loads(self.body[:end])["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            assert output["datatype"] == "FP32"
            assert (size is None) == ("data" in output)
            if size is None:
                array = np.array(output["data"], np.float32)
            else:
                array = np.frombuffer(self.body[end : end + size], "<f4")
                end += size
            arrays[output["name"]] = array.reshape(output["shape"])
        assert end == len(self.body)
        return arrays


@dataclass(frozen=True)
class Server:
    """A server that was started by `running_server`."""

    process: RunningCommand
    port: int

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        """The answer to one request on a connection of its own; an iterator is sent in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def infer(self, model: str, document: object, data: bytes = b"", **headers: str) -> Answer:
        """Ask a model with a JSON document, and the binary data after it."""
        body, headers = infer_body(document, data, headers)
        return self.ask("POST", f"/v2/models/{model}/infer", body, **headers)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the access log so far."""
        return [json.loads(line) for line in self.process.output()[1].splitlines()]

    def metric(self, name: str) -> float:
        """The value of a metric, written with its labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def memory(self) -> int:
        """Resident memory in bytes."""
        return int(self.metric("process_resident_memory_bytes"))


def infer_body(document: object, data: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """The body of an infer request, a JSON document and the binary data after it, and its headers."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    own = {"content_type": "application/octet-stream" if data else "application/json"}
    if data:
        own["inference_header_content_length"] = str(len(text))
    return text + data, own | headers


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until the condition holds. Raises AssertionError if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)


@contextlib.contextmanager
def running_server(*options: object, is_ready: bool = True) -> Iterator[Server]:
    """A server on a free port, with one thread unless the options say otherwise; it is killed if it does not end."""
    process = start_command("serve", "--port", "0", "--threads", "1", "--json", *options)
    try:
        until(lambda: process.output()[0].endswith("}\n}\n") or process.poll() is not None)
        assert process.poll() is None, process.output()
        server = Server(process, int(json.loads(process.output()[0])["url"].rpartition(":")[2]))
        if is_ready:
            until(lambda: server.get("/v2/health/ready").status == 200)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except Exception:
            process.kill()
            process.wait(10)
            raise


def tensor(name: str, values: object, *shape: int, datatype: str = "FP32", **entries: object) -> dict[str, Any]:
    """An input with its data as numbers."""
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": values, **entries}


def seeds(*values: int, **more: object) -> dict[str, Any]:
    """A request with seeds in place of z."""
    return {"inputs": [tensor("seed", list(values), len(values), datatype="INT64")], **more}


def binary(name: str, array: NDArray[np.float32], **more: object) -> tuple[dict[str, Any], bytes]:
    """A request whose input follows in binary, and its bytes."""
    data = array.astype("<f4").tobytes()
    entry = {"name": name, "datatype": "FP32", "shape": list(array.shape)}
    return {"inputs": [{**entry, "parameters": {"binary_data_size": len(data)}}], **more}, data
