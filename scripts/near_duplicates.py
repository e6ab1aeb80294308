"""Find images of one folder that are in another, whole or cropped, scaled, mirrored or turned.

    python scripts/near_duplicates.py ~/.cache/gan-denoise/photographs ../shared/photos

Matches SIFT features (Lowe 2004) of small versions of the images, and counts those that one shift, scale and rotation
explains (RANSAC). Prints the pairs with the most; exits with 1 if one has LIMIT or more: look at these. The other
folder is mirrored as well, since features are not the same then. Images without features, such as skies, are not found.
Takes some seconds for ten images and as many minutes for ten thousand pairs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from skimage.feature import SIFT, match_descriptors
from skimage.measure import ransac
from skimage.transform import SimilarityTransform

from gan_denoise.data.image_files import Skipped, walk_image_folders
from gan_denoise.data.open_image import open_image

SIDE = 400  # pixels of the longer side
RATIO = 0.8  # of the distances to the nearest and the second-nearest feature, as Lowe has it
TOLERANCE = 3.0  # pixels
LIMIT = 8  # features; fewer may match by chance
SHOWN = 12  # pairs


@dataclass(frozen=True, slots=True)
class Features:
    """Positions (N, 2) and descriptors (N, 128) of the features of an image."""

    path: Path
    positions: NDArray[np.float64]
    descriptors: NDArray[np.uint8]


def main(folders: list[str]) -> int:
    """Compare the images of the two folders; print the most similar pairs; return the exit code."""
    ours = _read_folder(Path(folders[0]), mirrored=False)
    others = _read_folder(Path(folders[1]), mirrored=False) + _read_folder(Path(folders[1]), mirrored=True)
    pairs = [(count_common(image, other), image.path, other.path) for image in ours for other in others]
    pairs.sort(key=lambda pair: -pair[0])
    print(f"{len(ours)} and {len(others) // 2} images; features in common:")
    print("\n".join(f"{common}  {path}  {other}" for common, path, other in pairs[:SHOWN]))
    return int(pairs[0][0] >= LIMIT)


def count_common(first: Features, second: Features) -> int:
    """The number of features that match, at places that one similarity transform takes to each other.

    Below LIMIT it is an upper bound.
    """
    if min(len(first.positions), len(second.positions)) < 2:
        return 0
    matches = match_descriptors(first.descriptors, second.descriptors, max_ratio=RATIO, cross_check=True)
    if len(matches) < LIMIT:
        return len(matches)
    places = first.positions[matches[:, 0]], second.positions[matches[:, 1]]
    _, inliers = ransac(places, SimilarityTransform, 2, TOLERANCE, max_trials=500, rng=0)
    return 0 if inliers is None else int(inliers.sum())


def read_features(path: Path, mirrored: bool = False) -> Features:
    """The features of an image file, or of its mirror image."""
    image = open_image(path, 1)
    scale = SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize(size, Image.Resampling.LANCZOS)
    sift = SIFT(upsampling=1)
    try:
        sift.detect_and_extract(np.asarray(ImageOps.mirror(small) if mirrored else small))
    except RuntimeError:  # none
        return Features(path, np.empty((0, 2)), np.empty((0, 128), np.uint8))
    return Features(path, np.asarray(sift.positions), np.asarray(sift.descriptors))


def _read_folder(folder: Path, mirrored: bool) -> list[Features]:
    return [read_features(path, mirrored) for _, paths in walk_image_folders(folder, Skipped()) for path in paths]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
