"""Write docs/photographs.png: held-out photographs at 100 %, noisy, and restored by non-local means and by our model.

The crops are chosen for what they show: fur, a face, stone, leaves, flat sky. None was used for training.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage.restoration import estimate_sigma

import gan_denoise
from gan_denoise.data.images import ImagesF32, ImagesU8, from_pil, to_float, to_pil
from gan_denoise.data.photographs import load_held_out_photographs
from gan_denoise.eval.denoising.photographs.methods import FILTERS
from gan_denoise.options import PHOTO
from gan_denoise.study.train.photo_noise import camera_noise

FILE = Path(__file__).resolve().parents[1] / "docs/photographs.png"
FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
SIDE, GAP, HEAD = 224, 4, 26  # pixels of a crop, between crops, and of the line of titles
SIGMA = 25
CROPS = {  # photograph: left and top of the crop, as fractions of the width and the height that are free
    "Friends": (0.38, 0.27),
    "Astronaut Eileen Collins": (0.4, 0.0),
    "Roman Colosseum": (0.22, 0.45),
    "Fig in a bowl": (0.6, 0.52),
    "Singaporean cityscape": (0.72, 0.33),
}
CAMERA = {"Friends": 16, "Singaporean cityscape": 13}  # also with a simulated camera's noise; seeds with little light


def main() -> None:
    """Add noise, restore, draw."""
    photographs = load_held_out_photographs()
    rows = []
    for i, (title, place) in enumerate(CROPS.items()):
        clean = photographs[title]
        noise = SIGMA * np.random.default_rng(i).standard_normal(clean.shape)
        noisy = np.rint(clean + noise).clip(0, 255).astype(np.uint8)
        rows.append(_versions(clean, noisy, SIGMA / 255, place))
    for title, seed in CAMERA.items():
        torch.manual_seed(seed)
        clean = photographs[title]
        noisy = np.rint(255 * camera_noise(torch.from_numpy(to_float(clean[None])))[0].numpy()).astype(np.uint8)
        sigma = float(estimate_sigma(noisy / 255, channel_axis=0, average_sigmas=True))  # type: ignore[no-untyped-call]
        rows.append(_versions(clean, noisy, sigma, CROPS[title]))
    draw_rows(rows).save(FILE, optimize=True)


def _versions(clean: ImagesU8, noisy: ImagesU8, sigma: float, place: tuple[float, float]) -> dict[str, ImagesU8]:
    """A crop of each version of a photograph (3, H, W); `sigma` is what non-local means is told."""
    restored = from_pil(gan_denoise.denoise(to_pil(noisy), PHOTO))
    images = {
        "noisy": noisy,
        "non-local means": np.rint(255 * _non_local_means(noisy, sigma)).astype(np.uint8),
        "photo model": restored,
        "clean": clean,
    }
    return {name: _crop(image, place) for name, image in images.items()}


def _non_local_means(noisy: ImagesU8, sigma: float) -> ImagesF32:
    """The filter that `eval denoising --clean` measures."""
    apply, parameters = FILTERS["non-local means"]
    return apply(noisy.astype(np.float32) / np.float32(255), sigma, parameters)


def _crop(image: ImagesU8, place: tuple[float, float]) -> ImagesU8:
    left, top = (round(part * (side - SIDE)) for part, side in zip(place, image.shape[:0:-1], strict=True))
    return image[:, top : top + SIDE, left : left + SIDE]


def draw_rows(rows: list[dict[str, ImagesU8]]) -> Image.Image:
    """One image: a row for each photograph, a titled column for each version."""
    step = SIDE + GAP
    canvas = Image.new("RGB", (len(rows[0]) * step - GAP, HEAD + len(rows) * step - GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.truetype(FONT, 16)
    for column, title in enumerate(rows[0]):
        draw.text((column * step + 2, 3), title, fill="black", font=font)
        for row, images in enumerate(rows):
            canvas.paste(to_pil(images[title]), (column * step, HEAD + row * step))
    return canvas


if __name__ == "__main__":
    main()
