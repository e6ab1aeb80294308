"""Convert PyTorch networks to ONNX graphs: tensor names, dynamic batch and metadata."""

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


def to_onnx(
    network: nn.Module, signature: Signature, input_shape: tuple[int, ...], multiple: int = 0
) -> onnx.ModelProto:
    """Convert the network, in evaluation mode, to one graph with the tensor names of `signature`.

    The input is (batch, *input_shape) float32 with a free batch; every other side is fixed. With `multiple`, height and
    width of the images are free too, as multiples of it. The graph holds its weights, and no paths of this machine.
    """
    example = torch.zeros(2, *input_shape, device=next(network.parameters()).device)
    free = {0: torch.export.Dim("batch", min=1)}
    if multiple:
        free |= {2: multiple * torch.export.Dim("rows", min=1), 3: multiple * torch.export.Dim("columns", min=1)}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside the exporter; parity is checked afterwards
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[signature.input],
            output_names=list(signature.outputs),
            dynamic_shapes=(free,),
            verbose=False,
        )
    assert program is not None
    return _without_traces(program.model_proto)


def with_metadata(model: onnx.ModelProto, metadata: dict[str, str]) -> onnx.ModelProto:
    """A copy of the model whose metadata are `metadata` and nothing else."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.metadata_props[:]
    onnx.helper.set_model_props(copy, metadata)
    return copy


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove stack traces, which contain paths of source files."""
    program = onnx_ir.serde.deserialize_model(model)
    passes.ClearMetadataAndDocStringPass()(program)
    clean = onnx_ir.serde.serialize_model(program)
    clean.producer_name, clean.producer_version = "gan-denoise", ""
    clean.graph.name = "graph"
    return clean
