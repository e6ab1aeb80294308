"""The page in Chromium: the same numbers and images as Python's onnxruntime, for every control."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from browser_helpers import assert_shows, call, generated, hosted, open_ready, pixels, slide, stroke, wait_until
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.export import latents, runtime
from gan_denoise.export.generate import generate_batches, parse_label

pytestmark = pytest.mark.xdist_group("browser")
FIRST = 5  # the image selected at first
NOISE = latents.latents(1, 0, 1, 28 * 28).reshape(1, 1, 28, 28)


@pytest.fixture(scope="module")
def shown(browser: Browser, demo_page: Path) -> Iterator[Page]:
    """The ready page, cross-origin isolated; checks at the end that it logged nothing."""
    page = browser.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    with hosted(demo_page, isolated=True) as address:
        open_ready(page, address)
        yield page
        assert messages == []
        page.close()


@pytest.mark.parametrize("count", [1, 2, 7, 24])
def test_its_tensors_equal_those_of_python(shown: Page, count: int) -> None:
    z = latents.latents(3, 0, count)
    expected = runtime.load_graph(runtime.FUSED)(z)
    for actual, output in zip(generated(shown, z), expected, strict=True):
        np.testing.assert_allclose(actual, output, rtol=0, atol=1e-4)
    noisy = np.clip(expected[0] + 0.3 * latents.latents(4, 0, count, 784).reshape(-1, 1, 28, 28), 0, 1)
    denoised = np.array(call(shown, "model.js", "denoise", noisy.ravel().tolist())).reshape(noisy.shape)
    np.testing.assert_allclose(denoised, runtime.load_graph(runtime.DENOISER)(noisy)[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 2**53 - 1])
def test_its_latents_equal_those_of_python(shown: Page, seed: int) -> None:
    actual = np.array(call(shown, "latents.js", "latents", seed, 7, 1000, 100), np.float32).reshape(1000, 100)
    expected = latents.latents(seed, 7, 1000)
    np.testing.assert_allclose(actual, expected, rtol=2e-7)  # the last bit of log1p may differ
    assert (actual != expected).sum() <= 10
    swapped = [call(shown, "latents.js", "setClass", z.tolist(), 7, 10) for z in expected[:50]]
    np.testing.assert_array_equal(np.array(swapped, np.float32), latents.set_class(expected[:50], 7, 10))


def test_its_canvases_show_what_python_generates(shown: Page) -> None:
    image, denoised = next(generate_batches(runtime.load_graph(runtime.FUSED), 0, 24))
    assert_shows(shown, "#raw", image[FIRST:])
    assert_shows(shown, "#denoised", denoised[FIRST:])
    assert_shows(shown, "#difference", 0.5 + 4 * (denoised - image)[FIRST:])
    for number in (0, 23):
        assert_shows(shown, "#many canvas", denoised[number:], number)
    assert shown.locator("#many button").count() == 24


def test_the_early_generator_stands_beside_the_finished_one(shown: Page) -> None:
    early, finished = runtime.load_graph(runtime.EARLY), runtime.load_graph(runtime.FUSED)
    expect(shown.locator("#early-name")).to_have_text("the generator of the paper after epoch 1")
    for seed in (0, 1):
        for selector, graph in (("#early-images canvas", early), ("#finished-images canvas", finished)):
            image, denoised = graph(latents.latents(seed, 0, 6, graph.input_shape[0]))
            assert_shows(shown, selector, image[5:], 5)
            assert_shows(shown, selector, denoised, 6)
        shown.get_by_role("button", name="Other images").click()
    assert np.abs(image - denoised).mean() < 0.02  # of the finished one
    image, denoised = early(latents.latents(0, 0, 6))
    assert np.abs(image - denoised).mean() > 0.04  # the effect is seen at once


def test_a_class_a_seed_and_an_image_are_selected(shown: Page) -> None:
    graph = runtime.load_graph(runtime.FUSED)
    shown.get_by_text("Bag", exact=True).first.click()
    shown.get_by_label("Seed").fill("9")
    shown.get_by_label("Seed").blur()
    shown.locator("#many button").nth(2).click()
    image, denoised = next(generate_batches(graph, 9, 24, label=parse_label(graph, "bag")))
    assert_shows(shown, "#raw", image[2:])
    assert_shows(shown, "#many canvas", denoised[23:], 23)
    expect(shown.locator("#which")).to_have_text("Image 2 of seed 9, Bag")
    expect(shown.locator("#command")).to_have_text("gan-denoise generate --seed 9 -n 3 --label 8 --out images")


def test_sliders_change_the_image_and_reset_restores_it(shown: Page, demo_page: Path) -> None:
    graph = runtime.load_graph(runtime.FUSED)
    shown.locator("#many button").nth(3).click()
    z = np.array(shown.evaluate("async () => [...(await import('./explore.js')).current.z]"), np.float32)[None]
    direction = np.array(json.loads((demo_page / "model.json").read_text())["directions"][0], np.float32)
    minimum, maximum = (graph(z + (end - z[0] @ direction) * direction) for end in (-3, 3))
    assert np.abs(minimum[0] - maximum[0]).max() > 0.3
    for index, end in enumerate((minimum, maximum)):
        assert_shows(shown, ".slider canvas", end[1], index)
    slider = shown.locator("#sliders input").first
    initial = float(slider.input_value())
    assert initial == pytest.approx(float(z[0] @ direction), abs=0.006)
    slider.focus()
    shown.keyboard.press("End")
    assert_shows(shown, "#raw", maximum[0])
    assert_shows(shown, "#denoised", maximum[1])
    expect(shown.locator("#which")).to_contain_text("changed")
    assert shown.locator("#same").is_hidden()
    shown.get_by_role("button", name="Reset").click()
    assert_shows(shown, "#raw", graph(z)[0])
    expect(shown.locator("#which")).not_to_contain_text("changed")
    assert float(slider.input_value()) == initial


def test_interpolation_leads_from_the_image_to_another(shown: Page) -> None:
    graph = runtime.load_graph(runtime.FUSED)
    shown.get_by_text("any", exact=True).first.click()
    shown.get_by_label("Seed").fill("0")
    shown.get_by_label("Seed").blur()
    shown.locator("#many button").nth(0).click()
    shown.get_by_label("Target class").select_option("Sneaker")
    start, target = latents.latents(0, 0, 1), latents.set_class(latents.latents(0, 12, 1), 7, 10)
    for index, z in ((0, start), (8, target)):
        for row, image in enumerate(graph(z)):
            assert_shows(shown, "#strip canvas", image, 9 * row + index)
    slide(shown, "#fraction", 1)
    assert_shows(shown, "#interpolation-denoised", graph(target)[1])
    middle = np.array(
        call(shown, "latents.js", "interpolate", start[0].tolist(), target[0].tolist(), 0.4, 10), np.float32
    )
    lengths = [np.linalg.norm(z[..., :90]) for z in (start, middle, target)]
    assert min(lengths[::2]) - 1 < lengths[1] < max(lengths[::2]) + 1  # linear interpolation would be shorter
    np.testing.assert_array_equal(middle[90:], start[0, 90:])
    shown.get_by_role("button", name="Another target").click()
    assert_shows(shown, "#strip canvas", graph(latents.set_class(latents.latents(0, 13, 1), 7, 10))[1], 17)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_it_plays_until_stopped_and_in_steps_with_reduced_motion(
    shown: Page, motion: Literal["no-preference", "reduce"]
) -> None:
    shown.emulate_media(reduced_motion=motion)
    shown.get_by_role("button", name="Play").click()
    positions = set()
    for _ in range(12):
        shown.wait_for_timeout(150)
        positions.add(float(shown.locator("#fraction").input_value()))
    shown.get_by_role("button", name="Stop").click()
    shown.wait_for_timeout(1500)  # for a step in progress
    stopped = shown.locator("#fraction").input_value()
    shown.wait_for_timeout(700)
    assert shown.locator("#fraction").input_value() == stopped
    assert len(positions) > 1
    assert all(8 * position % 1 == 0 for position in positions) == (motion == "reduce")


def restored(clean: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    noisy = np.clip(clean + np.float32(sigma) * NOISE, 0, 1)
    return noisy, runtime.load_graph(runtime.DENOISER)(noisy)[0]


def test_noise_is_added_to_a_file_and_removed(shown: Page, excerpt: Dataset, tmp_path: Path) -> None:
    Image.fromarray(excerpt.test.images[3]).save(tmp_path / "shirt.png")
    clean = to_float(excerpt.test.images[3:4])
    shown.get_by_label("Choose a file").set_input_files(tmp_path / "shirt.png")
    assert_shows(shown, "#clean", clean)
    expect(shown.locator("#done")).to_have_text("shirt.png, 28x28: converted to grey and 28x28.")
    for sigma in (0.1, 0.5):
        slide(shown, "#sigma", sigma)
        noisy, denoised = restored(clean, sigma)
        assert_shows(shown, "#noisy", noisy)
        assert_shows(shown, "#restored", denoised)
        for name, image in (("noisy", noisy), ("restored", denoised)):
            expect(shown.locator(f"#{name}-psnr")).to_have_text(f"{psnr(clean, image)[0]:.1f} dB")
    slide(shown, "#sigma", 0)
    assert_shows(shown, "#noisy", clean)
    expect(shown.locator("#noisy-psnr")).to_have_text("identical")


def test_a_dropped_colour_image_is_converted_to_grey_scaled_and_inverted(shown: Page, tmp_path: Path) -> None:
    photo = Image.new("RGB", (300, 150), (255, 255, 255))
    photo.paste((200, 0, 0), (100, 50, 200, 100))
    photo.save(tmp_path / "photo.png")
    data = list((tmp_path / "photo.png").read_bytes())
    drop = """(data) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(data)], "photo.png", {type: "image/png"}));
        const event = new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
        document.getElementById("own").dispatchEvent(event);
    }"""
    slide(shown, "#sigma", 0.2)
    shown.evaluate(drop, data)
    expect(shown.locator("#done")).to_have_text(
        "photo.png, 300x150: converted to grey and 28x28, inverted because its border is bright."
    )
    clean = pixels(shown, "#clean")
    assert (clean[:7] == 0).all()  # the padding has the value of the border
    assert np.abs(clean[13:15, 11:17] - (255 - 0.299 * 200)).max() <= 1
    assert_shows(shown, "#restored", restored(clean[None, None].astype(np.float32) / 255, 0.2)[1], levels=4)
    shown.get_by_role("button", name="Invert").click()
    assert_shows(shown, "#clean", 1 - clean[None, None] / 255)


def test_another_file_is_refused_and_nothing_changes(shown: Page, tmp_path: Path) -> None:
    before = pixels(shown, "#clean")
    (tmp_path / "notes.txt").write_text("hello")
    shown.get_by_label("Choose a file").set_input_files(tmp_path / "notes.txt")
    expect(shown.locator("#done")).to_have_text("notes.txt: not an image that this browser can read.")
    np.testing.assert_array_equal(pixels(shown, "#clean"), before)


def test_drawing_and_erasing_change_the_image_and_the_denoised_one(shown: Page) -> None:
    shown.get_by_role("button", name="Clear").click()
    slide(shown, "#sigma", 0.1)
    assert_shows(shown, "#clean", np.zeros((1, 1, 28, 28)))
    stroke(shown)
    line = np.s_[13:15, 8:20]  # from a quarter to three quarters, at half the height
    wait_until(shown, lambda: (pixels(shown, "#clean")[line] == 255).all(), "a line")
    expect(shown.locator("#done")).to_have_text("Drawn.")
    drawn = pixels(shown, "#clean")
    assert (drawn[:11] == 0).all()
    assert (drawn[17:] == 0).all()
    assert_shows(shown, "#restored", restored(drawn[None, None].astype(np.float32) / 255, 0.1)[1], levels=4)
    shown.get_by_label("erase instead of draw").check()
    stroke(shown)
    wait_until(shown, lambda: (pixels(shown, "#clean")[line] == 0).all(), "no line")
    shown.get_by_label("erase instead of draw").uncheck()


def test_the_image_above_is_copied(shown: Page) -> None:
    shown.get_by_role("button", name="Copy the image above").click()
    wait_until(shown, lambda: (pixels(shown, "#clean") == pixels(shown, "#denoised")).all(), "the image above")


def test_a_cross_origin_isolated_page_has_threads(shown: Page) -> None:
    count = shown.evaluate("Math.min(navigator.hardwareConcurrency, 4)")
    assert count > 1
    assert shown.evaluate("crossOriginIsolated")
    assert len(shown.workers) == count - 1  # the page itself runs one
    slide(shown, "#sigma", 0.3)  # the first run is not timed
    speed = rf"[\d.]+ ms per image, denoiser alone [\d.]+ ms · {count} threads · onnxruntime-web 1\.\d+\.\d+"
    expect(shown.locator("#status")).to_have_text(re.compile(speed))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(shown: Page, width: int) -> None:
    shown.set_viewport_size({"width": width, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    shown.set_viewport_size({"width": 1280, "height": 800})
