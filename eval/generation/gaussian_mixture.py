"""Images from a Gaussian mixture on principal components: a simple generative baseline."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesU8, to_float
from gan_denoise.errors import InputError, missing_extra

Matrix = NDArray[np.float64]

COMPONENTS, WIDTH, STEPS = 100, 200, 3  # the best of those tried that take at most a minute on one core
MIN_FITTED = max(COMPONENTS, WIDTH)  # images
FITTED = 20_000  # images that the three were tuned with
VARIANCE_FLOOR = 1e-4  # added to the variances, in squared units of pixels in [0, 1]


@dataclass(frozen=True, slots=True)
class Mixture:
    """K Gaussians on the first D principal components of images with P values in [0, 1], float64."""

    weights: Matrix  # (K,)
    means: Matrix  # (K, D)
    factors: Matrix  # (K, D, D): a covariance is its factor times the factor's transpose
    centre: Matrix  # (P,)
    directions: Matrix  # (D, P), orthonormal
    shape: tuple[int, ...]  # (H, W) or (3, H, W)


def fit(
    images: ImagesU8, components: int = COMPONENTS, width: int = WIDTH, seed: int = 0, steps: int = STEPS
) -> Mixture:
    """Fit `components` Gaussians with full covariances on `width` principal components of images uint8.

    scikit-learn's EM (Dempster et al. 1977), initialized by k-means with `seed`, at most `steps` steps. Raises
    InputError for fewer images than `components` or `width`, and when scikit-learn is not installed.
    """
    minimum = max(components, width)
    if min(len(images), images[0].size) < minimum:
        got = f"{len(images)} images of {images[0].size} pixels"
        raise InputError.expected("images", f"at least {minimum} images of at least {minimum} pixels", got)
    try:
        from sklearn.decomposition import PCA
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
    except ModuleNotFoundError as error:
        raise missing_extra("scikit-learn", "compare") from error
    pixels = to_float(images).reshape(len(images), -1).astype(np.float64)
    axes = PCA(width, svd_solver="covariance_eigh").fit(pixels)
    mixture = GaussianMixture(components, max_iter=steps, tol=0, reg_covar=VARIANCE_FLOOR, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `steps` ends the iteration
        mixture.fit(axes.transform(pixels))
    factors = np.linalg.cholesky(mixture.covariances_)
    return Mixture(mixture.weights_, mixture.means_, factors, axes.mean_, axes.components_, images.shape[1:])


def sample(mixture: Mixture, n: int, seed: int) -> ImagesU8:
    """n images, uint8, of the mixture, in random order, clipped and rounded; determined by `seed`."""
    random = np.random.default_rng(seed)
    components = random.choice(len(mixture.weights), n, p=mixture.weights)
    normal = random.standard_normal((n, mixture.means.shape[1]))
    coordinates = mixture.means[components]  # (n, D)
    for component in np.unique(components):
        rows = components == component
        coordinates[rows] += normal[rows] @ mixture.factors[component].T
    pixels = (mixture.centre + coordinates @ mixture.directions).clip(0, 1)  # (n, H * W)
    levels: ImagesU8 = np.rint(255 * pixels).astype(np.uint8)
    return levels.reshape(n, *mixture.shape)
