"""Workflows drawn as graphs open in ComfyUI's editor, say the same there, and are easy to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from graphcore import Registry, read_workflow
from graphcore.formats.comfy_api import write_prompt
from graphcore.formats.reading import own_definitions
from graphcore.formats.ui import read_ui_graph, to_api_prompt, to_ui_graph
from server.comfy.routes import comfy_routes
from tests.browser.webdriver import Browser, driver_found
from tests.served import Served, settings_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not driver_found(), reason="needs chromium and chromedriver"),
    pytest.mark.skipif(find_spec("comfyui_frontend_package") is None, reason="needs graphcore[editor]"),
]
SHIPPED = sorted(
    path
    for path in (Path(__file__).parents[2] / "workflows").glob("*.json")
    if path.name != "workflow.schema.json"
)
BOXES = """
return app.graph._nodes.map((node) => {
  const [x, y, width, height] = node.getBounding ? node.getBounding() : [...node.pos, ...node.size];
  return {id: String(node.id), type: node.type, x, y, width, height, known: Boolean(node.constructor.nodeData)};
});
"""
REGISTRY = Registry.installed(allow=["graphcore"])


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The editor, beside a server with this project's nodes."""
    settings = settings_in(tmp_path_factory.mktemp("served"), packs=("graphcore",), node_module=())
    with Served(settings, modules=(comfy_routes,)) as served, Browser() as browser:
        browser.open(f"http://127.0.0.1:{served.ready().port}/editor/")
        browser.until(
            "return window.app?.graph && LiteGraph.registered_node_types.KSampler && app.api.clientId"
        )
        yield browser


def drawn(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A shipped workflow as a graph, and the prompt that it should be in the editor."""
    definitions = own_definitions(REGISTRY)
    document = to_ui_graph(write_prompt(read_workflow(file, REGISTRY), REGISTRY), definitions)
    return document, to_api_prompt(read_ui_graph(document), definitions, seed=0)


def numbers(value: Any) -> Any:
    """JSON with every number as a double, as the editor has them."""
    if isinstance(value, dict):
        return {name: numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def inputs_of(prompt: dict[str, Any]) -> dict[str, Any]:
    """Classes and inputs, without titles and what the editor's own display widgets add."""
    return {
        name: (
            entry["class_type"],
            {key: numbers(value) for key, value in entry["inputs"].items() if not key.startswith("preview")},
        )
        for name, entry in prompt.items()
    }


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_it_opens_says_the_same_and_nothing_overlaps(editor: Browser, file: Path, tmp_path: Path) -> None:
    document, prompt = drawn(file)
    editor.script("await app.loadGraphData(JSON.parse(arguments[0]))", json.dumps(document))
    sent = editor.script("return (await app.graphToPrompt()).output")
    assert inputs_of(sent) == inputs_of(prompt)
    boxes = editor.script(BOXES)
    assert {box["id"] for box in boxes} == set(prompt)
    assert all(box["known"] for box in boxes)
    for one, other in combinations(boxes, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        above = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or above, (one, other)
    editor.screenshot(tmp_path / f"{file.stem}.png")
