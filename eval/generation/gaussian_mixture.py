"""Images from a Gaussian mixture on principal components: what a generator has to beat."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ImagesU8, to_float
from gan_denoise.errors import InputError, missing_extra

Matrix = NDArray[np.float64]

COMPONENTS, WIDTH, STEPS = 100, 200, 3  # the best of those tried that fit in a minute on one core
FITTED = 20_000  # images that they were chosen with
FLOOR = 1e-4  # added to the variances, in squared units of pixels from 0 to 1


@dataclass(frozen=True, slots=True)
class Mixture:
    """K Gaussians on the first D principal components of images with H x W pixels from 0 to 1, float64."""

    weights: Matrix  # (K,)
    means: Matrix  # (K, D)
    factors: Matrix  # (K, D, D): a covariance is its factor times the factor's transpose
    centre: Matrix  # (H * W,)
    directions: Matrix  # (D, H * W), orthonormal
    shape: tuple[int, int]  # (H, W)


def fit(
    images: ImagesU8, components: int = COMPONENTS, width: int = WIDTH, seed: int = 0, steps: int = STEPS
) -> Mixture:
    """`components` Gaussians with covariances of their own on `width` principal components of images (N, H, W) uint8.

    scikit-learn's EM (Dempster et al. 1977) from k-means, at most `steps` steps; `seed` is that of k-means. Raises
    InputError when there are fewer images than `components` or `width`, and when scikit-learn is not installed.
    """
    if min(len(images), images[0].size) < max(components, width):
        raise InputError(f"images: {len(images)} found, {max(components, width)} or more wanted")
    try:
        from sklearn.decomposition import PCA
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
    except ModuleNotFoundError as error:
        raise missing_extra("scikit-learn", "compare") from error
    pixels = to_float(images).reshape(len(images), -1).astype(np.float64)
    axes = PCA(width, svd_solver="covariance_eigh").fit(pixels)
    mixture = GaussianMixture(components, max_iter=steps, tol=0, reg_covar=FLOOR, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `steps` says when to stop
        mixture.fit(axes.transform(pixels))
    factors = np.linalg.cholesky(mixture.covariances_)
    return Mixture(mixture.weights_, mixture.means_, factors, axes.mean_, axes.components_, images.shape[1:])


def sample(mixture: Mixture, n: int, seed: int) -> ImagesU8:
    """n images (n, H, W) uint8 of the mixture, in no order, clipped and rounded; the same for the same `seed`."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(mixture.weights), n, p=mixture.weights)
    normal = random.standard_normal((n, mixture.means.shape[1]))
    coordinates = mixture.means[chosen]  # (n, D)
    for component in np.unique(chosen):
        here = chosen == component
        coordinates[here] += normal[here] @ mixture.factors[component].T
    pixels = (mixture.centre + coordinates @ mixture.directions).clip(0, 1)  # (n, H * W)
    levels: ImagesU8 = np.rint(255 * pixels).astype(np.uint8)
    return levels.reshape(n, *mixture.shape)
