"""D5, E1, F1 to F12: documents made to confuse, to exhaust, or to reach outside get one clear answer, quickly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.errors import RequestError
from server.webhooks import parse_targets
from tests.served import Served, entry, link, native, settings_in, sum_of

JSON = {"Content-Type": "application/json"}


def send(served: Served, body: bytes) -> tuple[int, str]:
    answer = served.post("/api/v1/runs", body, JSON)
    return answer.status, answer.code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 1_000_000, "too-deep"),
        (b'{"workflow":' * 100_000, "too-deep"),
        (b'{"workflow": {}, "workflow": {}}', "duplicate-key"),
        (b'{"workflow": NaN}', "not-finite"),
        (b'{"workflow": Infinity}', "not-finite"),
        (b'{"workflow": 1e400}', "not-finite"),
        (b'{"workflow": ' + b"9" * 10_000 + b"}", "integer-too-large"),
        (b'{"workflow": "\\ud800"}', "lone-surrogate"),
        (b"\xff\xfe{}", "not-utf8"),
        (b'{"workflow": "\xe9"}', "not-utf8"),
        (b"", "not-json"),
        (b"null and void", "not-json"),
    ],
)
def test_f1_bytes_that_are_no_clean_json_are_refused(served: Served, body: bytes, code: str) -> None:
    assert send(served, body) == (400, code)


@pytest.mark.parametrize(
    "body", [b"null", b"[]", b"1", b'"x"', b"{}", b'{"workflow": null}', b'{"workflow": 5}']
)
def test_f1_json_of_another_shape_is_refused(served: Served, body: bytes) -> None:
    assert send(served, body)[0] == 422


def test_f5_unknown_fields_of_a_request_are_refused(served: Served) -> None:
    answer = served.post("/api/v1/runs", {"workflow": sum_of(), "seed": 1})

    assert answer.status == 422
    assert answer.json["error"]["problems"][0]["pointer"] == "/seed"


def problems_of(served: Served, workflow: object) -> set[str]:
    answer = served.post("/api/v1/runs", {"workflow": workflow})
    assert answer.status in (400, 422), answer.body
    error = answer.json["error"]
    return {problem["code"] for problem in error.get("problems", [error])}


def test_f2_f3_links_to_nowhere_and_circles_are_refused(served: Served) -> None:
    loop = native(
        a=entry("Sum", a=link("b"), b=link("b")), b=entry("Sum", a=link("a"), b=link("a")), r=entry("Report")
    )
    assert "cycle" in problems_of(
        served, {**loop, "nodes": {**loop["nodes"], "r": entry("Report", value=link("a"))}}
    )  # type: ignore[dict-item]
    assert problems_of(served, native(r=entry("Report", value=link("nobody"))))
    for slot in (-1, 1.0, "0", True, 7):
        workflow = {
            "n": {"class_type": "Number", "inputs": {}},
            "r": {"class_type": "Report", "inputs": {"value": ["n", slot]}},
        }
        if slot != 1.0:
            assert problems_of(served, workflow), slot


@pytest.mark.parametrize("value", ["false", "5", 3.9, " 1", True, [1], {"x": 1}, None])
def test_f4_values_are_never_bent_into_another_type(served: Served, value: object) -> None:
    assert problems_of(served, native(n=entry("Number", value=value), r=entry("Report", value=link("n"))))


@pytest.mark.parametrize("node_id", ["", "x" * 10_000, "a\0b", "a b", "a/b", "../x", "ｎ"])
def test_f10_odd_node_ids_are_refused(served: Served, node_id: str) -> None:
    assert problems_of(served, {"graphcore": 1, "nodes": {node_id: entry("Number", value=1)}})


def test_f10_a_prototypes_name_is_only_a_name(served: Served) -> None:
    run = served.submit(
        {
            "graphcore": 1,
            "nodes": {"__proto__": entry("Number", value=1), "r": entry("Report", value=link("__proto__"))},
        }
    )
    assert served.finished(run)["state"] == "succeeded"


@pytest.mark.parametrize(
    "kind", ["os.system", "__import__", "builtins:eval", "../trivial", "tests.packs.trivial.Sum", "Sum\0"]
)
def test_d5_node_types_are_looked_up_and_nothing_else(served: Served, kind: str) -> None:
    assert problems_of(served, native(x=entry(kind), r=entry("Report", value=link("x")))) >= {
        "unknown-node-type"
    }


def test_d7_d8_nothing_installs_packs_or_writes_settings(served: Served) -> None:
    document = served.get("/api/v1/openapi.json").json
    for path in document["paths"]:
        assert not any(word in path for word in ("install", "pack", "settings", "config", "plugin"))


def test_f7_wide_and_deep_graphs_are_answered(served: Served) -> None:
    nodes: dict[str, object] = {"n0": entry("Number", value=1)}
    for place in range(1, 3000):
        nodes[f"n{place}"] = entry("Sum", a=link(f"n{place - 1}"), b=link(f"n{place - 1}"))
    nodes["r"] = entry("Report", value=link("n2999"))

    answer = served.post("/api/v1/validate", {"workflow": {"graphcore": 1, "nodes": nodes}})

    assert answer.json["valid"] is True
    many = {"graphcore": 1, "nodes": {f"n{place}": entry("Number") for place in range(200_001)}}
    assert "over-budget" in problems_of(served, many)


def test_f8_f1_a_text_over_the_budget_is_refused(served: Served) -> None:
    assert "over-budget" in problems_of(served, native(p=entry("Prompted", text="x" * 1_000_001)))


def test_f11_run_ids_are_the_servers(served: Served) -> None:
    first, second = served.submit(sum_of()), served.submit(sum_of())

    assert first < second
    assert served.post("/api/v1/runs", {"workflow": sum_of(), "id": first}).status == 422


def test_f12_one_bad_output_refuses_the_whole_run(served: Served) -> None:
    workflow = native(good=entry("Report", value={"node": "n"}), n=entry("Number"), bad=entry("Report"))

    newest = served.submit(sum_of())
    assert problems_of(served, workflow) == {"missing-input"}
    assert served.get("/api/v1/runs").json["runs"][0]["id"] == newest


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data",
        "https://evil.example/",
        "https://hooks.example.com.evil.example/",
        "https://hooks.example.com@evil.example/",
        "http://hooks.example.com/",
        "https://hooks.example.com:8443/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/",
        "not a url",
        "http://[::1",
    ],
)
def test_e1_webhook_targets_must_be_listed(tmp_path_factory: pytest.TempPathFactory, url: str) -> None:
    from server.webhooks import Webhooks

    hooks = Webhooks(database=None, targets=parse_targets(["hooks.example.com"]), secret="s")  # type: ignore[arg-type]

    with pytest.raises(RequestError) as caught:
        hooks.check(url)
    assert caught.value.code == "webhook-not-allowed"
    assert hooks.check("https://hooks.example.com/run?x=1")


def test_e1_without_a_list_no_run_may_name_a_target(served: Served) -> None:
    answer = served.post("/api/v1/runs", {"workflow": sum_of(), "webhook": "https://example.com/"})

    assert (answer.status, answer.code) == (422, "webhook-not-allowed")


def test_e1_a_listed_name_that_resolves_inside_is_not_called() -> None:
    import asyncio

    from server.webhooks import _PinnedResolver

    async def scenario() -> None:
        resolver = _PinnedResolver([])
        with pytest.raises(OSError, match="not public"):
            await resolver.resolve("localhost", 80)
        await resolver.close()

    asyncio.run(scenario())


def test_g2_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    with Served(settings_in(tmp_path, max_queue=3)) as server:
        server.post("/api/v1/queue/pause")
        for _ in range(3):
            server.submit(sum_of())
        answer = server.post("/api/v1/runs", {"workflow": sum_of()})
        assert (answer.status, answer.code) == (429, "queue-full")
        assert int(answer.headers["Retry-After"]) > 0


def test_g2_a_principal_has_a_quota(tmp_path: Path) -> None:
    with Served(settings_in(tmp_path, max_queue_each=2)) as server:
        server.post("/api/v1/queue/pause")
        for _ in range(2):
            server.submit(sum_of())
        answer = server.post("/api/v1/runs", {"workflow": sum_of()})
        assert (answer.status, answer.code) == (429, "quota")


def test_g6_g7_answers_hold_no_tracebacks_and_no_folders(served: Served) -> None:
    path = served.settings.data_dir / "models" / "secret.safetensors"
    run = served.submit(native(f=entry("Fail", message=f"cannot read {path}\n/home/someone/x")))
    shown = served.finished(run)
    stream = served.get(f"/api/v1/runs/{run}/events").body.decode()

    for text in (json.dumps(shown), stream):
        assert "Traceback" not in text
        assert "traceback" not in text
        assert str(served.settings.data_dir) not in text
        assert "/home/someone" not in text
    assert "secret.safetensors" in shown["error"]["message"]
