"""PyTorch networks to ONNX graphs: tensor names, the dynamic batch and the metadata are fixed here."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

import onnx
import onnx_ir
import torch
from onnx_ir.passes import common as passes
from torch import nn

from gan_denoise.export.runtime import Signature

OPSET = 20


def to_onnx(network: nn.Module, signature: Signature, input_shape: tuple[int, ...]) -> onnx.ModelProto:
    """The network in evaluation as one graph with the tensor names of `signature`.

    The input is (batch, *input_shape) float32 with any batch; every other side is fixed. Weights are inside and
    no path of this machine is.
    """
    example = torch.zeros(2, *input_shape, device=next(network.parameters()).device)
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's own deprecations; parity is checked afterwards
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[signature.input],
            output_names=list(signature.outputs),
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    assert program is not None
    return _without_traces(program.model_proto)


def with_metadata(model: onnx.ModelProto, metadata: dict[str, str]) -> onnx.ModelProto:
    """A copy that carries `metadata`, in place of what it carried."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.metadata_props[:]
    onnx.helper.set_model_props(copy, metadata)
    return copy


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the stack traces, which name source files of this machine."""
    program = onnx_ir.serde.deserialize_model(model)
    passes.ClearMetadataAndDocStringPass()(program)
    clean = onnx_ir.serde.serialize_model(program)
    clean.producer_name, clean.producer_version = "gan-denoise", ""
    clean.graph.name = "graph"
    return clean
