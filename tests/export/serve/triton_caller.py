"""Ask a server with the real tritonclient: `triton_caller.py PORT FOLDER`, in the environment of `make` .tritonclient.

Reads z.npy in the folder, and writes the answers to answers.npz and what else the client says to facts.json.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

OUTPUTS = ("image", "denoised")


def make_input(name: str, datatype: str, array: Any, is_binary: bool) -> InferInput:
    tensor = InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=is_binary)
    return tensor


def main(port: str, folder: Path) -> None:
    client = InferenceServerClient(f"127.0.0.1:{port}")
    z = np.load(folder / "z.npy")
    answers = {}
    for sends_binary, gets_binary in product((True, False), repeat=2):
        outputs = [InferRequestedOutput(name, binary_data=gets_binary) for name in OUTPUTS]
        result = client.infer("fused", [make_input("z", "FP32", z, sends_binary)], outputs=outputs, request_id="mine")
        assert result.get_response()["id"] == "mine"
        for name in OUTPUTS:
            answers[f"{name} {sends_binary} {gets_binary}"] = result.as_numpy(name)
            assert ("data" in result.get_output(name)) != gets_binary
    seeds = make_input("seed", "INT64", np.array([3, 2**63 - 1]), True)
    result = client.infer("generator", [seeds], parameters={"label": "sneaker"}, model_version="1")
    answers["sneakers"] = result.as_numpy("image")
    assert result.as_numpy("denoised") is None
    pending = [client.async_infer("generator", [seeds]) for _ in range(4)]
    for i, request in enumerate(pending):
        answers[f"async {i}"] = request.get_result().as_numpy("image")
    try:
        client.infer("fused", [make_input("z", "FP32", z * np.float32(np.nan), True)])
        error = ""
    except InferenceServerException as refused:
        error = f"{refused.status()} {refused.message()}"
    facts = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": [client.is_model_ready(name) for name in ("fused", "other")],
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("fused"),
        "error": error,
    }
    client.close()
    np.savez(folder / "answers.npz", **answers)
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
