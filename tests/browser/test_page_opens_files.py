"""Workflows and pictures that are dropped, chosen or pasted are opened, in whatever format they are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.browser.page import ON_THE_PAGE, PageBrowser, asked
from tests.comfy_client import picture_prompt
from tests.served import Served, entry, link, native

pytestmark = ON_THE_PAGE
PICTURE = {
    **native(a=entry("MakePicture", level=77), b=entry("KeepPicture", images=link("a"))),
    "title": "Grey",
}


def png(**texts: str) -> bytes:
    carried = PngInfo()
    for name, text in texts.items():
        carried.add_text(name, text)
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=carried)
    return buffer.getvalue()


def webp(prompt: dict[str, Any]) -> bytes:
    picture = Image.new("RGB", (4, 4))
    exif = picture.getexif()
    exif[0x0110] = f"prompt:{json.dumps(prompt)}"
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", exif=exif)
    return buffer.getvalue()


def graph() -> dict[str, Any]:
    """What ComfyUI's editor saves."""
    return {
        "version": 0.4,
        "nodes": [
            {
                "id": 1,
                "type": "MakePicture",
                "widgets_values": [77],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [5]}],
            },
            {
                "id": 2,
                "type": "SaveImage",
                "inputs": [{"name": "images", "type": "IMAGE", "link": 5}],
                "widgets_values": ["kept"],
            },
        ],
        "links": [[5, 1, 0, 2, 0, "IMAGE"]],
    }


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("native.json", json.dumps(PICTURE).encode()),
        ("prompt.json", json.dumps(picture_prompt(77)).encode()),
        ("bom.json", b"\xef\xbb\xbf" + json.dumps(picture_prompt(77)).encode()),
        ("graph.json", json.dumps(graph()).encode()),
        ("ours.png", png(graphcore=json.dumps(PICTURE))),
        ("comfy.png", png(prompt=json.dumps(picture_prompt(77)))),
        ("editor.png", png(workflow=json.dumps(graph()))),
        ("comfy.webp", webp(picture_prompt(77))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_opened_and_runs(page: PageBrowser, name: str, data: bytes) -> None:
    page.go()
    page.drop(data, name)

    page.until("return location.hash === '#/create/file' && document.querySelector('.graph .node')")
    if page.script("return !document.querySelector('.fields > .field:not(.more *)')"):
        page.click(".more summary")
    assert page.value("Level") == "77"
    page.run()
    page.ended()
    assert page.until("return document.querySelector('.screen .picture img')?.naturalWidth") == 8


def test_it_may_be_chosen_with_the_button(page: PageBrowser, tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    path.write_bytes(png(graphcore=json.dumps(PICTURE)))
    page.go()

    page.choose_file("#file", path)

    page.says("h1", "Grey")


def test_it_may_be_pasted(page: PageBrowser) -> None:
    page.go()
    page.script(
        """const carried = new DataTransfer();
        carried.setData("text/plain", arguments[0]);
        document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData: carried }));""",
        json.dumps(PICTURE),
    )
    page.says("h1", "Grey")


def test_an_opened_file_outlives_a_reload(page: PageBrowser) -> None:
    page.go()
    page.drop_json(PICTURE)
    page.script("location.reload()")
    page.until("return document.querySelector('h1')?.innerText === 'Grey'")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("plain.png", png(), "carries no workflow"),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "picture"),
        ("notes.json", b'{"notes": true}', "no workflow that is known"),
        ("half.json", b'{"graphcore": 1, ', "not JSON"),
        ("empty.json", b"", "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_is_no_workflow_is_told_in_a_sentence(
    page: PageBrowser, name: str, data: bytes, told: str
) -> None:
    page.go()
    page.drop(data, name)

    page.says("dialog", told)
    assert name in page.text("dialog h2")
    page.press("Escape")
    page.until("return !document.querySelector('dialog')")


def test_a_picture_without_a_workflow_goes_into_the_form_that_takes_one(
    site: Served, page: PageBrowser
) -> None:
    workflow = native(a=entry("OpenPicture", image=""), b=entry("KeepPicture", images=link("a")))
    page.go()
    page.drop_json({**workflow, "inputs": {"picture": {"node": "a", "input": "image", "title": "Picture"}}})
    assert page.texts(".summary:not([hidden]), .field.wrong, .node[data-state=failed]") == []
    page.click("button.run")
    page.says(".field.wrong .error", "Choose a picture")

    page.drop(png(), "mine.png", "image/png")

    page.says(".image-field .hint", "mine.png, 4 × 4")
    run = page.run()
    page.ended()
    assert asked(site, run)["picture"].endswith(".png")
    assert page.texts(".summary:not([hidden]), .field.wrong, .node[data-state=failed]") == []
