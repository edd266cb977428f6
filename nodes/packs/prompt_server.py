"""`server.PromptServer`, as node packs use it: messages to clients, routes, and what is known of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NoReturn, Self, overload

from nodes.packs.host import PackHost, current_host, pack_at_work, running
from nodes.packs.v1 import as_json

Handler = Callable[..., Any]
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class BinaryEventTypes(IntEnum):
    """What a binary message to a client is."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRoute:
    """A route that a pack asks for: `handler` is an aiohttp handler; `static` a folder of files in its place."""

    method: str
    path: str
    handler: Handler | None = None
    static: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class PackRoutes(Sequence[PackRoute]):
    """The routes that packs have asked for, in their order; used as aiohttp's table of routes is."""

    def __init__(self) -> None:
        self._routes: list[PackRoute] = []

    @overload
    def __getitem__(self, index: int) -> PackRoute: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PackRoute]: ...
    def __getitem__(self, index: int | slice) -> PackRoute | Sequence[PackRoute]:
        return self._routes[index]

    def __len__(self) -> int:
        return len(self._routes)

    def __iter__(self) -> Iterator[PackRoute]:
        return iter(tuple(self._routes))

    def route(self, method: str, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """Let the function below answer a path."""

        def note(handler: Handler) -> Handler:
            self.add(PackRoute(method=method.upper(), path=path, handler=handler, kwargs=kwargs))
            return handler

        return note

    def get(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for GET."""
        return self.route("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for POST."""
        return self.route("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for PUT."""
        return self.route("PUT", path, **kwargs)

    def patch(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for PATCH."""
        return self.route("PATCH", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for DELETE."""
        return self.route("DELETE", path, **kwargs)

    def head(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for HEAD."""
        return self.route("HEAD", path, **kwargs)

    def options(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for OPTIONS."""
        return self.route("OPTIONS", path, **kwargs)

    def view(self, path: str, **kwargs: Any) -> Callable[[Handler], Handler]:
        """As `route`, for a class that answers all methods."""
        return self.route("*", path, **kwargs)

    def static(self, prefix: str, path: Any, **kwargs: Any) -> None:
        """Serve the files of a folder."""
        self.add(PackRoute(method="GET", path=prefix, static=str(path), kwargs=kwargs))

    def add(self, route: PackRoute) -> None:
        """Note one more route."""
        self._routes.append(route)


class _Router:
    """aiohttp's router, as far as packs add to it."""

    def __init__(self, routes: PackRoutes) -> None:
        self._routes = routes

    def add_route(self, method: str, path: str, handler: Handler, **kwargs: Any) -> None:
        """Let a function answer a path."""
        self._routes.route(method, path, **kwargs)(handler)

    def add_get(self, path: str, handler: Handler, **kwargs: Any) -> None:
        """As `add_route`, for GET."""
        self.add_route("GET", path, handler, **kwargs)

    def add_post(self, path: str, handler: Handler, **kwargs: Any) -> None:
        """As `add_route`, for POST."""
        self.add_route("POST", path, handler, **kwargs)

    def add_put(self, path: str, handler: Handler, **kwargs: Any) -> None:
        """As `add_route`, for PUT."""
        self.add_route("PUT", path, handler, **kwargs)

    def add_delete(self, path: str, handler: Handler, **kwargs: Any) -> None:
        """As `add_route`, for DELETE."""
        self.add_route("DELETE", path, handler, **kwargs)

    def add_static(self, prefix: str, path: Any, **kwargs: Any) -> None:
        """Serve the files of a folder."""
        self._routes.static(prefix, path, **kwargs)

    def add_routes(self, routes: Sequence[Any]) -> None:
        """Add routes of aiohttp's own table, or of ours."""
        for route in routes:
            folder = getattr(route, "static", None) or (
                getattr(route, "path", None) if hasattr(route, "prefix") else None
            )
            if folder is not None:
                self.add_static(getattr(route, "prefix", None) or route.path, folder)
            else:
                self.add_route(route.method, route.path, route.handler, **dict(route.kwargs))

    def routes(self) -> PackRoutes:
        """The routes that packs have asked for."""
        return self._routes


class PackApp:
    """The web application, as far as packs add to it: routes are noted; the rest is accepted and changes nothing."""

    def __init__(self, routes: PackRoutes) -> None:
        self.router = _Router(routes)
        self.middlewares: list[Handler] = []
        self.on_startup: list[Handler] = []
        self.on_shutdown: list[Handler] = []
        self.on_cleanup: list[Handler] = []

    def add_routes(self, routes: Sequence[Any]) -> None:
        """Add routes."""
        self.router.add_routes(routes)


class PackQueue:
    """The queue, as far as packs look at it: they see no runs but their own."""

    def get_tasks_remaining(self) -> int:
        """How many runs there are, that of the caller among them."""
        return int(running() is not None)

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        """The runs under way and those that wait: none is told of."""
        return [], []

    get_current_queue_volatile = get_current_queue

    def get_history(self, prompt_id: str | None = None, **rest: object) -> dict[str, Any]:
        """The runs that are over: none is told of."""
        del prompt_id, rest
        return {}

    def set_flag(self, name: str, data: object) -> None:
        """Accepted, and without effect."""
        del name, data


class _Instance:
    """The server's face of the host that is installed."""

    def __get__(self, instance: object, owner: type[PromptServer]) -> PromptServer:
        return current_host().part(PromptServer)


class PromptServer:
    """The server's face; `PromptServer.instance` is the one that there is."""

    instance = _Instance()

    def __init__(self) -> None:
        self.routes = PackRoutes()
        self.app = PackApp(self.routes)
        self.prompt_queue = PackQueue()
        self.on_prompt_handlers: list[Handler] = []
        self.sockets: dict[str, Any] = {}
        self.sockets_metadata: dict[str, Any] = {}
        self.supports: list[str] = ["custom_nodes_from_web"]
        self.number = 0
        self.address = "127.0.0.1"
        self.port = 8188

    @classmethod
    def create(cls, host: PackHost) -> Self:
        """The face of a host."""
        del host
        return cls()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"ComfyUI's PromptServer.instance.{name} is not offered here, and {pack_at_work()} asks for it.",
            name=name,
        )

    @property
    def client_id(self) -> str | None:
        """The client that has submitted the caller's run, where it is known."""
        run = running()
        found = run.context.metadata.get("client_id") if run is not None else None
        return found if isinstance(found, str) else None

    @property
    def last_node_id(self) -> str | None:
        """The node that is running."""
        run = running()
        return run.context.node_id if run is not None else None

    @property
    def last_prompt_id(self) -> str | None:
        """The run that the caller is part of."""
        run = running()
        return run.context.run_id if run is not None else None

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Send a message to a client, or to all; what is no plain JSON in it becomes text.

        Binary messages (pictures of what is being made) are left out: progress carries them.
        """
        if isinstance(event, str):
            current_host().send(event, as_json(data), sid)

    async def send(self, event: Any, data: Any, sid: str | None = None) -> None:
        """As `send_sync`."""
        self.send_sync(event, data, sid)

    async def send_json(self, event: str, data: Any, sid: str | None = None) -> None:
        """As `send_sync`."""
        self.send_sync(event, data, sid)

    def send_progress_text(self, text: str | bytes, node_id: str, sid: str | None = None) -> None:
        """Show a line of text on a node that is running."""
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        self.send_sync("progress_text", {"node": node_id, "text": shown}, sid)

    def add_on_prompt_handler(self, handler: Handler) -> None:
        """Let a function change submissions before they are validated: noted."""
        self.on_prompt_handlers.append(handler)

    def trigger_on_prompt(self, json_data: dict[str, Any]) -> dict[str, Any]:
        """A submission as the functions above change it."""
        for handler in self.on_prompt_handlers:
            json_data = handler(json_data)
        return json_data

    def queue_updated(self) -> None:
        """Nothing to do: clients are told of the queue by the server."""

    def add_routes(self) -> None:
        """Nothing to do: routes are added when they are noted."""

    def get_queue_info(self) -> dict[str, Any]:
        """How many runs there are, that of the caller among them."""
        return {"exec_info": {"queue_remaining": self.prompt_queue.get_tasks_remaining()}}
