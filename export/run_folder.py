"""The layout of a run on disk. No other module spells the names of its files and folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_denoise.data.dataset_options import DatasetOptions
from gan_denoise.errors import InputError

IMAGES = "images"  # key of a fingerprint: which images, as `data.dataset.DatasetOptions` has them
GAN, DENOISER, JOINT, CLASSIFIER = "gan", "denoiser", "joint", "classifier"  # stages, and their folders in a run


@dataclass(frozen=True, slots=True)
class StageFolder:
    """The folder of one trained stage: `meta.json`, `log.jsonl`, checkpoints, samples and weights."""

    path: Path

    @property
    def meta(self) -> Path:
        """Configuration, data, seed and machine of the training; see `read_meta`."""
        return self.path / "meta.json"

    @property
    def log(self) -> Path:
        """The training log, one JSON line per epoch."""
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints; see `study.run.checkpoint`."""
        return self.path / "checkpoints"

    @property
    def architecture(self) -> Path:
        """The layers of each network, which the report shows."""
        return self.path / "architecture.json"

    @property
    def samples(self) -> Path:
        """The folder of sample grids, one per epoch."""
        return self.path / "samples"

    def sample(self, epoch: int) -> Path:
        """The grid of images of fixed latents after an epoch."""
        return self.samples / f"epoch-{epoch:03d}.png"

    def weights(self, network: str) -> Path:
        """The weights of `generator`, `discriminator`, `denoiser` or `classifier`; a JSON file beside them."""
        return self.path / f"{network}.safetensors"

    def epoch(self, epoch: int) -> Path:
        """The snapshot after an epoch: weights, or in the stage `joint` a folder laid out as a run."""
        return self.path / "epochs" / f"{epoch:03d}"

    def saved_epochs(self) -> list[int]:
        """The epochs that have a snapshot, in order."""
        return sorted(int(path.name) for path in self.path.glob("epochs/[0-9]*"))

    @property
    def final(self) -> RunFolder:
        """Both final networks of the stage `joint`, laid out as a run."""
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
            state = "a missing or damaged file"
            hint = "train again with another --out"
            raise InputError.expected(self.meta, "the metadata of a trained stage", state, hint) from error
        return meta

    def read_fingerprint(self) -> dict[str, Any]:
        """The settings that determine the stage's weights. Raises InputError as `read_meta` does."""
        fingerprint: dict[str, Any] = self.read_meta()["fingerprint"]
        return fingerprint

    def read_images(self) -> DatasetOptions | None:
        """Which images the stage was trained on; None if it does not say, as for Fashion-MNIST.

        Raises InputError as `read_meta` does.
        """
        recorded = self.read_fingerprint().get(IMAGES)
        return None if recorded is None else DatasetOptions.from_json(recorded)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run: its stages, its export, and the results and report of the study."""

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
        """The folder of the final `gan` and `denoiser`: that of joint training once it has started, else the run."""
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
        """The measured table `denoising`, `generation`, `controls`, `bench` or `compare`, as JSON."""
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
        """The report in markdown."""
        return self.path / "report.md"

    @property
    def page(self) -> Path:
        """The report as a single HTML page."""
        return self.path / "report.html"
