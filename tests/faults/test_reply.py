"""Faults of output: no terminal or colours, unusual names, a full stdout, hostile names, missing metrics."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_helpers import COLD, FASTER, cold_command

from gan_denoise.study.report.build import write_report

ODD = "images of Zoë & 服"
COLOUR = re.compile(r"\x1b\[(\d;)*[349]\d[;\d]*m")  # bold and faint do not count
ANSI = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
COMMANDS = [
    ["generate", "-n", "97", "--out", f"{ODD}.npz"],
    ["eval", "ffd", f"{ODD} too.npz"],
    ["data", "info"],
    ["train", "gan", "--preset", "smoke", "--epochs", "1", "--threads", "1", "--out", ODD],
    ["quantize", "float16", "--out", f"{ODD}.onnx"],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / ODD
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (97, 28, 28), np.uint8)
    np.savez(folder / f"{ODD} too.npz", images=noise)
    return folder


def environment(**changes: str) -> dict[str, str]:
    return {**{key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}, **changes}


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize("changes", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
@pytest.mark.row(37)
def test_without_a_terminal_there_is_no_colour_and_json_stands_alone(
    folder: Path, arguments: list[str], changes: dict[str, str]
) -> None:
    command = [*COLD, *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment(**changes), timeout=120)
    stderr = done.stderr.decode(errors="surrogateescape")
    assert done.returncode == 0, stderr
    assert not ANSI.search(done.stdout.decode() + stderr)
    assert "Traceback" not in stderr
    assert json.loads(done.stdout)["command"].split()[0] == arguments[0]


@pytest.mark.parametrize("command", [["data", "info"], ["eval", "denoising", "-n", "4"]])
@pytest.mark.row(37)
def test_an_ascii_output_gets_the_table(tmp_path: Path, command: list[str]) -> None:
    changes = environment(PYTHONIOENCODING="ascii")
    cold = cold_command(FASTER)
    done = subprocess.run([*cold, *command], capture_output=True, cwd=tmp_path, env=changes, timeout=120)
    assert (done.returncode, done.stderr.decode().count("Traceback")) == (0, 0)
    assert len(done.stdout.decode("ascii").splitlines()) > 6


@pytest.mark.parametrize(("changes", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
@pytest.mark.row(37)
def test_a_terminal_has_colours_unless_they_are_switched_off(changes: dict[str, str], coloured: bool) -> None:
    for arguments in (["--help"], ["generate", "--nonsense"]):
        reader, terminal = pty.openpty()
        with subprocess.Popen(
            [*COLD, *arguments],
            stdout=terminal,
            stderr=terminal,
            env=environment(**{"TERM": "xterm-256color", **changes}),
        ) as process:
            os.close(terminal)
            printed = read_all(reader)
        assert process.returncode in (0, 2)
        assert "Traceback" not in printed
        assert bool(COLOUR.search(printed)) is coloured, arguments


def read_all(handle: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(handle, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(handle)
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    "arguments", [["data", "info", "--quiet"], ["--help"], ["eval", "ffd", f"{ODD} too.npz", "--quiet"]]
)
@pytest.mark.row(37)
def test_a_closed_pipe_ends_without_a_message(folder: Path, arguments: list[str]) -> None:
    with subprocess.Popen([*COLD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before anything is written
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["data", "info"], ["--help"], ["generate", "-n", "1"], ["eval", "ffd", f"{ODD} too.npz", "--json"]],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.row(38)
def test_a_full_stdout_is_one_line_and_exit_4(folder: Path, arguments: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        changed = environment(PYTHONUNBUFFERED=unbuffered)
        done = subprocess.run(
            [*COLD, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=changed, cwd=folder, timeout=120
        )
    assert done.returncode == 4
    error, hint = (line for line in done.stderr.splitlines() if not line.startswith("next: "))
    assert error in ("error: output: No space left on device", "error: stdout: No space left on device")
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("name", ["<script>alert(1)", "a<img src=x onerror=alert(1)>", "`x` ![y](z.png) | b"])
@pytest.mark.row(39)
def test_a_hostile_name_is_text_and_a_missing_metric_is_not_measured(tmp_path: Path, name: str) -> None:
    run = tmp_path / name
    (run / "results").mkdir(parents=True)
    rows = [{"set": "raw", "n": 97, "ffd_1": None}, {"set": name, "n": 97, "ffd_1": 0.5}]
    about = {"machine": {"cpu": name, "threads": 1, "versions": {name: "1"}}, "settings": {"features": name}}
    (run / "results/generation.json").write_text(json.dumps({"rows": rows, "model_sha256": "ab" * 32, **about}))
    page = write_report(run, None, published=tmp_path / "none")
    html, markdown = page.read_text(), page.with_suffix(".md").read_text()
    assert not re.search(r"<script>alert|<img src=x", html)
    outside_code = re.sub(r"(?m)^    .*|(`+)[^`].*?[^`]\1(?!`)", "", markdown)
    assert not re.search(r"(?<!\\)!\[y\]\(z", outside_code)
    assert re.search(r"\| raw \| 97 \|( not measured \|)+", markdown)
    assert not re.search(r"[ (]0(\.0+)?[ ,;)%]|\bnan\b|None", markdown)
