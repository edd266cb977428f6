"""Clients from npm, as they are, against the server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.clients.conftest import Drive

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs node and npm"),
]


def test_saintno_comfyui_sdk(drive: Drive, tmp_path: Path) -> None:
    told = drive("saintno.mjs", str(tmp_path / "prompt.json"), "12")

    assert [result["images"] for result in told["results"]] == [1] * 12
    assert not any("preview" in result["seen"] for result in told["results"])
    assert told["type"] == "image/png"
    assert told["failure"]


def test_stable_canvas_comfyui_client(drive: Drive, tmp_path: Path) -> None:
    told = drive("stable_canvas.mjs", str(tmp_path / "prompt.json"))

    assert told["polling"] == [1, 1, 1]
    assert told["listening"] == [1, 1, 1]
    assert told["nodes"] is True
