"""The page in a browser window: going places, opening files, reading what is there."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.webdriver import Browser, driver_found
from tests.served import Served

ON_THE_PAGE = [
    pytest.mark.browser,
    pytest.mark.skipif(not driver_found(), reason="needs chromium and chromedriver"),
]
_DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
const carried = new DataTransfer();
carried.items.add(new File([bytes], arguments[1], { type: arguments[2] }));
const target = document.querySelector(arguments[3]);
for (const kind of ["dragenter", "dragover", "drop"])
  target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: carried }));
"""


@dataclass
class PageBrowser(Browser):
    """A browser window on the page of the server at a port."""

    port: int = 0

    def go(self, place: str = "#/", ready: str = "main h1") -> None:
        """Open a place of the page, and wait until it is there."""
        self.open("about:blank")
        self.open(f"http://127.0.0.1:{self.port}/{place}")
        self.until("return document.querySelector(arguments[0])", ready)

    def text(self, selector: str) -> str:
        """What an element says; empty if there is none."""
        return str(self.script("return document.querySelector(arguments[0])?.innerText || ''", selector))

    def texts(self, selector: str) -> list[str]:
        """What all elements say that a selector finds."""
        found = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)"
        return list(self.script(found, selector))

    def says(self, selector: str, text: str) -> None:
        """Wait until an element says something."""
        self.until(
            "return document.querySelector(arguments[0])?.innerText.includes(arguments[1])", selector, text
        )

    def field(self, title: str) -> str:
        """A selector of the control under a label."""
        found = """
        const label = [...document.querySelectorAll("label")].find((one) => one.innerText.trim() === arguments[0]);
        return label && `#${label.htmlFor}`;
        """
        selector = self.script(found, title)
        assert selector, f"there is no field '{title}': {self.texts('label')}"
        return str(selector)

    def value(self, title: str) -> Any:
        """What the control under a label holds."""
        held = "const control = document.querySelector(arguments[0]);"
        return self.script(
            f"{held} return control.type === 'checkbox' ? control.checked : control.value", self.field(title)
        )

    def drop(self, data: bytes, name: str, media_type: str = "", onto: str = "main") -> None:
        """Drop a file."""
        self.script(_DROP, base64.b64encode(data).decode(), name, media_type, onto)

    def drop_json(self, document: Mapping[str, object], name: str = "workflow.json") -> None:
        """Drop a workflow, and wait until its form is there."""
        self.script("window.before = document.querySelector('.create')")
        self.drop(json.dumps(document).encode(), name, "application/json")
        self.until("const now = document.querySelector('.create'); return now && now !== window.before")

    def run(self) -> str:
        """Press Run; the id of the run."""
        before = self.script("return location.hash")
        self.click("button.run")
        self.until("return location.hash !== arguments[0] && location.hash.includes('run=')", before)
        return str(self.script("return new URLSearchParams(location.hash.split('?')[1]).get('run')"))

    def ended(self, state: str = "succeeded") -> None:
        """Wait until the run on the stage has ended like this."""
        self.until("return document.querySelector(arguments[0])", f".stage .state.{state}")


def asked(site: Served, run: str) -> dict[str, Any]:
    """The inputs that a run was submitted with."""
    record = site.call(site.services.jobs.get(run))
    return dict(site.call(site.services.jobs.request(record)).inputs)


def save_screenshot(browser: Browser, folder: Path, name: str) -> Path:
    """A picture of the window; its path."""
    path = folder / f"{name}.png"
    browser.screenshot(path)
    return path
