"""The page with the embedded checkpoint and nothing else: one press makes a picture, a second one another like it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.comfy.routes import comfy_routes
from server.page.routes import page_routes
from tests.browser.page import ON_THE_PAGE, PageBrowser, asked
from tests.served import Served, settings_in

pytestmark = ON_THE_PAGE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with all nodes, on an empty data folder."""
    folder = tmp_path_factory.mktemp("empty")
    settings = settings_in(folder, packs=None, node_module=(), device=("cpu",), dtype="fp32")
    with Served(settings, modules=(comfy_routes, page_routes)) as server:
        yield server.ready()


def test_on_a_first_visit_one_press_makes_a_picture(site: Served, page: PageBrowser, tmp_path: Path) -> None:
    page.go("")

    assert page.text("h1") == "Text to image"
    assert page.value("Prompt").startswith("a red boat")
    assert page.value("Checkpoint") == "0"
    assert page.text("summary") == "All settings"
    page.click("button.run")

    page.until("return document.querySelector('.stage progress')")
    page.until("return document.querySelector('.screen .preview')?.naturalWidth > 0", timeout=120)
    page.ended()
    assert page.until("return document.querySelector('.screen .picture img')?.naturalWidth") == 128
    assert page.script("return document.querySelector('.screen .picture img').alt").startswith("a red boat")
    assert set(page.script("return [...document.querySelectorAll('.node')].map((n) => n.dataset.state)")) == {
        "done"
    }
    page.screenshot(tmp_path / "made.png")


def test_the_gallery_leads_to_the_picture_and_that_to_another(site: Served, page: PageBrowser) -> None:
    page.go("#/gallery", ".tile img")
    assert page.texts(".tile .caption")[0].startswith("a red boat")

    page.click(".tile")
    page.until("return document.querySelector('.one-run .picture img')?.naturalWidth")
    shown = dict(zip(page.texts(".settings dt"), page.texts(".settings dd"), strict=True))
    assert shown["Steps"] == "20"
    assert shown["Checkpoint"] == "scenes-v1.safetensors"
    assert len(page.texts(".graph .node .name")) == 7
    page.until("return document.querySelectorAll('.node[data-state=done]').length === 7")

    page.click(".facts .primary")
    page.until("return document.querySelector('form.panel')")
    assert page.value("Seed") == shown["Seed"]
    assert page.script("return document.querySelector('.check input').checked") is False
    page.write(page.field("Prompt"), "a green tree on the grass, under a blue sky")
    page.write(page.field("Steps"), "4")
    run = page.run()

    page.ended()
    assert asked(site, run) == {"prompt": "a green tree on the grass, under a blue sky", "steps": 4}
    page.go("#/gallery", ".tile img")
    assert page.texts(".tile .caption")[0].startswith("a green tree")


def test_every_example_has_a_form(site: Served, page: PageBrowser) -> None:
    page.go("#/create/example/xy-grid", "form.panel")
    choices = page.script(
        "return [...document.querySelectorAll('.toolbar option')].map((option) => option.value)"
    )

    assert len(choices) >= 10
    assert page.value("Guidance scales") == "2\n5\n8"
    assert page.value("Samplers") == "euler\ndpmpp_2m"
    for place in choices:
        page.script("location.hash = arguments[0]", place)
        page.until("return document.querySelector('.toolbar select')?.value === arguments[0]", place)
        assert page.script("return document.querySelectorAll('form.panel .field').length") > 3


def test_a_node_is_found_by_its_drawing(page: PageBrowser) -> None:
    page.go("#/create/example/text-to-image", ".graph .node")

    page.click(".graph .node[data-node=sampler]")

    assert "KSampler" in page.text(".node-about h3")
    assert page.texts(".node-about dt")[:3] == ["seed", "steps", "cfg"]
