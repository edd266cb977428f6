"""The stream of a run's events: whole, in order, without gaps, from any number on; slow readers are dropped."""

from __future__ import annotations

import asyncio
import http.client
import json
import time

import pytest

from server.hub import Hub
from server.records import Progress, RunRecord, State, StoredEvent
from tests.served import Served, entry, link, native, steps_of, sum_of


def events_of(text: str) -> list[tuple[int | None, str, dict[str, object]]]:
    """The events of a stream: number, kind, data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append((number, fields["event"], json.loads(fields["data"])))
    return found


def test_a_finished_run_tells_its_whole_story(served: Served) -> None:
    run = served.submit(sum_of(1, 10))
    served.finished(run)

    answer = served.get(f"/api/v1/runs/{run}/events")

    assert answer.headers["Content-Type"] == "text/event-stream"
    events = events_of(answer.body.decode())
    assert [number for number, _, _ in events] == list(range(len(events)))
    kinds = [kind for _, kind, _ in events]
    assert kinds[:2] == ["run-queued", "run-started"]
    assert kinds[-1] == "run-finished"
    assert kinds.count("node-finished") == 4


def test_a_stream_goes_on_after_the_number_it_is_given(served: Served) -> None:
    run = served.submit(sum_of(2, 10))
    served.finished(run)
    whole = events_of(served.get(f"/api/v1/runs/{run}/events").body.decode())

    for last in (0, 3, len(whole) - 2):
        rest = served.request("GET", f"/api/v1/runs/{run}/events", headers={"Last-Event-ID": str(last)})
        assert events_of(rest.body.decode()) == whole[last + 1 :]


def test_a_live_stream_shows_progress_and_ends_with_the_run(served: Served) -> None:
    run = served.submit(steps_of(40), previews=True)

    events = events_of(served.get(f"/api/v1/runs/{run}/events?previews=1").body.decode())

    numbered = [number for number, _, _ in events if number is not None]
    assert numbered == list(range(len(numbered)))
    progress = [data for _, kind, data in events if kind == "node-progress"]
    assert progress
    assert all(data["total"] == 40 for data in progress)
    assert any(kind == "preview" for _, kind, _ in events)
    assert events[-1][1] == "run-finished"


def test_an_odd_event_number_is_refused(served: Served) -> None:
    run = served.submit(sum_of(3, 10))

    for odd in ("-1", "x", "1.5", "9" * 30):
        answer = served.request("GET", f"/api/v1/runs/{run}/events", headers={"Last-Event-ID": odd})
        assert (answer.status, answer.code) == (400, "bad-event-id")


def record(state: State = State.RUNNING) -> RunRecord:
    return RunRecord(
        seq=1,
        id="run",
        state=state,
        priority=0,
        position=1.0,
        attempt=1,
        losses=0,
        interruptions=0,
        principal="local",
        source="api",
        alias=None,
        client=None,
        workflow_name=None,
        created=0.0,
        started=None,
        finished=None,
        error=None,
    )


def test_g1_a_reader_that_falls_behind_costs_no_memory() -> None:
    async def scenario() -> None:
        hub = Hub()
        subscription = hub.subscribe("run")
        for number in range(10_000):
            hub.publish(StoredEvent("run", number, {"event": "node-started"}), record())

        held = await subscription.next(0.01)

        assert subscription.behind
        assert len(held) < 1000
        assert [message.number for message in held if isinstance(message, StoredEvent)] == list(
            range(len(held))
        )

    asyncio.run(scenario())


def test_a_reader_that_falls_behind_misses_nothing(served: Served) -> None:
    width = 1500
    nodes: dict[str, dict[str, object]] = {"n": entry("Number", value=77)}
    for place in range(width):
        nodes[f"s{place}"] = entry("Sum", a=link("n"), b=place)
        nodes[f"r{place}"] = entry("Report", value=link(f"s{place}"))
    run = served.submit(native(**nodes))

    events = events_of(served.get(f"/api/v1/runs/{run}/events").body.decode())

    assert [number for number, _, _ in events] == list(range(len(events)))
    assert [kind for _, kind, _ in events].count("node-finished") == 2 * width + 1


def test_only_the_latest_progress_of_a_node_waits_for_a_reader() -> None:
    async def scenario() -> None:
        hub = Hub()
        subscription = hub.subscribe("run")
        for done in range(10_000):
            hub.publish(Progress("run", "sampler", done, 10_000), record())

        assert await subscription.next(0.01) == [Progress("run", "sampler", 9_999, 10_000)]

    asyncio.run(scenario())


def test_a_listener_that_fails_does_not_keep_others_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        hub = Hub()
        heard: list[int] = []
        hub.listen(lambda message, run: 1 / 0)  # type: ignore[arg-type, return-value]
        end = hub.listen(lambda message, run: heard.append(1))
        hub.publish(StoredEvent("run", 0, {"event": "run-queued"}), record())
        end()
        hub.publish(StoredEvent("run", 1, {"event": "run-started"}), record())
        assert heard == [1]

    asyncio.run(scenario())
    assert "A listener failed." in caplog.text


def test_a_reader_that_leaves_is_no_failure(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    run = served.submit(steps_of(2000, 0.01))
    served.until(run, "running")
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("GET", f"/api/v1/runs/{run}/events")
    assert connection.getresponse().read(8) == b": here\n\n"
    assert served.services.jobs.hub.watched == 1

    connection.close()

    deadline = time.monotonic() + 20
    while served.services.jobs.hub.watched and time.monotonic() < deadline:
        time.sleep(0.02)
    assert served.services.jobs.hub.watched == 0
    served.request("DELETE", f"/api/v1/runs/{run}")
    assert "A request failed." not in caplog.text
