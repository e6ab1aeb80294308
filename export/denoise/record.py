"""The record of what `denoise` wrote to a folder, by which a repeated call writes only what is missing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from gan_denoise.errors import InputError, OutputError
from gan_denoise.files import OUT_HINT, atomic_path, check_overwrite

NAME = ".gan-denoise.jsonl"  # hidden: viewers of images and `ls` do not show it


class Record:
    """One line for each file written to the folder `out`: its hash, its source's size and time, model and strength.

    A line that was cut off when the disk was full or the process was killed counts as none.
    """

    def __init__(self, out: Path, strength: float) -> None:
        self._out, self._strength = out, strength
        self._entries: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError):
            for line in (out / NAME).read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    self._entries[entry["output"]] = entry

    def is_done(self, target: Path, models: Collection[str], source: dict[str, Any]) -> bool:
        """Whether `target` exists as it was written, from the same source (see `source_facts`) with these settings.

        `models` are the hashes of those that this call may use for it.
        """
        entry = self._entries.get(self._key(target))
        if entry is None or self._difference(entry, models, source):
            return False
        try:
            with target.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == entry.get("sha256")
        except OSError:
            return False

    def check_writable(self, target: Path, models: Collection[str], source: dict[str, Any], force: bool) -> None:
        """Raise OutputError as `check_overwrite` does; it says what differs if an earlier call wrote `target`."""
        try:
            check_overwrite(target, force)
        except OutputError as error:
            entry = self._entries.get(self._key(target))
            if entry is None or not target.is_file():
                raise
            how = f"was made with another {self._difference(entry, models, source) or 'content'}"
            raise OutputError(f"{target}: exists and {how}, not overwritten", f"{error.hint}; or {OUT_HINT}") from error

    @contextlib.contextmanager
    def writing(
        self, target: Path, model: str, source: dict[str, Any], force: bool = False, provider: str = "cpu"
    ) -> Iterator[IO[bytes]]:
        """A file that becomes `target` atomically at the end of the block, and its line in the record.

        The line is written first: if the process ends in between, the hash shows that `target` is not that file. It
        names the `provider`, which is no reason to write a file again.
        Raises OutputError when writing fails, and without `force` if another call wrote another `target` meanwhile.
        """
        with atomic_path(target) as temporary:
            with temporary.open("w+b") as file:
                yield file
            with temporary.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            entry = {
                "output": self._key(target),
                "sha256": sha256,
                "model": model,
                "strength": self._strength,
                "provider": provider,
                **source,
            }
            if not force and target.exists():  # it did not when this call started
                meanwhile = Record(self._out, self._strength)
                if not meanwhile.is_done(target, {model}, source):
                    meanwhile.check_writable(target, {model}, source, force)
            with (self._out / NAME).open("a", encoding="utf-8") as lines:
                lines.write(f"\n{json.dumps(entry)}\n")  # the line before may have been cut off

    def _difference(self, entry: dict[str, Any], models: Collection[str], source: dict[str, Any]) -> str:
        """The first setting in which an entry differs from this call; empty if none does."""
        if entry.get("model") not in models:
            return "model"
        if entry.get("strength") != self._strength:
            return "strength"
        return "" if all(entry.get(key) == value for key, value in source.items()) else "source"

    def _key(self, target: Path) -> str:
        return target.relative_to(self._out).as_posix()


def source_facts(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """What tells that a source is the same as in an earlier call: its path, size and time of change, or its hash.

    Raises InputError if the file is gone.
    """
    if content is not None:
        return {"source": "-", "source_sha256": hashlib.sha256(content).hexdigest()}
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: unreadable ({error.strerror})") from error
    return {"source": os.path.realpath(path), "source_size": state.st_size, "source_time": state.st_mtime_ns}
