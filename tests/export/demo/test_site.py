"""The files of the page, refused models, and the server of `demo --serve`."""

import contextlib
import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command_helpers import COLD, run_command

from gan_denoise.errors import InputError, OutputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.demo import site


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Placeholders for the runtime files from npm, which are only copied."""
    folder = tmp_path / "ort"
    folder.mkdir()
    for file in site.RUNTIME_FILES:
        (folder / file).write_text(file)
    monkeypatch.setattr(site, "RUNTIME", folder)
    return folder


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_command("demo", *arguments, cwd=cwd)


def test_the_folder_holds_the_page_the_model_and_the_runtime(demo_page: Path) -> None:
    names = {path.name for path in demo_page.iterdir()}
    assert {"index.html", "demo.css", "icon.svg", "demo.js", "fused.onnx", "denoiser.onnx", "model.json"} <= names
    assert names >= set(site.RUNTIME_FILES)
    assert not names & {"package.json", "package-lock.json", "__init__.py"}
    assert (demo_page / "fused.onnx").read_bytes() == runtime.read_graph(runtime.FUSED, None)
    about = json.loads((demo_page / "model.json").read_text())
    assert (about["latent"], about["size"], about["classes"][9]) == (100, [28, 28], "Ankle boot")
    assert "Microsoft" in (demo_page / "onnxruntime-LICENSE.txt").read_text()


def test_the_page_has_no_external_address_and_its_policy_forbids_them(demo_page: Path) -> None:
    for path in demo_page.iterdir():
        if path.suffix in (".html", ".css", ".js"):
            assert "//" not in path.read_text().replace("// ", "").replace("\n//", ""), path
    assert "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" in (demo_page / "index.html").read_text()


def test_directions_are_orthonormal_keep_the_class_and_change_more_than_random_ones() -> None:
    graph = runtime.load_graph(runtime.FUSED)
    directions = site.find_directions(graph)
    np.testing.assert_allclose(directions @ directions.T, np.eye(site.DIRECTIONS), atol=1e-5)
    assert (directions[:, -10:] == 0).all()
    z = latents.latents(8, 0, 32)
    random = latents.latents(9, 0, 6)
    random[:, -10:] = 0
    random /= np.linalg.norm(random, axis=1, keepdims=True)

    def change(direction: np.ndarray) -> float:
        ends = [graph(z + (step - z @ direction)[:, None] * direction)[0] for step in (-3, 3)]
        return float(np.abs(ends[0] - ends[1]).mean())

    changes, random_changes = ([change(direction) for direction in each] for each in (directions, random))
    assert min(changes) > max(random_changes)
    assert np.mean(changes) > 1.5 * np.mean(random_changes)


@pytest.mark.usefixtures("fetched")
def test_an_existing_folder_is_not_overwritten_without_force(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    site.write_site(exported, out)  # an empty folder is used
    (out / "index.html").write_text("mine")
    with pytest.raises(OutputError, match="exists and is not empty, not overwritten"):
        site.write_site(exported, out)
    assert (out / "index.html").read_text() == "mine"
    site.write_site(exported, out, force=True)
    before, after = (site.SOURCE / "index.html").read_text().split("{training data}")
    assert (out / "index.html").read_text() == f"{before}Fashion-MNIST (MIT, Zalando SE){after}"


def test_without_the_runtime_nothing_is_written(fetched: Path, exported: Path, tmp_path: Path) -> None:
    (fetched / site.BINARY).unlink()
    with pytest.raises(InputError, match=f"{site.BINARY}: not found, part of onnxruntime-web") as caught:
        site.write_site(exported, tmp_path / "out")
    assert "make demo" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fetched")
def test_models_that_the_page_cannot_run_are_refused(
    exported: Path, tmp_path: Path, identity_graph: Callable[..., bytes]
) -> None:
    with pytest.raises(
        InputError, match=r"fused\.onnx: expected a folder with fused\.onnx and denoiser\.onnx, got no folder"
    ):
        site.write_site(exported / "fused.onnx", tmp_path / "out")
    model = tmp_path / "model"
    model.mkdir()
    for content, message in (
        (
            identity_graph(28, flat=True),
            r"fused\.onnx: expected grey or colour images, \[1 or 3, height, width\], got images of shape \[784\]",
        ),
        (
            identity_graph(8),
            r"denoiser\.onnx: expected images of shape \[1, 8, 8\], as fused\.onnx has, got shape \[1, 28, 28\]",
        ),
    ):
        (model / "fused.onnx").write_bytes(content)
        (model / "denoiser.onnx").write_bytes((exported / "denoiser.onnx").read_bytes())
        with pytest.raises(InputError, match=message):
            site.write_site(model, tmp_path / "out")
    (model / "denoiser.onnx").unlink()
    with pytest.raises(
        InputError, match=r"expected a folder with denoiser\.onnx or onnx/denoiser\.onnx, got fused\.onnx"
    ):
        site.write_site(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fetched")
def test_an_early_epoch_is_shown_beside_an_own_model(
    exported: Path, tmp_path: Path, identity_graph: Callable[..., bytes]
) -> None:
    site.write_site(exported, tmp_path / "without")
    assert json.loads((tmp_path / "without/model.json").read_text())["early"] is None
    assert not (tmp_path / "without/early.onnx").exists()
    site.write_site(exported, tmp_path / "with", early=exported)
    about = json.loads((tmp_path / "with/model.json").read_text())
    assert about["early"] == {"latent": about["latent"], "epoch": None, "is_paper": False}
    assert about["files"]["early.onnx"] == about["files"]["fused.onnx"]
    assert (tmp_path / "with/early.onnx").read_bytes() == (exported / "fused.onnx").read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    (other / "fused.onnx").write_bytes(identity_graph(8))
    with pytest.raises(
        InputError,
        match=r"other: expected images of shape \[1, 28, 28\], as the model has, got images of shape \[1, 8, 8\]",
    ):
        site.write_site(exported, tmp_path / "out", early=other)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fetched")
def test_the_avatars_of_the_docs_are_small_varied_and_fit_the_page(tmp_path: Path) -> None:
    model = Path(__file__).parents[3] / "docs/avatars"
    assert sum(path.stat().st_size for path in model.iterdir()) <= 4_000_000
    site.write_site(model, tmp_path / "out")
    about = json.loads((tmp_path / "out/model.json").read_text())
    assert (about["size"], about["channels"], len(about["classes"])) == ([64, 64], 3, 8)
    graph = runtime.load_graph(runtime.FUSED, model)
    image, denoised = graph.batched(latents.latents(5, 0, 64, graph.input_shape[0]))
    assert image.std(axis=0).mean() > 0.1
    assert 0 < np.abs(image - denoised).mean() < 0.05
    roughness = [np.abs(np.diff(each[..., :16, :16])).mean() for each in (image, denoised)]
    assert roughness[1] < 0.8 * roughness[0]  # of the flat background


def test_demo_needs_a_folder_or_serve(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --out: expected a folder, got none\nhint: --serve")


@pytest.mark.usefixtures("demo_page")  # skips without the browser runtime
def test_demo_writes_a_folder_and_prints_the_command_to_serve_it(exported: Path, tmp_path: Path) -> None:
    done = run("--model", exported, "--out", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "out\n")
    assert done.stderr == f"next: gan-denoise demo --model {exported} --serve\n"
    assert run("--model", exported, "--out", "out", cwd=tmp_path).returncode == 4


@contextlib.contextmanager
def serving(*arguments: object, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running `demo --serve` and its address."""
    command = [*COLD, "demo", "--serve", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=cwd) as process:
        assert process.stderr is not None
        try:
            yield process, process.stderr.readline().split()[0]
        finally:
            process.kill()


@pytest.mark.usefixtures("demo_page")
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_serve_sends_isolation_headers_until_a_signal(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: signal.Signals, code: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving("--model", exported, cwd=tmp_path) as (process, address):
        for file, kind in (("", "text/html"), (site.BINARY, "application/wasm"), ("demo.js", "text/javascript")):
            with urllib.request.urlopen(address + file) as answer:
                assert answer.headers["Content-Type"] == kind
                assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"GET /{site.BINARY} HTTP/1.0\r\n\r\n".encode())  # closes before the 14 MB are sent
        assert list(tmp_path.iterdir()) != []
        process.send_signal(stop)
        assert process.wait(10) == code
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []  # the page was temporary


def test_a_port_that_is_taken_is_one_line_and_exit_4(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--serve", "--port", port, cwd=tmp_path)
    assert done.returncode == 4
    assert done.stderr == (
        f"error: --port: expected a free port, got {port} (Address already in use)\n"
        "hint: --port 0 selects a free port\n"
    )
