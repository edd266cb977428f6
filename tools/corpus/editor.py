"""Ask the official editor for the prompts of workflow files, and compare them with ours.

The editor is a separate program that you install yourself (its repository is GPL-3.0; nothing of it is here):

    pip download --no-deps comfyui-frontend-package==1.58.1 && unzip -d editor comfyui_frontend_package-*.whl
    pip install selenium aiohttp          # and Chromium with its driver
    python -m tools.corpus.editor --static editor/comfyui_frontend_package/static \\
        --object-info object_info.json workflows/*.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from aiohttp import web

from graphcore.errors import GraphcoreError
from graphcore.formats.definition_source import load_object_info
from graphcore.formats.ui import ObjectInfoDefinitions, read_ui_graph, to_api_prompt

EDITOR_ONLY_INPUTS = frozenset({"audioUI", "preview", "previewMode"})
EDITOR_ONLY_PAIRS = frozenset({("SaveGLB", "image"), ("Preview3D", "image"), ("Preview3DAnimation", "image")})
START_SECONDS = 90
LOADED = """
const app = window.app || window.comfyAPI?.app?.app;
return Boolean(app?.graph?.nodes?.length);
"""
ASK = """
const [text, done] = arguments;
const app = window.app || window.comfyAPI?.app?.app;
(async () => {
  await app.loadGraphData(JSON.parse(text));
  await new Promise((resume) => setTimeout(resume, 50));
  return JSON.stringify((await app.graphToPrompt()).output);
})().then((prompt) => done({prompt}), (error) => done({error: String(error)}));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """As much of a server as the editor needs to start: its files, and the node definitions."""

    static: Path
    object_info: Mapping[str, Any]

    def start(self, port: int) -> None:
        """Serve on loopback from a thread of its own."""
        ready = threading.Event()
        threading.Thread(target=self._run, args=(port, ready), daemon=True).start()
        ready.wait(timeout=30)

    def _run(self, port: int, ready: threading.Event) -> None:
        application = web.Application()
        application.router.add_get("/", self.index)
        application.router.add_get("/ws", self.socket)
        application.router.add_route("*", "/api/{route:.*}", self.route)
        application.router.add_static("/", self.static)
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(application, access_log=None)
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", port).start())
        ready.set()
        loop.run_forever()

    async def index(self, request: web.Request) -> web.FileResponse:
        """The page."""
        return web.FileResponse(self.static / "index.html")

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """One status message, then silence."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        status = {"exec_info": {"queue_remaining": 0}}
        await socket.send_json({"type": "status", "data": {"status": status, "sid": "stub"}})
        async for _ in socket:
            continue
        return socket

    async def route(self, request: web.Request) -> web.Response:
        """The few answers without which the editor does not start."""
        answers: dict[str, Any] = {
            "users": {"storage": "server", "migrated": True},
            "settings": {"Comfy.TutorialCompleted": True},
            "extensions": [],
            "object_info": self.object_info,
            "userdata": [],
            "i18n": {},
            "features": {},
        }
        route = request.match_info["route"]
        if route not in answers:
            raise web.HTTPNotFound
        return web.json_response(answers[route])


@dataclass(frozen=True, slots=True)
class Editor:
    """The page in a headless Chromium."""

    driver: Any

    @classmethod
    def open(cls, address: str, *, browser: str, driver: str) -> Editor:
        """Start the browser and wait until the editor shows its first graph."""
        webdriver = import_module("selenium.webdriver")
        waiting = import_module("selenium.webdriver.support.wait")
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.binary_location = browser
        page = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        page.set_script_timeout(60)
        page.get(address)
        waiting.WebDriverWait(page, START_SECONDS).until(lambda page: page.execute_script(LOADED))
        return cls(page)

    def prompt(self, text: str) -> dict[str, Any] | str:
        """The prompt that the editor would send for a file, or its complaint."""
        answer = self.driver.execute_async_script(ASK, text)
        return json.loads(answer["prompt"]) if "prompt" in answer else str(answer["error"])


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """What the two prompts do not share, but for inputs of the editor's own display widgets."""
    found = [f"node {name} is missing" for name in theirs if name not in ours]
    found += [f"node {name} is extra" for name in ours if name not in theirs]
    for name, entry in theirs.items():
        if name not in ours:
            continue
        kind = entry.get("class_type")
        if kind != ours[name]["class_type"]:
            found.append(f"node {name}: class {kind} and {ours[name]['class_type']}")
        given, got = entry["inputs"], ours[name]["inputs"]
        for key in dict.fromkeys([*given, *got]):
            shown = key in EDITOR_ONLY_INPUTS or (kind, key) in EDITOR_ONLY_PAIRS
            if not same(given.get(key), got.get(key)) and not shown:
                found.append(f"node {name} {kind}.{key}: {given.get(key)!r} and {got.get(key)!r}")
    return found


def same(theirs: object, ours: object) -> bool:
    """Equality as JavaScript sees it: all numbers are doubles."""
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return float(theirs) == float(ours)
    return theirs == ours


def in_widget_order(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A definition whose input maps have the order that `input_order` says; the editor goes by the maps."""
    order = entry.get("input_order") or {}
    inputs = entry.get("input") or {}
    arranged = {
        group: {name: inputs[group][name] for name in order.get(group) or inputs[group]}
        for group in ("required", "optional", "hidden")
        if group in inputs
    }
    title = entry.get("display_name") or entry.get("name")
    return {"python_module": "nodes", "description": "", **entry, "input": arranged, "display_name": title}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--static", required=True, type=Path, help="the editor's folder `static`")
    parser.add_argument("--object-info", required=True, help="a file or an address")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--driver", default="/usr/bin/chromedriver")
    parser.add_argument("--port", type=int, default=8790)
    options = parser.parse_args()
    info = load_object_info(options.object_info)
    definitions = ObjectInfoDefinitions.from_json(info)
    arranged = {name: in_widget_order(entry) for name, entry in info.items() if isinstance(entry, dict)}
    Stub(static=options.static, object_info=arranged).start(options.port)
    editor = Editor.open(f"http://127.0.0.1:{options.port}/", browser=options.browser, driver=options.driver)
    results: Counter[str] = Counter()
    try:
        for file in options.files:
            results[compare(file, editor, definitions)] += 1
    finally:
        editor.driver.quit()
    print(", ".join(f"{count} {result}" for result, count in results.most_common()))


def compare(file: Path, editor: Editor, definitions: ObjectInfoDefinitions) -> str:
    """Convert one file both ways, print what differs, and say in a word what came of it."""
    text = file.read_text(encoding="utf-8")
    theirs = editor.prompt(text)
    try:
        ours = to_api_prompt(read_ui_graph(json.loads(text)), definitions, seed=0)
    except GraphcoreError as error:
        print(f"{file.name}: ours refuses: {error}")
        return "refused"
    if isinstance(theirs, str):
        print(f"{file.name}: the editor refuses: {theirs[:200]}")
        return "refused by the editor"
    found = differences(theirs, ours)
    for line in found:
        print(f"{file.name}: {line}")
    return "different" if found else "same"


if __name__ == "__main__":
    main()
