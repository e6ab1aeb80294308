"""The layout of z: free entries first, then one entry per class, of which the largest chooses the class. No torch."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar


class _Matrix(Protocol):
    """What numpy arrays and torch tensors have in common here."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


Z = TypeVar("Z", bound=_Matrix)


def split_z(z: Z, classes: int) -> tuple[Z, Z]:
    """The free entries (N, size - classes) and the class entries (N, classes) of z (N, size), as views.

    Works for numpy arrays and torch tensors. `classes` 0 means that z chooses no class: all entries are free.
    """
    border = -classes or z.shape[1]  # counted from the end, so that an exported graph slices by a constant
    return z[:, :border], z[:, border:]


def chosen_class(z: Any, classes: int) -> Any:
    """The class that each row of z (N, size) chooses, (N,): an integer array for an array, int64 for a tensor."""
    return split_z(z, classes)[1].argmax(1)
