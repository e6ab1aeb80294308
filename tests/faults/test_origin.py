"""What a model was trained on: recorded in its graphs, checked before it is measured, stated where it is shared."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_helpers import run_command
from data_helpers import photograph
from typer.testing import CliRunner, Result

from gan_denoise.cli import app
from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset, Split
from gan_denoise.data.datasets import load_dataset
from gan_denoise.data.paired_images import read_image_pairs
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics import ffd
from gan_denoise.export import runtime, training_data
from gan_denoise.export.convert.bundle import export_run
from gan_denoise.export.demo import site
from gan_denoise.export.package.origin import keep_origin
from gan_denoise.export.package.quantize import quantize
from gan_denoise.export.package.torch_fidelity import to_torch_fidelity
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.study.compare.measure import compare_runs
from gan_denoise.study.config import RunOptions
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.report.build import write_report
from gan_denoise.study.report.results import load_study
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.train.dispatch import train

pytestmark = pytest.mark.usefixtures("fast_regression")
SMOKE = PRESETS["smoke"]
MEASURES = (
    ("generation", "-n", "97"),
    ("classes", "-n", "97"),
    ("copies", "-n", "97"),
    ("denoising", "-n", "1"),
    ("controls", "-n", "97"),
)


@pytest.fixture(scope="module")
def noise_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 28x28 grey images that are noise, with two classes, in an .npz file."""
    folder = tmp_path_factory.mktemp("secret-user-name")
    rng = np.random.default_rng(0)
    np.savez(folder / "noise.npz", images=rng.integers(0, 256, (60, 28, 28), np.uint8), labels=np.arange(60) % 2)
    dataset = load_dataset("npz", folder / "noise.npz")
    for config in (SMOKE.gan, SMOKE.denoiser):
        train(
            dataclasses.replace(config, epochs=1, batch=16, images=48), dataset, folder / "run", RunOptions(threads=1)
        )
    return folder / "run"


@pytest.fixture(scope="module")
def noise_model(noise_run: Path) -> Path:
    """Its export."""
    export_run(noise_run, noise_run.parent / "exported")
    return noise_run.parent / "exported"


def copy_with(source: Path, target: Path, **changes: str | None) -> Path:
    """A copy of an export with other metadata; None removes a key."""
    target.mkdir()
    for file in ("fused.onnx", "denoiser.onnx"):
        model = onnx.load(source / file)
        metadata = {entry.key: entry.value for entry in model.metadata_props} | changes
        onnx.helper.set_model_props(model, {key: value for key, value in metadata.items() if value is not None})
        onnx.save(model, target / file)
    return target


@pytest.fixture
def invoke(excerpt: Dataset, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command with the excerpt as Fashion-MNIST."""
    monkeypatch.setattr(sources, "load_fashion_mnist", lambda data: excerpt)
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


def settings_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)["settings"]
    return content


# --- other data is not measured without a message -------------------------------------------------


@pytest.mark.row(81)
@pytest.mark.parametrize("arguments", MEASURES, ids=lambda arguments: arguments[0])
def test_a_model_of_other_data_is_refused(
    noise_model: Path, invoke: Callable[..., Result], arguments: list[str]
) -> None:
    error = invoke("eval", *arguments, "--model", noise_model, "--dataset", "fashion-mnist").exception
    assert isinstance(error, InputError)
    assert "expected a model trained on fashion-mnist (SHA-256 " in error.message
    assert "got one trained on npz (SHA-256 " in error.message
    assert error.hint.startswith("--dataset and --data choose the images; --other-data ")


@pytest.mark.row(81)
@pytest.mark.parametrize("arguments", MEASURES[:4], ids=lambda arguments: arguments[0])
def test_other_data_is_measured_on_request_and_recorded(
    noise_model: Path, invoke: Callable[..., Result], arguments: list[str]
) -> None:
    command = ("eval", *arguments, "--model", noise_model, "--dataset", "fashion-mnist", "--other-data")
    result = invoke(*command, "--json", "--threads", 1)
    assert settings_of(result)["other_data"].startswith("trained on npz (SHA-256 ")


@pytest.mark.row(81)
def test_each_denoiser_of_a_comparison_is_checked(
    noise_model: Path, exported: Path, invoke: Callable[..., Result]
) -> None:
    command = ("eval", "denoising", "-n", 1, "--model", exported, "--versus", f"other={noise_model}")
    error = invoke(*command).exception
    assert isinstance(error, InputError)
    assert error.message.startswith(f"{noise_model / 'denoiser.onnx'}: expected ")


@pytest.mark.row(81)
def test_the_exit_code_is_3_and_the_hint_after_generating_is_one_that_works(noise_model: Path, tmp_path: Path) -> None:
    done = run_command("eval", "copies", "-n", 97, "--model", noise_model, "--dataset", "fashion-mnist")
    assert (done.returncode, done.stdout) == (3, "")
    grid = run_command("generate", "--model", noise_model, "--out", tmp_path / "grid.png", check=True)
    assert "next:" not in grid.stderr  # `eval generation` would refuse the model


@pytest.mark.row(82)
def test_the_same_data_is_measured_without_a_message(exported: Path, invoke: Callable[..., Result]) -> None:
    result = invoke("eval", "copies", "-n", 97, "--model", exported, "--json")
    assert "other_data" not in settings_of(result)
    assert result.stderr == ""


@pytest.mark.row(82)
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"dataset": None, "data_sha256": None}, "does not record its training data; compared with fashion-mnist"),
        ({"data_sha256": "a" * 64}, "trained on fashion-mnist (SHA-256 aaaaaaaaaaaa), compared with fashion-mnist"),
        ({"data_sha256": None}, "trained on fashion-mnist (SHA-256 not recorded), compared with fashion-mnist"),
    ],
)
def test_data_that_is_not_known_to_differ_is_named_in_one_line(
    exported: Path, tmp_path: Path, invoke: Callable[..., Result], changes: dict[str, str | None], line: str
) -> None:
    model = copy_with(exported, tmp_path / "model", **changes)
    result = invoke("eval", "copies", "-n", 97, "--model", model, "--json")
    assert "other_data" not in settings_of(result)
    (note,) = result.stderr.splitlines()
    assert note.startswith(f"{model / 'fused.onnx'}: {line}")


@pytest.mark.row(82)
@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"dataset": "mnist"}, "got one trained on mnist (SHA-256 "),  # whatever the hash
        ({"dataset": None, "data_sha256": "a" * 64}, "got one trained on unnamed data (SHA-256 aaaaaaaaaaaa)"),
        ({"dataset": "fashion-mnist,npz", "data_sha256": "a,b"}, "got one trained on npz (SHA-256 b)"),
        ({"dataset": "m\nnist\x1b[31m"}, "got one trained on m?nist?[31m (SHA-256 "),
    ],
)
def test_data_that_is_known_to_differ_is_refused(
    exported: Path, tmp_path: Path, invoke: Callable[..., Result], changes: dict[str, str | None], got: str
) -> None:
    model = copy_with(exported, tmp_path / "model", **changes)
    error = invoke("eval", "copies", "-n", 97, "--model", model).exception
    assert isinstance(error, InputError)
    assert got in error.message


@pytest.mark.row(82)
def test_the_shipped_model_and_earlier_exports_are_known_by_their_hash() -> None:
    metadata = runtime.load_graph(runtime.FUSED).metadata
    metadata.pop("dataset", None)  # as earlier exports
    (data,) = training_data.from_metadata(metadata)
    assert data.name == "fashion-mnist"


@pytest.mark.row(83)
def test_runs_of_other_data_are_not_compared_or_reported(
    noise_run: Path, excerpt: Dataset, invoke: Callable[..., Result]
) -> None:
    command = ("study", "compare", noise_run, "-n", 97, "--dataset", "fashion-mnist")
    error = invoke(*command).exception
    assert isinstance(error, InputError)
    assert error.message.startswith(f"{noise_run / 'gan'}: expected a model trained on fashion-mnist (SHA-256 ")
    train_split = Split(np.tile(excerpt.train.images, (3, 1, 1)), np.tile(excerpt.train.labels, 3))  # holds out 100
    data = dataclasses.replace(excerpt, train=train_split)
    settings = compare_runs([noise_run], data, 97, 0, threads=1, other_data=True).settings
    assert settings["other_data"].startswith("trained on npz (SHA-256 ")
    with pytest.raises(
        InputError, match=r"gan: expected a stage trained on fashion-mnist, 1x28x28, got one trained on npz"
    ):
        write_report(noise_run, excerpt)


@pytest.mark.row(83)
def test_a_run_that_was_trained_before_names_were_recorded_is_known_by_its_classes(
    noise_run: Path, tmp_path: Path, excerpt: Dataset
) -> None:
    run = tmp_path / "run"
    shutil.copytree(noise_run, run)
    for stage in (RunFolder(run).gan, RunFolder(run).denoiser):
        meta = stage.read_meta()
        del meta["fingerprint"]["dataset"]
        stage.meta.write_text(json.dumps(meta))
    with pytest.raises(InputError, match=r"got one trained on unnamed data \(SHA-256 "):
        write_report(run, excerpt)
    export_run(run, tmp_path / "out")
    assert "dataset" not in runtime.load_graph(runtime.FUSED, tmp_path / "out").metadata
    config = dataclasses.replace(SMOKE.gan, epochs=1, batch=16, images=48)
    dataset = load_dataset("npz", noise_run.parent / "noise.npz")
    train(config, dataset, run, RunOptions(threads=1, resume=True))  # the hash identifies the data


# --- what is recorded -----------------------------------------------------------------------------


@pytest.mark.row(87)
def test_graphs_record_the_name_of_their_data_and_no_path(noise_run: Path, noise_model: Path, tmp_path: Path) -> None:
    """The run, and a file beside its exported graphs, say where the images are; what is published does not."""
    assert RunFolder(noise_run).gan.read_fingerprint()["dataset"] == "npz"
    for file in ("fused.onnx", "generator.onnx", "denoiser.onnx"):
        content = (noise_model / file).read_bytes()
        metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
        assert (metadata["dataset"], len(metadata["data_sha256"])) == ("npz", 64)
        assert b"secret-user-name" not in content
    assert "secret-user-name" in RunFolder(noise_run).gan.meta.read_text()
    assert "secret-user-name" in (noise_model / "images.json").read_text()
    run_command("package", "huggingface", noise_model, "--out", tmp_path / "package", check=True)
    published = [path for path in (tmp_path / "package").rglob("*") if path.is_file()]
    assert published
    assert not any(b"secret-user-name" in path.read_bytes() for path in published)


@pytest.mark.row(87)
def test_every_kind_of_data_has_its_name(excerpt: Dataset, photos: Path, tmp_path: Path) -> None:
    for folder in ("noisy", "clean"):
        (tmp_path / folder).mkdir()
        for i in range(2):
            photograph(i).save(tmp_path / folder / f"{i}.png")
    pairs = read_image_pairs(tmp_path / "noisy", tmp_path / "clean", 28, 1)
    assert (excerpt.name, load_dataset("folder", photos).name, pairs.name) == ("fashion-mnist", "folder", "pairs")
    assert load_dataset("folder", photos, 32).name == "folder"


@pytest.mark.row(87)
def test_the_fingerprint_of_fashion_mnist_is_that_of_earlier_versions(excerpt: Dataset) -> None:
    assert "dataset" not in run_fingerprint(SMOKE.gan, excerpt, RunOptions(threads=1))
    assert "dataset" in run_fingerprint(SMOKE.gan, dataclasses.replace(excerpt, name="mnist"), RunOptions(threads=1))


@pytest.mark.row(87)
def test_a_fused_graph_of_stages_with_different_data_records_both(
    noise_run: Path, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/gan").symlink_to(trained / "gan")
    (tmp_path / "run/denoiser").symlink_to(noise_run / "denoiser")
    export_run(tmp_path / "run", tmp_path / "out")
    names = {s: runtime.load_graph(s, tmp_path / "out").metadata["dataset"] for s in (runtime.FUSED, runtime.DENOISER)}
    assert names == {runtime.FUSED: "fashion-mnist,npz", runtime.DENOISER: "npz"}


@pytest.mark.row(87)
def test_commands_name_the_data_of_their_model(
    noise_model: Path, tmp_path: Path, invoke: Callable[..., Result]
) -> None:
    result = invoke("generate", "-n", 1, "--model", noise_model, "--out", tmp_path / "a.png", "--json")
    assert json.loads(result.stdout)["dataset"] == "npz"
    nameless = copy_with(noise_model, tmp_path / "model", dataset=None)
    result = invoke("generate", "-n", 1, "--model", nameless, "--out", tmp_path / "b.png", "--json")
    assert "dataset" not in json.loads(result.stdout)


@pytest.mark.row(88)
def test_the_feature_network_is_exported_with_the_metadata_that_ffd_1_is_pinned_to(exported: Path) -> None:
    pinned, own = (runtime.load_graph(runtime.FEATURES, path) for path in (None, exported))
    assert list(own.metadata) == list(pinned.metadata)
    assert pinned.sha256 == ffd.load_pinned_metric().sha256


# --- what is shared -------------------------------------------------------------------------------


@pytest.mark.row(84)
def test_the_card_of_a_model_states_what_it_records(noise_model: Path, tmp_path: Path) -> None:
    done = run_command("package", "huggingface", noise_model, "--out", tmp_path / "hub", check=True)
    assert "LICENSE" not in done.stdout
    card = (tmp_path / "hub/README.md").read_text()
    metadata = runtime.load_graph(runtime.FUSED, noise_model).metadata
    for line in (
        f"- training data: an array file (SHA-256 `{metadata['data_sha256']}`)",
        "- images: grey images of 28x28 pixels",
        "- precision: float32",
        "- seed: `0`",
        "The file is ONNX IR 10, opset 20, which onnxruntime runs from 1.18 on.",
        "The licence of this model is not recorded.",
    ):
        assert line in card
    assert metadata["config_sha256"].split(",")[0] in card
    for absent in ("license:", "datasets:", "ashion", "clothes", "FFD-1", "MIT"):
        assert absent not in card


@pytest.mark.row(84)
def test_the_card_of_a_model_of_fashion_mnist_names_the_licence_of_the_data_only(
    exported: Path, tmp_path: Path
) -> None:
    run_command("package", "huggingface", exported, "--out", tmp_path / "hub", check=True)
    card = (tmp_path / "hub/README.md").read_text()
    assert "The licence of this model is not recorded. Fashion-MNIST, the training data, is by Zalando SE, MIT" in card
    assert '\ndatasets: ["zalando-datasets/fashion_mnist"]\n' in card
    assert "\nlicense:" not in card
    assert not (tmp_path / "hub/LICENSE").exists()


@pytest.mark.row(84)
def test_the_licence_of_the_shipped_model_does_not_stay_with_another(exported: Path, tmp_path: Path) -> None:
    run_command("package", "huggingface", "--out", tmp_path, check=True)
    run_command("package", "huggingface", exported, "--out", tmp_path, "--force", check=True)
    assert not (tmp_path / "LICENSE").exists()
    (tmp_path / "LICENSE").write_text("another, by the user")
    run_command("package", "huggingface", exported, "--out", tmp_path, "--force", check=True)
    assert (tmp_path / "LICENSE").read_text() == "another, by the user"


@pytest.mark.row(84)
def test_a_model_that_records_nothing_has_a_card_that_says_so(
    identity_graph: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "fused.onnx").write_bytes(identity_graph(28))
    run_command("package", "huggingface", tmp_path, "--out", tmp_path / "hub", check=True)
    card = (tmp_path / "hub/README.md").read_text()
    assert "- training data: not recorded\n" in card
    assert "- seed: not recorded\n" in card
    assert "1.18" not in card  # known for our exports only


@pytest.mark.row(84)
def test_the_shipped_models_folders_carry_its_licence(tmp_path: Path) -> None:
    run_command("package", "huggingface", "--out", tmp_path / "hub", check=True)
    text = (Path(__file__).parents[2] / "LICENSE").read_text()
    assert (tmp_path / "hub/LICENSE").read_text() == (runtime.SHIPPED / "LICENSE").read_text() == text
    assert '\nlicense: "mit"\n' in (tmp_path / "hub/README.md").read_text()


@pytest.mark.row(84)
def test_the_demo_page_names_the_data_of_its_model(noise_model: Path, tmp_path: Path) -> None:
    if not (site.RUNTIME / site.BINARY).exists():
        pytest.skip("onnxruntime-web: not installed")
    site.write_site(noise_model, tmp_path / "page")
    assert "Training data of the models: an array file." in (tmp_path / "page/index.html").read_text()


def names_of(model: onnx.ModelProto) -> list[str]:
    return [node.name for node in model.graph.node]


@pytest.mark.row(85)
@pytest.mark.parametrize("kind", ["images", "float16"])
def test_converted_graphs_keep_their_origin(noise_model: Path, kind: str) -> None:
    original = onnx.load(noise_model / "fused.onnx")
    content = to_torch_fidelity(noise_model) if kind == "images" else quantize(noise_model, kind)[0]
    model = onnx.load_model_from_string(content)
    assert (model.producer_name, model.producer_version) == ("gan-denoise", "")
    assert model.graph.name == original.graph.name
    change = {"images": {"pixel_range": "0 to 255"}, "float16": {"precision": "float16"}}[kind]
    metadata = {entry.key: entry.value for entry in original.metadata_props}
    assert {entry.key: entry.value for entry in model.metadata_props} == metadata | change
    assert metadata["dataset"] == "npz"
    assert set(names_of(original)) <= set(names_of(model))
    assert all(names_of(model))
    assert len(set(names_of(model))) == len(names_of(model))


@pytest.mark.row(85)
def test_nodes_without_names_get_their_own(identity_graph: Callable[..., bytes]) -> None:
    model = onnx.load_model_from_string(identity_graph(28))
    assert names_of(model) == ["", ""]
    keep_origin(model, model, {})
    assert names_of(model) == ["node_image", "node_denoised"]
    for node in model.graph.node:
        node.name = "node_image"
    keep_origin(model, model, {})
    assert names_of(model) == ["node_image", "node_denoised"]


@pytest.mark.row(85)
def test_the_nodes_of_exports_have_names_of_their_own(exported: Path) -> None:
    for file in ("generator", "denoiser", "fused", "features"):
        names = names_of(onnx.load(exported / f"{file}.onnx"))
        assert all(names)
        assert len(set(names)) == len(names)
        assert file != "fused" or {name.split("/")[0] for name in names} == {"generator", "denoiser"}


# --- what a study changed -------------------------------------------------------------------------


@pytest.mark.row(86)
def test_a_changed_preset_is_not_reported_as_the_papers(trained: Path, tmp_path: Path) -> None:
    for stage in ("gan", "denoiser"):
        (tmp_path / stage).symlink_to(trained / stage)
    description: dict[str, Any] = {"preset": "paper", "changes": {}}
    (tmp_path / "study.json").write_text(json.dumps(description))
    plain = write_report(tmp_path, None).with_suffix(".md").read_text()
    assert "as in the paper." in plain
    description["changes"] = {"gan.learning_rate": "0.005", "denoiser.widths": "8,8"}
    (tmp_path / "study.json").write_text(json.dumps(description))
    changed = write_report(tmp_path, None).with_suffix(".md").read_text()
    assert "> Preset `paper`, changed to `gan.learning_rate=0.005`, `denoiser.widths=8,8`: " in changed
    assert "as in the paper." not in changed
    assert "gan-denoise study run --preset paper --set gan.learning_rate=0.005 --set denoiser.widths=8,8 " in changed
    assert "The published results of preset `paper` are shown for comparison." in changed
    study = load_study(tmp_path, None)
    assert study.dry_run_command("gan") == "gan-denoise train gan --preset paper --set learning_rate=0.005 --dry-run"
    assert study.dry_run_command("denoiser").endswith("--preset paper --set widths=8,8 --dry-run")
