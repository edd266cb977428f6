"""The OpenAPI 3.1 document of the native API, made from its operations and their models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from graphcore import __version__
from server.api.models import ErrorModel
from server.api.operations import PREFIX, Operation
from server.routing import Body

_REFERENCE: Final = "#/components/schemas/{model}"
_ALWAYS: Final = (401, 403)


def openapi_operation(operations: Sequence[Operation]) -> Operation:
    """The operation that serves the document."""
    made: dict[str, Any] = {}

    async def serve(request: web.Request) -> web.Response:
        if not made:
            made.update(openapi_document(listed))
        return web.json_response(made)

    own = Operation(
        method="GET",
        path="/openapi.json",
        handler=serve,
        name="getOpenApi",
        summary="This document.",
        tag="system",
    )
    listed = [*operations, own]
    return own


def openapi_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document."""
    listed = list(operations)
    models: dict[type[BaseModel], None] = {ErrorModel: None}
    for operation in listed:
        for model in (operation.request, operation.response):
            if model is not None:
                models[model] = None
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _entry(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "graphcore",
            "version": __version__,
            "description": "Workflows of diffusion nodes: submit, follow, fetch.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}, {"session": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "graphcore_session"},
            },
        },
    }


def _entry(operation: Operation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation),
    }
    if operation.open:
        entry["security"] = []
    if operation.parameters:
        entry["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "description": parameter.description or parameter.name,
                "required": parameter.required,
                "schema": dict(parameter.schema),
            }
            for parameter in operation.parameters
        ]
    if operation.request is not None:
        entry["requestBody"] = _body("application/json", _reference(operation.request))
    elif operation.body is Body.JSON:
        entry["requestBody"] = _body("application/json", {"type": "object"})
    elif operation.body is Body.BINARY:
        entry["requestBody"] = _body("application/octet-stream", {})
        entry["requestBody"]["content"]["image/*"] = {}
    return entry


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _responses(operation: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.response is not None:
        good["content"] = {"application/json": {"schema": _reference(operation.response)}}
    elif operation.media_type != "application/json":
        good["content"] = {operation.media_type: {}}
    elif operation.status != 204:
        good["content"] = {"application/json": {"schema": {"type": "object"}}}
    responses = {str(operation.status): good}
    if operation.method == "PUT":
        responses["201"] = {**good, "description": HTTPStatus.CREATED.phrase}
    refusal = {"application/json": {"schema": _reference(ErrorModel)}}
    for status in sorted({*_ALWAYS, *operation.errors}):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": refusal}
    return responses


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
