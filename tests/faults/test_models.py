"""Untrusted model files are refused before onnxruntime loads them, and the process survives."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from gan_denoise.errors import InputError
from gan_denoise.export import model_check, runtime
from gan_denoise.export.model_check import load_untrusted_model

Fuzz = Callable[..., None]


def model_of(*nodes: NodeProto, weights: tuple[TensorProto, ...] = (), domain: str = "", size: int = 4) -> ModelProto:
    """A model z (batch, size) -> image (batch, 4)."""
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", size])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph(nodes, "g", [z], [image], list(weights))
    opsets = [helper.make_opsetid("", 20), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def refused(model: ModelProto, folder: Path, match: str) -> None:
    path = folder / "untrusted.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=match):
        load_untrusted_model(path)


def ints(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


SIGMOID = helper.make_node("Sigmoid", ["z"], ["image"])


def test_a_plain_model_is_read_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    path.write_bytes(model_of(SIGMOID).SerializeToString())
    assert load_untrusted_model(path) == path.read_bytes()


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link", "hard"])
@pytest.mark.parametrize("inside_a_node", [False, True])
@pytest.mark.row(27)
def test_external_data_is_refused(tmp_path: Path, location: str, inside_a_node: bool) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(16))
    (tmp_path / "link").symlink_to(secret)
    os.link(secret, tmp_path / "hard")
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=location)
    add = helper.make_node("Add", ["z", "w"], ["image"])
    if inside_a_node:
        model = model_of(helper.make_node("Constant", [], ["w"], value=weight), add)
    else:
        model = model_of(add, weights=(weight,))
    refused(model, tmp_path, "expected all weights inside the file, got weights outside the file")


@pytest.mark.row(27)
def test_a_model_that_is_a_link_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    path.write_bytes(model_of(SIGMOID).SerializeToString())
    link = tmp_path / "link.onnx"
    link.symlink_to(path)
    with pytest.raises(InputError, match="expected a regular file, got a link") as caught:
        load_untrusted_model(link)
    assert str(path) in str(caught.value.hint)


@pytest.mark.row(27)
def test_pipes_and_huge_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(InputError, match="expected a regular file, got a folder or device"):
        load_untrusted_model(tmp_path / "pipe.onnx")
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(model_check.MAX_BYTES + 1)
    with pytest.raises(
        InputError, match=f"expected at most {model_check.MAX_BYTES} bytes, got {model_check.MAX_BYTES + 1}"
    ):
        load_untrusted_model(huge)


@pytest.mark.row(28)
def test_foreign_domains_are_refused(tmp_path: Path) -> None:
    foreign = helper.make_node("Gelu", ["z"], ["image"], domain="com.microsoft")
    refused(
        model_of(foreign, domain="com.microsoft"),
        tmp_path,
        "expected standard ONNX operators, got operators of com.microsoft",
    )


@pytest.mark.row(28)
def test_graphs_inside_graphs_are_refused(tmp_path: Path) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["z"], ["out"])], "body", [], [])
    for kind, attribute in (("If", "then_branch"), ("Loop", "body"), ("Scan", "body"), ("Sigmoid", "body")):
        node = helper.make_node(kind, ["z"], ["image"], **{attribute: body})
        refused(
            model_of(node),
            tmp_path,
            f"expected (operators among .*, got {kind}|no nested graphs, got a graph inside {kind})$",
        )


def resizing(scales: TensorProto, *inputs: str, **attributes: Any) -> ModelProto:
    """An image (batch, 1, 8, 8) resized."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, side, side])
        for name, side in (("noisy", 8), ("denoised", None))
    ]
    node = helper.make_node("Resize", ["noisy", *inputs], ["denoised"], **attributes)
    graph = helper.make_graph([node], "g", values[:1], values[1:], [scales, ints("sizes", 1, 1, 8, 8)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.row(28)
def test_resizing_takes_constant_scales_of_a_sane_size(tmp_path: Path) -> None:
    def scales(*values: float) -> TensorProto:
        return numpy_helper.from_array(np.array(values, np.float32), "scales")

    double = scales(1, 1, 2, 2)
    path = tmp_path / "double.onnx"
    for mode in ("nearest", "linear"):
        path.write_bytes(resizing(double, "", "scales", mode=mode).SerializeToString())
        assert load_untrusted_model(path) == path.read_bytes()
    for inputs in (("", "", "sizes"), ("scales", "scales"), ("", "noisy"), ("", "scales", "sizes"), ()):
        refused(resizing(double, *inputs), tmp_path, "expected constant scales for Resize")
    for factor in (0, 1e-9, 100, -1, math.nan, math.inf):
        refused(resizing(scales(1, 1, factor, 2), "", "scales"), tmp_path, "expected scales from 1/64 to 64 for Resize")


@pytest.mark.row(28)
def test_3000_local_functions_are_refused(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    model = model_of(helper.make_node("f0", ["z"], ["image"], domain="f"), domain="f")
    for i in range(3_000):
        inner = helper.make_node(f"f{i + 1}" if i < 2_999 else "Sigmoid", ["x"], ["y"], domain="f" if i < 2_999 else "")
        model.functions.append(helper.make_function("f", f"f{i}", ["x"], ["y"], [inner], opsets))
    refused(model, tmp_path, "expected no local functions, got f0")


def bombs() -> dict[str, ModelProto]:
    """Small files whose tensors would take terabytes."""
    side = 1 << 20
    column = numpy_helper.from_array(np.ones((side, 1), np.float32), "column")
    row = numpy_helper.from_array(np.ones((1, side), np.float32), "row")
    number = numpy_helper.from_array(np.array(0, np.int64), "start")
    lying = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40], raw_data=b"1234")
    one = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one")
    node = helper.make_node
    return {
        "Range": model_of(node("Range", ["start", "stop", "by"], ["image"]), weights=(number,)),
        "ConstantOfShape": model_of(node("ConstantOfShape", ["shape"], ["image"]), weights=(ints("shape", 1 << 40),)),
        "MatMul": model_of(
            node("MatMul", ["column", "row"], ["large"]), node("ReduceMax", ["large"], ["image"]), weights=(column, row)
        ),
        "growing with the batch": model_of(
            node("Reshape", ["z", "shape"], ["tall"]),
            node("MatMul", ["tall", "row"], ["image"]),
            weights=(ints("shape", -1, 1), row),
            size=100,
        ),
        "ConvTranspose": model_of(
            node("Reshape", ["z", "shape"], ["image"]),
            node("ConvTranspose", ["image", "one"], ["image"], strides=[1 << 20, 1 << 20]),
            weights=(ints("shape", -1, 1, 2, 2), one),
        ),
        "pads": model_of(
            node("Reshape", ["z", "shape"], ["image"]),
            node("Conv", ["image", "one"], ["image"], pads=[1 << 20] * 4),
            weights=(ints("shape", -1, 1, 2, 2), one),
        ),
        "dims without numbers": model_of(node("Add", ["z", "w"], ["image"]), weights=(lying,)),
    }


@pytest.mark.parametrize("name", bombs())
@pytest.mark.row(28)
def test_bombs_are_refused(tmp_path: Path, name: str) -> None:
    refused(bombs()[name], tmp_path, "expected .*, got ")


@pytest.mark.row(28)
def test_sizes_that_are_unknown_before_running_are_refused(tmp_path: Path) -> None:
    shape = helper.make_node("Cast", ["z"], ["shape"], to=TensorProto.INT64)
    refused(
        model_of(shape, helper.make_node("Reshape", ["z", "shape"], ["image"])),
        tmp_path,
        "unknown before the graph runs|expected shapes that fit",
    )


def endless() -> dict[str, ModelProto]:
    """Small files whose tensors are within the limits, and whose work is not."""
    kernel = numpy_helper.from_array(np.ones((4, 4, 127, 127), np.float32), "kernel")
    square = numpy_helper.from_array(np.ones((2048, 2048), np.float32), "square")

    def again(
        kind: str, *weights: TensorProto, times: int = 10, sides: tuple[int, ...] = (4, 256, 256), **how: Any
    ) -> ModelProto:
        names = [weight.name for weight in weights]
        nodes = [helper.make_node("Reshape", ["z", "shape"], ["x0"])]
        nodes += [helper.make_node(kind, [f"x{i}", *names], [f"x{i + 1}"], **how) for i in range(times)]
        nodes += [helper.make_node("ReduceMax", [f"x{times}"], ["image"])]
        return model_of(*nodes, weights=(ints("shape", -1, *sides), *weights), size=math.prod(sides))

    return {
        "Conv": again("Conv", kernel, pads=[63] * 4, times=2),
        "ConvTranspose": again("ConvTranspose", kernel, pads=[63] * 4, times=2),
        "AveragePool": again("AveragePool", kernel_shape=[127, 127], pads=[63] * 4, times=5),
        "MatMul": again("MatMul", square, times=3, sides=(2048, 2048)),
        "Exp": again("Exp", times=130),
    }


@pytest.mark.parametrize("name", endless())
@pytest.mark.row(28)
def test_excessive_work_is_refused(tmp_path: Path, name: str) -> None:
    kind = "numbers to read and write" if name == "Exp" else "multiply-adds"
    refused(endless()[name], tmp_path, rf"expected at most \d+ {kind} per sample, got \d+")


@pytest.mark.parametrize("text", [b"shipped-note", b"denoised"])
@pytest.mark.row(29)
def test_text_that_is_not_utf8_is_refused(tmp_path: Path, exported: Path, text: bytes) -> None:
    model = onnx.load(exported / "fused.onnx")
    onnx.helper.set_model_props(model, {"note": "shipped-note"})
    content = model.SerializeToString()
    assert text in content
    (tmp_path / "fused.onnx").write_bytes(content.replace(text, b"\xe7" + text[1:]))
    with pytest.raises(InputError, match=r"fused\.onnx: "):
        runtime.load_graph(runtime.FUSED, tmp_path / "fused.onnx")


@pytest.mark.row(29)
def test_mutated_models_end_in_an_error_or_a_graph_never_by_a_signal(fuzz: Fuzz, exported: Path) -> None:
    fuzz("model", exported / "fused.onnx")


@pytest.mark.row(29)
def test_the_fuzzer_reports_a_crash(fuzz: Fuzz, exported: Path) -> None:
    with pytest.raises(AssertionError, match="-11"):
        fuzz("model", exported / "fused.onnx", "--crash-at", "5")


@pytest.mark.row(28)
@pytest.mark.parametrize(
    ("content", "got", "hint"),
    [
        (b"", "an empty file", "gan-denoise export"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 99\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        (b"<!doctype html><html>404</html>", "a web page", "download the file itself"),
        (b"no model", "8 bytes of something else", "gan-denoise export"),
    ],
)
def test_what_is_no_model_is_named(content: bytes, got: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "fused.onnx").write_bytes(content)
    with pytest.raises(InputError, match=rf"expected an ONNX model, got {got}$") as caught:
        runtime.load_graph(runtime.FUSED, tmp_path)
    assert caught.value.hint.startswith(hint)
