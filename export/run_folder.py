"""The layout of a run on disk: the one place that knows the names of its files and folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_denoise.errors import InputError

GAN, DENOISER, JOINT, CLASSIFIER = "gan", "denoiser", "joint", "classifier"  # stages, and their folders in a run


@dataclass(frozen=True, slots=True)
class StageFolder:
    """One trained stage: `meta.json`, `log.jsonl`, checkpoints, samples, and its networks' weights."""

    path: Path

    @property
    def meta(self) -> Path:
        """What the stage was trained with; see `read_meta`."""
        return self.path / "meta.json"

    @property
    def log(self) -> Path:
        """One JSON line an epoch."""
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of `study.run.checkpoint`."""
        return self.path / "checkpoints"

    @property
    def architecture(self) -> Path:
        """The layers of each network, for the report."""
        return self.path / "architecture.json"

    @property
    def samples(self) -> Path:
        """The folder of sample grids, one an epoch."""
        return self.path / "samples"

    def sample(self, epoch: int) -> Path:
        """The grid of fixed latents after an epoch."""
        return self.samples / f"epoch-{epoch:03d}.png"

    def weights(self, network: str) -> Path:
        """The weights of `generator`, `discriminator`, `denoiser` or `classifier`; their JSON lies beside them."""
        return self.path / f"{network}.safetensors"

    def epoch(self, epoch: int) -> Path:
        """The snapshot after an epoch: weights, or in the stage `joint` a run of its own."""
        return self.path / "epochs" / f"{epoch:03d}"

    def saved_epochs(self) -> list[int]:
        """The epochs that have a snapshot, in order."""
        return sorted(int(path.name) for path in self.path.glob("epochs/[0-9]*"))

    @property
    def final(self) -> RunFolder:
        """Of the stage `joint`: both final networks, laid out as a run."""
        return RunFolder(self.path / "final")

    def read_meta(self) -> dict[str, Any]:
        """The content of `meta.json`, whose `fingerprint` has a config, its hash, the data's hash and a seed.

        Raises InputError when it is missing or damaged.
        """
        try:
            meta: dict[str, Any] = json.loads(self.meta.read_text())
            fingerprint = meta["fingerprint"]
            _ = dict(fingerprint["config"]), fingerprint["config_sha256"], fingerprint["data_sha256"]
            int(fingerprint["seed"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{self.meta}: missing or damaged, a run's description wanted"
            raise InputError(message, "another --out starts anew") from error
        return meta

    def read_fingerprint(self) -> dict[str, Any]:
        """What the stage's weights depend on. Raises InputError as `read_meta`."""
        fingerprint: dict[str, Any] = self.read_meta()["fingerprint"]
        return fingerprint


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run: its stages, its export, and the study's results and report."""

    path: Path

    def stage(self, name: str) -> StageFolder:
        """The folder of the stage GAN, DENOISER, JOINT or CLASSIFIER."""
        return StageFolder(self.path / name)

    @property
    def gan(self) -> StageFolder:
        """The stage that trains generator and discriminator."""
        return self.stage(GAN)

    @property
    def denoiser(self) -> StageFolder:
        """The stage that trains the denoiser."""
        return self.stage(DENOISER)

    @property
    def joint(self) -> StageFolder:
        """The stage that trains both jointly."""
        return self.stage(JOINT)

    @property
    def classifier(self) -> StageFolder:
        """The stage that trains the feature network."""
        return self.stage(CLASSIFIER)

    @property
    def final(self) -> RunFolder:
        """Where `gan` and `denoiser` lie as training left them: joint training's, finished or not, if there is one."""
        return self.joint.final if self.joint.path.exists() else self

    @property
    def export(self) -> Path:
        """The folder of exported graphs."""
        return self.path / "export"

    @property
    def results(self) -> Path:
        """The folder of measured tables."""
        return self.path / "results"

    def result(self, table: str) -> Path:
        """A measured table as JSON: denoising, generation, controls, bench or compare."""
        return self.results / f"{table}.json"

    @property
    def figures(self) -> Path:
        """The folder of the report's figures."""
        return self.path / "figures"

    @property
    def study(self) -> Path:
        """Preset, seed and configuration of a study."""
        return self.path / "study.json"

    @property
    def experiment(self) -> Path:
        """The definition of an experiment."""
        return self.path / "experiment.json"

    @property
    def report(self) -> Path:
        """The report as markdown; the page lies beside it."""
        return self.path / "report.md"

    @property
    def page(self) -> Path:
        """The report as one HTML page."""
        return self.path / "report.html"
