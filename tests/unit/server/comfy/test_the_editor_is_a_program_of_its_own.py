"""The editor's files are served where they are installed, and the protocol below the editor's folder."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest

from graphcore import Registry
from server.comfy.editor import EditorFiles
from server.comfy.pack_files import PackFiles
from server.comfy.routes import comfy_routes
from server.errors import NotFound
from server.packs import Packs
from tests.served import Served, settings_in


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server beside which a package of the editor's name is installed."""
    site = tmp_path_factory.mktemp("site")
    static = site / "comfyui_frontend_package" / "static"
    (static / "assets").mkdir(parents=True)
    (static.parent / "__init__.py").touch()
    (static / "index.html").write_text("<!doctype html>")
    (static / "assets" / "main.js").write_text("1")
    (static / "assets" / "main.js.map").write_text("{}")
    (static.parent / "secret.txt").write_text("no")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "comfyui_frontend_package", raising=False)
        patch.syspath_prepend(str(site))
        with Served(settings_in(tmp_path_factory.mktemp("served")), modules=(comfy_routes,)) as server:
            yield server.ready()


def test_its_pages_are_served_and_may_speak_to_us_alone(installed: Served) -> None:
    page = installed.get("/editor/")

    assert page.headers["Content-Type"].startswith("text/html")
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert installed.get("/editor").headers["Location"] == "/editor/"
    assert installed.get("/editor/assets/main.js").headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path", ["../secret.txt", "..%2Fsecret.txt", "assets/main.js.map", "nowhere.js", "assets"]
)
def test_nothing_else_is(installed: Served, path: str) -> None:
    assert installed.get(f"/editor/{path}").status == 404


def test_the_protocol_stands_below_it(installed: Served) -> None:
    assert "Sum" in installed.get("/editor/api/object_info").json
    assert installed.get("/editor/api/settings").json == {"Comfy.TutorialCompleted": True}
    assert installed.get("/editor/internal/logs/raw").status == 200


def test_without_it_the_page_says_how_to_get_it() -> None:
    with pytest.raises(NotFound, match=r"graphcore\[editor\]"):
        asyncio.run(EditorFiles(None, PackFiles(Packs(Registry(), expected=False))).send("index.html"))
