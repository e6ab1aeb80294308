"""Faults of the server: requests that lie, too many, too large, too slow; signals, a taken port, a missing model."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from command_helpers import run_command
from serve_helpers import Answer, Server, binary, running_server, seeds, tensor, until

from gan_denoise.export import runtime
from gan_denoise.export.latents import latents
from gan_denoise.export.runtime import FUSED

INFER = "/v2/models/fused/infer"
BODY = json.dumps(seeds(1, parameters={"binary_data_output": True})).encode()
HEAD = f"POST {INFER} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n".encode()
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
TIMEOUT_S = 1


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with small limits: bodies of 64 KiB, a second, 256 rows."""
    with running_server("--max-body", "64KiB", "--timeout", TIMEOUT_S, "--queue", 256) as running:
        yield running


@pytest.fixture(scope="module")
def usual() -> Iterator[Server]:
    """A server with the usual limits."""
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def patient() -> Iterator[Server]:
    """A server whose rows wait a second for others, with a queue of 4 rows and 0.9 seconds for a request."""
    with running_server("--delay-ms", 1000, "--queue", 4, "--timeout", 0.9) as running:
        yield running


def is_refused(answer: Answer, status: int) -> None:
    assert answer.status == status, answer.body
    assert answer.json.keys() == {"error"}


def works(server: Server) -> None:
    """The server answers, and is ready."""
    assert server.get("/v2/health/ready").status == 200
    assert server.infer("fused", seeds(1)).status == 200


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection, in order or not."""
    content = b""
    try:
        while part := connection.recv(65_536):
            content += part
    except ConnectionResetError:
        pass
    return content


def is_cut_off(connection: socket.socket, piece: bytes) -> bool:
    """Whether the server closes the connection while the piece is sent again and again, up to 100 MB."""
    try:
        for _ in range(100_000_000 // len(piece)):
            connection.sendall(piece)
    except OSError:  # reset, or a broken pipe
        return True
    return False


# --- row 41 -------------------------------------------------------------------------------------


@pytest.mark.row(41)
def test_row_41_a_body_over_the_limit_is_413_with_a_length_and_in_chunks(server: Server) -> None:
    size = 64 * 2**10
    kind = {"content_type": "application/json"}
    is_refused(server.ask("POST", INFER, b" " * (size + 1), **kind), 413)
    is_refused(server.ask("POST", INFER, iter([b" " * 1000] * 66), **kind), 413)
    is_refused(server.ask("POST", INFER, b" " * 6 * size, **kind), 413)
    padded = BODY + b" " * (size - len(BODY))
    assert server.ask("POST", INFER, padded, **kind).status == 200
    assert server.ask("POST", INFER, iter([padded[:5], padded[5:]]), **kind).status == 200
    works(server)


@pytest.mark.row(41)
def test_row_41_a_length_that_lies_is_refused(server: Server) -> None:
    for length in (b"-1", b"1e3", b"99999999999999999999999"):
        with server.connect() as connection:
            connection.sendall(HEAD + b"content-length: " + length + b"\r\n\r\n" + BODY)
            connection.shutdown(socket.SHUT_WR)
            assert read_all(connection).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    works(server)


@pytest.mark.row(41)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"inputs": [{"name": "z", "datatype": "FP32", "shape": [1, 100], "data": ' + b"[" * 60_000,
        json.dumps({"inputs": [tensor("z", [], -1, 100)]}).encode(),
        json.dumps({"inputs": [tensor("z", [], 2**63, 2**63)]}).encode(),
        json.dumps({"inputs": [tensor("z", [0.0] * 100, 2, 100)]}).encode(),
        json.dumps({"inputs": [tensor("z", [float("nan")] * 100, 1, 100)]}).encode(),
        json.dumps(seeds(*range(257))).encode(),
        b"\xff\xfe",
        b"",
    ],
    ids=["nested", "nested data", "negative", "overflowing", "lies", "nan", "rows", "no text", "empty"],
)
def test_row_41_a_request_that_lies_is_400_and_says_what_is_wrong(server: Server, body: bytes) -> None:
    is_refused(server.infer("fused", body), 400)


@pytest.mark.row(41)
@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/html"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "application/json", "content_encoding": "gzip"},
        {"content_type": "application/json", "inference_header_content_length": "-1"},
        {"content_type": "application/json", "inference_header_content_length": "9" * 400},
    ],
)
def test_row_41_headers_that_do_not_fit_are_400(server: Server, headers: dict[str, str]) -> None:
    is_refused(server.ask("POST", INFER, BODY, **headers), 400)
    assert server.ask("POST", INFER, BODY, content_type="application/JSON; charset=utf-8").status == 200


@pytest.mark.row(41)
def test_row_41_what_is_no_http_is_refused_and_a_head_without_end_is_cut_off(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n")
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]).keys() == {"error"}
    for piece in (b"x" * 1000, b"x: " + b"y" * 996 + b"\r\n"):
        with server.connect() as connection:
            connection.sendall(b"GET /v2 HTTP/1.1\r\nx: ")
            assert is_cut_off(connection, piece)
    works(server)


@pytest.mark.row(41)
def test_row_41_neighbours_of_a_bad_request_are_served(usual: Server) -> None:
    nan = binary("z", np.full((1, 100), np.nan, np.float32))
    expected = runtime.load_graph(FUSED, threads=1)(latents(5, 0, 1))

    def ask(i: int) -> None:
        if i % 3 == 0:
            is_refused(usual.infer("fused", *nan), 400)
        else:
            answer = usual.infer("fused", seeds(5, parameters={"binary_data_output": True}))
            for array, wanted in zip(answer.arrays().values(), expected, strict=True):
                np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-6)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(24)))


@pytest.mark.row(41)
def test_row_41_slow_callers_are_cut_off_and_others_served(server: Server) -> None:
    silent, head, body = (server.connect() for _ in range(3))
    start = time.monotonic()
    head.sendall(HEAD[:20])
    body.sendall(HEAD + b"content-length: 100\r\n\r\n{")
    works(server)
    assert read_all(silent) == b""
    assert read_all(head) == b""
    answer = read_all(body)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":"body: expected it within 1 s"}' in answer
    assert TIMEOUT_S <= time.monotonic() - start < 10
    for connection in (silent, head, body):
        connection.close()


@pytest.mark.row(41)
def test_row_41_a_second_request_on_a_connection_may_not_be_slow_either(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(WHOLE)
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.sendall(HEAD[:20])
        start = time.monotonic()
        read_all(connection)
        assert time.monotonic() - start < 10  # not the 75 s of an unused connection


@pytest.mark.row(41)
def test_row_41_the_rest_of_a_refused_body_may_be_neither_slow_nor_endless(server: Server) -> None:
    for length, piece in ((b"content-length: 1000000", b""), (b"transfer-encoding: chunked", b"400\r\n" + b" " * 1026)):
        with server.connect() as connection:
            start = time.monotonic()  # before the server's own clock starts, which is when it refuses
            connection.sendall(HEAD + length + b"\r\n\r\n" + piece)
            if not piece:
                assert connection.recv(12) == b"HTTP/1.1 413"
                read_all(connection)
                assert TIMEOUT_S <= time.monotonic() - start < 10  # not the 75 s of an unused connection
            else:
                assert is_cut_off(connection, piece)
    works(server)


@pytest.mark.row(41)
def test_row_41_a_caller_that_does_not_read_is_cut_off(server: Server) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps(seeds(*range(16))).encode()  # an answer of half a megabyte
        request = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
        before = int(server.metric("process_open_fds"))
        assert is_cut_off(connection, request)
        until(lambda: server.metric("process_open_fds") < before)
    works(server)


@pytest.mark.row(41)
def test_row_41_a_full_queue_is_503_and_health_answers(patient: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(patient.infer, "fused", seeds(1, 2, 3))
        until(lambda: patient.metric("gan_denoise_queue_rows") == 3)
        full = patient.infer("fused", seeds(4, 5))
        is_refused(full, 503)
        assert full.headers["retry-after"] == "1"
        assert patient.get("/v2/health/live").status == patient.get("/v2/health/ready").status == 200
        is_refused(patient.infer("fused", seeds(1, 2, 3, 4, 5)), 400)  # more than the queue ever holds
        is_refused(waiting.result(), 504)
    until(lambda: patient.metric("gan_denoise_queue_rows") == 0)


@pytest.mark.row(41)
def test_row_41_the_rows_of_a_caller_that_goes_away_are_dropped(patient: Server) -> None:
    before = patient.metric('gan_denoise_rows_total{model="fused"}')
    with patient.connect() as connection:
        connection.sendall(WHOLE)
        until(lambda: patient.metric("gan_denoise_queue_rows") == 1)
    until(lambda: patient.metric("gan_denoise_queue_rows") == 0)
    until(lambda: patient.metric('gan_denoise_requests_total{model="fused",route="infer",status="499"}') >= 1)
    with patient.connect() as connection:  # gone before the end of its body
        connection.sendall(WHOLE[:-5])
    until(lambda: patient.metric('gan_denoise_requests_total{model="fused",route="infer",status="499"}') >= 2)
    assert patient.metric('gan_denoise_rows_total{model="fused"}') == before


@pytest.mark.row(41)
def test_row_41_200_at_once_are_answered_in_flat_memory(usual: Server) -> None:
    def ask_all(rounds: int) -> None:
        statuses = []

        def ask(_: int) -> None:
            connection = usual.connect()
            with connection:
                for _ in range(rounds):
                    connection.sendall(WHOLE)
                    content = connection.recv(65_536)
                    length = int(content.split(b"content-length: ")[1].split(b"\r\n")[0])
                    while len(content.partition(b"\r\n\r\n")[2]) < length:
                        content += connection.recv(65_536)
                    statuses.append(content[9:12])

        with ThreadPoolExecutor(200) as pool:
            list(pool.map(ask, range(200)))
        assert len(statuses) == 200 * rounds
        assert set(statuses) == {b"200"}

    ask_all(3)  # the runtime keeps the memory of each batch size that it has seen
    before = usual.memory()
    ask_all(3)
    assert usual.memory() < before + 30e6
    works(usual)


@pytest.mark.row(41)
def test_row_41_large_bodies_at_once_share_a_limit(server: Server) -> None:
    connections = [server.connect() for _ in range(40)]
    part = HEAD + b"content-length: 65536\r\n\r\n" + b" " * 60_000
    for connection in connections:
        connection.sendall(part)
    statuses = [connection.recv(12)[9:12] for connection in connections]
    assert set(statuses) == {b"408", b"503"}
    assert statuses.count(b"408") <= 17
    for connection in connections:
        connection.close()
    works(server)


# --- row 42 -------------------------------------------------------------------------------------


@pytest.mark.row(42)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_row_42_a_signal_drains_and_ready_is_false_meanwhile(number: int, code: int) -> None:
    with running_server("--delay-ms", 1000) as server:
        with ThreadPoolExecutor(1) as pool:
            live = pool.submit(server.infer, "fused", seeds(1))
            until(lambda: server.metric("gan_denoise_queue_rows") == 1)
            server.process.send_signal(number)
            until(lambda: server.get("/v2/health/ready").status == 503)
            assert server.get("/v2/health/live").status == 200
            is_refused(server.get("/v2/models/fused/ready"), 503)
            refused = server.infer("fused", seeds(2))
            is_refused(refused, 503)
            assert refused.json == {"error": "the server is shutting down"}
            assert live.result().status == 200
        assert server.process.wait(10) == code
        with pytest.raises(ConnectionRefusedError):
            server.connect()


@pytest.mark.row(42)
def test_row_42_without_requests_it_ends_at_once_and_a_second_signal_does_not_wait() -> None:
    with running_server("--delay-ms", 1000, "--timeout", 60) as server:
        idle = server.connect()
        with server.connect() as waiting:
            waiting.sendall(WHOLE)
            until(lambda: server.metric("gan_denoise_queue_rows") == 1)
            server.process.terminate()
            until(lambda: server.get("/v2/health/ready").status == 503)
            server.process.terminate()
            assert server.process.wait(10) == 143
            assert "Traceback" not in server.process.output()[1]
        idle.close()


@pytest.mark.row(42)
def test_row_42_a_taken_port_is_exit_4(server: Server) -> None:
    done = run_command("serve", "--port", server.port)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        f"error: --port: expected a free port, got {server.port} on 127.0.0.1 (Address already in use)\n"
        "hint: --port 0 selects a free port\n"
    )


@pytest.mark.row(42)
def test_row_42_a_missing_model_is_live_and_not_ready_until_it_is_there(exported: Path, tmp_path: Path) -> None:
    with running_server("--model", tmp_path / "mounted", is_ready=False) as server:
        until(lambda: server.log())
        assert "expected a file, or a folder with fused.onnx" in server.log()[0]["problem"]
        assert server.get("/v2/health/live").status == 200
        not_ready = server.get("/v2/health/ready")
        assert (not_ready.status, not_ready.json["ready"]) == (503, False)
        assert "mounted" in not_ready.json["error"]
        is_refused(server.infer("fused", seeds(1)), 503)
        is_refused(server.get("/v2/models/fused"), 503)
        os.symlink(exported, tmp_path / "mounted")
        until(lambda: server.get("/v2/health/ready").status == 200)
        assert server.infer("fused", seeds(1)).status == 200


@pytest.mark.row(42)
def test_row_42_a_damaged_model_is_live_and_not_ready(tmp_path: Path) -> None:
    (tmp_path / "fused.onnx").write_bytes(b"not a model")
    with running_server("--model", tmp_path, is_ready=False) as server:
        until(lambda: server.log())
        assert server.get("/v2/health/live").status == 200
        assert server.get("/v2/health/ready").status == 503
