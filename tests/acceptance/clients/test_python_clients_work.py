"""Clients from PyPI, as they are, against the server."""

from __future__ import annotations

import pytest

from tests.acceptance.clients.conftest import Drive

pytestmark = pytest.mark.clients


def test_comfy_api_simplified(drive_python: Drive) -> None:
    told = drive_python("simplified.py")

    assert len(told["fresh"]) == 1
    assert told["again"] == told["fresh"]
    assert set(told["other"]).isdisjoint(told["fresh"])
    assert all(size > 50 for size in told["fresh"].values())
    assert told["uploaded"] == {"name": "photo.png", "subfolder": "given", "type": "input"}
    assert told["refused"] is True
    assert told["nodes"] == ["Sum"]
    assert told["devices"] == 1
    assert told["embeddings"] == []
    assert told["queue"] == {"queue_running": [], "queue_pending": []}


def test_comfyui_workflow_client(drive_python: Drive) -> None:
    told = drive_python("workflow_client.py")

    assert all(result == [["Save"], [8, 8]] for result in told.values()), told
    assert len(told) == 5
