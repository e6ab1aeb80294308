"""The time of each node of a graph, from onnxruntime's profiler."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gan_denoise.export import latents, runtime

WARM_UP = 3
SUFFIX = "_kernel_time"


def profile_rows(
    model: Path | None, batch: int, repeats: int, threads: int, warm_up: int = WARM_UP
) -> list[dict[str, Any]]:
    """A row for each node of the fused graph of `model` (as for `runtime.load_graph`), in execution order.

    The columns: `batch, node, operator`; `ms`, the mean over `repeats` calls; `fraction` of all nodes. Names and
    operators are those of onnxruntime's optimized graph, in which fused nodes are one. Raises as `runtime.load_graph`.
    """
    content = runtime.read_graph(runtime.FUSED, model)
    fused = runtime.Graph(content, runtime.FUSED, runtime.FUSED.file, threads=1)
    z = latents.latents(0, 0, batch, fused.input_shape[0])
    with TemporaryDirectory() as folder:
        session = runtime.make_session(content, runtime.FUSED.file, threads, profile=Path(folder) / "profile")
        for _ in range(warm_up + repeats):
            session.run(list(runtime.FUSED.outputs), {runtime.FUSED.input: z})
        events = json.loads(Path(session.end_profiling()).read_text())
    return [{"batch": batch, **row} for row in node_rows(events, warm_up)]


def node_rows(events: list[dict[str, Any]], warm_up: int = 0) -> list[dict[str, Any]]:
    """`node, operator, ms, fraction` of each node in the events of a profile, without its first `warm_up` runs."""
    times: dict[str, list[float]] = defaultdict(list)
    operators: dict[str, str] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(SUFFIX):
            node = name.removesuffix(SUFFIX)
            times[node].append(event["dur"] / 1000)  # from microseconds
            operators[node] = event["args"]["op_name"]
    means = {node: sum(runs[warm_up:]) / len(runs[warm_up:]) for node, runs in times.items()}
    total = sum(means.values())
    return [{"node": node, "operator": operators[node], "ms": ms, "fraction": ms / total} for node, ms in means.items()]
