"""Measure the processor time that `serve` takes for a request, beside the time of the graph alone.

`python scripts/serve_speed.py` starts a server with one thread and batches of 64, and a client in a process of its own
that keeps 64, then 200 connections alive. Each connection asks for one row (seeds would take their own time: z) with
both outputs in binary, and asks again when the answer is there. The figure is

    (processor time of the server / requests) / (processor time of the graph / rows),

where the graph runs the same rows alone in batches of 64, in this process, before and after. Processor time (user and
system, of all threads) is what a busy machine changes least; wall-clock times are printed as well, and mean little
there. JSON is measured in the same way.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from gan_denoise.export import runtime
from gan_denoise.export.latents import latents
from gan_denoise.options import BATCH

TICKS = 100  # a second, in /proc: the value of sysconf(_SC_CLK_TCK) on Linux
PATH = "/v2/models/fused/infer"
ROWS = 2_048  # of the graph alone
PIXELS = 28 * 28


def main(
    requests: Annotated[int, typer.Option(min=100, help="Requests of each measurement.")] = 4_000,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each kind; the median is printed.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Measure the server's processor time a request over the graph's own a row."""
    kinds = [(encoding, clients) for encoding in ("binary", "json") for clients in (64, 200)]
    rows = []
    with serving() as (pid, port):
        for encoding, clients in kinds:
            measured = [measure(pid, port, encoding, clients, requests) for _ in range(rounds)]
            ratios, server_ms, graph_ms, per_s = (statistics.median(column) for column in zip(*measured, strict=True))
            spread = [round(min(m[0] for m in measured), 3), round(max(m[0] for m in measured), 3)]
            rows.append(
                {
                    "encoding": encoding,
                    "clients": clients,
                    "ratio": round(ratios, 3),
                    "spread": spread,
                    "server_ms": round(server_ms, 3),
                    "graph_ms": round(graph_ms, 3),
                    "requests_per_s": round(per_s),
                }
            )
            if not as_json:
                print(rows[-1], flush=True)
    if as_json:
        print(json.dumps({"requests": requests, "rounds": rounds, "rows": rows}, indent=1))


def measure(pid: int, port: int, encoding: str, clients: int, requests: int) -> tuple[float, float, float, float]:
    """Ratio, processor time of the server a request and of the graph a row in ms, requests per second."""
    before = graph_ms()
    start, used = time.perf_counter(), processor_s(pid)
    subprocess.run([sys.executable, __file__, "client", str(port), encoding, str(clients), str(requests)], check=True)
    server = 1000 * (processor_s(pid) - used) / requests
    per_s = requests / (time.perf_counter() - start)
    graph = (before + graph_ms()) / 2
    return server / graph, server, graph, per_s


def graph_ms(graphs: list[runtime.Graph] = []) -> float:  # noqa: B006 one graph for all calls
    """Processor time of the graph a row, in batches of 64 with one thread, in ms."""
    if not graphs:
        graphs.append(runtime.load_graph(runtime.FUSED, threads=1))
    z = latents(0, 0, BATCH)
    graphs[0](z)
    start = time.process_time()
    for _ in range(ROWS // BATCH):
        graphs[0](z)
    return 1000 * (time.process_time() - start) / ROWS


@contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """A server with one thread and without a log on a file; its process id and port."""
    command = [
        sys.executable,
        "-m",
        "gan_denoise",
        "serve",
        "--port",
        "0",
        "--threads",
        "1",
        "--timeout",
        "60",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n}\n") and process.poll() is None:
            text += process.stdout.readline().decode()
        port = int(json.loads(text)["url"].rpartition(":")[2])
        asyncio.run(wait_until_ready(port))
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


async def wait_until_ready(port: int) -> None:
    """Ask until the models are loaded."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v2/health/ready HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        if answer.startswith(b"HTTP/1.1 200"):
            return
        await asyncio.sleep(0.1)


def processor_s(pid: int) -> float:
    """User and system time of all threads of a process, in seconds, from its threads' nanoseconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


# --- the client ---------------------------------------------------------------------------------


def make_request(encoding: str) -> bytes:
    """A whole HTTP request for one row with both outputs."""
    z = latents(0, 0, 1)
    tensor: dict[str, Any] = {"name": "z", "datatype": "FP32", "shape": [1, z.shape[1]]}
    if encoding == "binary":
        tensor["parameters"] = {"binary_data_size": z.nbytes}
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        body, kind = head + z.tobytes(), f"application/octet-stream\r\ninference-header-content-length: {len(head)}"
    else:
        body, kind = json.dumps({"inputs": [{**tensor, "data": z[0].tolist()}]}).encode(), "application/json"
    lines = (f"POST {PATH} HTTP/1.1", "host: 127.0.0.1", f"content-type: {kind}", f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(port: int, request: bytes, left: list[int]) -> None:
    """One connection: send the request until none is left, and check each answer's status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while left[0] > 0:
        left[0] -= 1
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = int(head.split(b"content-length: ")[-1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        assert len(body) > 2 * PIXELS * np.dtype(np.float32).itemsize
    writer.close()


async def ask_all(port: int, encoding: str, clients: int, requests: int) -> None:
    """All connections at once."""
    left, request = [requests], make_request(encoding)
    await asyncio.gather(*(ask(port, request, left) for _ in range(clients)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        asyncio.run(ask_all(int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:6])))
    else:
        typer.run(main)
