"""Which data a model was trained on, as a run's fingerprint or a graph's metadata record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from gan_denoise.data.dataset_options import FASHION_MNIST, PHOTOS
from gan_denoise.data.fashion_mnist import DATA_SHA256
from gan_denoise.markdown import one_line

NAME, SHA256 = "dataset", "data_sha256"  # keys of a fingerprint, and of a graph's metadata
UNNAMED = "unnamed data"  # stands for a missing name in the metadata of a graph with several data sets
TITLES = {
    FASHION_MNIST: "Fashion-MNIST",
    "mnist": "MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "cifar10": "CIFAR-10",
    PHOTOS: "free photographs",
    "folder": "a folder of images",
    "npz": "an array file",
    "pairs": "pairs of noisy and clean images",
}
IMAGES_FILE = "images.json"  # beside exported graphs: which images, on this machine; see `data.dataset.DatasetOptions`
MAX_LETTERS = 80  # of a name or hash in a graph's metadata, which may come from anywhere


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Name and SHA-256 of a data set (see `data.dataset.Dataset`); None where they are not recorded."""

    name: str | None
    sha256: str | None

    def __str__(self) -> str:
        sha256 = f"SHA-256 {self.sha256[:12]}" if self.sha256 else "SHA-256 not recorded"
        return f"{self.name or UNNAMED} ({sha256})"


def from_fingerprint(fingerprint: Mapping[str, Any]) -> TrainingData:
    """The data of a stage. A fingerprint without a name is that of Fashion-MNIST, unless it has other classes.

    Runs of other data sets that were trained before names were recorded have other classes.
    """
    default = None if "classes" in fingerprint else FASHION_MNIST
    name, sha256 = fingerprint.get(NAME, default), fingerprint.get(SHA256)
    return TrainingData(name and one_line(name), sha256 and one_line(sha256))


def from_metadata(metadata: Mapping[str, str]) -> list[TrainingData]:
    """The data sets of a graph: one, or several if its stages were trained on different ones; [] if none is recorded.

    Earlier versions recorded the hash alone; that of Fashion-MNIST is known. The metadata are a claim of the file.
    """
    parts = zip_longest(*(metadata.get(key, "").split(",") for key in (NAME, SHA256)), fillvalue="")
    pairs = [[one_line(part)[:MAX_LETTERS] for part in pair] for pair in parts if any(pair)]
    return [TrainingData(_known_name(name, sha256), sha256 or None) for name, sha256 in pairs]


def to_metadata(fingerprints: tuple[Mapping[str, Any], ...]) -> dict[str, str]:
    """The metadata of a graph whose stages have these fingerprints: data that they share are recorded once."""
    data = list(dict.fromkeys(from_fingerprint(fingerprint) for fingerprint in fingerprints))
    metadata = {SHA256: ",".join(str(part.sha256) for part in data)}
    if any(part.name for part in data):
        metadata[NAME] = ",".join(part.name or UNNAMED for part in data)
    return metadata


def describe_names(metadata: Mapping[str, str]) -> dict[str, str]:
    """The key `dataset` of a command's --json output: the name of the model's data; empty where it is not known."""
    names = [data.name for data in from_metadata(metadata) if data.name]
    return {NAME: ", ".join(names)} if names else {}


def _known_name(name: str, sha256: str) -> str | None:
    if name in ("", UNNAMED):
        return FASHION_MNIST if sha256 == DATA_SHA256 else None
    return name
