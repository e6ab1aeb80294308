"""The real tritonclient asks the server; it needs another ml-dtypes than ours, and lives in its own environment."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from serve_helpers import running_server

from gan_denoise.export import runtime
from gan_denoise.export.latents import latents, set_class
from gan_denoise.export.runtime import FUSED

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".tritonclient/bin/python"
CALLER = Path(__file__).parent / "triton_caller.py"
ROWS = 7


def test_tritonclient_gets_the_bits_of_the_runtime_in_all_mixes_of_json_and_binary(tmp_path: Path) -> None:
    if not (PYTHON.parents[1] / "installed").exists():
        pytest.skip("tritonclient: not installed")
    z = latents(11, 0, ROWS)
    np.save(tmp_path / "z.npy", z)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/serve.md").read_text(), re.DOTALL)
    with running_server() as server:
        subprocess.run([PYTHON, CALLER, str(server.port), tmp_path], check=True, timeout=120)
        code = f"{example.replace('127.0.0.1:8000', f'127.0.0.1:{server.port}')}\nnp.save('page.npy', image)"
        subprocess.run([PYTHON, "-c", code], check=True, timeout=120, cwd=tmp_path)
    graph = runtime.load_graph(FUSED, threads=1)
    expected = dict(zip(("image", "denoised"), graph(z), strict=True))
    drawn = np.concatenate([latents(seed, 0, 1) for seed in (3, 2**63 - 1)])
    with np.load(tmp_path / "answers.npz") as answers:
        assert len(answers) == 2 * 4 + 1 + 4
        for key, array in answers.items():
            name = key.split()[0]
            if name in expected:
                np.testing.assert_array_equal(array, expected[name], key)
        np.testing.assert_array_equal(answers["sneakers"], graph(set_class(drawn, 7, 10))[0])
        for i in range(4):
            np.testing.assert_allclose(answers[f"async {i}"], graph(drawn)[0], rtol=0, atol=1e-6)
    first = np.concatenate([latents(seed, 0, 1) for seed in (0, 1)])
    np.testing.assert_array_equal(np.load(tmp_path / "page.npy"), graph(set_class(first, 7, 10))[0])
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert (facts["live"], facts["ready"], facts["model ready"]) == (True, True, [True, False])
    assert facts["server"]["extensions"] == ["binary_tensor_data"]
    assert facts["model"]["inputs"] == [{"name": "z", "datatype": "FP32", "shape": [-1, 100]}]
    assert facts["error"] == "400 z: expected finite numbers, got NaN or infinity"
