"""A clock that is set back or forth changes no order, loses no run, and lets nobody wait for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from server.comfy.routes import comfy_routes
from tests.comfy_client import ComfyClient, picture_prompt
from tests.served import Served, settings_in, steps_of, sum_of

DAY = 86_400.0


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(settings_in(tmp_path_factory.mktemp("served")), modules=(comfy_routes,)) as server:
        yield server.ready()


@pytest.mark.parametrize("jump", [-DAY, DAY, -40 * 365 * DAY])
def test_runs_go_on_in_their_order(served: Served, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    before = served.submit(sum_of(1, 1))
    served.finished(before)
    under_way = served.submit(steps_of(100))
    truly = time.time

    monkeypatch.setattr(time, "time", lambda: truly() + jump)
    after = [served.submit(sum_of(value, 2)) for value in range(3)]

    for run in (under_way, *after):
        shown = served.finished(run)
        assert shown["state"] == "succeeded"
        assert shown["seconds"] >= 0
    assert [run["id"] for run in served.get("/api/v1/runs").json["runs"]] == [
        *reversed(after),
        under_way,
        before,
    ]
    assert sorted([before, under_way, *after]) == [before, under_way, *after]
    told = served.get(f"/api/v1/runs/{under_way}/events").body.decode()
    assert "event: run-finished" in told


def test_comfyuis_history_keeps_its_order(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    truly = time.time
    with ComfyClient(served) as client:
        ids = []
        for place, jump in enumerate((0.0, -DAY, DAY, -2 * DAY)):
            monkeypatch.setattr(time, "time", lambda jump=jump: truly() + jump)
            ids.append(client.queue(picture_prompt(place)))
            client.until_done(ids[-1])

    assert list(served.get("/history").json) == ids
    assert [job["id"] for job in served.get("/api/jobs").json["jobs"]] == ids[::-1]
