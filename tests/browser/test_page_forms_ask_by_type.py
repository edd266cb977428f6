"""A saved workflow's form has the right control for each declared input, and sends what was entered, exactly."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from server.comfy.routes import comfy_routes
from server.page.routes import page_routes
from tests.browser.page import ON_THE_PAGE, PageBrowser, asked
from tests.served import PACK, Served, entry, link, native, settings_in

pytestmark = ON_THE_PAGE
GREATEST = 2**64 - 1
NAMES = ("line", "words", "whole", "share", "size", "way", "loud", "seed", "model", "picture", "password")
VALUES = {
    "line": "a line",
    "words": "some\nwords",
    "whole": 50,
    "share": 0.5,
    "size": 2.5,
    "way": "down",
    "loud": True,
    "seed": GREATEST,
    "model": "second.safetensors",
    "picture": "there.png",
    "password": "hidden",
}
KINDS = """return Object.fromEntries([...document.querySelectorAll("form.panel .field")].map((field) => {
  const control = document.getElementById(field.querySelector("label").htmlFor);
  return [field.dataset.field, control.type || control.tagName];
}))"""


def every_widget() -> dict[str, object]:
    return {
        **native(all=entry("EveryWidget", **VALUES)),
        "title": "Every widget",
        "inputs": {name: {"node": "all", "input": name, "title": name.capitalize()} for name in NAMES},
    }


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 6), "teal").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two checkpoints, a picture to start from, and a saved workflow."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "input").mkdir()
    (folder / "input" / "there.png").write_bytes(picture())
    (folder / "models" / "checkpoints").mkdir(parents=True)
    for name in ("first", "second"):
        (folder / "models" / "checkpoints" / f"{name}.safetensors").write_bytes(b"")
    settings = settings_in(folder, node_module=(PACK, "tests.packs.widgets"))
    with Served(settings, modules=(comfy_routes, page_routes)) as server:
        server.ready()
        assert server.request("PUT", "/api/v1/workflows/Widgets", every_widget()).status == 201
        yield server


def test_each_type_has_its_control(page: PageBrowser) -> None:
    page.go("#/create/saved/Widgets", "form.panel")

    assert page.script(KINDS) == {
        "line": "text",
        "words": "textarea",
        "whole": "number",
        "share": "number",
        "size": "number",
        "way": "select-one",
        "loud": "checkbox",
        "seed": "text",
        "model": "select-one",
        "picture": "select-one",
        "password": "password",
    }
    whole = page.field("Whole")
    limits = "const one = document.querySelector(arguments[0]); return [one.min, one.max, one.step]"
    assert page.script(limits, whole) == ["0", "100", "5"]
    assert page.script("return document.querySelectorAll('input[type=range]').length") == 1
    assert page.value("Seed") == str(GREATEST)
    assert page.value("Password") == ""
    assert "How it is said." in page.text("[data-field=loud] .hint")
    options = "return [...document.querySelectorAll(`${arguments[0]} option`)].map((one) => one.textContent)"
    assert page.script(options, page.field("Way")) == ["up", "down", "around"]
    assert page.script(options, page.field("Model")) == ["first.safetensors", "second.safetensors"]
    page.until("return document.querySelector('.image-field img')?.naturalWidth === 12")


def test_nothing_but_what_was_changed_is_sent(site: Served, page: PageBrowser) -> None:
    page.go("#/create/saved/Widgets", "form.panel")
    page.click(".check input")

    run = page.run()

    page.ended()
    assert asked(site, run) == {}
    assert page.text(".said pre").split("|") == [
        str(value)
        for value in (
            "a line",
            "some\nwords",
            50,
            0.5,
            2.5,
            "down",
            True,
            GREATEST,
            "second.safetensors",
            True,
            "hidden",
        )
    ]


def test_what_was_entered_arrives_as_it_is(site: Served, page: PageBrowser, tmp_path: Path) -> None:
    page.go("#/create/saved/Widgets", "form.panel")
    page.click(".check input")
    page.write(page.field("Line"), '"<b>&amp; ünï ✓')
    page.write(page.field("Words"), "two\nlines")
    page.write(page.field("Whole"), "15")
    page.write(page.field("Share"), "0.25")
    page.write(page.field("Seed"), str(GREATEST - 1))
    page.script("document.querySelector(arguments[0]).value = '2'", page.field("Way"))
    page.click(page.field("Loud"))
    page.write(page.field("Password"), "open sesame")
    upload = tmp_path / "upload.png"
    upload.write_bytes(picture())
    page.choose_file(".image-field input[type=file]", upload)
    page.says(".image-field .hint", "12 × 6")

    run = page.run()

    page.ended()
    sent = asked(site, run)
    assert sent.pop("picture").endswith(".png")
    assert "open sesame" not in sent.pop("password")
    assert page.text(".said pre").endswith("|open sesame")
    assert sent == {
        "line": '"<b>&amp; ünï ✓',
        "words": "two\nlines",
        "whole": 15,
        "share": 0.25,
        "seed": GREATEST - 1,
        "way": "around",
        "loud": False,
    }

    page.go(f"#/create/run/{run}", "form.panel")
    page.click("button.run")
    page.says("[data-field=password] .error", "Enter it again")


def test_a_seed_is_new_for_each_run_unless_it_is_kept(site: Served, page: PageBrowser) -> None:
    page.go("#/create/saved/Widgets", "form.panel")
    assert page.script("return document.querySelector('.check input').checked") is True

    seeds = [asked(site, page.run())["seed"] for _ in range(3)]

    assert len(set(seeds)) == 3


def test_what_was_typed_outlives_leaving_the_form(page: PageBrowser) -> None:
    page.go("#/create/saved/Widgets", "form.panel")
    page.write(page.field("Line"), "half a thou")
    page.script("location.hash = '#/gallery'")
    page.until("return document.querySelector('.gallery')")
    page.script("history.back()")
    page.until("return document.querySelector('form.panel')")
    assert page.value("Line") == "half a thou"

    page.click("form.panel .actions .quiet")
    page.until("return document.querySelector('[data-field=line] input')?.value === 'a line'")


def test_a_workflow_is_saved_with_the_present_values_and_deleted(site: Served, page: PageBrowser) -> None:
    page.go()
    page.drop_json(
        {
            **native(a=entry("MakePicture", level=1), b=entry("KeepPicture", images=link("a"))),
            "title": "Grey <1>",
            "inputs": {"level": {"node": "a", "input": "level"}},
        }
    )
    page.write(page.field("Level"), "42")
    page.script(
        "[...document.querySelectorAll('.toolbar button')].find((b) => b.innerText === 'Save as…').click()"
    )
    page.until("return document.querySelector('dialog input')")
    assert page.script("return document.querySelector('dialog input').value") == "Grey 1"
    page.write("dialog input", "../up")
    page.press("Enter")
    page.says("dialog .error", "begin with a letter")
    page.write("dialog input", "My grey")
    page.press("Enter")

    page.until("return location.hash === '#/create/saved/My%20grey'")
    page.until(
        "return document.querySelector('.toolbar select')?.selectedOptions[0].textContent === 'My grey'"
    )
    assert page.value("Level") == "42"
    kept = site.get("/api/v1/workflows/My%20grey").json
    assert kept["workflow"]["nodes"]["a"]["inputs"]["level"] == 42

    page.script(
        "[...document.querySelectorAll('.toolbar button')].find((b) => b.innerText === 'Delete').click()"
    )
    page.until("return document.querySelector('dialog[open]')")
    page.click("dialog .primary")
    page.until("return location.hash === '#/'")
    assert site.get("/api/v1/workflows/My%20grey").status == 404


def test_a_prompt_without_declared_inputs_asks_for_what_its_nodes_hold(page: PageBrowser) -> None:
    page.go()
    page.drop_json(
        native(
            p=entry("Prompted", text="hello"), n=entry("Report", value=link("s")), s=entry("Number", value=5)
        )
    )

    assert page.texts("form.panel > .form-fields > .fields label") == ["Text"]
    page.click(".more summary")
    assert page.value("Value") == "5"
