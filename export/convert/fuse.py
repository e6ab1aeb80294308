"""Generator and denoiser into one graph: z to image and denoised."""

from __future__ import annotations

import onnx
import onnx_ir
from onnx import compose

from gan_denoise.errors import InputError
from gan_denoise.export.runtime import FUSED


def fuse(generator: onnx.ModelProto, denoiser: onnx.ModelProto) -> onnx.ModelProto:
    """One graph that feeds the generator's `image` to the denoiser and gives both images.

    Works on graphs alone, so either side may come from elsewhere. Raises InputError when the image that one
    makes is not the image that the other takes.
    """
    _check_join(generator, denoiser)
    left = compose.add_prefix(_without_metadata(generator), "generator/")
    right = compose.add_prefix(_without_metadata(denoiser), "denoiser/")
    merged = compose.merge_models(
        left,
        right,
        io_map=[("generator/image", "denoiser/noisy")],
        outputs=["generator/image", "denoiser/denoised"],
    )
    names = {"generator/z": FUSED.input, "generator/image": "image", "denoiser/denoised": "denoised"}
    _rename(merged.graph, names)
    # merge_models lists each opset twice, which later tools trip over; a round trip through the IR mends it.
    fused = onnx_ir.serde.serialize_model(onnx_ir.serde.deserialize_model(merged))
    _name_batch(fused.graph)
    fused.producer_name, fused.producer_version, fused.graph.name = "gan-denoise", "", "graph"
    onnx.checker.check_model(fused, full_check=True)
    return fused


def _check_join(generator: onnx.ModelProto, denoiser: onnx.ModelProto) -> None:
    made, taken = _sides(generator.graph.output, "image"), _sides(denoiser.graph.input, "noisy")
    if made != taken:
        raise InputError(f"fuse: the generator makes image {made}, the denoiser takes noisy {taken}; the same wanted")
    ranges = [_property(model, "pixel_range") for model in (generator, denoiser)]
    if ranges[0] != ranges[1]:
        raise InputError(f"fuse: the generator's pixels are {ranges[0]}, the denoiser's {ranges[1]}; the same wanted")
    opsets = [{o.domain: o.version for o in model.opset_import} for model in (generator, denoiser)]
    if opsets[0] != opsets[1] or generator.ir_version != denoiser.ir_version:
        raise InputError(
            f"fuse: generator opset {opsets[0]}, IR {generator.ir_version}; "
            f"denoiser opset {opsets[1]}, IR {denoiser.ir_version}; the same wanted"
        )


def _sides(values: object, name: str) -> list[int]:
    """Channels, height and width of the named value."""
    for value in values:  # type: ignore[attr-defined]
        if value.name == name:
            return [side.dim_value for side in value.type.tensor_type.shape.dim][1:]
    raise InputError(f"fuse: a graph without {name} found, z -> image and noisy -> denoised wanted")


def _property(model: onnx.ModelProto, key: str) -> str:
    return next((entry.value for entry in model.metadata_props if entry.key == key), "unknown")


def _without_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that says nothing of its origin: merge_models refuses two different origins."""
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
    """The same `batch` on all sides: prefixes gave the two halves different names."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param.endswith("batch"):
                side.dim_param = "batch"
