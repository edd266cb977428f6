"""The page by keyboard alone, on a phone, in the dark, for those who listen, and without motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import ON_THE_PAGE, PageBrowser
from tests.served import Served, entry, link, native, steps_of

pytestmark = ON_THE_PAGE
PLACES = {"#/create/file": "form.panel", "#/queue": ".row", "#/gallery": ".tile"}
FORM = {
    **native(
        a=entry("MakePicture", level=90),
        b={**entry("Brighten", image=link("a")), "title": "A node with a rather long title that goes on"},
        c=entry("KeepPicture", images=link("b")),
        p=entry("Prompted", text="word" * 60),
    ),
    "title": "AWorkflowWithATitleThatHasNoSpacesAtAllAndIsLongerThanAPhoneIsWide",
    "inputs": {
        "words": {"node": "p", "input": "text", "title": "Words"},
        "level": {"node": "a", "input": "level", "title": "Level"},
    },
}
CONTRAST = """
const LEFT_OUT = ".unseen, .skip, svg, :disabled, option, noscript";
const channel = (value) => { const c = value / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = (text) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const ground = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const color = parse(getComputedStyle(one).backgroundColor);
    if (color[3] > 250) return color;
  }
  return parse(getComputedStyle(document.body).backgroundColor);
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.checkVisibility() || element.closest(LEFT_OUT)) continue;
  const style = getComputedStyle(element);
  const [one, other] = [light(parse(style.color)), light(ground(element))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < 4.5) poor.push([element.outerHTML.slice(0, 90), ratio]);
}
return poor;
"""
SMALL = """
return [...document.querySelectorAll("main button:not(.link), header a, header button, main a.button")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 24)
  .map((one) => one.outerHTML.slice(0, 120));
"""
UNNAMED = """
const named = (element) => element.labels?.length || element.getAttribute("aria-label") || element.innerText?.trim()
  || element.querySelector("img")?.alt || document.getElementById(element.getAttribute("aria-labelledby") || "none");
return [...document.querySelectorAll("input, select, textarea, button, a, [role=button], progress")]
  .filter((element) => element.checkVisibility() && !named(element)).map((element) => element.outerHTML.slice(0, 120));
"""


def go_everywhere(site: Served, page: PageBrowser) -> Any:
    """Each place of the page, one after the other."""
    page.go()
    page.drop_json(FORM)
    run = page.run()
    page.ended()
    for place, ready in {**PLACES, f"#/run/{run}": ".settings"}.items():
        page.script("location.hash = arguments[0]", place)
        page.until("return document.querySelector(arguments[0])", ready)
        yield place


def test_a_picture_is_made_by_keyboard_alone(page: PageBrowser) -> None:
    page.go()
    page.drop_json(FORM)
    page.script("location.reload()")
    page.until("return document.activeElement === document.body && document.querySelector('form.panel')")
    page.press("Tab")
    assert page.script("return document.activeElement.className") == "skip"
    assert page.script("return document.activeElement.getBoundingClientRect().top >= 0")
    page.press("Enter")
    assert page.script("return document.activeElement.id") == "main"

    reached: list[str] = []
    for _ in range(40):
        page.press("Tab")
        reached.append(page.script("return document.activeElement.innerText || document.activeElement.id"))
        ring = "const style = getComputedStyle(document.activeElement); return parseFloat(style.outlineWidth) >= 2"
        assert page.script(ring), reached[-1]
        if reached[-1] == "Run":
            break
    assert page.field("Words")[1:] in reached
    page.press("Enter")
    page.ended()

    page.press("Tab")
    while page.script("return !document.activeElement.closest('.graph')"):
        page.press("Tab")
    first = page.script("return document.activeElement.dataset.node")
    page.press("Right")
    second = page.script("return document.activeElement.dataset.node")
    assert (first, second) == ("a", "b")
    page.press("Left", "Enter")
    assert "MakePicture" in page.text(".node-about")


def test_control_and_enter_run_it(page: PageBrowser) -> None:
    page.go()
    page.drop_json(FORM)
    page.click(page.field("Words"))
    page.press("Control+Enter")
    page.ended()


def test_a_dialog_keeps_the_focus_and_gives_it_back(page: PageBrowser) -> None:
    page.go()
    page.drop_json(FORM)
    page.script(
        "[...document.querySelectorAll('.toolbar button')].find((b) => b.innerText === 'Save as…').focus()"
    )
    page.press("Enter")
    page.until("return document.querySelector('dialog[open]')")
    for _ in range(6):
        page.press("Tab")
        inside = "return document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))"
        assert page.script(inside)
    page.press("Escape")
    page.until("return !document.querySelector('dialog')")
    assert page.script("return document.activeElement.innerText") == "Save as…"


def test_everything_has_a_name_and_a_place(site: Served, page: PageBrowser) -> None:
    for place in go_everywhere(site, page):
        assert page.script(UNNAMED) == [], place
        assert page.script("return document.querySelectorAll('h1').length") == 1, place
        assert page.script("return document.title").endswith("· graphcore"), place
        assert page.script("return document.querySelectorAll('main, header, nav, footer').length") == 4
        ids = page.script("return [...document.querySelectorAll('[id]')].map((one) => one.id)")
        assert len(ids) == len(set(ids)), place


@pytest.mark.parametrize("width", [360, 768])
def test_it_is_no_wider_than_the_screen(site: Served, page: PageBrowser, width: int) -> None:
    page.look(width, 740)
    running = site.submit(steps_of(1000, 0.02))
    for place in go_everywhere_waiting(site, page, running):
        assert page.script("return document.documentElement.scrollWidth <= innerWidth"), place
        assert page.script(SMALL) == [], place


def go_everywhere_waiting(site: Served, page: PageBrowser, running: str) -> Any:
    """Each place, the queue while something runs."""
    page.go("#/queue", f".row[data-run='{running}'] progress")
    yield "#/queue"
    site.request("DELETE", f"/api/v1/runs/{running}")
    yield from go_everywhere(site, page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(
    site: Served, page: PageBrowser, scheme: str, tmp_path: Path
) -> None:
    page.look(1280, 900, prefers_color_scheme=scheme)
    for place in go_everywhere(site, page):
        assert page.script(CONTRAST) == [], place
    page.screenshot(tmp_path / f"{scheme}.png")
    ground = page.script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) == (scheme == "dark")


def test_the_theme_is_chosen_and_kept(page: PageBrowser) -> None:
    page.look(1280, 900, prefers_color_scheme="light")
    page.go()
    bright = "return getComputedStyle(document.body).backgroundColor"
    light = page.script(bright)
    page.click("#theme")
    assert page.script(bright) == light
    page.click("#theme")
    dark = page.script(bright)
    assert dark != light
    page.script("location.reload()")
    page.until("return document.querySelector('main h1')")
    assert page.script(bright) == dark


def test_nothing_moves_for_those_who_do_not_want_it(site: Served, page: PageBrowser) -> None:
    page.look(1280, 900, prefers_reduced_motion="reduce")
    page.go()
    page.drop_json(steps_of(2000, 0.02))
    page.run()
    page.until("return document.querySelector('.stage progress')")
    assert page.script("return document.getAnimations().length") == 0
    page.click(".stage button.danger")
    page.ended("cancelled")


def test_the_focus_stays_while_the_progress_changes(page: PageBrowser) -> None:
    page.go()
    page.drop_json(steps_of(2000, 0.02))
    page.run()
    assert page.script("return document.activeElement.innerText") == "Run"
    page.says(".stage .line", "step")
    page.script("document.querySelector('.stage button.danger').focus()")
    before = page.script("return document.querySelector('.stage progress').value")

    page.until("return document.querySelector('.stage progress').value > arguments[0] + 40", before)
    assert page.script("return document.activeElement.innerText") == "Cancel"
    page.press("Enter")
    page.ended("cancelled")
    assert page.script("return document.activeElement.className") == "stage"


def test_the_focus_stays_in_a_queue_that_changes(site: Served, page: PageBrowser) -> None:
    runs = [site.submit(steps_of(1000, 0.02)) for _ in range(4)]
    page.go("#/queue", f".row[data-run='{runs[3]}'] button")
    page.script("document.querySelector(arguments[0]).focus()", f".row[data-run='{runs[2]}'] button")

    site.request("DELETE", f"/api/v1/runs/{runs[1]}")
    page.until("return !document.querySelector(arguments[0])", f"ol .row[data-run='{runs[1]}']")
    assert page.script("return document.activeElement.closest('[data-run]').dataset.run") == runs[2]
    page.press("Enter")
    page.until("return !document.querySelector(arguments[0])", f"ol .row[data-run='{runs[2]}']")
    assert page.script("return document.activeElement !== document.body")
    for run in (runs[0], runs[3]):
        site.request("DELETE", f"/api/v1/runs/{run}")
