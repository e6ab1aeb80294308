"""Which images: the options that select a data set, as a value that commands, runs and exports share. No numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gan_denoise.errors import InputError
from gan_denoise.options import CENTRE

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
        """The options of `to_json`. Raises InputError for anything else."""
        known = {field.name for field in fields(cls)}
        if not values.keys() <= known:
            raise InputError.expected("images", f"the fields {', '.join(sorted(known))}", ", ".join(values))
        paths = {name: Path(value) for name, value in values.items() if name in ("path", "test", "labels")}
        return cls(**{**values, **paths})


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
