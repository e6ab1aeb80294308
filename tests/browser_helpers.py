"""What tests of the page in the browser share: a host, calls of the page's own functions, canvases as arrays."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from gan_denoise.export.demo.server import make_server, server_url

PATIENCE_MS = 30_000  # of a machine that does other things too
expect.set_options(timeout=PATIENCE_MS)


class Silent(SimpleHTTPRequestHandler):
    """Any static host: no headers of ours."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def hosted(folder: Path, isolated: bool = False) -> Iterator[str]:
    """The address of a folder on loopback while the block runs; `isolated` as `demo --serve` serves it."""
    plain = functools.partial(Silent, directory=str(folder))
    with make_server(folder, 0) if isolated else ThreadingHTTPServer(("127.0.0.1", 0), plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server_url(server)
        server.shutdown()


def open_ready(page: Page, address: str) -> None:
    """Open the page and wait until all of it works."""
    page.goto(address)
    expect(page.locator("#own, #trouble").filter(visible=True)).to_have_count(1)
    expect(page.locator("#trouble")).to_be_hidden()


def call(page: Page, module: str, function: str, *arguments: object) -> Any:
    """What a function of the page's own modules gives; lists go in and come out as typed arrays there."""
    script = """async ([module, name, given]) => {
        const plain = (value) => ArrayBuffer.isView(value) ? [...value] : value;
        const typed = (value) => Array.isArray(value) ? Float32Array.from(value) : value;
        const found = await (await import(new URL(module, document.baseURI)))[name](...given.map(typed));
        if (ArrayBuffer.isView(found)) return [...found];
        return Object.fromEntries(Object.entries(found).map(([key, part]) => [key, plain(part)]));
    }"""
    return page.evaluate(script, [module, function, list(arguments)])


def generated(page: Page, z: np.ndarray) -> list[np.ndarray]:
    """image and denoised, (N, 1, 28, 28), of the page's session."""
    found = call(page, "model.js", "generate", z.ravel().tolist())
    return [np.array(found[name], np.float32).reshape(len(z), 1, 28, 28) for name in ("image", "denoised")]


def pixels(page: Page, selector: str, index: int = 0) -> np.ndarray:
    """The grey of a canvas, (H, W) in 0 to 255; the other colours are the same and nothing is transparent."""
    script = """(canvas) => {
        const {width, height} = canvas;
        return [height, width, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
    }"""
    height, width, *data = page.locator(selector).nth(index).evaluate(script)
    colours = np.array(data).reshape(height, width, 4)
    assert (colours[..., 3] == 255).all()
    assert (colours[..., :1] == colours[..., :3]).all()
    return colours[..., 0]


def until(page: Page, held: Callable[[], bool], what: str) -> None:
    """Wait for something that the page does by and by."""
    for _ in range(PATIENCE_MS // 100):
        if held():
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never came: {what}")


def assert_shows(page: Page, selector: str, wanted: np.ndarray, index: int = 0, levels: float = 1) -> None:
    """The canvas comes to show the first image of `wanted`, (N, 1, H, W) in [0, 1], within one level of 255."""
    image = 255 * np.clip(wanted[0, 0], 0, 1)
    until(page, lambda: bool(np.abs(pixels(page, selector, index) - image).max() <= levels), f"{selector} {index}")


def slide(page: Page, selector: str, value: float) -> None:
    """Move a slider, as a hand would."""
    page.locator(selector).evaluate("(it, to) => { it.value = to; it.dispatchEvent(new Event('input')); }", value)
