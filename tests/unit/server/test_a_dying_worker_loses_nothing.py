"""Workers may die, run out of memory, or never yield: the run is told of in words, and the next one is unaffected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Served, entry, native, settings_in, steps_of, sum_of


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(settings_in(tmp_path_factory.mktemp("served"), cancel_grace=0.3)) as server:
        yield server.ready()


def kinds_of(served: Served, run: str) -> list[str]:
    """The kinds of a run's events, in order."""
    text = served.get(f"/api/v1/runs/{run}/events").body.decode()
    return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]


def test_a_run_whose_worker_dies_once_is_run_again(served: Served, tmp_path: Path) -> None:
    run = served.submit(native(die=entry("Die", unless_file=str(tmp_path / "died"))))

    shown = served.finished(run)

    assert shown["state"] == "succeeded"
    assert shown["attempt"] == 2
    kinds = kinds_of(served, run)
    assert kinds.count("run-requeued") == 1
    assert kinds.count("run-finished") == 1


def test_a_run_that_kills_its_worker_is_given_up_after_three_attempts_and_others_go_on(
    served: Served,
) -> None:
    fatal = served.submit(native(die=entry("Die")))
    others = [served.submit(sum_of(value, 1)) for value in range(3)]

    shown = served.finished(fatal, timeout=60)

    assert (shown["state"], shown["attempt"], shown["error"]["code"]) == ("failed", 3, "worker-died")
    for other in others:
        assert served.finished(other)["state"] == "succeeded"


@pytest.mark.parametrize("kind", ["Exhaust", "Exit", "Fail"])
def test_g5_whatever_a_node_raises_fails_its_run_alone(served: Served, kind: str) -> None:
    shown = served.finished(served.submit(native(bad=entry(kind))))

    assert shown["state"] == "failed"
    assert shown["errors"]["bad"]["type"] == kind
    assert served.finished(served.submit(sum_of()))["state"] == "succeeded"


def test_g5_a_node_that_never_yields_is_ended_with_its_worker_when_cancelled(served: Served) -> None:
    run = served.submit(native(deaf=entry("Stubborn", seconds=60.0)))
    served.until(run, "running")

    served.request("DELETE", f"/api/v1/runs/{run}")

    assert served.finished(run, timeout=20)["state"] == "cancelled"
    assert served.finished(served.submit(sum_of()))["state"] == "succeeded"


def test_a_short_run_does_not_wait_behind_a_long_one_that_was_given_out_with_it(served: Served) -> None:
    for value in range(5):
        served.finished(served.submit(sum_of(value, 1000)))
    served.post("/api/v1/queue/pause")
    long = served.submit(steps_of(100_000), priority=9)
    short = served.submit(sum_of(0, 2000))
    served.post("/api/v1/queue/resume")
    served.until(long, "running")

    urgent = served.request("DELETE", f"/api/v1/runs/{short}")

    assert urgent.json["state"] == "cancelled"
    served.request("DELETE", f"/api/v1/runs/{long}")
    assert served.finished(long)["state"] == "cancelled"


def test_a_run_that_takes_too_long_is_cancelled(tmp_path: Path) -> None:
    with Served(settings_in(tmp_path, run_timeout=0.3)) as server:
        shown = server.finished(server.submit(steps_of(100_000)))

    assert shown["state"] == "cancelled"
    assert "longer than 0.3 s" in shown["error"]["message"]
