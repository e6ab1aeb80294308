"""The layout of a sweep on disk: its runs, their logs, what ended how, and the comparison of the runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gan_denoise import __version__
from gan_denoise.errors import InputError
from gan_denoise.files import write_atomic


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last try of a run ended; `error` is empty for exit code 0."""

    arguments: tuple[str, ...]  # of `gan-denoise`, without --out
    exit_code: int
    seconds: float  # of all tries of the command that ended it
    error: str = ""


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """The content of `sweep.json`: the options that all runs share, and the outcome of each run by its name."""

    options: Mapping[str, Any]
    runs: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """The folder of a sweep. No other module spells the names of its files."""

    path: Path
    LOCK = "lock"

    @property
    def record(self) -> Path:
        """Options and outcomes; see `read`."""
        return self.path / "sweep.json"

    @property
    def compare(self) -> Path:
        """The comparison of the runs, as `study compare --json` prints it."""
        return self.path / "compare.json"

    def run(self, name: str) -> Path:
        """The folder of a run, by its name: that of its preset or experiment, and its seed."""
        return self.path / name

    def log(self, name: str) -> Path:
        """What the commands of a run printed, the latest last."""
        return self.path / "logs" / f"{name}.log"

    def read(self) -> SweepRecord | None:
        """The content of `sweep.json`; None if there is none. Raises InputError if it is damaged."""
        try:
            content = json.loads(self.record.read_text())
            runs = {
                name: Outcome(**{**outcome, "arguments": tuple(outcome["arguments"])})
                for name, outcome in content["runs"].items()
            }
            return SweepRecord(dict(content["options"]), runs)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "delete it; the same command writes it again, and finished runs are not trained again"
            raise InputError.expected(self.record, "the record of a sweep", "a damaged file", hint) from error

    def write(self, record: SweepRecord) -> None:
        """Replace `sweep.json`. Raises OutputError."""
        runs = {name: asdict(outcome) for name, outcome in record.runs.items()}
        content = {"version": __version__, "options": dict(record.options), "runs": runs}
        write_atomic(self.record, json.dumps(content, indent=1) + "\n")

    def finished_runs(self) -> list[Path]:
        """The folders of the runs that ended well, those of a kind by seed. Raises InputError as `read` does."""
        record = self.read()
        names = [] if record is None else [name for name, outcome in record.runs.items() if outcome.exit_code == 0]
        kinds = list(dict.fromkeys(name.rpartition("-")[0] for name in names))

        def order(name: str) -> tuple[int, int]:
            kind, _, seed = name.rpartition("-")
            return kinds.index(kind), int(seed)

        return [self.run(name) for name in sorted(names, key=order) if self.run(name).is_dir()]


def expand_sweeps(folders: Iterable[Path]) -> list[Path]:
    """The folders of runs, with the finished runs of a sweep in place of its folder.

    Raises InputError for a sweep without a finished run.
    """
    expanded: list[Path] = []
    for folder in folders:
        sweep = SweepFolder(folder)
        runs = sweep.finished_runs() if sweep.record.exists() else [folder]
        if not runs:
            hint = "gan-denoise study sweep, with the options that it was started with, resumes it"
            raise InputError.expected(folder, "a sweep with a finished run", "none", hint)
        expanded += runs
    return expanded
