"""Helpers for tests of the browser page: a host, calls of the page's functions, canvases as arrays."""

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

TIMEOUT_MS = 30_000  # enough on a busy machine
expect.set_options(timeout=TIMEOUT_MS)


class SilentHandler(SimpleHTTPRequestHandler):
    """A plain static host, without isolation headers."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def hosted(folder: Path, isolated: bool = False) -> Iterator[str]:
    """The address of a folder on loopback while the block runs; `isolated`: with the headers of `demo --serve`."""
    plain = functools.partial(SilentHandler, directory=str(folder))
    trace = threading.gettrace()
    threading.settrace(None)  # Python 3.11 fails where two threads start coverage at once
    try:
        with make_server(folder, 0) if isolated else ThreadingHTTPServer(("127.0.0.1", 0), plain) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server_url(server)
            server.shutdown()
    finally:
        threading.settrace(trace)


def open_ready(page: Page, address: str) -> None:
    """Open the page and wait until all sections are ready."""
    page.goto(address)
    expect(page.locator("#own, #error").filter(visible=True)).to_have_count(1)
    expect(page.locator("#error")).to_be_hidden()


def call(page: Page, module: str, function: str, *arguments: object) -> Any:
    """The result of a function of the page's modules; lists are converted to typed arrays and back."""
    script = """async ([module, name, values]) => {
        const plain = (value) => ArrayBuffer.isView(value) ? [...value] : value;
        const typed = (value) => Array.isArray(value) ? Float32Array.from(value) : value;
        const result = await (await import(new URL(module, document.baseURI)))[name](...values.map(typed));
        if (ArrayBuffer.isView(result)) return [...result];
        return Object.fromEntries(Object.entries(result).map(([key, part]) => [key, plain(part)]));
    }"""
    return page.evaluate(script, [module, function, list(arguments)])


def generated(page: Page, z: np.ndarray) -> list[np.ndarray]:
    """The outputs `image` and `denoised` of the page's session, (N, 1, 28, 28) each."""
    outputs = call(page, "model.js", "generate", z.ravel().tolist())
    return [np.array(outputs[name], np.float32).reshape(len(z), 1, 28, 28) for name in ("image", "denoised")]


def pixels(page: Page, selector: str, index: int = 0) -> np.ndarray:
    """The grey values of a canvas, (H, W) in 0 to 255; checks that it is grey and opaque."""
    script = """(canvas) => {
        const {width, height} = canvas;
        return [height, width, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
    }"""
    height, width, *data = page.locator(selector).nth(index).evaluate(script)
    colours = np.array(data).reshape(height, width, 4)
    assert (colours[..., 3] == 255).all()
    assert (colours[..., :1] == colours[..., :3]).all()
    return colours[..., 0]


def wait_until(page: Page, condition: Callable[[], bool], name: str) -> None:
    """Wait for a condition on the page; fails the test after TIMEOUT_MS."""
    for _ in range(TIMEOUT_MS // 100):
        if condition():
            return
        page.wait_for_timeout(100)
    pytest.fail(f"timeout: {name}")


def assert_shows(page: Page, selector: str, expected: np.ndarray, index: int = 0, levels: float = 1) -> None:
    """Wait until the canvas shows the first of `expected`, (N, 1, H, W) in [0, 1], within `levels` of 255."""
    image = 255 * np.clip(expected[0, 0], 0, 1)
    wait_until(page, lambda: bool(np.abs(pixels(page, selector, index) - image).max() <= levels), f"{selector} {index}")


def slide(page: Page, selector: str, value: float) -> None:
    """Move a slider as a user does."""
    page.locator(selector).evaluate("(it, to) => { it.value = to; it.dispatchEvent(new Event('input')); }", value)


def stroke(page: Page) -> None:
    """Draw a line on the left canvas with the mouse: half of its width, at half its height."""
    page.locator("#clean").scroll_into_view_if_needed()
    box = page.locator("#clean").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 3 * box["width"] / 4, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
