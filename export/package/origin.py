"""Keep the origin of a graph when it is converted: its producer, metadata and names."""

from __future__ import annotations

import itertools

import onnx
from onnx import helper


def keep_origin(converted: onnx.ModelProto, original: onnx.ModelProto, changes: dict[str, str]) -> None:
    """Give the converted model the producer, graph name and metadata of its original, `changes` added, in place.

    Tools that convert graphs write their own names there. Nodes without a name get one.
    """
    converted.producer_name, converted.producer_version = original.producer_name, original.producer_version
    converted.graph.name = original.graph.name
    metadata = {entry.key: entry.value for entry in original.metadata_props}
    helper.set_model_props(converted, metadata | changes)
    name_nodes(converted.graph)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give each node without a name, or with the name of an earlier node, a name of its own, in place."""
    names = {node.name for node in graph.node}
    used: set[str] = set()
    for node in graph.node:
        if not node.name or node.name in used:
            base = node.output[0] if node.output else node.op_type
            candidates = itertools.chain([f"node_{base}"], (f"node_{base}_{i}" for i in itertools.count(2)))
            node.name = next(name for name in candidates if name not in names)
            names.add(node.name)
        used.add(node.name)
