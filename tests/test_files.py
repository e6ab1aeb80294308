"""Files are written whole or not at all; folders are locked by one process at a time."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_denoise.errors import LockedError, OutputError
from gan_denoise.files import atomic_path, check_overwrite, write_atomic
from gan_denoise.locks import exclusive_lock

HOLD = """
import sys
from pathlib import Path
from gan_denoise.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), sys.argv[2] or None):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o044  # readable by others, unlike files of mkstemp


def half_replace(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise ValueError("midway")


def test_an_error_midway_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomic(path, "old")
    with pytest.raises(ValueError, match="midway"):
        half_replace(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file/out"):
        write_atomic(tmp_path / "file" / "out", "x")


def test_an_existing_output_is_not_overwritten_without_force(tmp_path: Path) -> None:
    check_overwrite(tmp_path / "new", force=False)
    with pytest.raises(OutputError, match="exists, not overwritten"):
        check_overwrite(tmp_path, force=False)
    check_overwrite(tmp_path, force=True)


@contextlib.contextmanager
def held_by_another_process(folder: Path, lock_file: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(folder), lock_file]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            yield holder
        finally:
            holder.kill()


@pytest.mark.parametrize("lock_file", ["lock", None])
def test_a_locked_folder_is_refused_until_its_holder_is_killed(tmp_path: Path, lock_file: str | None) -> None:
    folder = tmp_path / "new/folder"
    with held_by_another_process(folder, lock_file or "") as holder:
        name = f"process {holder.pid}" if lock_file else "another process"
        with (
            pytest.raises(LockedError, match=rf"^{folder}: {name} is writing to it$"),
            exclusive_lock(folder, lock_file),
        ):
            pytest.fail("two processes hold the lock")
        holder.kill()
        holder.wait()
        with exclusive_lock(folder, lock_file):
            assert [file.read_text() for file in folder.iterdir()] == ([f"{os.getpid()}\n"] if lock_file else [])
    with exclusive_lock(folder, lock_file):  # released at the end of the block
        pass


def test_with_on_wait_the_lock_is_waited_for(tmp_path: Path) -> None:
    calls: list[str] = []
    with held_by_another_process(tmp_path, "lock") as holder:

        def release() -> None:
            calls.append("waiting")
            holder.kill()

        with exclusive_lock(tmp_path, "lock", on_wait=release):
            calls.append("locked")
    with exclusive_lock(tmp_path, "lock", on_wait=release):  # free: no waiting
        calls.append("locked")
    assert calls == ["waiting", "locked", "locked"]


def test_a_folder_that_cannot_be_locked_is_an_output_error_with_the_given_hint(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="file/out: Not a directory") as caught,
        exclusive_lock(tmp_path / "file/out", "lock", hint="choose another cache"),
    ):
        pytest.fail("a file is no folder")
    assert caught.value.hint == "choose another cache"
