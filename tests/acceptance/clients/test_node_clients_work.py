"""Clients from npm, as they are, against the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.clients.conftest import Drive

pytestmark = pytest.mark.clients


def test_saintno_comfyui_sdk(drive_node: Drive, tmp_path: Path) -> None:
    told = drive_node("saintno.mjs", str(tmp_path / "prompt.json"), "12")

    assert [result["images"] for result in told["results"]] == [1] * 12
    assert not any("preview" in result["seen"] for result in told["results"])
    assert told["type"] == "image/png"
    assert told["failure"]


def test_stable_canvas_comfyui_client(drive_node: Drive, tmp_path: Path) -> None:
    told = drive_node("stable_canvas.mjs", str(tmp_path / "prompt.json"))

    assert told["polling"] == [1, 1, 1]
    assert told["listening"] == [1, 1, 1]
    assert told["nodes"] is True
