"""Prompts over HTTP and websocket: queue, history, interrupt, previews, order between them."""

from __future__ import annotations

import json
import struct
import time

import pytest

from tests.comfy_client import ComfyClient, messages, picture_prompt, pictures, step, steps_prompt
from tests.served import Served


def test_history_is_there_when_the_queue_is_left_and_the_status_comes_after_both(served: Served) -> None:
    with ComfyClient(served, "order") as client:
        prompt_id = client.queue(picture_prompt(11))
        while True:
            frame = client.next()
            assert isinstance(frame, dict)
            if frame["type"] != "status":
                if frame["type"] == "executing" and frame["data"]["node"] is None:
                    break
                continue
            queue = served.get("/queue").json
            if not any(item[1] == prompt_id for item in queue["queue_running"] + queue["queue_pending"]):
                assert served.get(f"/history/{prompt_id}").json[prompt_id]["status"]["completed"]


def test_the_history_says_what_was_asked_and_what_came_of_it(served: Served) -> None:
    pnginfo = {"workflow": {"id": "w1", "nodes": []}}
    with ComfyClient(served, "history") as client:
        prompt_id = client.queue(
            picture_prompt(12), extra_data={"extra_pnginfo": pnginfo, "api_key_comfy_org": "secret"}
        )
        client.until_done(prompt_id)

    entry = served.get(f"/api/history/{prompt_id}").json[prompt_id]

    number, given_id, prompt, extra, outputs = entry["prompt"]
    assert isinstance(number, int)
    assert given_id == prompt_id
    assert prompt == picture_prompt(12)
    assert extra["extra_pnginfo"] == pnginfo
    assert extra["client_id"] == "history"
    assert "api_key_comfy_org" not in extra
    assert outputs == ["2"]
    (picture,) = entry["outputs"]["2"]["images"]
    assert picture["type"] == "output"
    assert entry["status"]["status_str"] == "success"
    kinds = [kind for kind, _ in entry["status"]["messages"]]
    assert kinds == ["execution_start", "execution_cached", "execution_success"]
    assert entry["meta"]["2"] == {
        "node_id": "2",
        "display_node": "2",
        "parent_node": None,
        "real_node_id": "2",
    }
    shown = served.get(f"/view?filename={picture['filename']}&type=output&subfolder=")
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["Content-Disposition"].startswith(f'filename="{picture["filename"]}"')


def test_the_same_prompt_again_sends_its_picture_again(served: Served) -> None:
    with ComfyClient(served, "again") as client:
        first = client.run(picture_prompt(13))
        second = client.run(picture_prompt(13))

    assert messages(second, "execution_cached")[0]["nodes"] == ["1", "2"]
    assert messages(second, "executed")[0]["output"] == messages(first, "executed")[0]["output"]
    assert [data["node"] for data in messages(second, "executing")] == [None]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/json"]
)
def test_a_prompt_is_json_whatever_its_content_type_says(served: Served, content_type: str | None) -> None:
    body = json.dumps({"prompt": picture_prompt(14), "prompt_id": f"typed {content_type}"}).encode()
    headers = {"Content-Type": content_type} if content_type is not None else {}

    answer = served.post("/api/prompt?clientId=ignored", body, headers)

    assert answer.status == 200
    assert answer.json["prompt_id"] == f"typed {content_type}"
    assert answer.json["node_errors"] == {}


def test_what_is_no_prompt_is_refused_in_comfyuis_shape(served: Served) -> None:
    for body in (b"{", b"[]", b"{}", b'{"prompt": null}', b'{"prompt": {"1": {"class_type": "Nowhere"}}}'):
        answer = served.post("/prompt", body)
        assert answer.status == 400
        assert set(answer.json) == {"error", "node_errors"}
        assert set(answer.json["error"]) == {"type", "message", "details", "extra_info"}


def test_a_prompt_is_accepted_for_its_good_outputs(served: Served) -> None:
    prompt = {**picture_prompt(15), "9": step("Steps", count=-1)}
    with ComfyClient(served, "partial") as client:
        answer = client.post(prompt)
        assert answer.status == 200
        assert list(answer.json["node_errors"]) == ["9"]
        frames = client.until_done(answer.json["prompt_id"])

    assert [data["node"] for data in messages(frames, "executed")] == ["2"]
    (entry,) = served.get(f"/history/{answer.json['prompt_id']}").json.values()
    assert entry["prompt"][2] == prompt
    assert entry["prompt"][4] == ["2"]


def test_partial_execution_targets_run_alone(served: Served) -> None:
    prompt = {**picture_prompt(16), "9": step("Report", value=4)}
    with ComfyClient(served, "targets") as client:
        frames = client.run(prompt, partial_execution_targets=["9"])

    assert [data["node"] for data in messages(frames, "executed")] == ["9"]
    assert messages(frames, "executed")[0]["output"] == {"text": ["4"]}


def test_no_preview_is_sent_unasked(served: Served) -> None:
    with ComfyClient(served, "plain") as client:
        frames = client.run(steps_prompt(3))

    assert pictures(frames) == []
    assert messages(frames, "progress")[-1]["value"] == 3


def test_previews_come_as_event_1_when_asked_for(served: Served) -> None:
    with ComfyClient(served, "asked") as client:
        frames = client.run(steps_prompt(3), extra_data={"preview_method": "auto"})

    (*_, frame) = pictures(frames)
    assert struct.unpack(">II", frame[:8]) == (1, 2)
    assert frame[8:] == b"\x89PNG"


def test_previews_come_as_event_4_to_those_who_know_it(served: Served) -> None:
    with ComfyClient(served, "knowing", {"supports_preview_metadata": True}) as client:
        prompt_id = client.queue(steps_prompt(3), extra_data={"preview_method": "latent2rgb"})
        frames = client.until_done(prompt_id)

    assert messages(frames, "feature_flags")[0]["supports_preview_metadata"] is True
    (*_, frame) = pictures(frames)
    event, size = struct.unpack(">II", frame[:8])
    about = json.loads(frame[8 : 8 + size])
    assert event == 4
    assert about["prompt_id"] == prompt_id
    assert about["node_id"] == about["display_node_id"] == "3"
    assert about["image_type"] == "image/png"
    assert frame[8 + size :] == b"\x89PNG"


def test_a_failure_is_told_and_kept(served: Served) -> None:
    with ComfyClient(served, "failing") as client:
        prompt_id = client.queue({"1": step("Fail", message="no paint left"), "2": step("Steps", count=1000)})
        frames = client.until_done(prompt_id)

    (error,) = messages(frames, "execution_error")
    assert error["exception_type"] == "ValueError"
    assert error["exception_message"] == "no paint left\n"
    assert error["node_id"] == "1"
    assert not any("/home/" in line or "/work/" in line for line in error["traceback"])
    entry = served.get(f"/history/{prompt_id}").json[prompt_id]
    assert entry["status"]["status_str"] == "error"
    assert not entry["status"]["completed"]
    assert entry["status"]["messages"][-1][0] == "execution_error"


def test_a_running_prompt_is_interrupted_and_another_is_left_alone(served: Served) -> None:
    with ComfyClient(served, "interrupting") as client:
        prompt_id = client.queue(steps_prompt(10_000))
        waiting = client.queue(picture_prompt(17))
        while not served.get("/queue").json["queue_running"]:
            time.sleep(0.02)
        served.post("/interrupt", {"prompt_id": waiting})
        assert served.get("/prompt").json == {"exec_info": {"queue_remaining": 2}}
        assert served.post("/api/interrupt", b"").status == 200
        frames = client.until_done(prompt_id)
        rest = client.until_done(waiting)

    assert messages(frames, "execution_interrupted")[0]["prompt_id"] == prompt_id
    assert messages(rest, "execution_success")
    assert served.get(f"/history/{prompt_id}").json[prompt_id]["status"]["status_str"] == "error"


def test_the_queue_lists_and_loses_what_waits(served: Served) -> None:
    with ComfyClient(served, "waiting") as client:
        running = client.queue(steps_prompt(10_000))
        while not served.get("/queue").json["queue_running"]:
            time.sleep(0.02)
        second = client.queue(picture_prompt(18))
        third = client.queue(picture_prompt(19))
        first = client.queue(picture_prompt(20), front=True)
        odd = client.queue(picture_prompt(21), number=-1e9)

        pending = served.get("/api/queue").json["queue_pending"]
        assert [item[1] for item in pending] == [odd, first, second, third]
        assert all(len(item) == 5 for item in pending)
        assert pending[0][0] == -1e9

        served.post("/queue", {"delete": [second, running]})
        assert [item[1] for item in served.get("/queue").json["queue_pending"]] == [odd, first, third]
        served.post("/queue", {"clear": True})
        assert served.get("/queue").json["queue_pending"] == []
        assert [item[1] for item in served.get("/queue").json["queue_running"]] == [running]
        served.post("/interrupt")
        client.until_done(running)

    assert served.get(f"/history/{second}").json == {}


def test_the_history_is_paged_and_entries_can_be_taken_out(served: Served) -> None:
    served.post("/history", {"clear": True})
    assert served.get("/history").json == {}
    with ComfyClient(served, "paging") as client:
        ids = [client.queue({"1": step("Report", value=value)}) for value in range(5)]
        client.until_done(ids[-1])

    assert list(served.get("/history").json) == ids
    assert list(served.get("/history?max_items=2").json) == ids[3:]
    assert list(served.get("/history?max_items=2&offset=1").json) == ids[1:3]
    served.post("/history", {"delete": [ids[1]]})
    assert list(served.get("/history").json) == [ids[0], *ids[2:]]
    assert served.get(f"/history/{ids[1]}").json == {}
    assert served.get("/history/unknown").json == {}


def test_jobs_are_sorted_filtered_and_paged(served: Served) -> None:
    served.post("/history", {"clear": True})
    workflow = {"extra_pnginfo": {"workflow": {"id": "flow"}}}
    with ComfyClient(served, "jobs") as client:
        ids = [client.queue(picture_prompt(30)), client.queue({"1": step("Fail")}, extra_data=workflow)]
        client.until_done(ids[-1])

    jobs = served.get("/api/jobs").json
    assert [job["id"] for job in jobs["jobs"]] == ids[::-1]
    failed, good = jobs["jobs"]
    assert failed["status"] == "failed"
    assert failed["execution_error"]["exception_type"] == "ValueError"
    assert failed["workflow_id"] == "flow"
    assert good["status"] == "completed"
    assert good["outputs_count"] == 1
    assert good["preview_output"]["nodeId"] == "2"
    assert good["preview_output"]["mediaType"] == "images"
    assert good["execution_end_time"] >= good["execution_start_time"] >= good["create_time"]
    page = served.get("/api/jobs?limit=1&sort_order=asc").json
    assert [job["id"] for job in page["jobs"]] == ids[:1]
    assert page["pagination"] == {"offset": 0, "limit": 1, "total": 2, "has_more": True}
    assert [job["id"] for job in served.get("/api/jobs?workflow_id=flow").json["jobs"]] == ids[1:]
    assert [job["id"] for job in served.get("/api/jobs?status=completed").json["jobs"]] == ids[:1]
    detail = served.get(f"/api/jobs/{ids[0]}").json
    assert detail["workflow"]["prompt"] == picture_prompt(30)
    assert detail["execution_status"]["completed"]
    assert served.get("/api/jobs/unknown").status == 404
    for query in ("status=lost", "sort_by=name", "sort_order=up", "limit=0", "limit=x", "offset=x"):
        answer = served.get(f"/api/jobs?{query}")
        assert answer.status == 400
        assert isinstance(answer.json["error"], str)


def test_jobs_are_cancelled_whether_they_wait_or_run(served: Served) -> None:
    with ComfyClient(served, "canceller") as client:
        running = client.queue(steps_prompt(10_000))
        waiting = [client.queue(steps_prompt(1)) for _ in range(2)]
        while not served.get("/queue").json["queue_running"]:
            time.sleep(0.02)

        assert served.post(f"/api/jobs/{waiting[0]}/cancel").json == {"cancelled": True}
        told = served.post("/jobs/cancel", {"job_ids": [waiting[1], running, "unknown"]}).json
        assert set(told["cancelled"]) == {waiting[1], running}
        assert messages(client.until_done(running), "execution_interrupted")
    assert served.get("/queue").json == {"queue_running": [], "queue_pending": []}
    assert served.post(f"/jobs/{running}/cancel").json == {"cancelled": False}
    assert served.post("/jobs/unknown/cancel").status == 404


def test_a_client_that_comes_late_learns_what_runs(served: Served) -> None:
    with ComfyClient(served, "late") as client:
        prompt_id = client.queue(steps_prompt(10_000))
        while not messages([client.next() or b""], "progress"):
            pass
    with ComfyClient(served, "late") as client:
        first, second = client.next(), client.next()
        assert isinstance(first, dict)
        assert first["data"]["sid"] == "late"
        assert second == {"type": "executing", "data": {"node": "3"}}
        served.post("/interrupt")
        client.until_done(prompt_id)


def test_a_second_connection_replaces_the_first(served: Served) -> None:
    with ComfyClient(served, "twice") as first, ComfyClient(served, "twice") as second:
        while first.next() is not None:
            pass
        assert messages(second.run(picture_prompt(40)), "execution_success")


def test_others_are_told_of_the_queue_alone(served: Served) -> None:
    with ComfyClient(served, "one") as one, ComfyClient(served, "other") as other:
        one.run(picture_prompt(41))
        frames = [other.next() for _ in range(3)]

    assert {frame["type"] for frame in frames if isinstance(frame, dict)} == {"status"}


def test_memory_can_be_asked_for(served: Served) -> None:
    with ComfyClient(served, "free") as client:
        client.run(picture_prompt(42))
        assert served.post("/free", {"unload_models": True, "free_memory": True}).status == 200
        frames = client.run(picture_prompt(42))

    assert messages(frames, "execution_cached")[0]["nodes"] == []


def test_a_fan_of_3000_nodes_sends_less_than_five_megabytes(served: Served) -> None:
    prompt = {str(place): step("Report", value=place) for place in range(3000)}
    with ComfyClient(served, "fan") as client:
        frames = client.run(prompt)

    assert len(messages(frames, "executed")) == 3000
    assert sum(len(json.dumps(frame)) for frame in frames if isinstance(frame, dict)) < 5_000_000
