"""Servers that speak ComfyUI's protocol, and a client's websocket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.comfy.routes import comfy_routes
from tests.served import Served, settings_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that the tests of a module share."""
    folder = tmp_path_factory.mktemp("served")
    with Served(settings_in(folder, models_dir=(folder / "models",)), modules=(comfy_routes,)) as server:
        yield server.ready()
