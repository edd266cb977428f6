"""`graphcore.client`: the same few methods, blocking and awaited."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from graphcore.client import ApiError, Client
from graphcore.client.asynchronous import AsyncClient
from graphcore.errors import InputError
from tests.served import Served, entry, link, native, steps_of, sum_of

PICTURE = native(make=entry("MakePicture", level=5), keep=entry("KeepPicture", images=link("make")))


@pytest.fixture
def client(served: Served) -> Client:
    return Client(f"http://127.0.0.1:{served.port}")


def test_a_workflow_is_submitted_waited_for_and_its_files_saved(client: Client, tmp_path: Path) -> None:
    with client:
        run = client.wait(client.submit(PICTURE).id)

        assert run.succeeded
        saved = client.save_outputs(run, tmp_path / "pictures")
    assert [path.read_bytes()[:4] for path in saved] == [b"\x89PNG"]


def test_a_file_and_a_saved_name_are_workflows_too(client: Client, tmp_path: Path) -> None:
    document = {
        **sum_of(1, 2),
        "inputs": {"left": {"node": "a", "input": "value"}},
        "outputs": {"sum": link("sum")},
    }
    path = tmp_path / "sum.json"
    path.write_text(json.dumps(document))
    with client:
        assert client.wait(client.submit(path).id).values == {"sum": 3}
        client.save_workflow("my sum", document)
        assert client.wait(client.submit("my sum", inputs={"left": 40}).id).values == {"sum": 42}


def test_events_come_until_the_run_has_ended(client: Client) -> None:
    with client:
        run = client.submit(steps_of(20))
        events = list(client.events(run.id))

    assert events[0].kind == "run-queued"
    assert events[-1].kind == "run-finished"
    assert any(event.kind == "node-progress" for event in events)


def test_refusals_are_exceptions_with_every_problem(client: Client) -> None:
    with client:
        with pytest.raises(ApiError) as caught:
            client.submit(native(r=entry("Report")))
        assert (caught.value.status, caught.value.problems[0]["code"]) == (422, "missing-input")
        assert client.validate(sum_of()) == []
        with pytest.raises(ApiError, match="no such run"):
            client.get("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_a_run_is_cancelled_and_waiting_ends_in_time(client: Client) -> None:
    with client:
        run = client.submit(steps_of(100_000))
        with pytest.raises(TimeoutError):
            client.wait(run.id, timeout=0.05)
        client.cancel(run.id)
        assert client.wait(run.id).state == "cancelled"


def test_pictures_are_uploaded(client: Client) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 3)).save(buffer, "PNG")
    with client:
        name = client.upload(buffer.getvalue(), "three.png")
        run = client.submit(
            native(open=entry("OpenPicture", image=name), keep=entry("KeepPicture", images=link("open")))
        )
        assert client.wait(run.id).succeeded


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InputError):
        Client("localhost:8188")


def test_many_runs_at_once_are_awaited(served: Served) -> None:
    async def scenario() -> None:
        async with AsyncClient(f"http://127.0.0.1:{served.port}") as client:
            runs = await asyncio.gather(*(client.submit(sum_of(value, 5000)) for value in range(20)))
            ended = await asyncio.gather(*(client.wait(run.id) for run in runs))
            assert all(run.succeeded for run in ended)
            kinds = [event.kind async for event in client.events(runs[0].id)]
            assert kinds[-1] == "run-finished"
            picture = await client.wait((await client.submit(PICTURE)).id)
            assert (await client.download(picture.outputs[0])).startswith(b"\x89PNG")
            with pytest.raises(ApiError):
                await client.cancel(runs[0].id)

    asyncio.run(scenario())
