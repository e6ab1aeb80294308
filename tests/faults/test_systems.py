"""File systems, users, terminals and operating systems that lack something."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import pytest
from command_helpers import COLD, RunningCommand, run_command, start_command
from PIL import Image

from gan_denoise import console, files, locks, paths
from gan_denoise.errors import LockedError, OutputError, UsageError
from gan_denoise.export import writers
from gan_denoise.export.runtime import SHIPPED
from gan_denoise.files import atomic_path, check_empty, link_target, move_file, staging_dir, write_atomic
from gan_denoise.locks import exclusive_lock
from gan_denoise.study.run.log import RunLog, read_log

GENERATE = ["generate", "-n", "2", "--out"]
NO_LOCKS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning was printed and no folder swept by an earlier test."""
    monkeypatch.setattr(console, "_warned", set())
    monkeypatch.setattr(files, "_swept", set())
    paths._temporary_cache.cache_clear()


def failing(number: int, only: Callable[[int], bool] = lambda handle: True) -> Callable[..., None]:
    def call(handle: int, *arguments: object) -> None:
        if only(handle):
            raise OSError(number, os.strerror(number))

    return call


def is_folder(handle: int) -> bool:
    return stat.S_ISDIR(os.fstat(handle).st_mode)


# --- standard streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.row(43)
def test_closed_streams_do_not_stop_a_command_or_end_up_in_its_output(tmp_path: Path, closed: str) -> None:
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *COLD, *GENERATE, "grid.png"], cwd=tmp_path, timeout=60)
    assert done.returncode == 0
    with Image.open(tmp_path / "grid.png") as image:
        image.load()
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.row(43)
def test_an_error_keeps_its_exit_code_without_streams(tmp_path: Path) -> None:
    command = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *COLD, *GENERATE, "grid.jpg"]
    assert subprocess.run(command, cwd=tmp_path, timeout=60).returncode == 2


@pytest.mark.row(43)
def test_without_stderr_there_is_no_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert not console.shows_progress()
    assert list(console.tracked("work")([1, 2])) == [1, 2]


# --- file systems -------------------------------------------------------------------------------


@pytest.mark.parametrize("lock_file", ["lock", None])
@pytest.mark.parametrize("number", NO_LOCKS)
@pytest.mark.row(44)
def test_without_locks_work_continues_with_one_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    lock_file: str | None,
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").write_text("1\n")  # of another process, which may have ended long ago
        with exclusive_lock(tmp_path / name, lock_file):
            pass
    assert capsys.readouterr().err == (
        f"warning: {tmp_path / 'one'}: this file system has no locks; run one command per folder at a time\n"
    )


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.EAGAIN, LockedError), (errno.EACCES, LockedError), (errno.EIO, OutputError), (errno.EPERM, OutputError)],
)
@pytest.mark.row(44)
def test_a_lock_that_is_held_or_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with pytest.raises(error) as caught, exclusive_lock(tmp_path, "lock"):
        pytest.fail("locked")
    assert type(caught.value) is error


@pytest.mark.row(44)
def test_without_locks_no_temporary_file_counts_as_a_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    with atomic_path(tmp_path / "file") as temporary:
        files.remove_leftovers(tmp_path)
        temporary.write_text("whole")
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.parametrize("number", sorted(locks.UNSUPPORTED))
@pytest.mark.row(45)
def test_a_file_system_without_fsync_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    write_atomic(tmp_path / "file", "whole")
    RunLog(tmp_path / "log").append(step=1)
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("only", [is_folder, lambda handle: not is_folder(handle)], ids=["folder", "file"])
@pytest.mark.row(45)
def test_an_fsync_that_fails_is_exit_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, only: Callable[[int], bool]
) -> None:
    monkeypatch.setattr(os, "fsync", failing(number, only))
    with pytest.raises(OutputError, match=os.strerror(number)):
        write_atomic(tmp_path / "file", "whole")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.row(45)
def test_a_folder_that_cannot_be_listed_is_written_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o333)
    as_nobody(tmp_path, lambda: write_atomic(Path("file"), "x"))
    assert capfd.readouterr().err == ""
    assert (tmp_path / "file").read_text() == "x"


def as_nobody(folder: Path, call: Callable[[], object]) -> None:
    """Run `call` in `folder`, in a fork that belongs to another user if this process may change its own."""
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child starts none
        child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            os.chdir(folder)
            if os.getuid() == 0:
                os.setgroups([])
                os.setuid(65534)
            call()
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.row(44, 45, 46)
def test_generate_on_a_file_system_without_locks_fsync_and_modes(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace: not installed")
    (tmp_path / "grid.png").write_bytes(b"")
    (tmp_path / "grid.png").chmod(0o664)
    faults = ("flock:error=ENOLCK", "fsync:error=EINVAL", "chmod,fchmod,fchmodat:error=EPERM")
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock,fsync,chmod,fchmod,fchmodat"]
    inject = [word for fault in faults for word in ("-e", f"inject={fault}")]
    command = [*strace, *inject, *COLD, *GENERATE, "grid.png", "--force", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]
    assert (tmp_path / "grid.png").stat().st_size > 0


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.row(46)
def test_a_pipe_or_device_as_output_is_refused_with_a_hint_that_works(tmp_path: Path, kind: str) -> None:
    path = Path(os.devnull)
    if kind == "pipe":
        path = tmp_path / "pipe.png"
        os.mkfifo(path)
    for force in (False, True):
        with pytest.raises(OutputError, match="expected a regular file or folder, got a pipe or device") as caught:
            files.check_overwrite(path, force)
        assert caught.value.hint == files.OUT_HINT


@pytest.mark.row(37)
def test_a_name_that_is_not_ascii_is_written_in_a_locale_without_utf8(tmp_path: Path) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "ünï.png")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*COLD, "denoise", "ünï.png", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **locale}, capture_output=True, timeout=60)
    names = [name for name in os.listdir(tmp_path / "out") if not name.startswith(".")]
    assert (done.returncode, names) == (0, ["ünï.png"])


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
@pytest.mark.row(46)
def test_a_replaced_file_keeps_its_mode_and_is_never_more_open(tmp_path: Path, mode: int) -> None:
    path, before = tmp_path / "file", os.umask(0o022)
    try:
        path.touch()
        path.chmod(mode)
        with atomic_path(path) as temporary:
            assert stat.S_IMODE(temporary.stat().st_mode) & 0o077 & ~mode == 0
            temporary.write_text("new")
        assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, "new")
        (tmp_path / "moved").write_text("moved")
        move_file(tmp_path / "moved", path)
        assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, "moved")
        write_atomic(tmp_path / "another", "")
        assert stat.S_IMODE((tmp_path / "another").stat().st_mode) == 0o644
    finally:
        os.umask(before)


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("write", ["atomic", "move"])
@pytest.mark.row(46)
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, exists: bool, write: str) -> None:
    link, target = tmp_path / "link", tmp_path / "elsewhere/deeper/file"
    if exists:
        write_atomic(target, "old")
    (tmp_path / "second").symlink_to("elsewhere/deeper/file")
    link.symlink_to("second")
    if write == "atomic":
        write_atomic(link, "new")
    else:
        (tmp_path / "source").write_text("new")
        move_file(tmp_path / "source", link)
    assert link.readlink() == Path("second")
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.row(46)
def test_a_circle_of_links_and_a_device_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OutputError, match="one: Too many levels"):
        write_atomic(tmp_path / "one", "x")
    assert link_target(tmp_path / "new") == tmp_path / "new"
    for name in ("/dev/null", tmp_path):
        with pytest.raises(OutputError, match="expected a regular file, got a folder or device"):
            write_atomic(Path(name), "x")


@pytest.mark.row(46)
def test_an_output_folder_may_be_a_link_to_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("disk/images")
    run_command(*GENERATE, tmp_path / "out", check=True)
    assert (tmp_path / "out").is_symlink()
    assert sorted(path.name for path in (tmp_path / "disk/images").iterdir()) == ["denoised", "image"]
    (tmp_path / "disk/images/image").chmod(0o700)
    run_command(*GENERATE, tmp_path / "out", "--force", check=True)
    assert stat.S_IMODE((tmp_path / "disk/images/image").stat().st_mode) == 0o700


# --- home and cache -----------------------------------------------------------------------------


@pytest.mark.parametrize("home", [None, "", "/nonexistent", "file", "readonly"])
@pytest.mark.row(47)
def test_without_a_home_folder_the_cache_is_temporary_and_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    (tmp_path / "file").touch()
    for name in ("GAN_DENOISE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is None:
        monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as with a user who is in no database
    else:
        monkeypatch.setenv(
            "HOME", "/proc/1" if home == "readonly" else str(tmp_path / home) if home == "file" else home
        )
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = paths.cache_base()
    assert folder == tmp_path / f"gan-denoise-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert paths.cache_base() == folder
    assert capsys.readouterr().err == (
        f"warning: {folder}: temporary cache, since there is no usable home folder; set GAN_DENOISE_CACHE=DIR\n"
    )


@pytest.mark.row(47)
def test_a_temporary_cache_that_others_can_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOME": "/nonexistent", "XDG_CACHE_HOME": "", "GAN_DENOISE_CACHE": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"gan-denoise-{os.getuid()}").mkdir()
    (tmp_path / f"gan-denoise-{os.getuid()}").chmod(0o777)
    assert stat.S_IMODE(paths.cache_base().stat().st_mode) == 0o700


@pytest.mark.row(47)
def test_a_tilde_is_expanded_wherever_a_path_is_given(tmp_path: Path) -> None:
    home, cwd = tmp_path / "home", tmp_path / "cwd"
    home.mkdir()
    cwd.mkdir()
    environment = {**os.environ, "HOME": str(home), "GAN_DENOISE_CACHE": "~/cache"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(*arguments, cwd=cwd, environment=environment, check=True)

    run("generate", "-n", "2", "--out=~/images")
    run("denoise", "~/images/image/000000.png", "--out", "~/clean")
    shutil.copy(SHIPPED / "fused.onnx", home / "model.onnx")
    run("generate", "-n", "2", "--model=~/model.onnx", "--out", "~/grid.png")
    assert {path.name for path in home.iterdir()} >= {"images", "clean", "grid.png"}
    assert list(cwd.iterdir()) == []


@pytest.mark.row(47)
def test_a_tilde_that_cannot_be_resolved_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "")
    for text in ("~", "~/x", "~nobody-of-this-name/x"):
        with pytest.raises(UsageError, match="the home folder is not known"):
            paths.expand_home(text)
    with pytest.raises(UsageError, match=r"^--out: expected a path, got ~/x"):
        paths.expand_argument("--out=~/x")
    for text in ("~$letter.png", "./~/x", "a~/x", "--out=x~", "-n", ""):
        assert paths.expand_argument(text) == text


@pytest.mark.row(48)
def test_a_cache_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / ".cache/gan-denoise"
    cache.mkdir(parents=True)
    for name, value in {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "GAN_DENOISE_CACHE": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert paths.cache_base() == cache


@pytest.mark.row(48)
def test_the_lock_file_of_another_user_in_a_shared_folder_locks(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "lock").chmod(0o644)
    tmp_path.chmod(0o777)

    def lock() -> None:
        with locks.exclusive_lock(Path("."), "lock"):
            assert locks.try_lock(os.open("lock", os.O_RDONLY)) is False  # it is held

    as_nobody(tmp_path, lock)


# --- signals and leftovers ----------------------------------------------------------------------


def wait_for(path: Path, process: RunningCommand | subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


TRAIN = ["train", "gan", "--preset", "smoke", "--batch", "4", "--epochs", "8", "--threads", "1", "--out"]


@pytest.mark.row(49)
def test_a_terminal_that_hangs_up_saves_the_training(tmp_path: Path) -> None:
    steps = [hang_up(tmp_path / "run-0")]
    while not steps[-1] % 64 and len(steps) < 5:  # it came at the end of an epoch, which saves by itself
        steps.append(hang_up(tmp_path / f"run-{len(steps)}"))
    assert steps[-1] % 64


def hang_up(run: Path) -> int:
    """Close the terminal of a training after its first checkpoint; returns the step of its last checkpoint."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(COLD[0], [*COLD, *TRAIN, str(run)])
    deadline = time.monotonic() + 60
    os.set_blocking(terminal, False)
    while not list(run.glob("gan/checkpoints/*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 10_000)  # a full terminal would block the training
    os.close(terminal)  # the kernel sends SIGHUP, and writing to the terminal fails from now on
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 129
    assert not list(run.rglob(".*"))
    return max(int(path.stem.split("-")[1]) for path in run.glob("gan/checkpoints/*.json"))


@pytest.mark.row(49)
def test_a_second_hang_up_is_ignored(tmp_path: Path) -> None:
    process = start_command(*TRAIN, tmp_path / "run")
    wait_for(tmp_path / "run/gan/checkpoints/step-00000064.json", process)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 129


@pytest.mark.row(49)
def test_a_hang_up_that_is_ignored_as_by_nohup_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = subprocess.Popen([*COLD, *GENERATE, tmp_path / "grid.png"])
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.row(49, 50)
def test_a_stopped_generate_leaves_nothing_or_what_the_next_call_removes(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start_command("generate", "-n", "100000", "--out", "many", cwd=tmp_path)
    while not list(tmp_path.glob(".many.*/image")):
        assert process.poll() is None
    process.send_signal(number)
    assert process.wait(60) == (-9 if number == signal.SIGKILL else 128 + number)
    assert len(list(tmp_path.iterdir())) == (number == signal.SIGKILL)
    run_command(*GENERATE, "many", cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["many"]


@pytest.mark.row(50)
def test_temporary_files_of_running_calls_and_other_programs_stay(tmp_path: Path) -> None:
    others = [".file.backup", ".file.gan-denoise-", ".file.gan-denoise-0123ABCD", "file.gan-denoise-01234567"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".link.gan-denoise-01234567").symlink_to("file.gan-denoise-01234567")
    (tmp_path / ".file.gan-denoise-01234567").touch()
    (tmp_path / ".folder.gan-denoise-01234567.png").mkdir()
    with atomic_path(tmp_path / "one") as file, staging_dir(tmp_path / "two") as folder:
        (folder / "inside").touch()
        code = "from pathlib import Path; from gan_denoise import files; files.write_atomic(Path('three'), 'x')"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
        remaining = {path.name for path in tmp_path.iterdir()}
        assert remaining == {*others, ".link.gan-denoise-01234567", "three", file.name, folder.name}
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".link.gan-denoise-01234567", "three", "one"}


@pytest.mark.row(50)
def test_a_folder_with_leftovers_only_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".out.gan-denoise-01234567").mkdir()
    check_empty(tmp_path, force=False, hint="")
    (tmp_path / "mine").touch()
    with pytest.raises(OutputError, match="is not empty"):
        check_empty(tmp_path, force=False, hint="")


# --- other systems ------------------------------------------------------------------------------

WINDOWS = """
import os, shutil, signal, sys
shutil._use_fd_functions = False
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
gone = ("sched_getaffinity", "pathconf", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "getloadavg", "getuid", "killpg",
        "pread", "pwrite", "fork", "fchmod")
for module, names in ((os, gone), (signal, ("SIGHUP", "SIGKILL"))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
open_file = os.open
def refuse_folders(path, flags, *arguments, **options):
    if not isinstance(path, int) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return open_file(path, flags, *arguments, **options)
os.open = refuse_folders
from gan_denoise.cli import main
main()
"""


@pytest.mark.row(51)
def test_commands_work_where_calls_of_linux_are_missing(tmp_path: Path, real_folder: Path) -> None:
    environment = {**os.environ, "GAN_DENOISE_CACHE": str(tmp_path / "cache"), "GAN_DENOISE_DATA": str(real_folder)}
    for arguments in (
        [*GENERATE, "out"],
        [*GENERATE, "out", "--force"],
        ["denoise", "out/image/000000.png", "--out", "clean"],
        ["data", "info", "--json"],
        ["eval", "denoising", "-n", "2", "--threads", "1"],
    ):
        command = [sys.executable, "-c", WINDOWS, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob(".*"))


@pytest.mark.row(52)
def test_paths_of_windows_choose_the_writer_of_their_suffix() -> None:
    for text, writer in {
        r"C:\Users\Zoë\grid.png": writers.write_grid,
        r"D:\a.b\arrays.NPZ": writers.write_arrays,
        r"\\server\share\folder": writers.write_folder,
    }.items():
        assert writers.writer_for(PureWindowsPath(text)) is writer  # type: ignore[arg-type]
    assert files._temporary_name("grid.png").endswith(".png")


@pytest.mark.row(52)
def test_a_log_with_windows_line_ends_is_read(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 1}\r\n{"step": 2}\r\n{"step"')
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1}, {"step": 2}]
