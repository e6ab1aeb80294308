"""The running server: routes, models, numbers that are those of the runtime, what it logs and counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_helpers import run_command
from serve_helpers import Answer, Server, binary, running_server, seeds, tensor, until

from gan_denoise import __version__
from gan_denoise.export import runtime
from gan_denoise.export.latents import latents, set_class
from gan_denoise.export.runtime import DENOISER, FUSED, GENERATOR, PHOTO, PHOTO_GREY

SEED_VALUES = (0, 7, 2**63 - 1)
BINARY = {"parameters": {"binary_data_output": True}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of the shipped models, with one thread."""
    with running_server() as running:
        yield running


def check(answer: Answer, *expected: np.ndarray) -> None:
    """The arrays of a good answer are these, bit for bit."""
    assert answer.status == 200, answer.body
    for array, wanted in zip(answer.arrays().values(), expected, strict=True):
        assert array.shape == wanted.shape
        np.testing.assert_array_equal(array, wanted)


def test_server_and_models_describe_themselves(server: Server) -> None:
    assert server.get("/v2").json == {
        "name": "gan-denoise",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    }
    assert (server.get("/v2/health/live").json, server.get("/v2/health/ready").json) == (
        {"live": True},
        {"ready": True},
    )
    fused = server.get("/v2/models/fused").json
    graph = runtime.load_graph(FUSED)
    assert (fused["name"], fused["versions"], fused["platform"]) == ("fused", ["1"], "onnx_onnxv1")
    assert fused["inputs"] == [{"name": "z", "datatype": "FP32", "shape": [-1, 100]}]
    assert fused["outputs"] == [
        {"name": name, "datatype": "FP32", "shape": [-1, 1, 28, 28]} for name in ("image", "denoised")
    ]
    assert fused["parameters"]["label"] == graph.class_names
    assert fused["parameters"]["sha256"] == graph.sha256
    assert server.get("/v2/models/fused/versions/1").json == fused
    photo = server.get("/v2/models/photo").json
    assert (photo["inputs"][0]["shape"], photo["parameters"]["multiple"]) == ([-1, 3, -1, -1], 8)
    for name in ("fused", "generator", "denoiser", "photo", "photo-grey"):
        assert server.get(f"/v2/models/{name}/ready").json == {"name": name, "ready": True}


@pytest.mark.parametrize(
    "path", ["/v2/models/other", "/v2/models/fused/versions/2", "/v2/nothing", "/", "/v2/", "/docs"]
)
def test_other_paths_are_404_with_an_error(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert answer.json.keys() == {"error"}


@pytest.mark.parametrize("path", ["/v2/repository/models/fused/load", "/v2/repository/models/fused/unload"])
def test_no_model_is_loaded_or_unloaded_by_request(server: Server, path: str) -> None:
    assert server.ask("POST", path, b"{}").status == 404


def test_a_method_that_a_route_lacks_is_405(server: Server) -> None:
    answer = server.ask("GET", "/v2/models/fused/infer")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.json.keys() == {"error"}


def test_z_gives_the_numbers_of_the_runtime_in_binary_and_json(server: Server) -> None:
    z = latents(3, 0, 5)
    expected = runtime.load_graph(FUSED, threads=1)(z)
    check(server.infer("fused", *binary("z", z, **BINARY)), *expected)
    check(server.infer("fused", {"inputs": [tensor("z", z.tolist(), 5, 100)]}), *expected)
    check(server.infer("generator", *binary("z", z)), expected[0])
    only = {"outputs": [{"name": "denoised", "parameters": {"binary_data": True}}]}
    check(server.infer("fused", *binary("z", z, **only)), expected[1])


def test_seeds_and_labels_choose_the_latents(server: Server) -> None:
    z = np.concatenate([latents(seed, 0, 1) for seed in SEED_VALUES])
    graph = runtime.load_graph(FUSED, threads=1)
    check(server.infer("fused", seeds(*SEED_VALUES, **BINARY)), *graph(z))
    sneakers = graph(set_class(z, 7, 10))
    for label in ("sneaker", "SNEAK", 7, "7"):
        check(server.infer("fused", seeds(*SEED_VALUES, parameters={"label": label})), *sneakers)
    check(server.infer("fused", *binary("z", z, parameters={"label": 7})), *sneakers)
    check(server.infer("generator", seeds(7, parameters={"label": 7})), sneakers[0][1:2])


@pytest.mark.parametrize("label", ["s", "10", -1, "", "dress\n", "x" * 1000])
def test_a_label_of_no_class_is_refused(server: Server, label: object) -> None:
    answer = server.infer("fused", seeds(1, parameters={"label": label}))
    assert answer.status == 400
    assert answer.json["error"].startswith("label: expected")
    assert len(answer.json["error"]) < 400


def test_denoisers_take_images_and_no_seeds_or_labels(server: Server) -> None:
    noisy = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    check(server.infer("denoiser", *binary("noisy", noisy)), *runtime.load_graph(DENOISER, threads=1)(noisy))
    assert server.infer("denoiser", seeds(1)).status == 400
    refused = server.infer("denoiser", *binary("noisy", noisy, parameters={"label": 1}))
    assert refused.json == {"error": "label: expected no label for denoiser, got 1"}


@pytest.mark.parametrize(("signature", "channels"), [(PHOTO, 3), (PHOTO_GREY, 1)], ids=["photo", "photo-grey"])
def test_photographs_of_any_multiple_of_the_size(server: Server, signature: runtime.Signature, channels: int) -> None:
    noisy = np.random.default_rng(0).random((1, channels, 24, 40), np.float32)
    name = Path(signature.file).stem
    check(server.infer(name, *binary("noisy", noisy, **BINARY)), *runtime.load_graph(signature, threads=1)(noisy))
    refused = server.infer(name, *binary("noisy", noisy[..., :36]))
    assert refused.status == 400
    assert "a multiple of 8" in refused.json["error"]


def test_many_callers_get_their_own_rows_within_1e_6(server: Server) -> None:
    before = server.metric('gan_denoise_batch_rows_count{model="fused"}')
    expected = runtime.load_graph(FUSED, threads=1)(np.concatenate([latents(seed, 0, 1) for seed in range(64)]))

    def ask(seed: int) -> None:
        answer = server.infer("fused", seeds(seed, id=f"row {seed}", **BINARY))
        assert json.loads(answer.body[: int(answer.headers["inference-header-content-length"])])["id"] == f"row {seed}"
        for array, wanted in zip(answer.arrays().values(), expected, strict=True):
            np.testing.assert_allclose(array[0], wanted[seed], rtol=0, atol=1e-6)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(64)))
    assert server.metric('gan_denoise_batch_rows_count{model="fused"}') - before < 64  # some ran together


def test_each_request_has_an_id_in_its_answer_and_in_its_line_of_the_log(server: Server) -> None:
    given = server.ask("GET", "/v2", x_request_id="mine-1.a:b")
    assert given.headers["x-request-id"] == "mine-1.a:b"
    for bad in ("a b", "x" * 65, '"}'):
        assert re.fullmatch(r"[0-9a-f]{12}-\d+", server.ask("GET", "/v2", x_request_id=bad).headers["x-request-id"])
    answer = server.infer("fused", seeds(1, 2, **BINARY))
    until(lambda: any(entry["id"] == answer.headers["x-request-id"] for entry in server.log()))
    (line,) = [entry for entry in server.log() if entry["id"] == answer.headers["x-request-id"]]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v2/models/fused/infer", 200)
    assert (line["model"], line["rows"], line["bytes"], line["client"]) == ("fused", 2, len(answer.body), "127.0.0.1")
    assert line["ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", line["time"])


def test_the_log_says_why_a_request_was_refused_on_one_line(server: Server) -> None:
    answer = server.ask("GET", "/v2/models/%0a%22other")
    until(lambda: any(entry["id"] == answer.headers["x-request-id"] for entry in server.log()))
    (line,) = [entry for entry in server.log() if entry["id"] == answer.headers["x-request-id"]]
    assert (line["status"], line["error"], line["path"]) == (404, answer.json["error"], '/v2/models/\n"other')


def test_metrics_count_requests_rows_and_times_with_labels_of_few_values(server: Server) -> None:
    def read() -> dict[str, float]:
        names = {
            "rows": 'gan_denoise_rows_total{model="generator"}',
            "runs": 'gan_denoise_run_seconds_count{model="generator"}',
            "good": 'gan_denoise_requests_total{model="generator",route="infer",status="200"}',
            "bad": 'gan_denoise_requests_total{model="generator",route="infer",status="400"}',
            "unknown": 'gan_denoise_requests_total{model="",route="other",status="404"}',
            "requests": 'gan_denoise_request_seconds_count{model="generator"}',
        }
        return {name: server.metric(metric) for name, metric in names.items()}

    before = read()
    server.infer("generator", seeds(1, 2, 3))
    server.infer("generator", seeds(-1))
    for i in range(3):
        server.get(f"/{i}")
    change = {name: value - before[name] for name, value in read().items()}
    assert change == {"rows": 3, "runs": 1, "good": 1, "bad": 1, "unknown": 3, "requests": 2}
    answer = server.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    models = set(re.findall(r'model="([^"]*)"', text))
    assert models <= {"", "fused", "generator", "denoiser", "photo", "photo-grey"}
    assert set(re.findall(r'route="([^"]*)"', text)) <= {"infer", "health", "metadata", "metrics", "openapi", "other"}
    assert server.metric("gan_denoise_queue_rows") == 0


def test_the_openapi_description_has_all_routes_and_what_they_answer(server: Server) -> None:
    document = server.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    model = {"name": "fused", "version": "1"}
    for path, entry in document["paths"].items():
        (method,) = set(entry) - {"parameters"}
        body = json.dumps(seeds(1)).encode() if method == "post" else None
        answer = server.ask(method.upper(), path.format(**model), body)
        assert answer.status == 200, path
        content = entry[method]["responses"]["200"]["content"]
        assert answer.headers["content-type"].split(";")[0] in content
        schema = content.get("application/json", {}).get("schema")
        if schema:
            fits(answer.json, schema, document)
    assert len(document["paths"]) == 11
    error = document["paths"]["/v2/models/{name}/infer"]["post"]["responses"]["400"]["content"]["application/json"]
    fits(server.infer("fused", {}).json, error["schema"], document)
    fits(seeds(1, id="a", **BINARY), {"$ref": "#/components/schemas/InferRequest"}, document)


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Check a value against the parts of JSON Schema that the description uses."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if isinstance(kind := schema.get("type"), str):
        assert type(value) is kinds[kind], (value, schema)
    assert value in schema.get("enum", [value])
    if "properties" in schema:
        assert value.keys() <= schema["properties"].keys()
        assert value.keys() >= set(schema.get("required", ()))
        for name, entry in value.items():
            fits(entry, schema["properties"][name], document)
    for entry in value if isinstance(value, list) else ():
        fits(entry, schema.get("items", {}), document)


def test_a_folder_or_a_file_of_ones_own_is_served(exported: Path, tmp_path: Path) -> None:
    z = latents(0, 0, 2, runtime.load_graph(FUSED, exported).input_shape[0])
    with running_server("--model", exported, "--quiet") as server:
        check(server.infer("fused", *binary("z", z)), *runtime.load_graph(FUSED, exported, threads=1)(z))
        assert server.get("/v2/models/photo").status == 404
        assert server.log() == []  # --quiet
        refused = server.infer("fused", seeds(1, parameters={"label": 0}))
        assert "a model with classes" in refused.json["error"] or refused.status == 200
    for signature in (GENERATOR, DENOISER):
        with running_server("--model", exported / signature.file) as server:
            name = Path(signature.file).stem
            assert [
                model for model in ("fused", "generator", "denoiser") if server.get(f"/v2/models/{model}").status == 200
            ] == [name]


@pytest.mark.parametrize("size", ["0", "-1", "8MB", "8 MiB", "", "1e6", "9999999999999999"])
def test_a_size_that_is_none_is_a_usage_error(size: str) -> None:
    done = run_command("serve", "--port", "0", "--max-body", size)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --max-body: expected a number of bytes, such as 8MiB or 500000, got ")


@pytest.mark.parametrize(
    "options",
    [("--batch", 0), ("--delay-ms", -1), ("--queue", 0), ("--timeout", 0), ("--port", 65_536), ("--threads", -1)],
)
def test_other_options_out_of_bounds_are_usage_errors(options: tuple[object, ...]) -> None:
    assert run_command("serve", *options).returncode == 2


def test_a_host_that_is_none_of_this_machine_is_an_error_of_one_line() -> None:
    for host, code in (("no.such.host.invalid", 2), ("192.0.2.1", 4)):
        done = run_command("serve", "--host", host, "--port", "0")
        assert done.returncode == code
        assert "Traceback" not in done.stderr
