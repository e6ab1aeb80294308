"""Run the shipped models on OpenVINO: `openvino_caller.py FOLDER`, in the environment of `make` .openvino.

Writes the outputs to arrays.npz in the folder, and what was said and recorded to facts.json.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper
from typer.testing import CliRunner

from gan_denoise import machine
from gan_denoise.cli import app
from gan_denoise.errors import GanDenoiseError
from gan_denoise.eval.bench.timing import run_bench
from gan_denoise.export import provider_choice, providers, runtime, shards
from gan_denoise.export.latents import latents
from gan_denoise.export.provider_choice import load_for
from gan_denoise.export.runtime import FUSED, PHOTO
from gan_denoise.options import Provider


def message(function: Any, *arguments: Any) -> str:
    try:
        function(*arguments)
    except GanDenoiseError as error:
        return error.message
    return "no error"


def det_model() -> bytes:
    """A graph of one operator that OpenVINO does not have: it leaves the whole graph to the CPU."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in (("x", [2, 2]), ("y", [])))
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "det", [x], [y])
    opsets = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def main(folder: Path) -> None:
    lines: list[str] = []
    provider_choice.PAUSE_S = 0
    fused = load_for(Provider.openvino, FUSED, threads=1, report=lines.append)
    again = pickle.loads(pickle.dumps(fused))
    arrays: dict[str, Any] = {}
    for batch in (1, 7):
        z = latents(5, 0, batch)
        for graph, title in ((fused, ""), (again, "pickled ")):
            arrays |= {f"{title}{name} {batch}": a for name, a in zip(FUSED.outputs, graph(z), strict=True)}
    file = runtime.SHIPPED / FUSED.file
    rows, _ = run_bench(file, 100, 1, 1, (2,), provider=Provider.openvino, pause_s=0, warm_up=0)
    arrays["noisy"] = (0.5 + 0.1 * latents(1, 0, 3, 40 * 48)).astype(np.float32).reshape(1, 3, 40, 48)
    arrays["clean"] = load_for(Provider.openvino, PHOTO, threads=1, report=lines.append)(arrays["noisy"])[0]
    np.savez(folder / "arrays.npz", **arrays)
    shards.SHARD = 4
    out = Path(folder / "out")
    shards.write_shards(fused, 0, 4, out)
    cpu = runtime.load_graph(FUSED, threads=1)
    load_for(Provider.auto, FUSED, threads=1, report=lines.append)
    printed = CliRunner().invoke(
        app, ["generate", "-n", "2", "--out", str(folder / "two.npz"), "--provider", "openvino", "--json"]
    )
    facts = {
        "lines": lines,
        "auto": lines[-1],
        "none": message(providers.create_session, Provider.openvino, det_model(), ort.SessionOptions(), "det.onnx", 1),
        "cuda": message(providers.check_installed, Provider.cuda),
        "made_with": json.loads((out / "shards.json").read_text())["made_with"],
        "refused": message(shards.write_shards, cpu, 0, 4, out).removeprefix(f"{folder}/"),
        "rows": rows,
        "warning": machine.runtimes_warning(),
        "settings": json.loads(printed.stdout)["settings"],
    }
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
