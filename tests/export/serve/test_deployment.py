"""The page docs/serve.md: its examples of a proxy, a service and a container, and its requests."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import typer
from serve_helpers import running_server, seeds, until

from gan_denoise.cli import app
from gan_denoise.export import runtime
from gan_denoise.export.latents import latents, set_class

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs/serve"
PAGE = (ROOT / "docs/serve.md").read_text()
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def test_the_page_quotes_the_files_unchanged() -> None:
    for name, language in (("nginx.conf", "nginx"), ("gan-denoise.service", "ini"), ("Containerfile", "dockerfile")):
        assert f"```{language}\n{(FOLDER / name).read_text()}```" in PAGE


def test_the_requests_of_the_page_are_answered() -> None:
    curl = re.search(r"^curl \S*(/v2/\S+/infer) -H '([^:]+): ([^']+)' \\\n +-d '(.*)'$", PAGE, re.M)
    assert curl is not None
    path, _, kind, body = curl.groups()
    z = np.concatenate([latents(seed, 0, 1) for seed in (0, 1)])
    with running_server() as server:
        for path_of_get in re.findall(r"^curl http://127.0.0.1:8000(\S+)$", PAGE, re.M):
            assert server.get(path_of_get).status == 200
        answer = server.ask("POST", path, body.encode(), content_type=kind)
    image, _ = runtime.load_graph(runtime.FUSED, threads=1)(set_class(z, 7, 10))
    np.testing.assert_array_equal(answer.arrays()["image"], image)


@contextmanager
def running_nginx(folder: Path, upstream: int) -> Iterator[int]:
    """The example with free ports and files of its own, in front of the server; the port that it listens on."""
    if NGINX is None:
        pytest.skip("nginx: not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "gan-denoise.key"), "-out", str(folder / "gan-denoise.crt")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, *files], check=True, capture_output=True
    )
    (folder / "gan-denoise.users").write_text("ann:{PLAIN}secret\n")
    example = (FOLDER / "nginx.conf").read_text()
    for old, new in (
        ("/etc/nginx", str(folder)),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 8443", f"listen {port}"),
    ):
        assert old in example
        example = example.replace(old, new)
    places = [f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not read the folder
    start = f"{user} pid {folder}/pid; error_log {folder}/error.log; events {{}}"
    (folder / "main.conf").write_text(f"{start} http {{ access_log off; {' '.join(places)}\n{example}}}")
    command = [NGINX, "-p", str(folder), "-c", str(folder / "main.conf"), "-g", "daemon off;"]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_nginx_adds_tls_and_authentication_and_hides_the_metrics(tmp_path: Path) -> None:
    with running_server() as server, running_nginx(tmp_path, server.port) as port:
        trust = ssl.create_default_context(cafile=tmp_path / "gan-denoise.crt")

        def ask(path: str, password: str | None, body: bytes | None = None) -> tuple[int, bytes]:
            headers = {"Content-Type": "application/json"}
            if password is not None:
                headers["Authorization"] = f"Basic {base64.b64encode(f'ann:{password}'.encode()).decode()}"
            request = urllib.request.Request(f"https://localhost:{port}{path}", body, headers)
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
            )
            try:
                with opener.open(request, timeout=20) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read()

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens)
        assert ask("/v2/health/ready", "secret") == (200, b'{"ready":true}')
        assert ask("/v2/health/ready", "wrong")[0] == ask("/v2/health/ready", None)[0] == 401
        assert ask("/metrics", "secret")[0] == 404
        status, content = ask("/v2/models/fused/infer", "secret", json.dumps(seeds(1)).encode())
        assert (status, json.loads(content)["model_name"]) == (200, "fused")
        assert ask("/v2/models/fused/infer", "secret", b" " * (9 * 2**20))[0] == 413
        until(lambda: re.fullmatch(r"[0-9a-f]{32}", server.log()[-1]["id"]))  # nginx's request id


def test_systemd_accepts_the_service(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze: not installed")
    text = (FOLDER / "gan-denoise.service").read_text()
    program = "/opt/gan-denoise/bin/gan-denoise"
    assert program in text
    for change, is_good in (((program, sys.executable), True), (("ProtectHome=yes", "ProtectHome=perhaps"), False)):
        unit = tmp_path / "gan-denoise.service"
        unit.write_text(text.replace(program, sys.executable).replace(*change))
        done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
        complaints = [line for line in done.stderr.splitlines() if "gan-denoise.service" in line]
        assert (done.returncode == 0 and not complaints) == is_good, done.stderr


def test_the_commands_of_service_and_container_exist() -> None:
    texts = [(FOLDER / name).read_text() for name in ("gan-denoise.service", "Containerfile")]
    entry = re.search(r"^ENTRYPOINT (.*)$", texts[1], re.M)
    unit = re.search(r"^ExecStart=\S+/(gan-denoise .*)$", texts[0], re.M)
    assert entry is not None
    assert unit is not None
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    for words in (json.loads(entry[1]), unit[1].split()):
        assert words[:2] == ["gan-denoise", "serve"]
        assert {word for word in words if word.startswith("-")} <= options
    assert "[serve]" in texts[1]
    port = json.loads(entry[1])[-1]
    assert f"EXPOSE {port}" in texts[1]
    assert f"127.0.0.1:{port}/v2/health/ready" in texts[1]
