"""Errors that a user can fix: one line, one hint, one exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Self

MAX_MESSAGE = 2000  # characters of another program's message: a model can hold names of any length


class GanDenoiseError(Exception):
    """An error that a user can fix.

    `message` says what was expected and what was got; `hint`, which may be empty, says how to fix it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    @classmethod
    def expected(cls, what: object, expected: object, got: object, hint: str = "") -> Self:
        """The error `WHAT: expected EXPECTED, got GOT`; `what` names the file, option or argument."""
        return cls(f"{what}: expected {expected}, got {got}", hint)


class UsageError(GanDenoiseError):
    """An option or argument has an invalid value."""

    exit_code = 2


class InputError(GanDenoiseError):
    """A file, model or data set is invalid, or an extra is not installed."""

    exit_code = 3


class OutputError(GanDenoiseError):
    """Writing failed, or the output already exists."""

    exit_code = 4


class DivergedError(GanDenoiseError):
    """A loss, gradient or weight is not finite."""

    exit_code = 5


class LockedError(GanDenoiseError):
    """Another process is writing to the same folder."""

    exit_code = 6


class GateError(GanDenoiseError):
    """A check that protects a published artefact failed."""

    exit_code = 7


class Interrupted(GanDenoiseError):
    """A signal stopped the process after it saved its work. The exit code is 128 + the signal's number."""

    def __init__(self, message: str, hint: str, signal_number: int) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number


def one_line(error: object) -> str:
    """The whole message of another program on one line, without control characters; its middle is cut from a long one.

    An onnxruntime error starts with its source file and ends with the reason, so both ends matter.
    """
    text = " ".join("".join(char if char.isprintable() else " " for char in str(error)).split())
    text = text or f"{type(error).__name__} without a message"
    half = MAX_MESSAGE // 2
    return text if len(text) <= MAX_MESSAGE else f"{text[:half]} [...] {text[-half:]}"


@contextlib.contextmanager
def importing(package: str, extra: str, module: str = "") -> Iterator[None]:
    """Raises the error of `missing_extra` if the block cannot import `package` because it is not installed.

    `module` is the name to import, where it differs. A package that is installed and broken raises what it raises.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != (module or package):
            raise
        raise missing_extra(package, extra) from error


def missing_extra(package: str, extra: str) -> InputError:
    """The error for a command that needs `package`, which the extra `extra` installs."""
    return InputError(f"{package}: not installed", f'pip install "gan-denoise[{extra}]"')
