"""The page of a model of colour images, in Chromium: canvases, files and drawing show what Python computes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from browser_helpers import hosted, open_ready, slide, stroke, wait_until
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from gan_denoise.export import latents, runtime
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx
from gan_denoise.export.demo import site
from gan_denoise.models.conditional_gan import ConditionalGenerator
from gan_denoise.models.unet import UNet

pytestmark = pytest.mark.xdist_group("browser")
SIDE = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained generator and denoiser of 32x32 colour images."""
    folder = tmp_path_factory.mktemp("colour")
    torch.manual_seed(0)
    network = ConditionalGenerator((8, 8, 4), (0, 0, 0), latent_size=12, classes=3, size=SIDE, channels=3)
    generator = to_onnx(network, runtime.GENERATOR, (12,))
    denoiser = to_onnx(UNet((8, 8), (1, 1, 1), 3), runtime.DENOISER, (3, SIDE, SIDE))
    onnx.save(denoiser, folder / "denoiser.onnx")
    onnx.save(fuse(generator, denoiser), folder / "fused.onnx")
    return folder


@pytest.fixture(scope="module")
def shown(model: Path, browser: Browser, demo_page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The ready page; `demo_page` skips without the browser runtime."""
    assert demo_page.is_dir()
    out = tmp_path_factory.mktemp("page") / "out"
    site.write_site(model, out)
    page = browser.new_page()
    with hosted(out, isolated=True) as address:
        open_ready(page, address)
        yield page
        page.close()


def colours(page: Page, selector: str, index: int = 0) -> np.ndarray:
    """The values of a canvas, (3, H, W) in 0 to 255."""
    script = """(canvas) => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]"""
    data = np.array(page.locator(selector).nth(index).evaluate(script))
    return data.reshape(SIDE, SIDE, 4)[..., :3].transpose(2, 0, 1)


def assert_shows(page: Page, selector: str, image: np.ndarray, index: int = 0) -> None:
    """Wait until the canvas shows the image (3, H, W) in [0, 1]."""
    expected = 255 * np.clip(image, 0, 1)
    wait_until(page, lambda: bool(np.abs(colours(page, selector, index) - expected).max() <= 1), f"{selector} {index}")


def test_generated_images_are_in_colour(model: Path, shown: Page) -> None:
    image, denoised = runtime.load_graph(runtime.FUSED, model)(latents.latents(0, 0, 24, 12))
    assert np.ptp(image, axis=1).max() > 0.05  # else a grey canvas would do
    assert_shows(shown, "#raw", image[5])
    assert_shows(shown, "#denoised", denoised[5])
    expect(shown.locator("#command")).to_have_text("gan-denoise generate --model FOLDER --seed 0 -n 6 --out images")
    for number in (0, 23):
        assert_shows(shown, "#many canvas", denoised[number], number)


def test_a_file_stays_in_colour_and_is_denoised(model: Path, shown: Page, tmp_path: Path) -> None:
    photo = np.full((40, 80, 3), (250, 240, 20), np.uint8)
    photo[10:30, 20:60] = (20, 60, 200)
    Image.fromarray(photo).save(tmp_path / "flag.png")
    slide(shown, "#sigma", 0.2)
    shown.get_by_label("Choose a file").set_input_files(tmp_path / "flag.png")
    expect(shown.locator("#done")).to_have_text("flag.png, 80x40: converted to 32x32.")
    clean = colours(shown, "#clean")
    assert np.abs(clean[:, 16, 16] - (20, 60, 200)).max() <= 1
    assert np.abs(clean[:, 0, 0] - (250, 240, 20)).max() <= 1  # above the image: its border, and not inverted
    noise = latents.latents(1, 0, 1, 3 * SIDE * SIDE).reshape(1, 3, SIDE, SIDE)
    noisy = np.clip(clean[None].astype(np.float32) / 255 + np.float32(0.2) * noise, 0, 1)
    assert_shows(shown, "#noisy", noisy[0])
    restored = runtime.load_graph(runtime.DENOISER, model)(noisy)[0][0]
    wait_until(
        shown, lambda: bool(np.abs(colours(shown, "#restored") - 255 * restored.clip(0, 1)).max() <= 4), "restored"
    )


def test_a_line_is_drawn_in_all_channels(shown: Page) -> None:
    shown.get_by_role("button", name="Clear").click()
    assert_shows(shown, "#clean", np.zeros((3, SIDE, SIDE)))
    stroke(shown)
    wait_until(shown, lambda: bool((colours(shown, "#clean")[:, 15:17, 9:23] == 255).all()), "a white line")
    assert (colours(shown, "#clean")[:, :12] == 0).all()
