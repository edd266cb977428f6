"""An operation of the native API: its route, and what its OpenAPI entry says. Written once, used for both."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel
from pydantic import ValidationError as ModelError

from graphcore.errors import Problem, ValidationError
from graphcore.jsontext import parse_json
from server.errors import RequestError
from server.routing import PRINCIPAL, Body, Handler, Route
from server.security.tokens import Principal

PREFIX: Final = "/api/v1"
ModelT = TypeVar("ModelT", bound=BaseModel)
_BODY_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of the query, the path or the headers; `schema` is its JSON Schema."""

    name: str
    place: str = "query"
    description: str = ""
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation: what it takes, what it gives, and with which statuses it may refuse."""

    method: str
    path: str
    handler: Handler
    name: str
    summary: str
    tag: str
    request: type[BaseModel] | None = None
    body: Body = Body.NONE
    response: type[BaseModel] | None = None
    media_type: str = "application/json"
    status: int = 200
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    open: bool = False

    @property
    def route(self) -> Route:
        """The operation as a route of the application."""
        body = Body.JSON if self.request is not None else self.body
        return Route(
            method=self.method, path=PREFIX + self.path, handler=self.handler, body=body, open=self.open
        )


async def read_body(request: web.Request) -> bytes:
    """The whole body, within the server's limits of size and time."""
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except TimeoutError:
        raise RequestError("The body took too long to arrive.", code="timeout", status=408) from None


async def read_model(request: web.Request, model: type[ModelT]) -> tuple[ModelT, bytes]:
    """The body as a model, and as it came; raises DocumentError (400) or ValidationError (422)."""
    data = await read_body(request)
    return parse_model(data, model), data


def parse_model(data: bytes, model: type[ModelT]) -> ModelT:
    """Strict JSON as a model; raises DocumentError for what is no JSON, ValidationError for what does not fit."""
    try:
        return model.model_validate(parse_json(data), strict=True)
    except ModelError as error:
        raise ValidationError([_problem(dict(fault)) for fault in error.errors(include_url=False)]) from None


def _problem(fault: Mapping[str, Any]) -> Problem:
    place = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in fault["loc"])
    return Problem(
        code=f"request-{str(fault['type']).replace('_', '-')}", message=f"{fault['msg']}.", pointer=place
    )


def json_answer(
    model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A model as the answer."""
    return web.Response(
        body=model.model_dump_json().encode(), status=status, content_type="application/json", headers=headers
    )


def principal_of(request: web.Request) -> Principal:
    """Who the request is from."""
    return request[PRINCIPAL]


def int_parameter(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query within bounds; raises RequestError."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not low <= int(text) <= high:
        raise RequestError(
            f"'{name}' must be a whole number from {low} to {high}.", code="bad-parameter", status=422
        )
    return int(text)


def number_parameter(request: web.Request, name: str, default: float, low: float, high: float) -> float:
    """A number of the query within bounds; raises RequestError."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise RequestError(
            f"'{name}' must be a number from {low:g} to {high:g}.", code="bad-parameter", status=422
        )
    return number
