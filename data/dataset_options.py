"""Which images: the options that select a data set, as a value that commands, runs and exports share. No numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from gan_denoise.errors import InputError
from gan_denoise.options import CENTRE, Crop, DatasetName

FASHION_MNIST = "fashion-mnist"  # the `name` of that data set
PHOTOS = "photos"  # likewise


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """Which images: what --dataset, --data, --size ... say. A run records them, so that `eval` finds its images again.

    `path`, `test` and `labels` are files or folders, None where the data set has its own places.
    """

    name: str = FASHION_MNIST
    path: Path | None = None
    size: int | None = None  # pixels a side
    channels: int | None = None
    crop: str = CENTRE
    flip: bool = False  # mirror training images at random
    test: Path | None = None
    labels: Path | None = None

    def arguments(self) -> list[str]:
        """The command-line options that select these images; those with default values are left out."""
        return [
            word
            for option, value in self.values().items()
            for word in ([option] if value is True else [option, str(value)])
        ]

    def moved(self, path: Path) -> DatasetOptions:
        """The same images at another place; test images and labels below the old one move with them."""

        def follow(file: Path | None) -> Path | None:
            is_inside = file is not None and self.path is not None and file.is_relative_to(self.path)
            return path / file.relative_to(self.path) if file and self.path and is_inside else file

        return replace(self, path=path, test=follow(self.test), labels=follow(self.labels))

    def values(self) -> dict[str, object]:
        """The command-line options and their values; those with default values are left out."""
        values = {option: getattr(self, field) for option, field in OPTION_FIELDS.items()}
        defaults = DatasetOptions()
        return {option: value for option, value in values.items() if value != getattr(defaults, OPTION_FIELDS[option])}

    def to_json(self) -> dict[str, Any]:
        """The options with values other than the defaults, paths as absolute text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {name: value for name, value in values.items() if value != getattr(DatasetOptions(), name)}
        return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DatasetOptions:
        """The options of `to_json`. Raises InputError for anything else: the values may be from anywhere."""
        for name, value in values.items():
            if not _is_valid(name, value):
                raise InputError.expected(
                    "images", "the options of a data set", f"{str(name)[:40]} {str(value)[:40]!r}"
                )
        paths = {name: Path(value) for name, value in values.items() if name in PATHS}
        return cls(**{**values, **paths})


PATHS = ("path", "test", "labels")


def _is_valid(name: str, value: object) -> bool:
    """Whether a recorded option has a value that it could have on the command line."""
    if name in PATHS:
        return isinstance(value, str) and "\0" not in value
    if name in ("size", "channels"):
        return type(value) is int and value > 0
    known = {"name": [*DatasetName], "crop": [*Crop], "flip": [True, False]}.get(name, [])
    return isinstance(value, str | bool) and value in known


OPTION_FIELDS = {
    "--dataset": "name",
    "--data": "path",
    "--size": "size",
    "--channels": "channels",
    "--crop": "crop",
    "--flip": "flip",
    "--test": "test",
    "--labels": "labels",
}
