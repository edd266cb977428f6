"""The application: services joined, routes behind the one gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from aiohttp import web

from graphcore.files import Files
from graphcore.limits import Limits
from graphcore.registry import Registry
from graphcore.worker.configuration import WorkerConfiguration
from server.api.routes import native_routes
from server.checking import Checker, Rules
from server.jobs import JobLimits, JobService
from server.packs import Packs
from server.pictures.service import PictureService
from server.routing import Handler, Route
from server.security.guard import guard
from server.security.hosts import LOOPBACK_NAMES, HostList
from server.security.redaction import Redaction
from server.security.tokens import OWNER, Tokens, make_token
from server.services import Services
from server.settings import ServerSettings
from server.slot import Patience
from server.store.database import Database
from server.uploads import Uploads
from server.webhooks import Webhooks, parse_targets
from server.workers.interface import Worker
from server.workers.process import ProcessWorker
from server.workflows import SavedWorkflows

RouteModule = Callable[[Services], Sequence[Route]]
SERVICES: Final = web.AppKey("services", Services)
_MIB: Final = 2**20
PAGES: Final = "server.workers.pages"


def make_services(
    settings: ServerSettings,
    registry: Registry,
    *,
    workers: Sequence[Worker] | None = None,
    token: str | None = None,
) -> Services:
    """Join the server's parts. `token` is the owner's; with none (and none of others) every caller is the owner."""
    files = Files.from_settings(settings.engine_settings(), registry.folders)
    packs = Packs(registry, expected=bool(settings.node_packs))
    database = Database(settings.data_dir / "graphcore.sqlite3")
    pictures = PictureService(pixels=settings.max_picture_pixels)
    tokens = {name: secret.get_secret_value() for name, secret in settings.tokens.items()}
    if token is not None:
        tokens[OWNER] = token
    rules = Rules(
        registry=registry,
        files=files,
        limits=Limits(),
        require_safety=settings.require_safety,
        packs=packs,
    )
    secret = (
        settings.webhook_secret.get_secret_value() if settings.webhook_secret is not None else make_token()
    )
    return Services(
        settings=settings,
        registry=registry,
        files=files,
        packs=packs,
        database=database,
        jobs=JobService(
            database=database,
            workers=workers if workers is not None else process_workers(settings, packs),
            limits=JobLimits(
                waiting=settings.max_queue, waiting_each=settings.max_queue_each, history=settings.history
            ),
            patience=Patience(run_s=settings.run_timeout, cancel_s=settings.cancel_grace),
        ),
        checker=Checker(rules),
        workflows=SavedWorkflows(database),
        uploads=Uploads(database=database, pictures=pictures, folder=settings.inputs),
        pictures=pictures,
        webhooks=Webhooks(database=database, targets=parse_targets(settings.webhook_allow), secret=secret),
        tokens=Tokens(tokens),
        hosts=HostList([*LOOPBACK_NAMES, settings.host, *settings.allow_host]),
        redaction=Redaction(
            {
                "data": [settings.data_dir],
                "input": [settings.inputs],
                "output": [settings.outputs],
                "models": [path for paths in files.folders.values() for path in paths],
            }
        ),
    )


def process_workers(settings: ServerSettings, packs: Packs | None = None) -> list[Worker]:
    """A worker process for each device."""
    return [
        ProcessWorker(
            device,
            WorkerConfiguration(
                settings=settings.engine_settings(device),
                cache=settings.cache,
                packs=settings.packs,
                node_modules=settings.node_module,
                node_packs=settings.node_packs,
                pages=PAGES,
                page_bytes=settings.max_body_mib * _MIB,
            ),
            packs,
        )
        for device in settings.device
    ]


def make_app(services: Services, modules: Iterable[RouteModule] = ()) -> web.Application:
    """The application with the native API and the routes of further modules, all behind the gate.

    A module that watches runs can do so from an `on_startup` of its own, or at its first request.
    """
    routes = [*native_routes(services), *(route for module in modules for route in module(services))]
    known: dict[Handler, Route] = {}
    for route in routes:
        if (
            known.setdefault(route.handler, route) is not route
            and known[route.handler].body is not route.body
        ):
            raise ValueError(f"The handler of {route.path} has two routes that take different bodies.")
    app = web.Application(
        middlewares=[
            guard(routes=known, hosts=services.hosts, tokens=services.tokens, redaction=services.redaction)
        ],
        client_max_size=max(services.settings.max_body_mib, services.settings.max_upload_mib) * _MIB,
    )
    app[SERVICES] = services
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
    app.on_startup.append(_start)
    app.on_shutdown.append(_close)
    app.on_cleanup.append(_stop)
    return app


async def _start(app: web.Application) -> None:
    services = app[SERVICES]
    services.database.open()
    await services.jobs.start()
    services.jobs.listen(services.webhooks.hear)
    await services.webhooks.start()


async def _close(app: web.Application) -> None:
    for close in app[SERVICES].closing:
        close()


async def _stop(app: web.Application) -> None:
    services = app[SERVICES]
    await services.jobs.stop(services.settings.grace)
    await services.webhooks.stop()
    await services.pictures.close()
    services.checker.close()
    await services.database.close()
