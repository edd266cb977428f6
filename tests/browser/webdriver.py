"""Drives Debian's Chromium by the WebDriver protocol (W3C), with nothing but its chromedriver."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
)

KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Space": " ",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
    "Shift": "\ue008",
    "Control": "\ue009",
    "Home": "\ue011",
    "End": "\ue010",
}


def driver_found() -> bool:
    """True if there is a browser to drive."""
    return shutil.which("chromedriver") is not None and shutil.which("chromium") is not None


@dataclass
class Browser:
    """A browser window; a context manager."""

    width: int = 1280
    height: int = 900
    _session: str = ""
    _port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._process = subprocess.Popen(
            ["chromedriver", f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        options = {
            "binary": shutil.which("chromium"),
            "args": [*ARGUMENTS, f"--window-size={self.width},{self.height}"],
            "perfLoggingPrefs": {"enableNetwork": True},
        }
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        deadline = time.monotonic() + 30
        while True:
            try:
                made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._session = f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        try:
            self._call("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.wait(20)

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("POST", f"{self._session}/url", {"url": url})

    def script(self, text: str, *arguments: object) -> Any:
        """What a function body returns; a promise is awaited."""
        wrapped = (
            "const done = arguments[arguments.length - 1];"
            f" (async function() {{ {text} }}).apply(null, arguments)"
            ".then(done, (error) => done({failed: String(error)}));"
        )
        return self._call(
            "POST", f"{self._session}/execute/async", {"script": wrapped, "args": list(arguments)}
        )

    def until(self, text: str, *arguments: object, timeout: float = 60.0) -> Any:
        """Wait until a function body returns something true, and return that."""
        deadline = time.monotonic() + timeout
        while True:
            value = self.script(text, *arguments)
            if value and not (isinstance(value, dict) and "failed" in value):
                return value
            assert time.monotonic() < deadline, f"waited in vain for: {text} (last: {value})"
            time.sleep(0.2)

    def screenshot(self, path: Path) -> None:
        """Save what is seen."""
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def requested(self) -> list[str]:
        """The addresses that were asked for since the last call."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "performance"})
        found = []
        for entry in entries:
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def click(self, selector: str) -> None:
        """Press the first element that a selector finds, as a mouse does."""
        self.script("document.querySelector(arguments[0]).scrollIntoView({ block: 'center' })", selector)
        self._call("POST", f"{self._session}/element/{self._element(selector)}/click", {})

    def write(self, selector: str, text: str) -> None:
        """Put a text in the place of what a field holds, key by key."""
        element = self._element(selector)
        self._call("POST", f"{self._session}/element/{element}/clear", {})
        self._call("POST", f"{self._session}/element/{element}/value", {"text": text})

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to a file input."""
        self._call("POST", f"{self._session}/element/{self._element(selector)}/value", {"text": str(path)})

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is; `Control+Enter` holds the first."""
        steps: list[dict[str, str]] = []
        for key in keys:
            held = [KEYS.get(part, part) for part in (key.split("+") if len(key) > 1 else [key])]
            steps += [{"type": "keyDown", "value": value} for value in held]
            steps += [{"type": "keyUp", "value": value} for value in reversed(held)]
        keyboard = {"type": "key", "id": "keyboard", "actions": steps}
        self._call("POST", f"{self._session}/actions", {"actions": [keyboard]})

    def look(self, width: int, height: int, **features: str) -> None:
        """See the page in a window of this size, with CSS media features: `prefers_color_scheme="dark"`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", size)
        media = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.devtools("Emulation.setEmulatedMedia", {"features": media})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Send a command of Chromium's own protocol."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self) -> list[str]:
        """What the browser had to say against the page's scripts and policy since the last call."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        bad = [entry for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
        return [entry["message"] for entry in bad if entry["source"] != "network"]

    def _element(self, selector: str) -> str:
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        return str(next(iter(found.values())))

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:2000]) from None
