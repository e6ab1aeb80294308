"""What can go wrong for a user: one line, one hint, one exit code."""

from __future__ import annotations

from typing import Self


class GanDenoiseError(Exception):
    """A mistake that a user can mend. `message` says what was found and wanted, `hint` what mends it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    @classmethod
    def expected(cls, what: object, expected: object, got: object, hint: str = "") -> Self:
        """The error `WHAT: expected EXPECTED, got GOT`; `what` names the file, option or argument."""
        return cls(f"{what}: expected {expected}, got {got}", hint)


class UsageError(GanDenoiseError):
    """An option has a value that makes no sense."""

    exit_code = 2


class InputError(GanDenoiseError):
    """A file, model or data set is not what was wanted, or an extra is not installed."""

    exit_code = 3


class OutputError(GanDenoiseError):
    """Writing failed, or something stands in the way of the output."""

    exit_code = 4


class DivergedError(GanDenoiseError):
    """A loss, gradient or weight is not finite."""

    exit_code = 5


class LockedError(GanDenoiseError):
    """Another process is writing to the same run."""

    exit_code = 6


class GateError(GanDenoiseError):
    """A check that guards a published artefact failed."""

    exit_code = 7


class Interrupted(GanDenoiseError):
    """A signal asked the process to stop; its work is saved. The exit code is 128 + the signal's number."""

    def __init__(self, message: str, hint: str, signal_number: int) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number


def missing_extra(package: str, extra: str) -> InputError:
    """The error for a command that needs `package`, which the extra `extra` brings."""
    return InputError(f"{package}: not installed", f'pip install "gan-denoise[{extra}]"')
