"""What a request may say and what is refused, and what a response holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from serve_helpers import binary, seeds, tensor

from gan_denoise.errors import InputError
from gan_denoise.export.serve.protocol import (
    FP32,
    INT64,
    InferRequest,
    ServeError,
    Tensor,
    parse_request,
    write_response,
)

MAX_ROWS = 8


@dataclass(frozen=True)
class Model:
    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]


FUSED = Model("fused", [Tensor("z", FP32, (3,)), Tensor("seed", INT64, ())], [Tensor("image", FP32, (2,))] * 1)
TWO = Model("two", FUSED.inputs, [Tensor("image", FP32, (2,)), Tensor("denoised", FP32, (2,))])
PHOTO = Model("photo", [Tensor("noisy", FP32, (1, 0, 0), multiple=8)], [Tensor("denoised", FP32, (1, 0, 0))])
Z = [[0.5, -1, 2], [1e-3, 0, 7]]


def parse(document: object, data: bytes = b"", length: bytes | None = None, model: Model = FUSED) -> InferRequest:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_request(text + data, length or (str(len(text)).encode() if data else None), model, MAX_ROWS)


def z(**changes: object) -> dict[str, Any]:
    """A good request with entries of its input changed; None removes one."""
    entry = {**tensor("z", [number for row in Z for number in row], 2, 3), **changes}
    return {"inputs": [{name: value for name, value in entry.items() if value is not None}]}


@pytest.mark.parametrize("data", [Z, [number for row in Z for number in row]], ids=["nested", "flat"])
def test_numbers_are_taken_flat_or_nested(data: object) -> None:
    request = parse(z(data=data))
    np.testing.assert_array_equal(request.array, np.array(Z, np.float32))
    assert request.array.dtype == np.float32
    assert request.outputs == [("image", False)]


def test_binary_data_are_taken_bit_by_bit() -> None:
    array = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    request = parse(*binary("z", array, id="a", parameters={"binary_data_output": True, "label": 3}), model=TWO)
    np.testing.assert_array_equal(request.array, array)
    assert (request.id, request.label, request.outputs) == ("a", "3", [("image", True), ("denoised", True)])


def test_seeds_are_taken_up_to_the_largest() -> None:
    request = parse(seeds(0, 2**63 - 1))
    assert request.array.tolist() == [0, 2**63 - 1]
    assert request.input.name == "seed"


def test_outputs_are_chosen_with_an_encoding_of_their_own() -> None:
    outputs = [{"name": "denoised", "parameters": {"binary_data": True}}, {"name": "image"}]
    assert parse({**z(), "outputs": outputs}, model=TWO).outputs == [("denoised", True), ("image", False)]
    default = {"parameters": {"binary_data_output": True}}
    outputs = [{"name": "image"}, {"name": "denoised", "parameters": {"binary_data": False}}]
    assert parse({**z(), **default, "outputs": outputs}, model=TWO).outputs == [("image", True), ("denoised", False)]


def test_images_of_any_size_are_multiples() -> None:
    assert parse({"inputs": [tensor("noisy", [0.0] * 384, 2, 1, 8, 24)]}, model=PHOTO).array.shape == (2, 1, 8, 24)


DEEP = b"[" * 100_000
REFUSED = {
    "no object": ([], "request"),
    "unknown entry": ({**z(), "output": []}, "only id, inputs"),
    "another model": ({**z(), "model_name": "other"}, "model_name"),
    "no inputs": ({}, "inputs"),
    "two inputs": ({"inputs": [*z()["inputs"], *seeds(1)["inputs"]]}, "one input, z or seed"),
    "unknown input": (z(name="y"), "expected z or seed, got 'y'"),
    "name that is no text": (z(name=["z"]), "inputs: name"),
    "unknown entry of an input": (z(dtype="FP32"), "inputs"),
    "another datatype": (z(datatype="FP64"), "expected FP32, got 'FP64'"),
    "no shape": (z(shape=None), "z: shape"),
    "no rows": (z(shape=[0, 3], data=[]), "z: shape"),
    "too many rows": (z(shape=[9, 3], data=[0.0] * 27), "1 to 8"),
    "shape that lies": (z(shape=[1, 3]), "3 numbers, got 6"),
    "another size": (z(shape=[3, 2]), "z: shape"),
    "another rank": (z(shape=[6]), "z: shape"),
    "negative dimension": (z(shape=[-2, -3]), "z: shape"),
    "overflowing dimension": (z(shape=[2**62, 2**62]), "z: shape"),
    "dimension that is a bool": (z(shape=[True, 3]), "z: shape"),
    "dimension that is a float": (z(shape=[2.0, 3]), "z: shape"),
    "no data": (z(data=None), "z: data"),
    "text as data": (z(data="000000"), "z: data"),
    "texts as numbers": (z(data=["0.5"] * 6), "z: data"),
    "bools as numbers": (z(data=[True] * 6), "z: data"),
    "too few numbers": (z(data=[1.0] * 5), "6 numbers, got 5"),
    "nested otherwise": (z(data=[[1.0, 2], [3, 4], [5, 6]]), "2 lists, got 3"),
    "nested too deep": (z(data=[[[1.0], [2], [3]], [[1], [2], [3]]]), "z: data"),
    "ragged": (z(data=[[1.0, 2, 3], [4, 5]]), "nested as the shape"),
    "a float32 that overflows": (z(data=[1e39] * 6), "finite"),
    "a float that overflows": (
        b'{"inputs": [%s]}' % json.dumps(z()["inputs"][0]).replace("7", "1e999").encode(),
        "finite",
    ),
    "an integer beyond floats": (z(data=[10**400] * 6), "out of range"),
    "NaN": (z(data=[float("nan")] * 6), "NaN is not JSON"),
    "a negative seed": (seeds(-1), "from 0 to"),
    "a seed beyond 64 bits": (seeds(2**63), "out of range"),
    "a seed with decimals": (z(name="seed", datatype="INT64", shape=[1], data=[1.5]), "INT64"),
    "an unknown parameter": ({**z(), "parameters": {"lable": 1}}, "only binary_data_output, label"),
    "a label that is no name": ({**z(), "parameters": {"label": [1]}}, "label"),
    "a flag that is no bool": ({**z(), "parameters": {"binary_data_output": 1}}, "true or false"),
    "an id that is no text": ({**z(), "id": 3}, "id"),
    "a long id": ({**z(), "id": "x" * 129}, "id"),
    "an id with a line break": ({**z(), "id": "a\nb"}, "id"),
    "an unknown output": ({**z(), "outputs": [{"name": "denoised"}]}, "expected image"),
    "outputs that are no list": ({**z(), "outputs": {"name": "image"}}, "outputs"),
    "an output twice": ({**z(), "outputs": [{"name": "image"}] * 2}, "outputs"),
    "classification": ({**z(), "outputs": [{"name": "image", "parameters": {"classification": 3}}]}, "binary_data"),
    "not JSON": (b"{", "JSON"),
    "not UTF-8": (b'{"id": "\xff"}', "JSON"),
    "nothing": (b"", "JSON"),
    "nested without end": (DEEP, "nested too deeply"),
    "nested data without end": (b'{"inputs": [{"data": ' + DEEP, "nested too deeply"),
    "a name twice": (b'{"inputs": [], "inputs": []}', "twice"),
    "an integer of thousands of digits": (b'{"id": ' + b"9" * 5_000 + b"}", "JSON"),
    "a huge value of an entry": ({**z(), "id": "x" * 1_000_000}, "id"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_lies_is_refused_in_a_short_line(name: str) -> None:
    document, part = REFUSED[name]
    with pytest.raises(InputError) as caught:
        parse(document)
    assert part in caught.value.message
    assert len(caught.value.message) < 400
    assert "\n" not in caught.value.message


def test_images_of_any_size_are_refused_if_they_are_no_multiples_or_too_large() -> None:
    for sides, part in (
        ((8, 12), "a multiple of 8"),
        ((0, 8), "multiple"),
        ((8, -8), "multiple"),
        ((2**40, 8), "pixels"),
    ):
        with pytest.raises(InputError, match=part):
            parse({"inputs": [tensor("noisy", [], 1, 1, *sides)]}, model=PHOTO)


GOOD, DATA = binary("z", np.ones((2, 3), np.float32))
SIZE = "binary_data_size"
BINARY_REFUSED = {
    "too many bytes": (GOOD, DATA + b"\0", None),
    "too few bytes": (GOOD, DATA[:-1], None),
    "bytes that nobody owns": (z(), DATA, None),
    "a size that lies": (z(data=None, parameters={SIZE: 20}), DATA[:20], None),
    "a negative size": (z(data=None, parameters={SIZE: -24}), DATA, None),
    "a size that is no number": (z(data=None, parameters={SIZE: "24"}), DATA, None),
    "numbers and a size": (z(parameters={SIZE: 24}), DATA, None),
    "an unknown parameter": (z(data=None, parameters={SIZE: 24, "shared_memory_region": "a"}), DATA, None),
    "a header beyond the body": (GOOD, DATA, b"1000000"),
    "a header of zero": (GOOD, DATA, b"0"),
    "a negative header": (GOOD, DATA, b"-5"),
    "a header that is no number": (GOOD, DATA, b"1e2"),
    "a header without end": (GOOD, DATA, b"9" * 5_000),
    "a header that cuts the JSON": (GOOD, DATA, b"20"),
    "NaN": (GOOD, np.full((2, 3), np.nan, "<f4").tobytes(), None),
    "infinity": (GOOD, np.full((2, 3), -np.inf, "<f4").tobytes(), None),
}


@pytest.mark.parametrize("name", BINARY_REFUSED)
def test_binary_data_that_do_not_fit_are_refused(name: str) -> None:
    document, data, length = BINARY_REFUSED[name]
    assert parse(GOOD, DATA).array.sum() == 6
    with pytest.raises(InputError) as caught:
        parse(document, data, length)
    assert len(caught.value.message) < 400


def test_a_response_has_the_outputs_that_were_asked_for_in_their_order() -> None:
    request = InferRequest("a", TWO.inputs[0], np.zeros((1, 3)), None, [("denoised", True), ("image", False)])
    image, denoised = np.array([[0.1, 0.2]], np.float32), np.array([[0.3, 0.4]], np.float32)
    headers, body = write_response(TWO, request, (image, denoised))
    length = int(dict(headers)[b"inference-header-content-length"])
    document = json.loads(body[:length])
    assert dict(headers)[b"content-type"] == b"application/octet-stream"
    assert (document["model_name"], document["model_version"], document["id"]) == ("two", "1", "a")
    first, second = document["outputs"]
    assert first == {"name": "denoised", "datatype": "FP32", "shape": [1, 2], "parameters": {SIZE: 8}}
    np.testing.assert_array_equal(np.frombuffer(body[length:], "<f4"), denoised[0])
    np.testing.assert_array_equal(np.array(second["data"], np.float32), image[0])  # all bits survive


def test_json_cannot_hold_nan_and_binary_data_can() -> None:
    nan = np.full((1, 2), np.nan, np.float32)
    for is_binary in (True, False):
        request = InferRequest(None, FUSED.inputs[0], np.zeros((1, 3)), None, [("image", is_binary)])
        if is_binary:
            assert write_response(FUSED, request, (nan,))[1].endswith(nan.tobytes())
            continue
        with pytest.raises(ServeError, match="not finite") as caught:
            write_response(FUSED, request, (nan,))
        assert caught.value.status == 500
