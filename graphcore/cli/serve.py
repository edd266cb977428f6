"""`graphcore serve`: joins the engine, the nodes and the server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphcore.errors import InputError

if TYPE_CHECKING:
    from server.running import Ready
    from server.settings import ServerSettings

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Serve workflows to programs and people.")
@click.option("--host", help="Address to listen at (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen at (8188); 0 takes a free one.")
@click.option("--allow-host", multiple=True, help="Another host name that requests may be addressed to.")
@click.option(
    "--token", help="The owner's token; better kept in GRAPHCORE_TOKEN. One is made where one is needed."
)
@click.option("--tls-cert", type=_FILE, help="Certificate chain (PEM).")
@click.option("--tls-key", type=_FILE, help="Private key (PEM).")
@click.option("--insecure", is_flag=True, default=None, help="Listen to other machines without TLS.")
@click.option(
    "--models-dir",
    multiple=True,
    type=_FOLDER,
    help="Folder of models in ComfyUI's layout; may be given again.",
)
@click.option("--input-dir", type=_FOLDER, help="Folder of input files.")
@click.option("--output-dir", type=_FOLDER, help="Folder of output files.")
@click.option("--data-dir", type=_FOLDER, help="Folder of the queue, the history and the cache.")
@click.option(
    "--device", multiple=True, help="A device to run on (auto, cpu, cuda:0 …); one worker for each."
)
@click.option("--dtype", help="auto, fp32, bf16 or fp16.")
@click.option("--cache", help="classic, lru:N or none.")
@click.option(
    "--require-safety", is_flag=True, default=None, help="Refuse graphs whose pictures pass no SafetyFilter."
)
@click.option("--max-queue", type=int, help="How many runs may wait (10000).")
@click.option("--run-timeout", type=float, help="Seconds after which a run is cancelled.")
@click.option("--grace", type=float, help="Seconds that runs have to end when the server stops (10).")
@click.option(
    "--webhook-allow",
    multiple=True,
    help="A webhook target that runs may name: host, or http(s)://host:port.",
)
@click.option(
    "--pack", "packs", multiple=True, help="Load only these installed node packs, by distribution name."
)
@click.option("--node-module", multiple=True, help="Load the nodes of this importable module too.")
@click.option(
    "--node-pack",
    "node_packs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Load this ComfyUI node pack, or the packs in this folder. Packs are code, and may do what you may.",
)
@click.option("--config", type=_FILE, help="Settings file (./graphcore.toml).")
def serve(config: Path | None, **options: Any) -> None:
    """Serve workflows to programs and people.

    Every option can also be set in the environment (GRAPHCORE_PORT, say) or in graphcore.toml; flags win over
    the environment, and that over the file.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = read_settings(config, options)
    from graphcore.worker.configuration import build_registry
    from server.running import serve as run_server

    for pack in settings.node_packs:
        if not pack.exists():
            raise InputError(
                f"There is no node pack at '{pack}'; --node-pack names a folder, or a .py file.",
                code="node-pack",
                location=str(pack),
            )
    registry = build_registry(settings.packs, settings.node_module)
    asyncio.run(run_server(settings, registry, modules=route_modules(), tell=tell_ready))


def read_settings(config: Path | None, options: dict[str, Any]) -> ServerSettings:
    """The settings that flags, the environment and a file make; raises InputError that names the wrong one."""
    import tomllib

    from pydantic import ValidationError

    from server.settings import ServerSettings

    given = {name: value for name, value in options.items() if value is not None and value != ()}
    kind: type[ServerSettings] = ServerSettings
    if config is not None:
        kind = type("ServerSettings", (ServerSettings,), {"config_file": config})
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "settings"
        raise InputError(
            f"The setting '{place}' is wrong: {first['msg']}.", code="bad-setting", location=place
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"The settings file is not TOML: {error}.", code="bad-setting") from None


def route_modules() -> list[Any]:
    """The protocols and pages that stand beside the native API."""
    from server.comfy.routes import comfy_routes
    from server.page.routes import page_routes

    return [comfy_routes, page_routes]


def tell_ready(ready: Ready) -> None:
    """Say where the server is, and the token once."""
    click.echo(f"graphcore is at {ready.url}")
    if ready.token is not None:
        click.echo(f"Its token, shown this once: {ready.token}")
