"""Runs the application until it is told to stop: address, TLS, token, signals."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from graphcore.registry import Registry
from server.app import SERVICES, RouteModule, make_app, make_services
from server.errors import StartError
from server.lock import FolderLock
from server.security.connections import LimitedRunner
from server.security.hosts import is_loopback
from server.security.tokens import checked_token, read_or_make_token
from server.settings import ServerSettings

# The loop shares the interpreter with threads that check and write; it must not wait long for its turn.
_SWITCH_S: Final = 0.0005
_HEADER_S: Final = 20.0
_KEEPALIVE_S: Final = 75.0
_HEADER_BYTES: Final = 16 * 1024
_HEADERS: Final = 100
_PACKS_S: Final = 120.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Told when the server takes requests. `token` is set once, when it has just been made."""

    url: str
    token: str | None


def owner_token(settings: ServerSettings) -> tuple[str | None, bool]:
    """The owner's token, and whether it was made just now; None where none is needed.

    Raises StartError for an address that others can reach without TLS, unless that was asked for.
    """
    given = settings.token.get_secret_value() if settings.token is not None else None
    for name, secret in settings.tokens.items():
        checked_token(secret.get_secret_value(), f"'{name}'")
    if given is not None:
        checked_token(given, "the settings")
    if is_loopback(settings.host):
        if given is None and settings.tokens:
            return read_or_make_token(settings.data_dir / "token")
        return given, False
    if settings.tls_cert is None and not settings.insecure:
        raise StartError(
            f"{settings.host} can be reached from other machines: give --tls-cert and --tls-key, or --insecure "
            "if the network between is trusted (a proxy with TLS in front, say).",
            code="needs-tls",
        )
    return (given, False) if given is not None else read_or_make_token(settings.data_dir / "token")


async def serve(
    settings: ServerSettings,
    registry: Registry,
    *,
    modules: Iterable[RouteModule] = (),
    tell: Callable[[Ready], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let what is under way end. Raises StartError."""
    sys.setswitchinterval(_SWITCH_S)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    lock = FolderLock(settings.data_dir).acquire(f" at port {settings.port}")
    try:
        token, fresh = owner_token(settings)
        runner = make_runner(settings, registry, modules=modules, token=token)
        await runner.setup()
        try:
            await runner.app[SERVICES].packs.settled(_PACKS_S)
            site = await _listen(runner, settings)
            if tell is not None:
                tell(Ready(url=_url(site, settings), token=token if fresh else None))
            await stopping.wait()
            _log.info("Stopping.")
        finally:
            await runner.cleanup()
    finally:
        lock.release()


def make_runner(
    settings: ServerSettings,
    registry: Registry,
    *,
    modules: Iterable[RouteModule] = (),
    token: str | None = None,
) -> LimitedRunner:
    """The application with limits on its connections."""
    return LimitedRunner(
        make_app(make_services(settings, registry, token=token), modules),
        most=settings.max_connections,
        header_s=_HEADER_S,
        access_log=None,
        keepalive_timeout=_KEEPALIVE_S,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        max_headers=_HEADERS,
        shutdown_timeout=2.0,
    )


async def _listen(runner: LimitedRunner, settings: ServerSettings) -> web.TCPSite:
    site = web.TCPSite(runner, settings.host, settings.port, ssl_context=_tls(settings), backlog=1024)
    try:
        await site.start()
    except OSError as error:
        raise StartError(
            f"The server cannot listen at {settings.host}:{settings.port} ({error.strerror}); "
            "choose another --port or --host.",
            code="cannot-listen",
        ) from error
    return site


def _tls(settings: ServerSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"The TLS certificate cannot be used: {error}.", code="bad-certificate") from error
    return context


def _url(site: web.TCPSite, settings: ServerSettings) -> str:
    server = site._server
    port = settings.port
    if port == 0 and isinstance(server, asyncio.Server) and server.sockets:
        port = server.sockets[0].getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls_cert is not None else 'http'}://{host}:{port}/"
