"""Requests and responses of the Open Inference Protocol v2: JSON, and Triton's binary tensor data extension.

Specifications: kserve/open-inference-protocol, `inference_rest.md`; Triton, `extension_binary_data.md`.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import GanDenoiseError, InputError
from gan_denoise.options import TILE_SIDE

FP32, INT64 = "FP32", "INT64"
DTYPES: Mapping[str, np.dtype[Any]] = {FP32: np.dtype("<f4"), INT64: np.dtype("<i8")}
NUMBERS: Mapping[str, set[type]] = {FP32: {int, float}, INT64: {int}}  # what JSON may hold; a bool is no number
JSON, BINARY = b"application/json", b"application/octet-stream"
HEADER_LENGTH = b"inference-header-content-length"
KEYS = {"id", "model_name", "parameters", "inputs", "outputs"}
PARAMETERS = {"binary_data_output", "label"}
VERSION = "1"  # of each model: a server has one
MAX_ID = 128  # characters
MAX_PIXELS = TILE_SIDE**2  # of one image of free height and width

Headers = list[tuple[bytes, bytes]]


class ServeError(GanDenoiseError):
    """A request that is answered with `status`, which is not 400: that one is an InputError."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or []


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a model: `sides` are those of one row, 0 for a free one, which is a multiple of `multiple`."""

    name: str
    datatype: str
    sides: tuple[int, ...]
    multiple: int = 1

    def describe(self) -> dict[str, Any]:
        """The tensor as model metadata have it: the batch and free sides are -1."""
        return {"name": self.name, "datatype": self.datatype, "shape": [-1, *(side or -1 for side in self.sides)]}


class Interface(Protocol):
    """What the protocol says of a model: its name, the tensors of which it takes one, those that it returns."""

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> list[Tensor]: ...

    @property
    def outputs(self) -> list[Tensor]: ...


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request that was checked: the input tensor with its array (N, ...), and the outputs as (name, is binary)."""

    id: str | None
    input: Tensor
    array: NDArray[Any]
    label: str | None
    outputs: list[tuple[str, bool]]


def parse_request(body: bytes, header_length: bytes | None, model: Interface, max_rows: int) -> InferRequest:
    """The request in `body`, whose JSON has `header_length` bytes, or fills it without such a header.

    A request has exactly one of the model's inputs. Raises InputError unless everything that it says is true and known.
    """
    end = _json_length(header_length, len(body))
    document = _object(_parse_json(body[:end]), "request", KEYS)
    _check_name(document.get("model_name", model.name), "model_name", [model.name])
    parameters = _object(document.get("parameters", {}), "parameters", PARAMETERS)
    tensor, array = _parse_input(document.get("inputs"), model.inputs, body, end, max_rows)
    label = _parse_label(parameters.get("label"))
    is_binary = _flag(parameters, "binary_data_output", False)
    outputs = _parse_outputs(document.get("outputs"), [output.name for output in model.outputs], is_binary)
    return InferRequest(_parse_id(document.get("id")), tensor, array, label, outputs)


def write_response(model: Interface, request: InferRequest, arrays: tuple[ArrayF32, ...]) -> tuple[Headers, bytes]:
    """Headers and body of the response with the requested ones among `arrays`, which are all outputs of the model.

    Raises ServeError 500 if JSON cannot hold a number.
    """
    by_name = {output.name: array for output, array in zip(model.outputs, arrays, strict=True)}
    entries, blobs = [], []
    for name, is_binary in request.outputs:
        array = by_name[name]
        entry: dict[str, Any] = {"name": name, "datatype": FP32, "shape": array.shape}
        if is_binary:
            blobs.append(array.astype(DTYPES[FP32], copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = array.ravel().tolist()
        entries.append(entry)
    document: dict[str, Any] = {"model_name": model.name, "model_version": VERSION, "outputs": entries}
    if request.id is not None:
        document["id"] = request.id
    try:
        text = _ENCODER.encode(document).encode()
    except ValueError as error:
        raise ServeError(500, f"{model.name}: the output is not finite, which JSON cannot hold") from error
    if not blobs:
        return [(b"content-type", JSON)], text
    return [(b"content-type", BINARY), (HEADER_LENGTH, str(len(text)).encode())], b"".join([text, *blobs])


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


# --- the JSON document --------------------------------------------------------------------------


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return content


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)


def _parse_json(text: bytes) -> Any:
    try:
        return _DECODER.decode(text.decode())
    except RecursionError:
        raise InputError.expected("body", "JSON", "JSON that is nested too deeply") from None
    except ValueError as error:  # not UTF-8, not JSON, an integer of thousands of digits
        raise InputError.expected("body", "JSON", f"{str(error)[:200]}") from None


def _json_length(header: bytes | None, size: int) -> int:
    if header is None:
        return size
    length = int(header) if header.isdigit() and len(header) < 20 else -1
    if not 0 < length <= size:
        raise InputError.expected(HEADER_LENGTH.decode(), f"a number from 1 to {size}", _short(header.decode("latin1")))
    return length


def _object(value: Any, what: str, known: set[str]) -> dict[str, Any]:
    if type(value) is not dict:
        raise InputError.expected(what, "a JSON object", _short(value))
    if unknown := value.keys() - known:
        raise InputError.expected(what, f"only {', '.join(sorted(known))}", _short(min(unknown)))
    return value


def _parse_id(value: Any) -> str | None:
    if value is not None and (type(value) is not str or len(value) > MAX_ID or not value.isprintable()):
        raise InputError.expected("id", f"a text of at most {MAX_ID} printable characters", _short(value))
    return value


def _parse_label(value: Any) -> str | None:
    if value is not None and type(value) not in (int, str):
        raise InputError.expected("label", "the number or name of a class", _short(value))
    return None if value is None else str(value)


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InputError.expected(name, "true or false", _short(value))
    return value


def _check_name(value: Any, what: str, known: list[str]) -> str:
    if type(value) is not str or value not in known:
        raise InputError.expected(what, " or ".join(known), _short(value))
    return value


def _parse_outputs(value: Any, known: list[str], is_binary: bool) -> list[tuple[str, bool]]:
    """Names and encodings of the outputs; all of them, in the order of the model, if the request names none."""
    if value is None or value == []:
        return [(name, is_binary) for name in known]
    if type(value) is not list or len(value) > len(known):
        raise InputError.expected("outputs", f"a list of at most {len(known)}", _short(value))
    outputs = {}
    for item in value:
        entry = _object(item, "outputs", {"name", "parameters"})
        name = _check_name(entry.get("name"), "outputs: name", known)
        parameters = _object(entry.get("parameters", {}), f"{name}: parameters", {"binary_data"})
        outputs[name] = _flag(parameters, "binary_data", is_binary)
    if len(outputs) < len(value):
        raise InputError.expected("outputs", "each output once", "one of them twice")
    return list(outputs.items())


# --- the input tensor ---------------------------------------------------------------------------


def _parse_input(
    value: Any, known: list[Tensor], body: bytes, start: int, max_rows: int
) -> tuple[Tensor, NDArray[Any]]:
    names = [tensor.name for tensor in known]
    if type(value) is not list or len(value) != 1:
        got = f"{len(value)} inputs" if type(value) is list else _short(value)
        raise InputError.expected("inputs", f"a list with one input, {' or '.join(names)}", got)
    entry = _object(value[0], "inputs", {"name", "datatype", "shape", "parameters", "data"})
    tensor = known[names.index(_check_name(entry.get("name"), "inputs: name", names))]
    _check_name(entry.get("datatype"), f"{tensor.name}: datatype", [tensor.datatype])
    shape = _parse_shape(entry.get("shape"), tensor, max_rows)
    parameters = _object(entry.get("parameters", {}), f"{tensor.name}: parameters", {"binary_data_size"})
    if "binary_data_size" in parameters:
        if "data" in entry:
            raise InputError.expected(tensor.name, "data or binary_data_size", "both")
        array = _read_binary(tensor, shape, parameters["binary_data_size"], body, start)
    else:
        if start != len(body):
            raise InputError.expected("body", "nothing after the JSON", f"{len(body) - start} bytes")
        array = _read_numbers(tensor, shape, entry.get("data"))
    _check_values(tensor, array)
    return tensor, array


def _parse_shape(value: Any, tensor: Tensor, max_rows: int) -> list[int]:
    """The shape in the request, after checking each side before anything is computed from it."""
    what = f"{tensor.name}: shape"
    free = f"a multiple of {tensor.multiple}"
    expected = f"[1 to {max_rows}{''.join(f', {side or free}' for side in tensor.sides)}]"
    if type(value) is not list or len(value) != 1 + len(tensor.sides) or any(type(side) is not int for side in value):
        raise InputError.expected(what, expected, _short(value))
    rows, *sides = value
    fits = all(
        side == fixed if fixed else side > 0 and side % tensor.multiple == 0
        for side, fixed in zip(sides, tensor.sides, strict=True)
    )
    if not fits or not 0 < rows <= max_rows:
        raise InputError.expected(what, expected, _short(value))
    if 0 in tensor.sides and math.prod(sides[-2:]) > MAX_PIXELS:
        raise InputError.expected(what, f"at most {MAX_PIXELS} pixels an image", _short(value))
    return [rows, *sides]


def _read_binary(tensor: Tensor, shape: list[int], size: Any, body: bytes, start: int) -> NDArray[Any]:
    """The array in the bytes after the JSON, of which nothing may be left over."""
    dtype = DTYPES[tensor.datatype]
    count = math.prod(shape)
    if type(size) is not int or size != count * dtype.itemsize:
        raise InputError.expected(f"{tensor.name}: binary_data_size", count * dtype.itemsize, _short(size))
    if len(body) - start != size:
        raise InputError.expected("body", f"{size} bytes after the JSON", len(body) - start)
    return np.frombuffer(body, dtype, count, start).reshape(shape)


def _read_numbers(tensor: Tensor, shape: list[int], data: Any) -> NDArray[Any]:
    """The array in `data`, a flat list of numbers or lists nested as the shape has it."""
    numbers = _flatten(data, shape, tensor.name)
    if not set(map(type, numbers)) <= NUMBERS[tensor.datatype]:
        raise InputError.expected(f"{tensor.name}: data", f"numbers of {tensor.datatype}", "others")
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
            return np.array(numbers, DTYPES[tensor.datatype]).reshape(shape)
    except OverflowError:
        raise InputError.expected(f"{tensor.name}: data", f"numbers of {tensor.datatype}", "one out of range") from None


def _flatten(data: Any, shape: list[int], name: str) -> list[Any]:
    what, count = f"{name}: data", math.prod(shape)
    if type(data) is not list:
        raise InputError.expected(what, "a list", _short(data))
    items = data
    if items and type(items[0]) is list:
        if len(items) != shape[0]:
            raise InputError.expected(what, f"{shape[0]} lists", len(items))
        for side in shape[1:]:
            if any(type(item) is not list or len(item) != side for item in items):
                raise InputError.expected(what, f"lists nested as the shape {shape}", "others")
            items = list(chain.from_iterable(items))
    if len(items) != count:
        raise InputError.expected(what, f"{count} numbers", len(items))
    return items


def _check_values(tensor: Tensor, array: NDArray[Any]) -> None:
    if tensor.datatype == FP32:
        if not np.isfinite(array).all():
            raise InputError.expected(tensor.name, "finite numbers", "NaN or infinity")
    elif (array < 0).any():
        raise InputError.expected(tensor.name, "numbers from 0 to 2**63 - 1", f"{array.min()}")


def _short(value: object) -> str:
    """A short text of anything that a request holds."""
    return reprlib.repr(value)
