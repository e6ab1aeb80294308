"""Photographs in the page: denoised as Python's onnxruntime does it, in a worker, with a before/after handle."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from browser_helpers import hosted, open_ready, slide, wait_until
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from skimage import data

from gan_denoise.errors import InputError
from gan_denoise.export import runtime
from gan_denoise.export.convert.to_onnx import to_onnx, with_metadata
from gan_denoise.export.demo import site
from gan_denoise.export.denoise import tiling
from gan_denoise.models.depthwise_unet import MULTIPLE, DepthwiseUNet

pytestmark = pytest.mark.xdist_group("browser")
TILE = 128  # so that small images have several tiles
WIDTH, HEIGHT = 210, 150  # of most images; no multiples of 8


# --- a page with a tiny denoiser ------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped folder with tiny networks of random weights as the denoisers of photographs."""
    folder = tmp_path_factory.mktemp("shipped") / "shipped"
    shutil.copytree(runtime.SHIPPED, folder)
    hashes = json.loads((folder / "sha256.json").read_text())
    for signature, channels in ((runtime.PHOTO, 3), (runtime.PHOTO_GREY, 1)):
        torch.manual_seed(5)
        network = DepthwiseUNet((8, 8, 8), (1, 1, 1, 1, 1), channels)
        with torch.no_grad():
            for weights in network.parameters():
                weights.normal_(0, 0.6 / weights[0].numel() ** 0.5)
        metadata = {"multiple": str(MULTIPLE), "receptive_field": str(network.receptive_field), "dataset": "photos"}
        model = with_metadata(to_onnx(network, signature, (channels, 32, 32), MULTIPLE), metadata)
        onnx.save(model, folder / signature.file)
        hashes[signature.file] = hashlib.sha256((folder / signature.file).read_bytes()).hexdigest()
    (folder / "sha256.json").write_text(json.dumps(hashes))
    return folder


@pytest.fixture(scope="module")
def graph(shipped: Path) -> runtime.Graph:
    """The denoiser of colour photographs."""
    return runtime.load_graph(runtime.PHOTO, shipped, threads=1)


@pytest.fixture(scope="module")
def grey_graph(shipped: Path) -> runtime.Graph:
    return runtime.load_graph(runtime.PHOTO_GREY, shipped, threads=1)


@pytest.fixture(scope="module")
def photo_page(shipped: Path, demo_page: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page; `demo_page` skips without the browser runtime."""
    assert demo_page.is_dir()
    out = tmp_path_factory.mktemp("photo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "SHIPPED", shipped)
        patch.setattr(site, "PHOTO_TILE", TILE)
        site.write_site(None, out)
    return out


@pytest.fixture(scope="module")
def shown(browser: Browser, photo_page: Path) -> Iterator[Page]:
    """The ready page on a plain host; checks at the end that it logged nothing and asked no other host."""
    page = browser.new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.context.on("request", lambda request: requests.append(request.url))
    with hosted(photo_page) as address:
        open_ready(page, address)
        assert f"{address}fused.onnx" in requests
        assert not any("photo" in url and url.endswith(".onnx") for url in requests)  # only with a photograph
        yield page
        assert messages == []
        own = (address, f"blob:{address}", "data:")
        assert [url for url in requests if not url.startswith(own)] == []
        page.close()


def photograph(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """A noisy photograph in colour, (H, W, 3) uint8."""
    clean = np.asarray(Image.fromarray(data.astronaut()).resize((width, height)), np.float32)
    noise = np.random.default_rng(seed).standard_normal(clean.shape, np.float32)
    return np.clip(clean + 20 * noise, 0, 255).astype(np.uint8)


def choose(page: Page, folder: Path, image: Image.Image, name: str = "a.png", **options: Any) -> None:
    image.save(folder / name, **options)
    page.get_by_label("Choose a photograph").set_input_files(folder / name)


def finished(page: Page, text: str) -> None:
    expect(page.locator("#photo-done")).to_contain_text(text)
    expect(page.locator("#photo-working")).to_be_hidden()


def canvas(page: Page, name: str) -> np.ndarray:
    """The pixels of a canvas, (H, W, 3) uint8; checks that it is opaque."""
    address = page.locator(f"#photo-{name}").evaluate("canvas => canvas.toDataURL('image/png')")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))
    assert (image[..., 3] == 255).all()
    return image[..., :3]


def denoised(graph: runtime.Graph, pixels: np.ndarray, strength: float = 1) -> np.ndarray:
    """What Python makes of (H, W, 3), as (H, W, 3)."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return tiling.denoise_pixels(graph, planes, strength).transpose(1, 2, 0)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


# --- the same pixels as Python --------------------------------------------------------------------


def test_the_tiles_are_those_of_python(shown: Page, graph: runtime.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "async ([h, w, about]) => (await import('./tiles.js')).listTiles(h, w, about)"
    for tile, height, width in ((768, 1732, 2309), (768, 768, 769), (130, 1, 1000), (128, 150, 210)):
        monkeypatch.setattr(tiling, "TILE_SIDE", tile)
        about = {"tile": tile, "multiple": graph.multiple, "receptive_field": graph.receptive_field}
        expected = list(tiling.list_tiles(graph, height, width))
        actual = shown.evaluate(script, [height, width, about])
        assert len(actual) == len(expected)
        for mine, (inner, outer) in zip(actual, expected, strict=True):
            for box, (_, rows, columns) in ((mine["inner"], inner), (mine["outer"], outer)):
                assert (box["top"], box["top"] + box["height"]) == (rows.start, rows.stop)
                assert (box["left"], box["left"] + box["width"]) == (columns.start, columns.stop)


def test_a_photograph_in_colour_has_the_pixels_of_python_and_is_saved(
    shown: Page, graph: runtime.Graph, tmp_path: Path
) -> None:
    pixels = photograph()
    choose(shown, tmp_path, Image.fromarray(pixels), "my.holiday.png")
    finished(shown, f"Denoised my.holiday.png, {WIDTH}x{HEIGHT} in ")
    expect(shown.locator("#photo-done")).not_to_contain_text("Scaled")
    expected = denoised(graph, pixels)
    assert difference(expected, pixels) > 40
    assert difference(canvas(shown, "before"), pixels) == 0
    assert difference(canvas(shown, "after"), expected) <= 1
    with shown.expect_download() as download:
        shown.get_by_role("button", name="Save as PNG").click()
    assert download.value.suggested_filename == "my.holiday-denoised.png"
    saved = np.asarray(Image.open(download.value.path()))[..., :3]
    assert difference(saved, canvas(shown, "after")) == 0


def test_the_strength_blends_without_another_run(shown: Page, graph: runtime.Graph, tmp_path: Path) -> None:
    pixels = photograph(seed=1)
    choose(shown, tmp_path, Image.fromarray(pixels), "blend.png")
    finished(shown, "Denoised blend.png")
    for strength, levels in ((0, 0), (0.5, 1), (1.5, 2)):  # the result is blended after it was rounded
        slide(shown, "#photo-strength", strength)
        expect(shown.locator("#photo-strength-value")).to_have_text(f"{strength:.2f}")
        expected = denoised(graph, pixels, strength)
        wait_until(shown, lambda e=expected, n=levels: difference(canvas(shown, "after"), e) <= n, f"{strength}")  # type: ignore[misc]
    slide(shown, "#photo-strength", 1)


def test_a_grey_image_has_the_pixels_of_the_grey_network(
    shown: Page, grey_graph: runtime.Graph, tmp_path: Path
) -> None:
    grey = photograph(seed=2)[..., 0]
    choose(shown, tmp_path, Image.fromarray(grey), "grey.png")
    finished(shown, "Denoised grey.png")
    expected = tiling.denoise_pixels(grey_graph, grey)
    assert difference(canvas(shown, "after"), np.repeat(expected[..., None], 3, -1)) <= 1


def test_a_photograph_is_turned_upright(shown: Page, graph: runtime.Graph, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise to be upright
    pixels = photograph(seed=3)
    choose(shown, tmp_path, Image.fromarray(pixels), "phone.jpg", exif=exif, quality=95, subsampling=0)
    finished(shown, f"Denoised phone.jpg, {HEIGHT}x{WIDTH} in")
    before = canvas(shown, "before")
    stored = np.asarray(Image.open(tmp_path / "phone.jpg"))
    assert difference(before, np.rot90(stored, -1)) <= 8  # decoders of JPEG differ
    assert difference(canvas(shown, "after"), denoised(graph, before)) <= 1


def test_transparent_parts_are_shown_on_white(shown: Page, tmp_path: Path) -> None:
    pixels = photograph(seed=4)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:50], alpha[50:100] = 0, 128
    choose(shown, tmp_path, Image.fromarray(np.dstack([pixels, alpha])), "logo.png")
    finished(shown, "Transparent parts are shown on white.")
    weight = alpha[..., None] / 255
    assert difference(canvas(shown, "before"), np.rint(pixels * weight + 255 * (1 - weight))) <= 2


@pytest.fixture
def whole(photo_page: Path, tmp_path: Path) -> Path:
    """The page with one tile of any size a photograph."""
    return changed(photo_page, tmp_path / "whole", "model.json", f'"tile": {TILE}', '"tile": 10000')


def changed(folder: Path, out: Path, file: str, text: str, other: str) -> Path:
    """A copy of the page with `text` replaced in one file."""
    shutil.copytree(folder, out, copy_function=os.link)
    content = (folder / file).read_text()
    assert text in content
    (out / file).unlink()
    (out / file).write_text(content.replace(text, other))
    return out


def test_more_than_4_megapixels_are_scaled_down_and_the_page_stays_responsive(
    browser: Browser, whole: Path, graph: runtime.Graph, tmp_path: Path
) -> None:
    page = browser.new_page()
    with hosted(whole, isolated=True) as address:
        open_ready(page, address)
        page.evaluate("""() => {
            window.longest = 0;
            let last = performance.now();
            setInterval(() => {
                const now = performance.now();
                window.longest = Math.max(longest, now - last);
                last = now;
            }, 5);
        }""")
        choose(page, tmp_path, Image.fromarray(photograph(2600, 1600)), "large.png", compress_level=1)
        finished(page, "Denoised large.png, 2549x1568 in ")
        text = page.locator("#photo-done").text_content() or ""
        assert text.endswith("Scaled down from 2600x1600: this page takes up to 4 megapixels.")
        # The only tile takes nearly all of the time. On the page's own thread nothing else would run meanwhile.
        assert page.evaluate("longest") < 700 * float(text.split(" in ")[1].split(" s")[0])
        before = canvas(page, "before")
        scaled = Image.fromarray(photograph(2600, 1600)).resize((2549, 1568), Image.Resampling.BILINEAR)
        assert np.abs(before.astype(int) - np.asarray(scaled)).mean() < 5
        assert difference(canvas(page, "after"), denoised(graph, before)) <= 1
    page.close()


# --- progress, another image, errors --------------------------------------------------------------


def test_progress_is_shown_and_another_image_cancels(shown: Page, graph: runtime.Graph, tmp_path: Path) -> None:
    choose(shown, tmp_path, Image.fromarray(photograph(1600, 1200)), "slow.png", compress_level=1)
    expect(shown.locator("#photo-done")).to_have_text("Denoising slow.png, 1600x1200.")
    left = shown.locator("#photo-left")
    expect(left).to_contain_text("of 1.9 megapixels, about ")
    assert 0 < float(shown.locator("#photo-progress").evaluate("it => it.value")) < 1
    expect(shown.get_by_role("button", name="Save as PNG")).to_be_disabled()
    (tmp_path / "notes.txt").write_text("hello")
    shown.get_by_label("Choose a photograph").set_input_files(tmp_path / "notes.txt")
    expect(shown.locator("#photo-done")).to_have_text("notes.txt: not an image that this browser can read.")
    text = left.text_content() or ""
    expect(left).not_to_have_text(text)  # the photograph before goes on
    pixels = photograph(seed=6)
    choose(shown, tmp_path, Image.fromarray(pixels), "next.png")
    finished(shown, "Denoised next.png")
    expect(shown.get_by_role("button", name="Save as PNG")).to_be_enabled()
    assert difference(canvas(shown, "after"), denoised(graph, pixels)) <= 1


def test_a_dropped_photograph_is_denoised(shown: Page, graph: runtime.Graph, tmp_path: Path) -> None:
    pixels = photograph(seed=7)
    Image.fromarray(pixels).save(tmp_path / "drop.png")
    drop = """(data) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(data)], "drop.png", {type: "image/png"}));
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
    }"""
    shown.evaluate(drop, list((tmp_path / "drop.png").read_bytes()))
    finished(shown, "Denoised drop.png")
    assert difference(canvas(shown, "after"), denoised(graph, pixels)) <= 1
    expect(shown.locator("#done")).not_to_contain_text("drop.png")  # the section of small images takes its own


@pytest.mark.row(40)
@pytest.mark.parametrize(
    ("file", "text", "other", "message"),
    [
        (
            "photo-worker.js",
            "await denoisePhoto(graph, planes, height, width)",
            'await Promise.reject(new Error("std::bad_alloc"))',
            "a.png: not denoised: this browser has too little memory left for it",
        ),
        ("model.json", '"photo.onnx": "sha256-', '"photo.onnx": "sha256-AAAA', "photo.onnx: damaged"),
        ("tiles.js", "export", "exports", "photo-worker.js: not denoised: it or a file that it needs is"),
    ],
)
def test_a_failure_is_one_plain_sentence(
    browser: Browser, photo_page: Path, tmp_path: Path, file: str, text: str, other: str, message: str
) -> None:
    page = browser.new_page()
    with hosted(changed(photo_page, tmp_path / "broken", file, text, other)) as address:
        open_ready(page, address)
        choose(page, tmp_path, Image.fromarray(photograph()))
        finished(page, message)
    page.close()


@pytest.mark.row(40)
def test_without_webassembly_the_page_says_so(browser: Browser, photo_page: Path) -> None:
    page = browser.new_page()
    page.add_init_script("delete globalThis.WebAssembly")
    with hosted(photo_page) as address:
        page.goto(address)
        expect(page.get_by_role("alert")).to_contain_text("This browser has no WebAssembly")
    page.close()


# --- the handle -----------------------------------------------------------------------------------


def test_the_handle_follows_keys_and_the_mouse(shown: Page, tmp_path: Path) -> None:
    choose(shown, tmp_path, Image.fromarray(photograph(640, 400)), "handle.png")
    finished(shown, "Denoised handle.png")
    handle = shown.get_by_role("slider", name="Position of the line between before and after")
    handle.focus()
    slide(shown, "#photo-position", 50)
    for _ in range(5):
        shown.keyboard.press("ArrowRight")
    assert at(shown) == "55%"
    expect(handle).to_have_attribute("aria-valuetext", "55 % before, 45 % after")
    shown.keyboard.press("Home")
    assert at(shown) == "0%"
    box = shown.locator("#photo-frame").bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(640)
    middle = box["y"] + box["height"] / 2
    shown.mouse.move(box["x"] + 0.25 * box["width"], middle)
    shown.mouse.down()
    assert at(shown) == "25%"
    shown.mouse.move(box["x"] + 0.75 * box["width"], middle, steps=3)
    shown.mouse.up()
    assert at(shown) == "75%"
    shown.mouse.move(box["x"] + 0.1 * box["width"], middle)  # the button is up
    assert at(shown) == "75%"
    assert shown.locator("#photo-before").evaluate("it => getComputedStyle(it).clipPath") == "inset(0px 25% 0px 0px)"


def at(page: Page) -> str:
    """Where the handle is."""
    text: str = page.locator("#photo-frame").evaluate("frame => frame.style.getPropertyValue('--at')")
    assert page.locator("#photo-position").input_value() + "%" == text
    return text


def test_a_finger_moves_the_handle_and_at_actual_size_scrolls(
    browser: Browser, photo_page: Path, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, device_scale_factor=2)
    page = context.new_page()
    with hosted(photo_page) as address:
        open_ready(page, address)
        choose(page, tmp_path, Image.fromarray(photograph(1000, 400)), "touch.png")
        finished(page, "Denoised touch.png")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.locator("#photo-frame").scroll_into_view_if_needed()
        swipe(page, 0.5, 0.2)
        assert float(at(page)[:-1]) == pytest.approx(20, abs=1)
        page.get_by_label("actual size").check()
        assert page.locator("#photo-frame").bounding_box()["width"] == pytest.approx(500)  # type: ignore[index]
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        scroll = "document.getElementById('photo-scroll').scrollLeft"
        middle = page.evaluate(scroll)
        swipe(page, 0.8, 0.6)
        wait_until(page, lambda: page.evaluate(scroll) > middle + 20, "scrolled")
        assert float(at(page)[:-1]) == pytest.approx(20, abs=1)
    context.close()


def swipe(page: Page, start: float, end: float) -> None:
    """Move a finger over the visible part of the photograph, from and to fractions of its width."""
    box = page.locator("#photo-scroll").bounding_box()
    assert box is not None
    client = page.context.new_cdp_session(page)
    points = np.linspace(start, end, 8)
    for kind, fraction in (("touchStart", start), *(("touchMove", point) for point in points[1:]), ("touchEnd", end)):
        place = {"x": box["x"] + float(fraction) * box["width"], "y": box["y"] + box["height"] / 4}
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else [place]})


# --- the files ------------------------------------------------------------------------------------


def test_the_page_has_the_denoiser_and_what_its_tiles_need(shipped: Path, photo_page: Path) -> None:
    for file in ("photo.onnx", "photo-grey.onnx"):
        assert (photo_page / file).read_bytes() == (shipped / file).read_bytes()
    about = json.loads((photo_page / "model.json").read_text())
    assert about["photo"] == {"multiple": 8, "receptive_field": 31, "tile": TILE, "max_pixels": 4_000_000}
    assert about["files"]["photo.onnx"].startswith("sha256-")
    assert "Fashion-MNIST (MIT, Zalando SE), free photographs." in (photo_page / "index.html").read_text()


@pytest.mark.usefixtures("demo_page")
def test_without_it_or_with_another_model_the_section_is_hidden(
    browser: Browser, shipped: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "SHIPPED", shipped)
    site.write_site(exported, tmp_path / "other")
    without = shutil.copytree(shipped, tmp_path / "without")
    monkeypatch.setattr(runtime, "SHIPPED", without)
    with (without / "photo.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match=r"photo\.onnx: expected the shipped model, got a damaged file"):
        site.write_site(None, tmp_path / "damaged")
    assert not (tmp_path / "damaged").exists()
    (without / "photo.onnx").unlink()
    (without / "photo-grey.onnx").unlink()
    site.write_site(None, tmp_path / "none")
    for folder in ("other", "none"):
        assert not (tmp_path / folder / "photo.onnx").exists()
        assert json.loads((tmp_path / folder / "model.json").read_text())["photo"] is None
        page = browser.new_page()
        with hosted(tmp_path / folder) as address:
            open_ready(page, address)
            expect(page.locator("#photo")).to_be_hidden()
        page.close()
