"""The one gate before all routes: host, origin, token, kind of body; and the headers on all that leaves."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from graphcore.errors import DocumentError, GraphcoreError, InputError, ResourceError, ValidationError
from server.errors import ServerError
from server.routing import PRINCIPAL, Body, Handler, Route
from server.security.hosts import HostList
from server.security.origin import same_origin
from server.security.redaction import Redaction
from server.security.tokens import COOKIE, Tokens

_log = logging.getLogger(__name__)
_FORM_TYPES: Final = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
_STATUS: Final[tuple[tuple[type[GraphcoreError], int], ...]] = (
    (ValidationError, 422),
    (DocumentError, 400),
    (InputError, 400),
    (ResourceError, 404),
)
_SENTENCES: Final[Mapping[int, tuple[str, str]]] = {
    401: ("unauthorized", "A token is needed: send it as 'Authorization: Bearer …'."),
    404: ("not-found", "There is nothing here."),
    405: ("method-not-allowed", "This method is not for this address."),
    408: ("timeout", "The request took too long to arrive."),
    413: ("too-large", "The body is larger than the server takes."),
    417: ("expectation-failed", "The server does not do what the Expect header asks."),
    421: ("misdirected", "The request is for another host."),
}


class Refused(ServerError):
    """The request is not let in."""

    code = "refused"
    status = 403


def guard(
    *, routes: Mapping[Handler, Route], hosts: HostList, tokens: Tokens, redaction: Redaction
) -> Middleware:
    """The middleware. Routes that it does not know are denied like any other."""

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        route = routes.get(request.match_info.handler)
        try:
            _check_host(request, hosts)
            _check_origin(request, route)
            _identify(request, route, tokens)
            if route is not None:
                _check_body(request, route)
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - every failure has the one shape
            response = error_response(error, redaction)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        return response

    return check


def _check_host(request: web.Request, hosts: HostList) -> None:
    given = request.headers.getall(hdrs.HOST, [])
    if len(given) != 1:
        raise Refused("A request needs exactly one Host header.", code="bad-host", status=400)
    if not hosts.admits(given[0]):
        raise Refused(
            "The server does not answer to this host name; start it with --allow-host to add one.",
            code="host-not-allowed",
        )


def _check_origin(request: web.Request, route: Route | None) -> None:
    own = same_origin(
        fetch_site=request.headers.getall("Sec-Fetch-Site", []),
        origin=request.headers.getall(hdrs.ORIGIN, []),
        host=request.headers[hdrs.HOST],
        scheme=request.scheme,
    )
    if own:
        return
    opened = (
        route is not None
        and route.page
        and request.method in ("GET", "HEAD")
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
        and hdrs.ORIGIN not in request.headers
    )
    if not opened:
        raise Refused("Requests from pages of other sites are refused.", code="cross-site")


def _identify(request: web.Request, route: Route | None, tokens: Tokens) -> None:
    principal = tokens.identify(
        authorization=request.headers.get(hdrs.AUTHORIZATION), cookie=request.cookies.get(COOKIE)
    )
    if principal is not None:
        request[PRINCIPAL] = principal
    elif route is None or not route.open:
        raise Refused(_SENTENCES[401][1], code="unauthorized", status=401)


def _check_body(request: web.Request, route: Route) -> None:
    if route.body is Body.ANY or request.method not in _CHANGING:
        return
    kind = request.content_type if hdrs.CONTENT_TYPE in request.headers else ""
    if route.body is Body.JSON and kind != "application/json":
        raise Refused(
            "Send the body as 'Content-Type: application/json'.", code="unsupported-media-type", status=415
        )
    if route.body is Body.BINARY and (not kind or kind in _FORM_TYPES):
        raise Refused(
            "Send the file itself as the body, under its own media type (image/png, say).",
            code="unsupported-media-type",
            status=415,
        )
    if route.body is Body.NONE and kind in _FORM_TYPES:
        raise Refused("This address takes no body.", code="unsupported-media-type", status=415)


def error_response(error: Exception, redaction: Redaction) -> web.Response:
    """The answer to a failure, in the one shape; what nobody foresaw is logged and told as `internal`."""
    headers = {}
    if isinstance(error, ServerError):
        status, body = error.status, error.as_json()
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, GraphcoreError):
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        if error.code == "document-too-large":
            status = 413
        body = error.as_json()
    elif isinstance(error, web.HTTPException):
        if error.status < 400:
            raise error
        code, sentence = _SENTENCES.get(error.status, ("http", error.reason))
        status, body = error.status, {"code": code, "message": sentence}
        if isinstance(error, web.HTTPMethodNotAllowed):
            headers["Allow"] = error.headers["Allow"]
    else:
        _log.error("A request failed.", exc_info=error)
        status, body = 500, {"code": "internal", "message": "The server failed; its log says how."}
    return web.json_response({"error": redaction.value(body)}, status=status, headers=headers)
