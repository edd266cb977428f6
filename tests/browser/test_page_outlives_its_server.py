"""A page that is open when its server is killed finds its run again when the server is back."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.server.started import Started
from tests.browser.page import ON_THE_PAGE, PageBrowser
from tests.served import entry, link, native

pytestmark = ON_THE_PAGE


def test_a_killed_server_comes_back_and_the_run_ends_before_our_eyes(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Started(folder) as first, PageBrowser(port=first.port) as page:
        page.go()
        page.drop_json(native(a=entry("Steps", count=100, pause=0.05), b=entry("Report", value=link("a"))))
        page.run()
        page.says(".stage .line", "step")

        first.kill()

        page.until("return !document.querySelector('#offline').hidden")
        page.says(".stage .hint", "The connection is lost")
        with Started(folder, "--port", str(first.port)):
            page.ended()
            assert page.texts(".said pre") == ["100"]
            page.until("return document.querySelector('#offline').hidden")
            page.until("return document.querySelector('.node[data-node=b]').dataset.state === 'done'")
