"""Nothing of a run or a file becomes part of the page; no other host is asked; a token is wanted once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from server.comfy.routes import comfy_routes
from server.page.routes import page_routes
from tests.browser.page import ON_THE_PAGE, PageBrowser
from tests.browser.test_page_opens_files import png
from tests.served import OWNER_TOKEN, Served, entry, link, native, settings_in

pytestmark = ON_THE_PAGE
EVIL = '<img src=x onerror="window.broken = true"><script>window.broken = true</script>'


def evil_workflow() -> dict[str, object]:
    nodes = native(
        a={**entry("MakePicture", level=5), "title": EVIL},
        b=entry("KeepPicture", images=link("a"), filename_prefix=EVIL),
        p=entry("Prompted", text=EVIL),
        f={**entry("Fail", message=EVIL), "title": EVIL},
    )
    declared = {"words": {"node": "p", "input": "text", "title": EVIL, "description": EVIL}}
    return {**nodes, "title": EVIL, "description": EVIL, "inputs": declared}


def test_whatever_a_workflow_says_is_text(site: Served, page: PageBrowser) -> None:
    page.go()
    page.drop(png(graphcore=json.dumps(evil_workflow())), f"{EVIL}.png".replace("/", ""))
    page.until("return location.hash === '#/create/file'")
    page.says("h1", EVIL)
    page.says(".field label", EVIL)
    page.run()
    page.ended("failed")
    page.says(".failure", EVIL)
    page.click(".node[data-node=a]")
    assert EVIL in page.text(".node-about h3")

    for place, ready in (("#/queue", ".row"), ("#/gallery", ".tile"), ("#/create/saved/x", ".empty")):
        page.go(place, ready)
        assert page.script("return document.querySelectorAll('main script, main [onerror]').length") == 0
    run = site.get("/page/runs").json["runs"][0]["id"]
    page.go(f"#/run/{run}", ".settings")
    assert page.text("h1") == EVIL
    assert page.script("return window.broken === undefined")


def test_the_policy_lets_no_script_in_and_nothing_out(page: PageBrowser) -> None:
    page.go()
    assert (
        page.script("try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch { return 'refused' }")
        == "refused"
    )
    assert (
        page.script("try { await fetch('https://example.com/'); return 'sent' } catch { return 'refused' }")
        == "refused"
    )
    inline = "const one = document.createElement('script'); one.append('window.broken = 1'); "
    assert page.script(
        f"try {{ {inline} document.body.append(one) }} catch {{}} return window.broken === undefined"
    )
    page.complaints()


def test_no_other_host_is_asked(site: Served, page: PageBrowser) -> None:
    page.go()
    page.drop_json(native(a=entry("MakePicture", level=5), b=entry("KeepPicture", images=link("a"))))
    page.run()
    page.ended()
    for place, ready in (("#/queue", ".row"), ("#/gallery", ".tile"), ("#/", "h1")):
        page.script("location.hash = arguments[0]", place)
        page.until("return document.querySelector(arguments[0])", ready)

    asked = {urlsplit(url) for url in page.requested()}
    assert {url.netloc for url in asked if url.scheme.startswith(("http", "ws"))} == {
        f"127.0.0.1:{site.port}"
    }
    assert {url.scheme for url in asked} <= {"http", "data", "blob", "about"}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    with Served(settings_in(tmp_path), token=OWNER_TOKEN, modules=(comfy_routes, page_routes)) as server:
        yield server.ready()


def test_a_token_is_asked_for_once(guarded: Served) -> None:
    with PageBrowser(port=guarded.port) as page:
        page.open(f"http://127.0.0.1:{guarded.port}/")
        page.until("return document.querySelector('dialog[open] input')")
        assert page.script("return document.activeElement.type") == "password"
        assert page.script("return document.querySelectorAll('dialog[open]').length") == 1
        page.press("Escape")
        page.press("Escape")
        page.until("return document.querySelectorAll('dialog[open]').length === 1")
        page.write("dialog input", "not-the-token-of-this-server")
        page.press("Enter")
        page.says("dialog .error", "not the server's")

        page.write("dialog input", OWNER_TOKEN)
        page.press("Enter")
        page.until("return document.querySelector('main h1') && !document.querySelector('dialog')")
        page.drop_json(native(a=entry("MakePicture", level=5), b=entry("KeepPicture", images=link("a"))))
        page.run()
        page.ended()
        assert page.until("return document.querySelector('.screen .picture img')?.naturalWidth") == 8
        page.go("#/gallery", ".tile")
        kept = "return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"
        assert OWNER_TOKEN not in page.script(kept)

        page.click("#sign-out")
        page.until("return document.querySelector('dialog[open] input')")
