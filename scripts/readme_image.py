"""Write docs/effect.webp, the README's image: python scripts/readme_image.py EXPORT, an exported run of preset quick.

The small images are the first ones in order, none selected: latents 0 to 8 of seed 0, and the first nine test images.
The photographs are crops of held-out ones (`data fetch --dataset photos`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import gan_denoise
from gan_denoise.data import sources
from gan_denoise.data.images import ImagesF32, to_float, to_uint8
from gan_denoise.data.photographs import load_held_out_photographs
from gan_denoise.export import latents, runtime

FILE = Path(__file__).resolve().parents[1] / "docs/effect.webp"
FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"
COLUMNS = 9
SCALE = 5  # screen pixels per image pixel; GitHub shows the image at about half its width
GAP, GROUP_GAP = 6, 30  # screen pixels between images, and between groups of rows
LABELS = 370  # screen pixels at the left
FONT_SIZE = 50  # about 11 pixels on a phone
SIGMA = 50 / 255
PHOTOGRAPHS = {"Friends": (309, 340), "Fig in a bowl": (560, 340), "Singaporean cityscape": (1150, 380)}  # left, top
WIDTH, HEIGHT = 434, 250  # pixels of a crop

Group = tuple[str, dict[str, ImagesF32]]  # a title, and rows of images by their labels


def main(export: Path) -> None:
    """Make the images and draw them."""
    groups = [("Early GAN", _generate(export)), ("Final GAN", _generate(None)), ("Test images", _restore())]
    canvas = draw_groups(groups)
    photographs = _draw_photographs(canvas.width)
    whole = Image.new("RGB", (canvas.width, canvas.height + GROUP_GAP + photographs.height), "white")
    whole.paste(canvas, (0, 0))
    whole.paste(photographs, (0, canvas.height + GROUP_GAP))
    whole.save(FILE, quality=75, method=6)


def draw_groups(groups: list[Group]) -> Image.Image:
    """One grey image: a row below another, each group's title and each row's label at its left."""
    fonts = [ImageFont.truetype(FONTS / f"DejaVuSans{style}.ttf", FONT_SIZE) for style in ("-Bold", "")]
    side = SCALE * 28 + GAP
    height = sum(len(rows) * side for _, rows in groups) + (len(groups) - 1) * GROUP_GAP
    canvas = Image.new("L", (LABELS + COLUMNS * side - GAP, height - GAP), 255)
    draw, top = ImageDraw.Draw(canvas), 0
    for title, rows in groups:
        draw.text((8, top + 6), title, fill=0, font=fonts[0])
        for row, (label, images) in enumerate(rows.items()):
            draw.text((8, top + side * (1 if row else 1.4) // 2), label, fill=0, font=fonts[1], anchor="lm")
            for column, image in enumerate(to_uint8(images)):
                large = Image.fromarray(image.repeat(SCALE, 0).repeat(SCALE, 1))
                canvas.paste(large, (LABELS + column * side, top))
            top += side
        top += GROUP_GAP
    return canvas


def _draw_photographs(width: int) -> Image.Image:
    """Crops of held-out photographs, noisy above denoised."""
    fonts = [ImageFont.truetype(FONTS / f"DejaVuSans{style}.ttf", FONT_SIZE) for style in ("-Bold", "")]
    canvas = Image.new("RGB", (width, 2 * HEIGHT + GAP), "white")
    draw, photographs = ImageDraw.Draw(canvas), load_held_out_photographs()
    draw.text((8, 6), "Photographs", fill=0, font=fonts[0])
    for row, label in enumerate(("noisy", "denoised")):
        draw.text((8, row * (HEIGHT + GAP) + HEIGHT // 2), label, fill=0, font=fonts[1], anchor="lm")
    for column, (title, (left, top)) in enumerate(PHOTOGRAPHS.items()):
        clean = photographs[title].transpose(1, 2, 0)  # (H, W, 3)
        noise = 255 * SIGMA * np.random.default_rng(column).standard_normal(clean.shape)
        noisy = np.rint(clean + noise).clip(0, 255).astype(np.uint8)
        for row, image in enumerate((noisy, np.asarray(gan_denoise.denoise(noisy)))):
            crop = Image.fromarray(image[top : top + HEIGHT, left : left + WIDTH])
            canvas.paste(crop, (LABELS + column * (WIDTH + GAP), row * (HEIGHT + GAP)))
    return canvas


def _generate(export: Path | None) -> dict[str, ImagesF32]:
    image, denoised = runtime.load_graph(runtime.FUSED, export)(latents.latents(0, 0, COLUMNS))
    return {"raw": image, "denoised": denoised}


def _restore() -> dict[str, ImagesF32]:
    clean = to_float(sources.load_fashion_mnist().test.images[:COLUMNS])
    noisy = clean + np.float32(SIGMA) * np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    (restored,) = runtime.load_graph(runtime.DENOISER)(noisy)
    return {"noisy": noisy.clip(0, 1), "restored": restored.clip(0, 1)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
