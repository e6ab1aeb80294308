"""`--on ray`: a real cluster of this machine makes the same bytes, survives kills, and leaves no process behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray_caller
from command_helpers import run_command

import gan_denoise
from gan_denoise import __version__, machine, ray_cluster
from gan_denoise.errors import UsageError
from gan_denoise.export import runtime
from gan_denoise.export.latents import latents
from gan_denoise.export.serve.deployment import parse_replicas

ROOT = Path(gan_denoise.__file__).resolve().parent
RAY = ROOT / ".ray"
CALLER = ROOT / "tests/ray_caller.py"
RAY_FAILED = (
    "You have likely discovered a bug in Ray",  # an assertion in its own core, at times after a kill
    "expected a Ray cluster at local, got",  # it did not start within its own deadlines, on a busy machine
)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `ray_caller` found. Ray listens on all interfaces: it has a network of its own, without others."""
    if not (RAY / "installed").exists():
        pytest.skip("ray: not installed")
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-n", "true"]).returncode:
        pytest.skip("unshare: not installed, or no root")
    end = time.monotonic() + 280
    for _ in range(2):
        folder = tmp_path_factory.mktemp("ray")
        command: list[str | Path] = ["unshare", "-n", RAY / "bin/python", CALLER, folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=end - time.monotonic(), cwd=folder)
        if done.returncode == 0 or not any(text in done.stderr for text in RAY_FAILED):
            break
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return found | {"stderr": done.stderr}


def own_lines(stderr: str) -> list[str]:
    """Without the line by which Ray says that there is no network."""
    return [line for line in stderr.splitlines() if "network_util" not in line]


# --- bulk generation ----------------------------------------------------------------------------


def test_the_files_are_the_same_for_any_number_of_tasks_and_after_a_kill(facts: dict[str, Any]) -> None:
    bulk = facts["bulk"]
    assert list(bulk["local"]) == [f"{i:06d}.npz" for i in range(ray_caller.SHARDS)]
    assert bulk["one"] == bulk["two"] == bulk["killed"] == bulk["local"]
    assert 1 <= bulk["shards at the kill"][0] < ray_caller.SHARDS


def test_a_node_that_differs_or_has_another_folder_or_version_is_refused(facts: dict[str, Any]) -> None:
    bulk, node = facts["bulk"], f"on node {ray_cluster.node_name()}"
    kind = machine.processor_kind()
    assert bulk["differs"] == f"4: differs: processor: expected another, as for its other files, got {kind} {node}"
    assert bulk["shards that differ"] == 0
    assert len(bulk["allowed"]) == ray_caller.SHARDS
    assert all(file["made_with"]["processor"] == kind for file in bulk["allowed"].values())
    assert (
        bulk["unseen"]
        == f"4: nowhere: expected the folder of this command on all nodes, got another one or none {node}"
    )
    assert bulk["version"] == f"3: --on: expected gan-denoise 0.0.1 on all nodes, got {__version__}"


@pytest.mark.row(102)
def test_the_command_joins_a_cluster_and_a_signal_ends_its_tasks(facts: dict[str, Any]) -> None:
    stdout, stderr = facts["command"]["output"]
    assert json.loads(stdout)["complete"] is True
    assert own_lines(stderr) == []
    stdout, stderr, code = facts["command"]["stopped"]
    assert (stdout, code) == ("", 143)
    said = ["error: stopped: stopped; the files that it holds are whole", "hint: the same command goes on"]
    assert own_lines(stderr) == said
    assert facts["command"]["left"] == []
    assert facts["command"]["tasks that went on"] == 0


# --- clusters -----------------------------------------------------------------------------------


def test_a_cluster_that_does_not_answer_is_named(facts: dict[str, Any]) -> None:
    assert facts["nothing there"].startswith("3: --on: expected a Ray cluster at ray://127.0.0.1:1, got ")
    assert "Connection refused" in facts["nothing there"]


@pytest.mark.parametrize("text", ["", "local", "auto", "ray://", "ray://head", "ray://:1", "ray:head:1", "http://a:1"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--on: expected ray or ray://HOST:PORT, got "):
        ray_cluster.parse_address(text)


def test_an_address_is_taken_from_the_option_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_cluster.parse_address("ray") == "local"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert ray_cluster.parse_address("ray") == "head:6379"
    assert ray_cluster.parse_address("ray://[::1]:10001") == "ray://[::1]:10001"


def test_where_ray_is_not_installed_the_extra_is_named(tmp_path: Path) -> None:
    for command in (("generate", "--out", "out"), ("serve", "--port", "0")):
        done = run_command(*command, "--on", "ray", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == 'error: ray: not installed\nhint: pip install "gan-denoise[ray]"\n'
    assert list(tmp_path.iterdir()) == []


# --- sweeps -------------------------------------------------------------------------------------


def test_a_sweep_runs_on_a_cluster_and_a_killed_task_is_tried_again(facts: dict[str, Any]) -> None:
    outcomes = facts["sweep"]["outcomes"]
    assert {name: (run["exit_code"], run["error"]) for name, run in outcomes.items()} == {
        "hold-0": (0, ""),
        "finish-0": (0, ""),
        "fail-0": (3, "bad data"),
    }
    assert facts["sweep"]["threads"] == "1"
    assert facts["sweep"]["log"].count("$ gan-denoise hold --threads 1 --out ") == 2
    assert "\nlost: " in facts["sweep"]["log"]
    assert "warning: hold-0 was ended by signal 9; it resumes from its last checkpoint\n" in facts["stderr"]


def test_a_signal_lets_the_runs_on_a_cluster_save(facts: dict[str, Any]) -> None:
    assert facts["sweep"]["stopped"] == "143: stopped with 0 of 1 runs finished; checkpoints saved"
    assert facts["sweep"]["saved"] is True


def test_a_node_that_does_not_see_the_sweep_s_folder_is_named(facts: dict[str, Any]) -> None:
    assert facts["sweep"]["unseen"].startswith(
        "4: none: expected the folder of the sweep on all nodes, got none on node "
    )


# --- the server ---------------------------------------------------------------------------------


def test_the_server_answers_as_it_does_without_ray(facts: dict[str, Any]) -> None:
    serving = facts["serving"]
    assert serving["server"] == [
        200,
        {"name": "gan-denoise", "version": __version__, "extensions": ["binary_tensor_data"]},
    ]
    assert serving["model"][1]["inputs"] == [{"name": "z", "datatype": "FP32", "shape": [-1, 100]}]
    status, answer = serving["answer"]
    assert (status, [output["name"] for output in answer["outputs"]]) == (200, ["denoised"])
    z = np.concatenate([latents(seed, 0, 1) for seed in (0, 7)])
    expected = runtime.load_graph(runtime.FUSED, threads=1)(z)[1]
    np.testing.assert_array_equal(np.float32(answer["outputs"][0]["data"]).reshape(expected.shape), expected)
    assert (serving["refused"][0], serving["missing"][0]) == (400, 404)
    assert serving["refused"][1].keys() == serving["missing"][1].keys() == {"error"}
    assert serving["signal"] == 15


def test_the_number_of_replicas_is_a_number_or_a_range() -> None:
    assert [parse_replicas(text) for text in ("1", "3", "2-16")] == [(1, 1), (3, 3), (2, 16)]
    for text in ("", "0", "0-2", "3-2", "-1", "x", "1-2-3"):
        with pytest.raises(UsageError, match="--replicas: expected a number or MIN-MAX, such as 2 or 1-8, got"):
            parse_replicas(text)
    done = run_command("serve", "--replicas", "2")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --replicas: expected --on beside it, got none\nhint: --on ray\n",
    )
