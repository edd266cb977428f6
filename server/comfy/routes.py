"""All routes of ComfyUI's protocol, each at `/x` and at `/api/x`.

They keep their laxness about bodies for those whom the gate lets in: our own pages, and programs that are no browsers.
"""

from __future__ import annotations

from server.comfy.editor import editor_routes
from server.comfy.files import file_routes
from server.comfy.history import history_routes
from server.comfy.information import information_routes
from server.comfy.jobs import job_routes
from server.comfy.live import Live
from server.comfy.model_files import model_routes
from server.comfy.node_types import node_routes
from server.comfy.pack_pages import pack_page_routes
from server.comfy.prompt import prompt_routes
from server.comfy.queue import queue_routes
from server.comfy.system import system_routes
from server.comfy.userdata import UserFiles, userdata_routes
from server.comfy.users import user_routes
from server.comfy.websocket import websocket_routes
from server.routing import Route
from server.services import Services


def comfy_routes(services: Services) -> list[Route]:
    """ComfyUI's protocol, and the editor that speaks it, as routes of the application."""
    live = Live(services)
    user_files = UserFiles(services.settings.data_dir / "userdata")
    protocol = [
        *prompt_routes(services, live),
        *queue_routes(services, live),
        *history_routes(services),
        *job_routes(services),
        *websocket_routes(services, live),
        *node_routes(services),
        *model_routes(services),
        *file_routes(services),
        *userdata_routes(services, user_files),
        *user_routes(services, user_files),
        *information_routes(services),
        *system_routes(services, live),
    ]
    return [
        *protocol,
        *pack_page_routes(services, "/editor/api", "/api"),
        *editor_routes(protocol, services.packs),
        *pack_page_routes(services, ""),
    ]
