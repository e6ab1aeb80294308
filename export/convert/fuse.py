"""Fuse generator and denoiser into one graph: z -> image, denoised."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx_ir
from onnx import compose

from gan_denoise.errors import InputError
from gan_denoise.export.runtime import FUSED


def fuse(generator: onnx.ModelProto, denoiser: onnx.ModelProto) -> onnx.ModelProto:
    """One graph that feeds the generator's `image` to the denoiser and outputs both images.

    Needs no PyTorch networks, so either graph may come from elsewhere. Raises InputError when shapes, pixel ranges,
    opsets or IR versions of the two differ.
    """
    _check_compatible(generator, denoiser)
    merged = compose.merge_models(
        compose.add_prefix(_without_metadata(generator), "generator/"),
        compose.add_prefix(_without_metadata(denoiser), "denoiser/"),
        io_map=[("generator/image", "denoiser/noisy")],
        outputs=["generator/image", "denoiser/denoised"],
    )
    names = {"generator/z": FUSED.input, "generator/image": "image", "denoiser/denoised": "denoised"}
    _rename(merged.graph, names)
    # merge_models lists each opset twice, which other tools reject; a round trip through the IR removes the duplicates.
    fused = onnx_ir.serde.serialize_model(onnx_ir.serde.deserialize_model(merged))
    _name_batch(fused.graph)
    fused.producer_name, fused.producer_version, fused.graph.name = "gan-denoise", "", "graph"
    onnx.checker.check_model(fused, full_check=True)
    return fused


def _check_compatible(generator: onnx.ModelProto, denoiser: onnx.ModelProto) -> None:
    shapes = _image_shape(generator.graph.output, "image"), _image_shape(denoiser.graph.input, "noisy")
    ranges = [_property(model, "pixel_range") for model in (generator, denoiser)]
    opsets = [{o.domain: o.version for o in model.opset_import} for model in (generator, denoiser)]
    versions = f"opset {opsets[0]}, IR {generator.ir_version}", f"opset {opsets[1]}, IR {denoiser.ir_version}"
    for name, (of_generator, of_denoiser) in (("image shape", shapes), ("pixel range", ranges), ("opset", versions)):
        if of_generator != of_denoiser:
            got = f"{of_generator} of the generator and {of_denoiser} of the denoiser"
            raise InputError.expected("fuse", f"the same {name}", got)


def _image_shape(values: Iterable[onnx.ValueInfoProto], name: str) -> list[int]:
    """Channels, height and width of the named value."""
    for value in values:
        if value.name == name:
            return [side.dim_value for side in value.type.tensor_type.shape.dim][1:]
    raise InputError.expected("fuse", "graphs z -> image and noisy -> denoised", f"a graph without {name}")


def _property(model: onnx.ModelProto, key: str) -> str:
    return next((entry.value for entry in model.metadata_props if entry.key == key), "unknown")


def _without_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without metadata: merge_models rejects graphs whose metadata differ."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.metadata_props[:]
    return copy


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for side in (node.input, node.output):
            for i, name in enumerate(side):
                side[i] = names.get(name, name)


def _name_batch(graph: onnx.GraphProto) -> None:
    """Name the batch axis `batch` everywhere: the prefixes gave the two halves different names."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param.endswith("batch"):
                side.dim_param = "batch"
