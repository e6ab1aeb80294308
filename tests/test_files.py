"""Files appear whole or not at all."""

import stat
from pathlib import Path

import pytest

from gan_denoise.errors import OutputError
from gan_denoise.files import atomic_path, check_overwrite, write_atomic


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o044  # others may read it, unlike mkstemp's


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


def test_an_output_in_the_way_is_kept_unless_forced(tmp_path: Path) -> None:
    check_overwrite(tmp_path / "new", force=False)
    with pytest.raises(OutputError, match="exists, kept as it is"):
        check_overwrite(tmp_path, force=False)
    check_overwrite(tmp_path, force=True)
