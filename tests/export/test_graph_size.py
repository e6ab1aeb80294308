from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gan_denoise.export import runtime
from gan_denoise.export.convert import weights
from gan_denoise.export.graph_size import GraphSize, graph_size, graph_size_of_file


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def graph(nodes: list[onnx.NodeProto], stored: list[onnx.TensorProto], sides: tuple[int | str, ...]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *sides])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], stored), opset_imports=opsets)


def test_a_small_graph_has_the_numbers_worked_out_by_hand() -> None:
    nodes = [
        # 4 x 8 x 10 -> 6 x 4 x 5, two groups: 6 * 4 * 5 outputs of 2 * 3 * 3 products each
        helper.make_node("Conv", ["x", "conv", "bias"], ["a"], group=2, strides=[2, 2], pads=[1, 1, 1, 1]),
        # 6 x 4 x 5 -> 3 x 8 x 10: 6 * 4 * 5 inputs of 3 * 2 * 2 products each
        helper.make_node("ConvTranspose", ["a", "up"], ["b"], strides=[2, 2]),
        helper.make_node("Reshape", ["b", "shape"], ["c"]),  # 240
        helper.make_node("Gemm", ["c", "dense"], ["d"], transB=1),  # 240 -> 7
        helper.make_node("MatMul", ["d", "last"], ["y"]),  # 7 -> 5
    ]
    shape = numpy_helper.from_array(np.array([-1, 240], np.int64), "shape")
    stored = [weight("conv", 6, 2, 3, 3), weight("bias", 6), weight("up", 6, 3, 2, 2), shape]
    size = graph_size(graph(nodes, [*stored, weight("dense", 7, 240), weight("last", 7, 5)], (4, 8, 10)))
    assert size == GraphSize(parameters=108 + 6 + 72 + 1680 + 35, multiply_adds=120 * 18 + 120 * 12 + 7 * 240 + 5 * 7)


def test_constants_count_as_parameters_and_integers_do_not() -> None:
    constant = helper.make_node("Constant", [], ["k"], value=weight("k", 3, 2))
    steps = numpy_helper.from_array(np.arange(9), "unused")
    model = graph([constant, helper.make_node("MatMul", ["x", "k"], ["y"])], [steps], (3,))
    assert graph_size(model) == GraphSize(parameters=6, multiply_adds=6)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Einsum", ["x", "k"], ["y"], equation="bi,ij->bj"),
        helper.make_node("FusedConv", ["x", "k"], ["y"], domain="com.microsoft"),
        helper.make_node("MatMulInteger", ["x", "k"], ["y"]),
        helper.make_node("QLinearMatMul", ["x", "k"], ["y"]),
    ],
)
def test_layers_that_are_not_counted_leave_the_sum_open(node: onnx.NodeProto) -> None:
    assert graph_size(graph([node], [weight("k", 3, 2)], (3,))) == GraphSize(parameters=6, multiply_adds=None)


def test_a_size_that_is_not_fixed_leaves_the_sum_open() -> None:
    convolution = helper.make_node("Conv", ["x", "k"], ["y"])
    assert graph_size(graph([convolution], [weight("k", 2, 1, 3, 3)], (1, "height", 8))).multiply_adds is None
    assert graph_size(graph([convolution], [weight("k", 2, 1, 3, 3)], (1, 8, 8))).multiply_adds == 2 * 6 * 6 * 9


def products_by_torch(network: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    return int(counter.get_total_flops()) // 2


def test_the_shipped_networks_have_the_multiply_adds_that_torch_counts() -> None:
    denoiser, generator = weights.load_denoiser(runtime.SHIPPED), weights.load_generator(runtime.SHIPPED)
    denoiser_size, generator_size = (
        graph_size_of_file(runtime.SHIPPED / f"{name}.onnx") for name in ("denoiser", "generator")
    )
    assert denoiser_size.multiply_adds == products_by_torch(denoiser, 1, 28, 28)
    assert generator_size.multiply_adds == products_by_torch(generator, generator.latent_size)
    fused = graph_size_of_file(runtime.SHIPPED / "fused.onnx")
    assert fused.multiply_adds == generator_size.multiply_adds + denoiser_size.multiply_adds
