"""The OpenAPI description of the server: the routes that exist, and the bodies that they take and return."""

from __future__ import annotations

from typing import Any

from gan_denoise import __version__
from gan_denoise.export.serve.protocol import BINARY, HEADER_LENGTH, JSON, KEYS, MAX_ID, VERSION
from gan_denoise.export.serve.service import Service

TEXT: dict[str, Any] = {"type": "string"}
SHAPE = {"type": "array", "items": {"type": "integer"}}


def describe_api(service: Service) -> dict[str, Any]:
    """OpenAPI 3.1 of a service: its models and limits as they are."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gan-denoise",
            "version": __version__,
            "description": "The Open Inference Protocol v2, with the binary tensor data extension.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": _paths(sorted(service.served)),
        "components": {"schemas": _schemas(service)},
    }


def _paths(models: list[str]) -> dict[str, Any]:
    name = _parameter("name", {**TEXT, "enum": models} if models else TEXT)
    version = _parameter("version", {**TEXT, "const": VERSION})
    paths: dict[str, Any] = {
        "/v2": {"get": _operation("Name, version and extensions of the server", "Server")},
        "/v2/health/live": {"get": _operation("Whether the server answers", "Live")},
        "/v2/health/ready": {"get": _operation("Whether all models can be run", "Ready", "503")},
        "/metrics": {"get": _operation("Metrics for Prometheus", "", kind="text/plain")},
        "/openapi.json": {"get": _operation("This description", "")},
    }
    for path, parameters in (
        ("/v2/models/{name}", [name]),
        ("/v2/models/{name}/versions/{version}", [name, version]),
    ):
        infer = _operation("Run the model", "InferResponse", "400", "404", "408", "413", "500", "503", "504")
        length = {**_parameter(HEADER_LENGTH.decode(), {"type": "integer", "minimum": 1}, "header"), "required": False}
        infer |= {"parameters": [length], "requestBody": {"required": True, "content": _content("InferRequest")}}
        infer["responses"]["200"]["content"] = _content("InferResponse")
        metadata = _operation("Tensors of the model", "Model", "404", "503")
        ready = _operation("Whether the model can be run", "ModelReady", "404", "503")
        paths[path] = {"parameters": parameters, "get": metadata}
        paths[f"{path}/ready"] = {"parameters": parameters, "get": ready}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": infer}
    return paths


def _content(schema: str) -> dict[str, Any]:
    """A body in JSON, or in JSON followed by the binary data of its tensors."""
    return {JSON.decode(): {"schema": _reference(schema)}, BINARY.decode(): {}}


def _operation(summary: str, schema: str, *errors: str, kind: str = JSON.decode()) -> dict[str, Any]:
    good = {"description": "OK", "content": {kind: {"schema": _reference(schema)} if schema else {}}}
    bad = {"description": "Error", "content": {JSON.decode(): {"schema": _reference("Error")}}}
    return {"summary": summary, "responses": {"200": good, **dict.fromkeys(errors, bad)}}


def _parameter(name: str, schema: dict[str, Any], place: str = "path") -> dict[str, Any]:
    return {"name": name, "in": place, "required": True, "schema": schema}


def _reference(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _schemas(service: Service) -> dict[str, Any]:
    most, label = {"maximum": service.settings.max_rows}, {"type": ["string", "integer"]}
    numbers = {"type": "array", "description": "Row by row, flat or nested as the shape has it."}
    size = _object({"binary_data_size": {"type": "integer"}})
    tensor = {"name": TEXT, "datatype": {"enum": ["FP32", "INT64"]}}
    shape = {**SHAPE, "description": "Rows first.", "prefixItems": [{"type": "integer", "minimum": 1, **most}]}
    data = {**tensor, "shape": shape, "parameters": size, "data": numbers}
    output = _object({"name": TEXT, "parameters": _object({"binary_data": {"type": "boolean"}})}, "name")
    description = _object({**tensor, "shape": {**SHAPE, "description": "-1 is any size."}}, *tensor, "shape")
    request = {
        "id": {**TEXT, "maxLength": MAX_ID},
        "model_name": TEXT,
        "parameters": _object({"binary_data_output": {"type": "boolean"}, "label": label}),
        "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _object(data, *tensor, "shape")},
        "outputs": {"type": "array", "items": output},
    }
    assert request.keys() == KEYS
    response = {
        "model_name": TEXT,
        "model_version": TEXT,
        "id": TEXT,
        "outputs": _list(_object(data, *tensor, "shape")),
    }
    model = {"name": TEXT, "versions": _list(TEXT), "platform": TEXT, "parameters": {"type": "object"}}
    model |= {"inputs": _list(description), "outputs": _list(description)}
    flag = {"type": "boolean"}
    return {
        "Error": _object({"error": TEXT}, "error"),
        "Server": _object({"name": TEXT, "version": TEXT, "extensions": _list(TEXT)}, "name", "version", "extensions"),
        "Live": _object({"live": flag}, "live"),
        "Ready": _object({"ready": flag}, "ready"),
        "ModelReady": _object({"name": TEXT, "ready": flag}, "name", "ready"),
        "Model": _object(model, *model),
        "InferRequest": _object(request, "inputs"),
        "InferResponse": _object(response, "model_name", "outputs"),
    }


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
