"""The queue on the page: progress as it comes, cancelling, pausing, and a page that is loaded anew in the middle."""

from __future__ import annotations

import time

from tests.browser.page import ON_THE_PAGE, PageBrowser
from tests.served import Served, entry, link, native, steps_of

pytestmark = ON_THE_PAGE
SHARE = "const bar = document.querySelector(arguments[0]); return bar && bar.value / bar.max"


def long_run(title: str) -> dict[str, object]:
    return {**steps_of(2000, 0.02), "title": title}


def test_a_run_is_watched_and_cancelled_in_the_queue(site: Served, page: PageBrowser) -> None:
    first, second = site.submit(long_run("The first")), site.submit(long_run("The second"))
    page.go("#/queue", f".row[data-run='{first}'] progress")

    page.until("return document.querySelector('#count').innerText === '2'")
    page.says(f".row[data-run='{first}'] .line", "step")
    then = page.until(SHARE, f".row[data-run='{first}'] progress")
    page.until(f"{SHARE} > {then}", f".row[data-run='{first}'] progress")
    assert "The second" in page.text(f"ol .row[data-run='{second}']")

    page.click(f"ol .row[data-run='{second}'] button")
    page.until("return !document.querySelector(arguments[0])", f"ol .row[data-run='{second}']")
    page.click(f".row[data-run='{first}'] button")
    page.says("ul.rows", "The first")
    page.says("ul.rows .row", "Cancelled")
    assert {site.finished(run)["state"] for run in (first, second)} == {"cancelled"}
    page.until("return document.querySelector('#count').hidden")


def test_loading_the_page_anew_keeps_the_progress(site: Served, page: PageBrowser) -> None:
    page.go()
    page.drop_json(long_run("A long one"))
    run = page.run()
    page.says(".stage .line", "step")
    before = page.until(SHARE, ".stage progress")

    page.script("location.reload()")

    page.until("return document.querySelector('h1')?.innerText === 'A long one'")
    page.says(".stage .line", "step")
    assert page.until(SHARE, ".stage progress") >= before
    page.until("return document.querySelector('.node[data-node=steps]').dataset.state === 'running'")
    page.click(".stage button.danger")
    page.ended("cancelled")
    assert site.finished(run)["state"] == "cancelled"


def test_a_stream_that_breaks_goes_on_where_it_was(site: Served, page: PageBrowser) -> None:
    page.go()
    page.drop_json(native(a=entry("Steps", count=60, pause=0.05), b=entry("Report", value={"node": "a"})))
    page.run()
    page.says(".stage .line", "step")
    page.requested()

    page.devtools(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    page.until("return !document.querySelector('#offline').hidden")
    page.devtools(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )

    page.ended()
    assert page.text(".said pre") == "60"
    page.until("return document.querySelector('#offline').hidden")


def test_progress_is_said_aloud(page: PageBrowser) -> None:
    page.go()
    page.script(
        "window.said = []; new MutationObserver(() => said.push(document.querySelector('#polite').textContent))"
        ".observe(document.querySelector('#polite'), { childList: true, characterData: true, subtree: true })"
    )
    page.drop_json(steps_of(40, 0.05))
    page.run()
    page.ended()

    said = page.script("return said.map((text) => text.trim())")
    assert "The run has begun." in said
    assert "50 percent" in said
    assert said[-1].startswith("Done in")


def test_the_queue_is_paused_and_goes_on(site: Served, page: PageBrowser) -> None:
    page.go("#/queue", ".toolbar button")
    page.until("return document.querySelector('.toolbar button').innerText === 'Pause'")
    page.click(".toolbar button")
    page.says(".workers", "Paused")
    run = site.submit({**steps_of(1), "title": "Waits"})
    page.says("ol.rows", "Waits")

    page.click(".toolbar button")

    assert site.finished(run)["state"] == "succeeded"
    page.says("ul.rows", "Waits")


def test_a_run_that_cannot_begin_says_why(site: Served, page: PageBrowser) -> None:
    site.post("/api/v1/queue/pause")
    page.go()
    page.drop_json(steps_of(1))
    page.run()
    page.says(".stage .line", "The queue is paused")
    site.post("/api/v1/queue/resume")
    page.ended()


def test_nobody_looks_at_a_hidden_page(site: Served, page: PageBrowser) -> None:
    hide = "Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true });"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    page.go()
    page.drop_json(native(a=entry("Steps", count=50, pause=0.05), b=entry("Report", value={"node": "a"})))
    run = page.run()
    page.says(".stage .line", "step")
    page.script(hide + tell, True)
    deadline = time.monotonic() + 20
    while site.services.jobs.hub.watched and time.monotonic() < deadline:
        time.sleep(0.1)
    assert site.services.jobs.hub.watched == 0
    site.finished(run)

    page.script(hide + tell, False)

    page.ended()
    assert page.texts(".said pre") == ["50"]


def test_a_large_graph_is_drawn(page: PageBrowser) -> None:
    nodes = {"n0": entry("Number", value=1)}
    for place in range(1, 400):
        nodes[f"n{place}"] = entry("Sum", a=link(f"n{place - 1}"), b=link("n0"))
    page.go()
    page.drop_json(native(**nodes, r=entry("Report", value=link("n399"))))

    assert len(page.texts(".graph .node")) == 401
    page.run()
    page.ended()
    assert page.texts(".said pre") == ["400"]
