"""The node editor of an installed comfyui-frontend-package, in Chromium: nodes, queue, progress, preview, picture."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from server.comfy.routes import comfy_routes
from tests.browser.webdriver import Browser, driver_found
from tests.comfy_client import picture_prompt, step
from tests.served import Served, settings_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not driver_found(), reason="needs chromium and chromedriver"),
    pytest.mark.skipif(find_spec("comfyui_frontend_package") is None, reason="needs graphcore[editor]"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(settings_in(tmp_path_factory.mktemp("served")), modules=(comfy_routes,)) as server:
        yield server.ready()


def test_the_editor_loads_our_nodes_and_runs_a_workflow(served: Served, tmp_path: Path) -> None:
    prompt = {**picture_prompt(99), "3": step("Steps", count=100, pause=0.02)}
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{served.port}/editor/")
        browser.until(
            "return window.app?.graph && LiteGraph.registered_node_types.MakePicture && app.api.clientId"
        )
        browser.script(
            """window.told = [];
            for (const kind of ['progress', 'executed', 'execution_success', 'b_preview', 'b_preview_with_metadata'])
              app.api.addEventListener(kind, () => told.push(kind));"""
        )
        loaded = (
            "await app.loadApiJson(arguments[0], 'test'); return app.graph._nodes.map((node) => node.type);"
        )
        assert set(browser.script(loaded, prompt)) == {"MakePicture", "SaveImage", "Steps"}

        browser.script("await app.queuePrompt(0)")
        browser.until("return told.includes('execution_success')")

        told = set(browser.script("return told"))
        assert {"progress", "executed", "b_preview_with_metadata"} <= told
        shown = "return app.graph._nodes.find((node) => node.type === 'SaveImage').imgs?.[0]?.naturalWidth"
        assert browser.until(shown) == 8
        browser.screenshot(tmp_path / "editor.png")
        hosts = {urlsplit(url).hostname for url in browser.requested() if url.startswith("http")}
        assert (
            browser.script(
                "try { await fetch('https://example.com/'); return 'sent'; } catch { return 'refused'; }"
            )
            == "refused"
        )
        assert "127.0.0.1" in hosts


def test_problems_are_shown_at_their_nodes(served: Served) -> None:
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{served.port}/editor/")
        browser.until(
            "return window.app?.graph && LiteGraph.registered_node_types.MakePicture && app.api.clientId"
        )
        browser.script("await app.loadApiJson(arguments[0], 'bad')", {"1": step("SaveImage")})

        browser.script("await app.queuePrompt(0)")

        assert (
            browser.until("return app.lastNodeErrors?.['1']?.errors?.[0]?.type") == "required_input_missing"
        )
