"""The native API: a run is submitted, looked at, followed, cancelled, and what it made is fetched."""

from __future__ import annotations

from tests.served import Served, entry, link, native, steps_of, sum_of


def test_a_submitted_run_is_accepted_and_succeeds(served: Served) -> None:
    answer = served.post("/api/v1/runs", {"workflow": {**sum_of(20, 22), "outputs": {"sum": link("sum")}}})

    assert answer.status == 202
    assert answer.headers["Location"] == f"/api/v1/runs/{answer.json['id']}"
    shown = served.finished(answer.json["id"])
    assert shown["state"] == "succeeded"
    assert shown["values"] == {"sum": 42}
    assert shown["shown"] == {"report": [{"kind": "text", "text": "42"}]}
    assert shown["attempt"] == 1
    assert shown["created"] <= shown["started"] <= shown["finished"]


def test_inputs_and_targets_are_heeded(served: Served) -> None:
    workflow = {**sum_of(1, 1), "inputs": {"left": {"node": "a", "input": "value"}}}

    run = served.submit({**workflow, "outputs": {"sum": link("sum")}}, inputs={"left": 41}, targets=["sum"])

    shown = served.finished(run)
    assert shown["values"] == {"sum": 42}
    assert shown["shown"] == {}


def test_a_comfyui_prompt_runs_too(served: Served) -> None:
    prompt = {
        "1": {"class_type": "Number", "inputs": {"value": "7"}},
        "2": {"class_type": "Report", "inputs": {"value": ["1", 0]}},
    }

    assert served.finished(served.submit(prompt))["shown"] == {"2": [{"kind": "text", "text": "7"}]}


def test_an_invalid_workflow_is_refused_with_every_problem(served: Served) -> None:
    workflow = native(a=entry("Number", value="x"), b=entry("Repport", value=link("nobody")))

    answer = served.post("/api/v1/runs", {"workflow": workflow})

    assert answer.status == 422
    problems = answer.json["error"]["problems"]
    assert {problem["code"] for problem in problems} == {"wrong-type", "unknown-node-type"}
    assert {problem["pointer"] for problem in problems} == {"/nodes/a/inputs/value", "/nodes/b/type"}


def test_a_run_that_fails_says_what_failed_where_and_why(served: Served) -> None:
    shown = served.finished(served.submit(native(f=entry("Fail", message="no paint left"))))

    assert shown["state"] == "failed"
    assert shown["error"]["code"] == "node-failed"
    assert "no paint left" in shown["error"]["message"]
    assert shown["errors"]["f"]["type"] == "Fail"


def test_a_running_run_is_cancelled_within_a_step(served: Served) -> None:
    run = served.submit(steps_of(10_000))
    served.until(run, "running")

    answer = served.request("DELETE", f"/api/v1/runs/{run}")

    assert answer.status == 202
    shown = served.finished(run)
    assert shown["state"] == "cancelled"
    assert shown["error"]["code"] == "cancelled"


def test_a_waiting_run_is_cancelled_at_once(served: Served) -> None:
    first = served.submit(steps_of(10_000))
    served.until(first, "running")
    second = served.submit(sum_of())

    assert served.request("DELETE", f"/api/v1/runs/{second}").json["state"] == "cancelled"
    served.request("DELETE", f"/api/v1/runs/{first}")
    assert served.finished(first)["state"] == "cancelled"


def test_a_finished_run_cannot_be_cancelled(served: Served) -> None:
    run = served.submit(sum_of())
    served.finished(run)

    answer = served.request("DELETE", f"/api/v1/runs/{run}")

    assert answer.status == 409
    assert answer.code == "run-finished"


def test_unknown_runs_are_not_found_by_any_operation(served: Served) -> None:
    for unknown in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "nothing", "x" * 300):
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/events"),
            ("GET", "/outputs"),
            ("GET", "/outputs/abc"),
        ):
            answer = served.request(method, f"/api/v1/runs/{unknown}{path}")
            assert answer.status == 404, (method, path)
            assert answer.code == "not-found"


def test_runs_are_listed_newest_first_by_pages(served: Served) -> None:
    made = [served.submit(sum_of(0, value)) for value in range(5)]
    for run in made:
        served.finished(run)

    first = served.get("/api/v1/runs?limit=3&state=succeeded").json
    second = served.get(f"/api/v1/runs?limit=2&after={first['next']}").json

    assert [run["id"] for run in first["runs"]] == made[:1:-1]
    assert [run["id"] for run in second["runs"]] == made[1::-1]


def test_the_same_key_makes_one_run(served: Served) -> None:
    body = {"workflow": sum_of(5, 5)}

    first = served.post("/api/v1/runs", body, {"Idempotency-Key": "breakfast"})
    again = served.post("/api/v1/runs", body, {"Idempotency-Key": "breakfast"})
    other = served.post("/api/v1/runs", {"workflow": sum_of(6, 6)}, {"Idempotency-Key": "breakfast"})

    assert first.json["id"] == again.json["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status == 422
    assert other.code == "idempotency-key-reused"


def test_pictures_are_fetched_by_id_and_made_small_on_request(served: Served) -> None:
    run = served.submit(
        native(make=entry("MakePicture", level=9), keep=entry("KeepPicture", images=link("make")))
    )
    outputs = served.finished(run)["outputs"]

    assert [output["node"] for output in outputs] == ["keep"]
    whole = served.get(outputs[0]["url"])
    assert whole.headers["Content-Type"] == "image/png"
    assert whole.body.startswith(b"\x89PNG")
    small = served.get(outputs[0]["url"] + "?size=16")
    assert small.headers["Content-Type"] == "image/webp"
    assert "immutable" in small.headers["Cache-Control"]
    assert small.body[8:12] == b"WEBP"
    assert served.get(f"/api/v1/runs/{run}/outputs").json["outputs"] == outputs


def test_greater_priorities_go_first(served: Served) -> None:
    served.post("/api/v1/queue/pause")
    low = served.submit(sum_of(0, 100), priority=-1)
    high = served.submit(sum_of(0, 101), priority=5)
    middle = served.submit(sum_of(0, 102))
    try:
        waiting = served.get("/api/v1/queue").json
        assert waiting["paused"] is True
        assert [run["id"] for run in waiting["waiting"]] == [high, middle, low]
        assert served.get(f"/api/v1/runs/{low}").json["place"] == 2
    finally:
        served.post("/api/v1/queue/resume")
    for run in (low, middle, high):
        assert served.finished(run)["state"] == "succeeded"


def test_a_saved_workflow_is_called_with_its_inputs(served: Served) -> None:
    document = {
        **sum_of(1, 2),
        "inputs": {"left": {"node": "a", "input": "value", "title": "Left"}},
        "outputs": {"sum": link("sum")},
    }
    assert served.request("PUT", "/api/v1/workflows/adder", document).status == 201
    assert served.request("PUT", "/api/v1/workflows/adder", document).status == 200

    shown = served.get("/api/v1/workflows/adder").json
    assert shown["inputs"][0]["name"] == "left"
    assert (shown["inputs"][0]["type"], shown["inputs"][0]["value"]) == ("INT", 1)
    answer = served.post("/api/v1/workflows/adder/runs", {"inputs": {"left": 40}})
    assert served.finished(answer.json["id"])["values"] == {"sum": 42}
    by_name = served.post("/api/v1/runs", {"workflow": "adder", "inputs": {"left": 1}})
    assert by_name.json["workflow"] == "adder"
    assert served.request("DELETE", "/api/v1/workflows/adder").status == 204
    assert served.get("/api/v1/workflows/adder").status == 404
    assert served.post("/api/v1/workflows/adder/runs", {}).status == 404


def test_a_workflow_is_validated_and_planned_without_being_run(served: Served) -> None:
    good = served.post("/api/v1/validate", {"workflow": sum_of()}).json
    bad = served.post("/api/v1/validate", {"workflow": native(r=entry("Report"))}).json
    plan = served.post("/api/v1/plan", {"workflow": sum_of()})

    assert good == {"valid": True, "nodes": 4, "problems": []}
    assert bad["valid"] is False
    assert bad["problems"][0]["code"] == "missing-input"
    assert plan.status == 200
    assert {node["node"] for node in plan.json["nodes"]} == {"a", "b", "sum", "report"}


def test_uploaded_pictures_are_inputs(served: Served) -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (200, 10, 10)).save(buffer, "JPEG")

    first = served.post("/api/v1/files?name=cat.jpg", buffer.getvalue(), {"Content-Type": "image/jpeg"})
    again = served.post("/api/v1/files?name=dog.jpg", buffer.getvalue(), {"Content-Type": "image/jpeg"})

    assert first.status == 201
    assert (first.json["width"], first.json["height"], first.json["media_type"]) == (6, 4, "image/png")
    assert again.json["id"] == first.json["id"]
    workflow = native(
        open=entry("OpenPicture", image=first.json["id"]), keep=entry("KeepPicture", images=link("open"))
    )
    assert served.finished(served.submit(workflow))["state"] == "succeeded"


def test_the_server_tells_of_itself(served: Served) -> None:
    assert "Sum" in served.get("/api/v1/nodes").json["nodes"]
    assert served.get("/api/v1/schema").json["type"] == "object"
    assert served.get("/api/v1/models").json["models"]["checkpoints"] == []
    status = served.get("/api/v1/status").json
    assert status["workers"][0]["ready"] is True
    memory = served.get("/api/v1/memory").json
    assert memory["workers"]["auto"]["rss"] > 0
    metrics = served.get("/api/v1/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert b'graphcore_runs_finished_total{state="succeeded"}' in metrics.body
