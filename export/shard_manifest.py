"""What a folder of shards holds, the hash of each shard, and which process makes which shard now."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gan_denoise.errors import OutputError
from gan_denoise.files import write_atomic
from gan_denoise.locks import has_locks, try_lock_bytes, unlock_bytes

DESCRIPTION = "shards.json"
LOG = re.compile(r"shards-[0-9a-f]{8}\.jsonl")

Facts = dict[str, Any]


class Manifest:
    """`shards.json` in the folder `out`, and the logs beside it until all shards are there.

    shards.json holds `description`, which says what the images are, `made_with`, by which equal numbers are equal bits,
    and at the end the hash of each file. Until then each process appends the hashes of its files to a log of its own,
    since one file that several machines append to loses lines on NFS.

    A process makes a shard while it holds the lock on a byte of shards.json: the lock ends with its process, so a shard
    of one that was killed is free at once. Where locks do not work, two processes may make the same shard; both write
    the same bytes and rename them into place, so only time is lost. Reading shards.json gives up this process's claim,
    see `locks.try_lock_bytes`, so nothing does so while it holds one.
    """

    def __init__(self, out: Path, description: Facts, made_with: Facts) -> None:
        self.out, self.description, self.made_with = out, description, made_with
        self._log = out / f"shards-{secrets.token_hex(4)}.jsonl"
        self._handle: int | None = None

    def read(self) -> Facts | None:
        """What shards.json holds; None if it is missing or damaged."""
        try:
            content = json.loads((self.out / DESCRIPTION).read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(content, dict):
            return None
        # Earlier versions wrote arrays alone, on the CPU alone, and named neither.
        if isinstance(content.get("made_with"), dict):
            content["made_with"] = {"provider": "cpu"} | content["made_with"]
        return {"file_format": "npz"} | content

    def describes(self, content: Facts | None) -> bool:
        """Whether shards.json with this content is one of the same images."""
        return content is not None and content | self.description == content

    def write(self, files: Facts, made_with: Facts) -> None:
        """Write shards.json with the facts about each file; `made_with` holds for those that have none of their own."""
        content = self.description | {"made_with": made_with, "files": files}
        write_atomic(self.out / DESCRIPTION, json.dumps(content, indent=1) + "\n")

    def record(self, name: str, sha256: str) -> None:
        """Note the hash of a file. The caller moves it into place afterwards, so no whole file is without a hash."""
        line = json.dumps({"file": name, "sha256": sha256, "made_with": self.made_with})
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def entries(self) -> dict[str, dict[str, Any]]:
        """The known hashes of each file, and what the file with this hash was made with.

        There are several where different machines made a file again. A line that was cut off counts as none.
        """
        entries: dict[str, dict[str, Any]] = {}
        for log in self.logs():
            with contextlib.suppress(OSError):  # finished meanwhile: shards.json, which is read after it, has its lines
                for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        entry = json.loads(line)
                        entries.setdefault(entry["file"], {})[entry["sha256"]] = entry["made_with"]
        content = self.read() or {}
        for name, facts in content.get("files", {}).items():
            entries.setdefault(name, {})[facts["sha256"]] = facts.get("made_with", content.get("made_with"))
        return entries

    def logs(self) -> list[Path]:
        """The logs of all processes that wrote here since the folder was last complete."""
        return [path for path in self.out.iterdir() if LOG.fullmatch(path.name)]

    def finish(self, names: Sequence[str]) -> bool:
        """Move the hashes to shards.json if all files `names` are there; returns whether they are."""
        there, files = set(os.listdir(self.out)), {}
        if not there.issuperset(names):
            return False
        content, entries = self.read() or {}, self.entries()
        common = content.get("made_with", self.made_with)
        for name in names:
            known = entries.get(name, {})
            sha256 = next(iter(known)) if len(known) == 1 else file_sha256(self.out / name)
            if sha256 not in known:
                return False
            other = {} if known[sha256] == common else {"made_with": known[sha256]}
            files[name] = {"sha256": sha256, **other}
        logs = self.logs()
        if logs or content.get("files") != files:
            self.write(files, common)
        for log in logs:
            log.unlink(missing_ok=True)
        return True

    @contextlib.contextmanager
    def claim(self, number: int, wait: bool = False) -> Iterator[bool]:
        """Whether this process may make shard `number` during the block: no other process makes it now.

        With `wait` it first waits until the other one has made it or ended. Raises OutputError if another process
        started the folder from scratch with other images.
        """
        handle = self._open()
        locked = None if handle is None else try_lock_bytes(handle, number, wait=wait)
        try:
            yield locked is not False
        finally:
            if handle is not None and locked:
                unlock_bytes(handle, number)

    def is_in_use(self) -> bool:
        """Whether another process makes a shard now."""
        with contextlib.suppress(FileNotFoundError), (self.out / DESCRIPTION).open("r+b") as file:
            return try_lock_bytes(file.fileno(), 0, count=0) is False
        return False

    def close(self) -> None:
        """Give up all claims."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int | None:
        """A handle of shards.json as it is now, in place of that of a file that was replaced; None without locks."""
        path = self.out / DESCRIPTION
        try:
            if self._handle is not None and os.path.samestat(os.fstat(self._handle), path.stat()):
                return self._handle
            self.close()
            if not self.describes(self.read()):
                raise OutputError(f"{self.out}: another process replaced its contents", "choose another --out")
            self._handle = os.open(path, os.O_RDWR) if has_locks() else None
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}", "choose another --out") from error
        return self._handle


def check_made_with(out: Path, theirs: Facts, ours: Facts, where: str = "") -> None:
    """Raise OutputError if files made with the facts `ours` would differ from those in `out`, made with `theirs`.

    `where` says in the message which machine `ours` are of.
    """
    for name in ours:
        if ours[name] != theirs.get(name):
            allow = "--other-machine adds to it all the same; pixels then differ by up to 1 of 255"
            hint = f"--{name} {theirs.get(name)}; {allow}" if name in ("threads", "batch", "provider") else allow
            raise OutputError.expected(
                f"{out}: {name}", f"{theirs.get(name)}, as for its other files", f"{ours[name]}{where}", hint
            )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
