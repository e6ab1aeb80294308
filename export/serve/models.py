"""The models that a server offers: graphs by name, their tensors, and the rows that a request asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise.console import print_status
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError
from gan_denoise.export.generate import parse_label
from gan_denoise.export.latents import latents, set_class
from gan_denoise.export.model_folder import find_signatures
from gan_denoise.export.provider_choice import Report, load_for
from gan_denoise.export.runtime import FUSED, Graph
from gan_denoise.export.serve.protocol import FP32, INT64, VERSION, InferRequest, Tensor
from gan_denoise.options import Provider

SEED = Tensor("seed", INT64, ())


@dataclass(frozen=True)
class Model:
    """A graph with the name that it is served under."""

    name: str
    graph: Graph

    @cached_property
    def inputs(self) -> list[Tensor]:
        """The input of the graph, and `seed`, which may be given in place of z."""
        graph = self.graph
        multiple = graph.multiple if graph.has_any_size else 1
        own = Tensor(graph.signature.input, FP32, graph.input_shape, multiple)
        return [own, SEED] if self.takes_z else [own]

    @cached_property
    def outputs(self) -> list[Tensor]:
        """The outputs of the graph."""
        graph = self.graph
        pairs = zip(graph.signature.outputs, graph.output_shapes, strict=True)
        return [Tensor(name, FP32, sides) for name, sides in pairs]

    @property
    def takes_z(self) -> bool:
        """Whether the model generates images, from z or from seeds."""
        return self.graph.signature.input == FUSED.input

    def describe(self) -> dict[str, Any]:
        """The protocol's model metadata; `parameters` has what its tensors cannot say."""
        graph = self.graph
        parameters: dict[str, Any] = {"sha256": graph.sha256, "provider": str(graph.provider)}
        if self.takes_z:
            parameters |= {"in_place_of_z": SEED.describe(), "label": graph.class_names}
        if graph.has_any_size:
            parameters["multiple"] = graph.multiple
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "onnx_onnxv1",
            "inputs": [self.inputs[0].describe()],
            "outputs": [tensor.describe() for tensor in self.outputs],
            "parameters": parameters,
        }

    def rows(self, request: InferRequest) -> ArrayF32:
        """What to give to the graph, (N, ...) float32. Raises InputError if a label is unknown, or has no place."""
        rows = request.array
        if request.input is SEED:
            size = self.graph.input_shape[0]
            rows = np.concatenate([latents(int(seed), 0, 1, size) for seed in rows])
        if request.label is None:
            return rows
        if not self.takes_z:
            raise InputError.expected("label", f"no label for {self.name}", request.label[:40])
        return set_class(rows, parse_label(self.graph, request.label[:40], "label"), self.graph.classes)


def load_models(
    path: Path | None, threads: int = 0, provider: Provider = Provider.cpu, report: Report = print_status
) -> dict[str, Model]:
    """The models in `path`, a folder or one graph's file, or all that are shipped when None; each was run once.

    `threads` 0 means one per available core; `provider` and `report` are what `load_for` takes. Raises InputError when
    there is none, or one of them is invalid.
    """
    models = {}
    for signature in find_signatures(path):
        name = Path(signature.file).stem
        model = Model(name, load_for(provider, signature, path, threads, report))
        model.describe()  # raises InputError for metadata that are wrong
        sides = [side or model.graph.multiple for side in model.graph.input_shape]
        model.graph(np.zeros((1, *sides), np.float32))
        models[name] = model
    return models
