"""The page at `/`: open to all, strict about what it loads, and told about workflows in words that it can draw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from server.comfy.routes import comfy_routes
from server.page.files import FOLDER
from server.page.routes import page_routes
from tests.comfy_client import picture_prompt, step
from tests.served import GUEST_TOKEN, OWNER_TOKEN, Served, entry, link, native, settings_in

SCRIPTS = sorted((FOLDER / "js").glob("*.js"))
VOID = {"meta", "link", "input", "img", "br", "hr"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(settings_in(tmp_path_factory.mktemp("page")), modules=(comfy_routes, page_routes)) as server:
        yield server.ready()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = settings_in(tmp_path_factory.mktemp("guarded"), tokens={"guest": GUEST_TOKEN})
    with Served(settings, token=OWNER_TOKEN, modules=(page_routes,)) as server:
        yield server


def sheet(served: Served, document: object) -> Any:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = served.post("/page/sheet", data, {"Content-Type": "application/octet-stream"})
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize(
    "headers", [{}, {"Accept": "application/json"}, {"User-Agent": "curl/8"}, {"Accept": "text/html"}]
)
def test_it_answers_to_everybody(served: Served, headers: dict[str, str]) -> None:
    answer = served.request("GET", "/", headers=headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<title>graphcore</title>" in answer.body
    assert served.request("HEAD", "/", headers=headers).status == 200


def test_its_policy_lets_nothing_else_in(served: Served) -> None:
    headers = served.get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_all_that_it_names_is_there(served: Served) -> None:
    named = re.findall(r'(?:src|href)="(/page/[^"]+)"', (FOLDER / "index.html").read_text(encoding="utf-8"))
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        named += [f"/page/static/js/{name}" for name in re.findall(r'from "\./([^"]+)"', text)]
    assert len(set(named)) > 20
    for path in set(named):
        answer = served.get(path)
        assert answer.status == 200, path
        kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
        assert answer.headers["Content-Type"].startswith(kinds[path.rsplit(".", 1)[1]])
        assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    "name", ["../routes.py", "%2e%2e/routes.py", "js", "js/", "nothing.js", "..%5croutes.py"]
)
def test_nothing_beside_it_is_served(served: Served, name: str) -> None:
    assert served.get(f"/page/static/{name}").status == 404


def test_it_may_be_opened_by_a_link_from_elsewhere_and_nothing_more(served: Served) -> None:
    came = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert served.request("GET", "/", headers=came).status == 200
    assert served.request("GET", "/", headers={**came, "Sec-Fetch-Dest": "iframe"}).status == 403
    for path in ("/page/queue", "/page/runs", "/page/about", "/page/static/js/main.js"):
        assert served.request("GET", path, headers=came).status == 403, path


def test_without_a_token_there_is_the_page_and_nothing_to_see(guarded: Served) -> None:
    nobody = {"Authorization": ""}
    assert guarded.request("GET", "/", headers=nobody).status == 200
    assert guarded.request("GET", "/page/static/js/main.js", headers=nobody).status == 200
    for route in page_routes(guarded.services):
        if not route.open:
            path = re.sub(r"\{\w+\}", "x", route.path)
            sent = {**nobody, "Content-Type": "application/json"}
            assert guarded.request(route.method, path, headers=sent).status == 401, path


def test_each_sees_what_is_theirs(guarded: Served) -> None:
    run = guarded.submit(native(n=entry("Report", value=1)))
    guarded.finished(run)
    guest = {"Authorization": f"Bearer {GUEST_TOKEN}"}
    assert [card["id"] for card in guarded.get("/page/runs").json["runs"]] == [run]
    assert guarded.request("GET", "/page/runs", headers=guest).json["runs"] == []
    for path in (f"/page/runs/{run}", f"/page/runs/{run}/sheet", f"/page/runs?after={run}"):
        assert guarded.get(path).status == 200
        assert guarded.request("GET", path, headers=guest).status == 404
    assert guarded.request("GET", "/page/about", headers=guest).json["owner"] is False


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), f"an attribute stands twice in <{tag}>"
        assert not [name for name in given if name.startswith("on") or name == "style"], tag
        self.found.append((tag, given))
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_its_html_is_sound() -> None:
    outline = Outline()
    outline.feed((FOLDER / "index.html").read_text(encoding="utf-8"))
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    tags = [tag for tag, _ in outline.found]
    assert tags.count("main") == tags.count("header") == tags.count("nav") == 1
    for tag, given in outline.found:
        if tag == "script":
            assert given["src"], "scripts are files"
        if tag == "img":
            assert "alt" in given
        if tag == "input":
            assert given.get("aria-label")
        for name in ("src", "href"):
            assert str(given.get(name) or "/").startswith(("/", "#"))
    assert ("html", {"lang": "en"}) in outline.found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_its_scripts_are_small_and_make_no_html(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"):
        assert forbidden not in text
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_a_sheet_asks_for_the_declared_inputs(served: Served) -> None:
    made = sheet(
        served,
        {
            **native(a=entry("MakePicture", level=9), b=entry("KeepPicture", images=link("a"))),
            "title": "Grey",
            "inputs": {"level": {"node": "a", "input": "level", "title": "How light"}},
        },
    )
    (field,) = made["fields"]
    assert (field["name"], field["title"], field["kind"]) == ("level", "How light", "int")
    assert (field["value"], field["minimum"], field["maximum"]) == ("9", "0", "255")
    assert [(group["node"], [field["name"] for field in group["fields"]]) for group in made["more"]] == [
        ("b", ["b.filename_prefix"])
    ]
    (line,) = made["links"]
    assert (line["source"], line["target"], line["input"], line["kind"]) == ("a", "b", "images", "IMAGE")
    assert made["problems"] == []
    assert json.loads(made["document"])["title"] == "Grey"


def test_a_sheet_of_a_prompt_keeps_its_numbers(served: Served) -> None:
    prompt = {"1": step("Number", value=2**63 - 1), "2": step("Report", value=["1", 0])}
    made = sheet(served, prompt)
    assert made["fields"][0]["value"] == str(2**63 - 1)
    assert f'"value": {2**63 - 1}' in made["document"]


def test_a_sheet_tells_every_problem_at_its_node(served: Served) -> None:
    made = sheet(served, native(a=entry("MakePicture", level=999), b=entry("Nothing", images=link("gone"))))
    assert {(problem["node"], problem["code"]) for problem in made["problems"]} == {
        ("a", "value-too-large"),
        ("b", "unknown-node-type"),
    }
    assert [node["known"] for node in made["nodes"]] == [True, False]


def test_a_document_that_cannot_be_read_whole_cannot_be_run(served: Served) -> None:
    made = sheet(served, native(a=entry("Report", value={"nod": "b"})))
    assert made["document"] is None
    assert made["problems"][0]["code"] == "bad-link"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "not-json"),
        (b"[1]", 400, "unknown-shape"),
        (b"\x89PNG\r\n\x1a\n", 422, "no-workflow-in-picture"),
        (b"\xff\xd8\xff" + b"\0" * 100, 422, "not-a-picture"),
    ],
)
def test_what_is_no_workflow_is_told(served: Served, data: bytes, status: int, code: str) -> None:
    answer = served.post("/page/sheet", data, {"Content-Type": "application/octet-stream"})
    assert (answer.status, answer.code) == (status, code)
    assert answer.json["error"]["message"].endswith(".")


def test_a_runs_sheet_has_the_values_that_it_ran_with(served: Served) -> None:
    workflow = native(a=entry("MakePicture", level=9), b=entry("KeepPicture", images=link("a")))
    run = served.submit(workflow, inputs={"a.level": 33})
    served.finished(run)
    made = served.get(f"/page/runs/{run}/sheet").json
    values = {field["name"]: field["value"] for group in made["more"] for field in group["fields"]}
    values |= {field["name"]: field["value"] for field in made["fields"]}
    assert values["a.level"] == "33"
    card = served.get(f"/page/runs/{run}").json
    assert (card["state"], len(card["outputs"])) == ("succeeded", 1)


def test_pictures_are_listed_newest_first_page_by_page(served: Served) -> None:
    runs = []
    for level in range(3):
        runs.append(served.submit(picture_prompt(200 + level)))
        served.finished(runs[-1])
        served.finished(served.submit(native(n=entry("Report", value=level))))
    first = served.get("/page/runs?pictures=true&limit=2").json
    assert [card["id"] for card in first["runs"]] == [runs[2], runs[1]]
    second = served.get(f"/page/runs?pictures=true&limit=1&after={first['next']}").json
    assert second["runs"][0]["id"] == runs[0]
    everything = served.get("/page/runs?limit=100").json
    assert len(everything["runs"]) >= 6
    assert everything["next"] is None
    assert served.get("/page/runs?after=nonsense").status == 422


def test_values_are_written_into_a_workflow(served: Served) -> None:
    workflow = {**native(a=entry("Number", value=1)), "inputs": {"number": {"node": "a", "input": "value"}}}
    answer = served.post("/page/fill", {"workflow": workflow, "inputs": {"number": 2**62}})
    assert answer.json["nodes"]["a"]["inputs"]["value"] == 2**62
    refused = served.post("/page/fill", {"workflow": workflow, "inputs": {"nobody": 1}})
    assert (refused.status, refused.json["error"]["problems"][0]["code"]) == (422, "unknown-workflow-input")


def test_prompts_are_told_from_what_is_not_wanted(tmp_path: Path) -> None:
    from graphcore.formats.reading import read_workflow
    from server.page.literals import node_values, prompt_of
    from tests.tiny_engine import all_nodes, text_to_image

    registry = all_nodes()
    graph = read_workflow(text_to_image("tiny.safetensors").workflow(), registry)
    sides = {value.node: value.side for value in node_values(graph, registry) if value.input.name == "text"}
    assert sides == {"positive": "positive", "negative": "negative"}
    assert prompt_of(graph, registry) == "a red cat and a dog"


def test_many_nodes_with_many_choices_make_no_long_answer(served: Served) -> None:
    nodes = {f"n{place}": entry("SafetyFilter", image=link("a"), action="block") for place in range(1500)}
    made = sheet(served, native(a=entry("MakePicture", level=1), **nodes))
    used = {field["choices"] for group in made["more"] for field in group["fields"]} - {None}
    assert [made["choices"][key] for key in used] == [["block", "blur", "flag"]]
    assert (made["size"], len(made["nodes"])) == (1501, 1501)

    crowd = {f"n{place}": entry("Number", value=place) for place in range(5000)}
    answer = served.post(
        "/page/sheet", json.dumps(native(**crowd)).encode(), {"Content-Type": "application/octet-stream"}
    )
    assert (answer.json["size"], answer.json["nodes"], answer.json["more"]) == (5000, [], [])
    assert len(answer.body) < 2 * len(json.dumps(native(**crowd)))
