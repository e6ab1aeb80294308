"""Which runs a sweep has, in which order, and where they run."""

from __future__ import annotations

import pytest

from gan_denoise.errors import UsageError
from gan_denoise.study.experiments import EXPERIMENTS
from gan_denoise.study.sweep.plan import Place, by_kind, make_places, make_tasks, parse_names


def test_all_runs_of_a_seed_come_before_those_of_the_next() -> None:
    tasks = make_tasks([3, 1], [("paper", "paper"), ("best", "best-gan.epochs=2")], [], ["--flip"], [])
    assert [task.name for task in tasks] == ["paper-3", "best-gan.epochs=2-3", "paper-1", "best-gan.epochs=2-1"]
    assert tasks[1].arguments == ("study", "run", "--preset", "best", "--seed", "3", "--flip")
    assert {task.after for task in tasks} == {None}


def test_what_experiments_start_from_is_one_run_before_them() -> None:
    tasks = make_tasks([0, 1], [], ["joint-l2-only", "adversarial", "gan-only"], [], ["--threads", "1"])
    names = [task.name for task in tasks]
    assert names[:2] == ["quarter-0", "quarter-1"]
    assert len(names) == len(set(names)) == 2 + 2 * 3
    after = {task.name: task.after for task in tasks}
    assert (after["joint-l2-only-1"], after["adversarial-0"], after["gan-only-0"]) == ("quarter-1", "quarter-0", None)
    assert tasks[0].arguments == ("study", "experiment", "quarter", "--seed", "0", "--threads", "1")


def test_a_named_base_is_not_run_twice() -> None:
    named = [task.name for task in make_tasks([0], [], ["joint-l2-only", "quarter"], [], [])]
    assert named == ["quarter-0", "joint-l2-only-0"]


def test_runs_are_compared_with_the_kind_that_was_named_first() -> None:
    tasks = make_tasks([0, 1], [], ["adversarial", "gan-only"], [], [])
    names = [task.name for task in by_kind(tasks, "adversarial")]
    assert names == ["adversarial-0", "adversarial-1", "quarter-0", "quarter-1", "gan-only-0", "gan-only-1"]


def test_names_are_known_and_given_once() -> None:
    assert parse_names(" quarter, 2014", list(EXPERIMENTS), "--experiments") == ["quarter", "2014"]
    assert parse_names(None, ["a"], "--presets") == []
    for text, got in (
        ("paper,worst", "got worst"),
        ("", "got "),
        ("paper,", "got "),
        ("paper,paper", "each name once"),
    ):
        with pytest.raises(UsageError, match=got):
            parse_names(text, ["paper", "best"], "--presets")


def test_places_share_the_cores_and_take_the_gpus_in_turn() -> None:
    assert make_places(8, [], None, 0) == [Place(8)]
    assert make_places(8, [], 3, 0) == [Place(2)] * 3
    assert make_places(2, [], 4, 0) == [Place(1)] * 4
    assert make_places(8, [], 3, 5) == [Place(5)] * 3
    assert make_places(8, ["0", "GPU-ab"], None, 0) == [Place(4, "0"), Place(4, "GPU-ab")]
    assert [place.gpu for place in make_places(8, ["0", "1"], 3, 0)] == ["0", "1", "0"]


def test_a_place_keeps_a_process_to_its_threads_and_its_gpu() -> None:
    assert Place(2, "1").environment() == {
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    assert "CUDA_VISIBLE_DEVICES" not in Place(1).environment()
