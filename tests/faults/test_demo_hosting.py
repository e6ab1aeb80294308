"""The page on any host, offline and with other models; it names a missing or damaged file."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_helpers import assert_shows, generated, hosted, open_ready
from onnx import TensorProto, helper
from playwright.sync_api import Browser, Page, expect

from gan_denoise.export import latents, runtime
from gan_denoise.export.demo import site

pytestmark = pytest.mark.xdist_group("browser")
FIRST = 5  # the image selected at first


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A page in a browser context of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.row(40)
def test_any_host_works_with_one_thread_under_a_sub_path_and_then_offline(tab: Page, demo_page: Path) -> None:
    requests: list[str] = []
    tab.context.on("request", lambda request: requests.append(request.url))
    with hosted(demo_page.parent.parent) as address:
        open_ready(tab, f"{address}some/where/")
    expect(tab.locator("#status")).to_contain_text("1 thread (this server sends no isolation headers)")
    assert len(tab.workers) == 0
    assert {url.rpartition("/")[0] for url in requests} == {f"{address}some/where"}
    requests.clear()
    tab.context.set_offline(True)  # and the server has stopped
    tab.get_by_text("Trouser", exact=True).first.click()
    z = latents.set_class(latents.latents(0, FIRST, 1), 1, classes=10)
    assert_shows(tab, "#raw", runtime.load_graph(runtime.FUSED)(z)[0])
    actual, expected = generated(tab, z), runtime.load_graph(runtime.FUSED)(z)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
    assert requests == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("fused.onnx", None, "fused.onnx: not found (HTTP 404)"),
        ("fused.onnx", b"", "fused.onnx: damaged (its hash differs)"),
        ("model.json", None, "model.json: not found (HTTP 404)"),
        ("model.json", b"{", "model.json: damaged"),
        (site.BINARY, None, f"{site.BINARY}: not found (HTTP 404)"),
        (site.BINARY, b"\0asm", f"{site.BINARY}: damaged"),
        ("ort.wasm.bundle.min.mjs", None, "ort.wasm.bundle.min.mjs: not found (HTTP 404)"),
        ("ort.wasm.bundle.min.mjs", b"export const {", "ort.wasm.bundle.min.mjs: damaged"),
    ],
)
@pytest.mark.row(40)
def test_a_missing_or_damaged_file_is_named(
    tab: Page, demo_page: Path, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    with hosted(broken(demo_page, tmp_path / "out", file, content)) as address:
        tab.goto(address)
        expect(tab.get_by_role("alert")).to_contain_text(message)
    expect(tab.get_by_role("alert")).to_contain_text("To write the page again: gan-denoise demo --out FOLDER --force")
    assert tab.locator("section").filter(visible=True).count() == 0


@pytest.mark.row(40)
def test_a_damaged_denoiser_is_named_and_the_other_sections_work(tab: Page, demo_page: Path, tmp_path: Path) -> None:
    content = bytearray((demo_page / "denoiser.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    with hosted(broken(demo_page, tmp_path / "out", "denoiser.onnx", bytes(content))) as address:
        tab.goto(address)
        expect(tab.get_by_role("alert")).to_contain_text("denoiser.onnx: damaged")
    assert tab.locator("#own").is_hidden()
    assert_shows(tab, "#raw", runtime.load_graph(runtime.FUSED)(latents.latents(0, FIRST, 1))[0])


@pytest.mark.row(40)
def test_opened_as_a_file_the_page_says_that_it_needs_a_server(tab: Page, demo_page: Path) -> None:
    tab.goto((demo_page / "index.html").as_uri())
    expect(tab.get_by_text("If nothing happens")).to_be_visible()
    expect(tab.get_by_text("gan-denoise demo --serve")).to_be_visible()


@pytest.mark.row(40)
def test_without_a_script_the_page_shows_its_help_text(tab: Page, demo_page: Path, tmp_path: Path) -> None:
    with hosted(broken(demo_page, tmp_path / "out", "explore.js", None)) as address:
        tab.goto(address)
        expect(tab.get_by_text("all its files in one folder")).to_be_visible()


def broken(folder: Path, out: Path, file: str, content: bytes | None) -> Path:
    """A copy of the page in which one file is missing or has other content."""
    shutil.copytree(folder, out, copy_function=os.link)
    (out / file).unlink()
    if content is not None:
        (out / file).write_bytes(content)
    return out


@pytest.mark.usefixtures("demo_page")  # skips without the browser runtime
def test_another_model_runs_in_the_page(tab: Page, exported: Path, tmp_path: Path) -> None:
    site.write_site(exported, tmp_path / "out")
    with hosted(tmp_path / "out") as address:
        open_ready(tab, address)
    z = latents.latents(5, 0, 3)
    for actual, output in zip(generated(tab, z), runtime.load_graph(runtime.FUSED, exported)(z), strict=True):
        np.testing.assert_allclose(actual, output, rtol=0, atol=1e-4)
    assert tab.locator("#classes").is_hidden()  # the model has no classes
    assert tab.locator("#target-choice").is_hidden()
    expect(tab.locator("#which")).to_have_text(f"Image {FIRST} of seed 0")


@pytest.mark.usefixtures("demo_page")
def test_images_of_another_size_are_shown(tab: Page, tmp_path: Path, identity_graph: Callable[..., bytes]) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small/fused.onnx").write_bytes(identity_graph(8))
    (tmp_path / "small/denoiser.onnx").write_bytes(identity_denoiser(8))
    site.write_site(tmp_path / "small", tmp_path / "out")
    with hosted(tmp_path / "out") as address:
        open_ready(tab, address)
    image = latents.latents(0, FIRST, 1, 64).reshape(1, 1, 8, 8)
    for canvas in ("#raw", "#clean"):
        assert_shows(tab, canvas, image)


def identity_denoiser(side: int) -> bytes:
    """A denoiser that returns its input."""
    sides: list[str | int] = ["batch", 1, side, side]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("noisy", "denoised")]
    graph = helper.make_graph([helper.make_node("Identity", ["noisy"], ["denoised"])], "i", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 20)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return content
