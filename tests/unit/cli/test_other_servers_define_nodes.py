"""Workflows with nodes that are not installed here are converted and checked by another server's definitions."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphcore.errors import DocumentError, GraphcoreError, ResourceError
from graphcore.formats.definition_source import load_object_info
from tests.formats.ui.drawing import OBJECT_INFO, Sketch, node_class
from tests.unit.cli.conftest import CommandLine

FANCY = {
    "FancyBlur": node_class(
        {
            "image": ["IMAGE"],
            "radius": ["INT", {"default": 3, "min": 1, "max": 9}],
            "kind": [["soft", "hard"], {}],
        },
        ["IMAGE"],
    ),
    **{name: OBJECT_INFO[name] for name in ("LoadImage", "SaveImage")},
}


def blurred(radius: int = 5, kind: str = "hard") -> Sketch:
    """A picture, blurred by a node of a pack that is not installed."""
    sketch = Sketch().node(1, "LoadImage", ["a.png", "image"])
    properties = {"cnr_id": "fancy-pack", "ver": "2.0.1"}
    sketch.node(
        2, "FancyBlur", [radius, kind], properties=properties, outputs=[{"name": "IMAGE", "type": "IMAGE"}]
    )
    sketch.wire(1, 0, 2, "image", "IMAGE")
    return sketch.node(3, "SaveImage", ["blurred"]).wire(2, 0, 3, "images", "IMAGE")


class Answers(BaseHTTPRequestHandler):
    """A server with one good answer and several bad ones."""

    def do_GET(self) -> None:
        good = json.dumps(FANCY).encode()
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/object_info")
            self.end_headers()
        elif self.path == "/slow":
            self._send(200, b"{", length=2)
            threading.Event().wait(1.5)
        elif self.path == "/short":
            self._send(200, good[:40], length=len(good))
        elif self.path == "/page":
            self._send(200, b"<html></html>")
        elif self.path in ("/object_info", "/proxied/object_info?x=1"):
            self._send(200, good)
        else:
            self._send(404, b"{}")

    def _send(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The server's address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["", "/", "/object_info", "/proxied/object_info?x=1"])
def test_a_graph_is_converted_by_the_server_named(cli: CommandLine, address: str, path: str) -> None:
    file = cli.write("blurred.json", blurred().file())
    done = cli.run("convert", file, "--to", "comfy-api", "--object-info", address + path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["2"] == {
        "inputs": {"radius": 5, "kind": "hard", "image": ["1", 0]},
        "class_type": "FancyBlur",
        "_meta": {"title": "FancyBlur"},
    }


def test_a_file_of_few_classes_adds_to_those_installed(cli: CommandLine) -> None:
    file = cli.write("blurred.json", blurred().file())
    info = cli.write("info.json", {"FancyBlur": FANCY["FancyBlur"]})
    prompt = json.loads(cli.run("convert", file, "--to", "comfy-api", "--object-info", info).out)
    assert [prompt[name]["class_type"] for name in "123"] == ["LoadImage", "FancyBlur", "SaveImage"]


def test_without_a_definition_every_class_is_named_at_once(cli: CommandLine) -> None:
    sketch = blurred().node(4, "Other", properties={"aux_id": "someone/other"}).node(5, "Third")
    told = cli.run("convert", cli.write("blurred.json", sketch.file()), "--to", "comfy-api")
    assert told.code == 2
    for words in ("3 problems", "FancyBlur", "fancy-pack 2.0.1", "Other", "someone/other", "Third"):
        assert words in told.err


def test_a_prompt_is_drawn_with_the_servers_nodes(cli: CommandLine, address: str) -> None:
    prompt = {"1": {"class_type": "FancyBlur", "inputs": {"radius": 2, "kind": "soft"}}}
    done = cli.run("convert", cli.write("prompt.json", prompt), "--to", "comfy-ui", "--object-info", address)
    assert json.loads(done.out)["nodes"][0]["widgets_values"] == [2, "soft"]


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_a_picture_with_a_graph_is_converted_too(cli: CommandLine, address: str, source: str) -> None:
    chunks = PngInfo()
    chunks.add_text("workflow", json.dumps(blurred(7).file()))
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "PNG", pnginfo=chunks)
    file = cli.folder / "blurred.png"
    file.write_bytes(target.getvalue())
    name, stdin = (file, b"") if source == "file" else ("-", target.getvalue())
    done = cli.run("convert", name, "--to", "comfy-api", "--object-info", address, stdin=stdin)
    assert json.loads(done.out)["2"]["inputs"]["radius"] == 7


def test_a_workflow_is_checked_for_that_server(cli: CommandLine, address: str) -> None:
    good = cli.run("validate", cli.write("good.json", blurred().file()), "--object-info", address)
    assert (good.code, "valid, 3 nodes" in good.out) == (0, True), good.err
    bad = cli.run(
        "validate", cli.write("bad.json", blurred(77, "odd").file()), "--object-info", address, "--json"
    )
    problems = json.loads(bad.out)["problems"]
    assert bad.code == 2
    assert [(problem["code"], problem["input"]) for problem in problems] == [
        ("value-too-large", "radius"),
        ("not-a-choice", "kind"),
    ]


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({"FancyBlur": 5}, 2),
        ({"Broken": 5, "FancyBlur": FANCY["FancyBlur"]}, 0),
    ],
)
def test_a_damaged_definition_matters_where_it_is_used(
    cli: CommandLine, info: dict[str, Any], code: int
) -> None:
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "FancyBlur", "inputs": {"image": ["1", 0], "radius": 1, "kind": "soft"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    info |= {"LoadImage": FANCY["LoadImage"]}
    told = cli.run(
        "validate", cli.write("p.json", prompt), "--object-info", cli.write("info.json", info), "--json"
    )
    assert told.code == code, told.out


def test_growing_and_dynamic_inputs_are_accepted(cli: CommandLine) -> None:
    info = {
        name: {**OBJECT_INFO[name], "output_node": True}
        for name in ("Resize", "Batch", "Join", "LoadImage", "Numbers")
    }
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "new upload.png"}},
        "2": {"class_type": "Batch", "inputs": {"images.image0": ["1", 0], "count": 2}},
        "3": {"class_type": "Resize", "inputs": {"mode": "size", "mode.width": 5, "after": 1}},
        "4": {"class_type": "Join", "inputs": {"parts.part0": "a", "by": ","}},
    }
    arguments = ("--object-info", cli.write("info.json", info), "--json")
    assert cli.run("validate", cli.write("good.json", prompt), *arguments).code == 0
    prompt["3"]["inputs"]["mode"] = "odd"  # type: ignore[index]
    assert "not-a-choice" in cli.run("validate", cli.write("bad.json", prompt), *arguments).out


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nowhere", "404"),
        ("/moved", "/object_info"),
        ("/page", "not JSON"),
        ("/short", "breaks off"),
        ("/a b", "cannot be read"),
    ],
)
def test_a_bad_answer_is_told(cli: CommandLine, address: str, path: str, says: str) -> None:
    file = cli.write("blurred.json", blurred().file())
    told = cli.run("convert", file, "--to", "comfy-api", "--object-info", address + path)
    assert told.code in (1, 2)
    assert says in told.err
    assert "Traceback" not in told.err


def test_nobody_there(unused_port: int) -> None:
    with pytest.raises(ResourceError) as caught:
        load_object_info(f"http://127.0.0.1:{unused_port}", total_s=5)
    assert caught.value.code == "object-info-unreachable"


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        return int(server.server_port)


def test_time_and_size_are_limited(address: str) -> None:
    with pytest.raises(ResourceError, match="too long"):
        load_object_info(f"{address}/slow", total_s=0.3)
    with pytest.raises(DocumentError, match="more than 100 bytes"):
        load_object_info(address, max_bytes=100)


@pytest.mark.parametrize(
    "place",
    [
        "ftp://127.0.0.1/object_info",
        "file:///etc/passwd",
        "http://",
        "http://user:secret@127.0.0.1/object_info",
        "http://127.0.0.1:port/",
        "http://[::1/",
        "nowhere.json",
        ".",
        "",
    ],
)
def test_what_is_no_address_and_no_file_is_refused(place: str) -> None:
    with pytest.raises(GraphcoreError) as caught:
        load_object_info(place)
    assert caught.value.code in ("bad-address", "object-info-unreachable")
    assert "secret" not in caught.value.message
