"""Fixtures of several test modules."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_helpers import FASTER
from data_helpers import COUNT, EXCERPT, photograph
from onnx import TensorProto, helper, numpy_helper

from gan_denoise.data import download, fashion_mnist, mnist, sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.eval.denoising import svr
from gan_denoise.export.convert.bundle import export_run
from gan_denoise.export.demo import site
from gan_denoise.study.config import DenoiserConfig, GanConfig, RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.train.autoencoder import train_autoencoder
from gan_denoise.study.train.classifier import train_classifier
from gan_denoise.study.train.gan import train_gan

CHROMIUM = Path("/usr/bin/chromium")  # Debian's, which can be configured to make no requests
TOOLS = {  # programs that tests need and no Python package provides
    "chromium": "apt-get install chromium",
    "g++": "apt-get install g++",
    "nginx": "apt-get install nginx-light",
    "npm": "apt-get install npm",
    "onnxruntime-web": "apt-get install npm, then make demo",
    "onnxruntime-openvino": "make .openvino/installed",
    "ray": "make .ray/installed",
    "strace": "apt-get install strace",
    "systemd-analyze": "apt-get install systemd",
    "tritonclient": "make .tritonclient/installed",
    "unshare": "apt-get install util-linux, as root",
}
QUIET = ("disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where GAN_DENOISE_TESTS=all, as in CI, a test that is skipped because a tool is missing fails."""
    report = yield
    if report.skipped and os.environ.get("GAN_DENOISE_TESTS") == "all":
        report.outcome = "failed"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a module's fixture on one worker, and start the longest tests first."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _uses_module_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def fast_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """Support-vector regression is fitted on 400 pixels instead of 4,000: ten fits take most of `eval denoising`."""
    monkeypatch.setattr(svr, "SAMPLES", FASTER["eval.denoising.svr.SAMPLES"])


def _uses_module_fixture(item: pytest.Item) -> bool:
    closure: dict[str, Any] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    return any(definition.scope == "module" for definitions in closure.values() for definition in definitions)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # its lines come after the summary of pytest
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """Say in the last lines which tools are missing, how many tests were skipped for it, and how to install them."""
    yield
    reports = [report for kind in ("skipped", "failed", "error") for report in terminalreporter.stats.get(kind, [])]
    for tool, install in TOOLS.items():
        if count := sum(f"{tool}: not installed" in str(report.longrepr) for report in reports):
            terminalreporter.write_line(f"{tool}: not installed, {count} tests not run; to run them: {install}")


def shared_folder(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills once for all workers of pytest-xdist; the first that needs it makes it."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the base folders of the workers are beside each other
    folder, finished = root / name, root / f"{name}.finished"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


@pytest.fixture(scope="session")
def excerpt() -> Dataset:
    """400 training and 100 test images of the real Fashion-MNIST, 40 and 10 a class."""
    return fashion_mnist.read_dataset(EXCERPT, "excerpt", checked=False)


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The verified, decompressed real files; `make test` fetches them first, so this reads the cache."""
    return sources.fetch_fashion_mnist()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data or network: an empty home, cache and working folder below the one returned."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GAN_DENOISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_DENOISE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(download, "REMOTES", ())
    monkeypatch.setattr(mnist, "REMOTES", dict.fromkeys(mnist.REMOTES, ()))
    return tmp_path


@pytest.fixture
def folder_with_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder that holds half.onnx alone: a denoiser of photographs whose result is half of its input."""
    from denoise_helpers import save_model

    monkeypatch.chdir(tmp_path)
    save_model("half.onnx", "half")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """36 images in three sub-folders, and the other files that folders contain."""
    root = tmp_path / "photos"
    for i in range(COUNT):
        name = f"{'abc'[i % 3]}/{i:03d}.{('png', 'JPG')[i % 2]}"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        photograph(i).save(root / name)
    (root / "a/notes.txt").write_text("not an image")
    (root / "a/.hidden.png").write_text("not an image either")
    (root / ".cache").mkdir()
    return root


@pytest.fixture(scope="session")
def trained(excerpt: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose tiny networks really were trained on the excerpt, so that batch norm has statistics of its own."""

    def make(run: Path) -> None:
        preset, options = PRESETS["smoke"], RunOptions(threads=1)
        assert isinstance(preset.gan, GanConfig)
        assert isinstance(preset.denoiser, DenoiserConfig)
        train_gan(preset.gan, excerpt, run, options)
        train_autoencoder(preset.denoiser, excerpt, run, options)
        train_classifier(preset.classifier, excerpt, run, options)

    return shared_folder("trained", tmp_path_factory, make)


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of `trained`."""
    return shared_folder("exported", tmp_path_factory, lambda folder: export_run(trained, folder / "out")) / "out"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.skip("chromium: not installed")
    with sync_playwright() as playwright:
        arguments = [f"--{name}" for name in ("no-sandbox", "disable-gpu", *QUIET)]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def identity_graph() -> Callable[..., bytes]:
    """Makes fused graphs: z (N, side * side) as an image that the denoiser does not change; a flat one has no rows."""

    def made(side: int, flat: bool = False, opset: int = 20) -> bytes:
        sides: list[str | int] = ["batch", side * side] if flat else ["batch", 1, side, side]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("image", "denoised")]
        z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", side * side])
        shape = numpy_helper.from_array(np.array([-1, *sides[1:]], np.int64), "shape")
        nodes = [
            helper.make_node("Reshape", ["z", "shape"], ["image"]),
            helper.make_node("Identity", ["image"], ["denoised"]),
        ]
        graph = helper.make_graph(nodes, "fingerprint", [z], outputs, [shape])
        opsets = [helper.make_opsetid("", opset)]
        content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
        return content

    return made


@pytest.fixture(scope="session")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the shipped model, two folders deep."""
    if not (site.RUNTIME / site.BINARY).exists():
        pytest.skip("onnxruntime-web: not installed")

    def make(folder: Path) -> None:
        (folder / "some").mkdir()
        site.write_site(None, folder / "some/where")

    return shared_folder("host", tmp_path_factory, make) / "some/where"
