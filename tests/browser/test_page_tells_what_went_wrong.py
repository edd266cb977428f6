"""What went wrong, in words: at the field, at the node of the drawing, with its code."""

from __future__ import annotations

from pathlib import Path

from tests.browser.page import ON_THE_PAGE, PageBrowser
from tests.browser.test_page_opens_files import png
from tests.served import Served, entry, link, native

pytestmark = ON_THE_PAGE
PIXEL = png()
CHOOSE = """const select = document.querySelector(arguments[0]);
const option = new Option(arguments[1], arguments[1]);
select.append(option);
select.value = arguments[1];
select.dispatchEvent(new Event("input", { bubbles: true }));
select.dispatchEvent(new Event("change", { bubbles: true }));"""
STATE = "return document.querySelector(`.node[data-node='${arguments[0]}']`).dataset.state"


def test_a_node_that_fails_is_shown_where_it_is(page: PageBrowser, tmp_path: Path) -> None:
    workflow = native(
        words=entry("Prompted", text="hello"),
        broken={**entry("Fail", message="no paint left"), "title": "The painter"},
    )
    page.go()
    page.drop_json({**workflow, "title": "Paint"})
    page.run()

    page.ended("failed")
    page.until("return document.querySelector('.failure')")
    assert "The painter" in page.text(".failure strong")
    assert "no paint left" in page.text(".failure p")
    assert page.text(".failure code") == "node-failed"
    assert page.script(STATE, "broken") == "failed"
    assert page.script(STATE, "words") == "done"
    assert "no paint left" in page.text(".node-about .error")
    assert "no paint left" in page.text(".summary")
    assert "no paint left" in page.text("[data-field='broken.message'] .error")
    page.says("#urgent", "no paint left")
    page.screenshot(tmp_path / "failed.png")


def test_the_run_itself_shows_it_too(site: Served, page: PageBrowser) -> None:
    run = site.submit(native(broken=entry("Fail", message="no ink")))
    site.finished(run)
    page.go("#/queue", f".row[data-run='{run}']")
    assert "no ink" in page.text(f".row[data-run='{run}'] .error")

    page.click(f".row[data-run='{run}'] .name a")

    page.says(".failure", "no ink")
    page.until(f"{STATE} === 'failed'", "broken")


def test_a_value_that_a_node_refuses_is_told_at_its_field(page: PageBrowser) -> None:
    page.go()
    page.drop_json(
        {
            **native(a=entry("MakePicture", level=3), b=entry("KeepPicture", images=link("a"))),
            "inputs": {"level": {"node": "a", "input": "level", "title": "Grey"}},
        }
    )
    page.write(page.field("Grey"), "300")
    page.click("button.run")
    page.until("return document.querySelector('.field.wrong')")
    assert page.text(".field.wrong .error") == "It must be 255 or less."
    assert page.script("return document.activeElement.id") == page.field("Grey")[1:]
    assert page.script("return document.activeElement.getAttribute('aria-invalid')") == "true"

    page.write(page.field("Grey"), "200")
    page.run()
    page.ended()
    assert page.texts(".field.wrong") == []


def test_what_only_the_server_knows_is_told_at_the_field(site: Served, page: PageBrowser) -> None:
    page.go()
    page.drop_json(
        {
            **native(a=entry("OpenPicture", image="gone.png"), b=entry("KeepPicture", images=link("a"))),
            "inputs": {"picture": {"node": "a", "input": "image", "title": "Picture"}},
        }
    )

    assert "cannot run as it is" in page.text(".summary h2")
    assert "Picture" in page.text(".summary li")
    assert "gone.png" in page.text(".field.wrong .error")
    assert page.text(".field.wrong .error code")
    assert page.script(STATE, "a") == "failed"
    page.click(".summary li button")
    assert page.script("return document.activeElement.id") == page.field("Picture")[1:]

    stored = site.request("POST", "/api/v1/files", PIXEL, {"Content-Type": "image/png"}).json["id"]
    page.script("location.reload()")
    page.until("return document.querySelector('.field.wrong select')")
    page.script(CHOOSE, page.field("Picture"), stored)
    assert page.texts(".summary:not([hidden]), .field.wrong") == []
    assert page.script(STATE, "a") == ""
    page.run()
    page.ended()


def test_unknown_node_types_are_told(page: PageBrowser) -> None:
    page.go()
    page.drop_json(native(a=entry("Repport", value=1)))

    assert "Repport" in page.text(".summary")
    assert "unknown-node-type" in page.text(".summary code")
    page.click(".node[data-node=a]")
    assert "not installed" in page.text(".node-about")


def test_a_run_that_is_not_there_is_told(page: PageBrowser) -> None:
    page.go("#/run/01HZZZZZZZZZZZZZZZZZZZZZZZ", ".empty")
    assert "no such run" in page.text(".empty")
    assert page.text(".empty code") == "not-found"


def test_a_lost_worker_is_told(page: PageBrowser, tmp_path: Path) -> None:
    page.go()
    page.drop_json(native(d=entry("Die", unless_file=str(tmp_path / "died"))))
    page.run()

    page.ended()
    assert (tmp_path / "died").read_text(encoding="ascii") == "died once"
