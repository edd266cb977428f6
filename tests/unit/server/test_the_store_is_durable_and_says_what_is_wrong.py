"""The store: changes are on the disk when their futures are done, one bad change spoils no other, faults are named."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from server.errors import RequestError, StartError, StoreError
from server.ids import UlidSource, is_ulid
from server.records import Idempotency, State, Submission
from server.store import queries
from server.store import runs as rows
from server.store.database import Database, store_error
from server.store.migrations import migrate, migrations

PLACED = rows.Placed(id="01ARZ3NDEKTSV4RRFFQ69G5FAV", seq=1, created=1.0)


def with_database(folder: Path, work: Callable[[Database], Awaitable[None]]) -> None:
    """Run something with an open store."""

    async def scenario() -> None:
        database = Database(folder / "store.sqlite3")
        database.open()
        try:
            await work(database)
        finally:
            await database.close()

    asyncio.run(scenario())


def insert(connection: sqlite3.Connection, seq: int = 1, **changes: object) -> None:
    placed = rows.Placed(id=f"run{seq}", seq=seq, created=float(seq))
    rows.insert_run(connection, Submission(document=b"{}", **changes), placed, [])  # type: ignore[arg-type]


def ending(attempt: int, state: State = State.SUCCEEDED) -> rows.Ending:
    return rows.Ending(
        attempt=attempt,
        state=state,
        finished=9.0,
        error=None,
        result={"seconds": 1.0},
        outputs=(),
        first_event=0,
        events=[{"event": "run-finished"}],
    )


def test_a_change_is_on_the_disk_when_its_future_is_done(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        await database.write(insert)
        with closing(sqlite3.connect(database.path)) as other:
            assert other.execute("SELECT id FROM runs").fetchall() == [("run1",)]
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database._connection is not None
        assert database._connection.execute("PRAGMA synchronous").fetchone() == (2,)

    with_database(tmp_path, work)


def test_many_changes_share_a_commit_and_a_bad_one_spoils_no_other(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        def bad(connection: sqlite3.Connection) -> None:
            insert(connection, seq=9999)
            raise ValueError("no")

        changes = [database.write(partial(insert, seq=number)) for number in range(1, 301)]
        failing = database.write(bad)
        twice = database.write(partial(insert, seq=1))
        after = database.write(partial(insert, seq=301))
        await asyncio.gather(*changes, after)
        with pytest.raises(ValueError, match="no"):
            await failing
        with pytest.raises(StoreError):
            await twice
        assert (
            await database.read(lambda held: held.execute("SELECT COUNT(*) FROM runs").fetchone()[0]) == 301
        )
        assert database.commits < 100

    with_database(tmp_path, work)


def test_a_full_disk_is_named_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        await database.write(insert)
        pages = await database.write(lambda held: int(held.execute("PRAGMA page_count").fetchone()[0]))
        await database.write(lambda held: held.execute(f"PRAGMA max_page_count={pages + 2}").fetchone())
        with pytest.raises(StoreError) as caught:
            await database.write(
                lambda held: rows.insert_run(held, Submission(document=b"x" * 100_000), PLACED, []) and None
            )
        assert caught.value.code in ("store-full", "store")
        with pytest.raises(StoreError) as caught:
            await database.write(
                lambda held: held.execute("UPDATE run_requests SET document = zeroblob(1000000)") and None
            )
        assert (caught.value.code, caught.value.status) == ("store-full", 507)
        await database.write(lambda held: held.execute("PRAGMA max_page_count=1000000").fetchone())
        await database.write(partial(insert, seq=2))
        assert len(await database.read(partial(queries.list_runs, wanted=queries.RunFilter()))) == 2

    with_database(tmp_path, work)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("attempt to write a readonly database", "store-read-only"),
        ("database disk image is malformed", "store-damaged"),
        ("disk I/O error", "store-full"),
        ("database or disk is full", "store-full"),
    ],
)
def test_what_sqlite_says_becomes_a_sentence(said: str, code: str) -> None:
    error = store_error(sqlite3.OperationalError(said))

    assert error.code == code
    assert error.message.endswith(".")


def test_every_migration_applies_to_what_the_one_before_left(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.sqlite3")) as connection:
        assert migrate(connection) == len(migrations())
        assert migrate(connection) == 0
        assert connection.execute("PRAGMA user_version").fetchone()[0] == migrations()[-1].number
        connection.execute("PRAGMA user_version=1000")
        with pytest.raises(StartError, match="newer graphcore"):
            migrate(connection)
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))


def test_g4_an_attempt_that_was_given_up_cannot_end_the_run(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        await database.write(insert)
        assert await database.write(partial(rows.claim_run, seq=1, attempt=1, now=2.0))
        assert not await database.write(partial(rows.claim_run, seq=1, attempt=2, now=2.0))
        await database.write(partial(rows.requeue_run, seq=1, attempt=1, lost=True, first_event=0, events=[]))
        assert await database.write(partial(rows.claim_run, seq=1, attempt=2, now=3.0))

        assert not await database.write(partial(rows.finish_run, seq=1, ending=ending(1, State.FAILED)))
        assert await database.write(partial(rows.finish_run, seq=1, ending=ending(2)))
        assert not await database.write(partial(rows.finish_run, seq=1, ending=ending(2)))
        run = await database.read(partial(queries.get_run, run_id="run1"))
        assert run is not None
        assert (run.state, run.attempt, run.losses) == (State.SUCCEEDED, 2, 1)

    with_database(tmp_path, work)


def test_a_key_is_for_one_request(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        await database.write(partial(insert, idempotency=Idempotency(key="k", digest=b"1")))
        run, replayed = await database.write(
            lambda held: rows.insert_run(
                held, Submission(document=b"", idempotency=Idempotency(key="k", digest=b"1")), PLACED, []
            )
        )
        assert (run.id, replayed) == ("run1", True)
        with pytest.raises(RequestError, match="used for another"):
            await database.write(
                lambda held: rows.insert_run(
                    held, Submission(document=b"", idempotency=Idempotency(key="k", digest=b"2")), PLACED, []
                )
            )

    with_database(tmp_path, work)


def test_the_oldest_finished_runs_are_forgotten_beyond_the_limit(tmp_path: Path) -> None:
    def finish(connection: sqlite3.Connection, seq: int) -> None:
        connection.execute(
            "UPDATE runs SET state = 'succeeded', finished = ? WHERE seq = ?", (float(seq), seq)
        )

    async def work(database: Database) -> None:
        for seq in range(1, 21):
            await database.write(partial(insert, seq=seq))
            if seq != 1:
                await database.write(partial(finish, seq=seq))
        assert await database.write(partial(rows.prune_runs, keep=5)) == 14
        left = await database.read(partial(queries.list_runs, wanted=queries.RunFilter()))
        assert [run.seq for run in left] == [20, 19, 18, 17, 16, 1]

    with_database(tmp_path, work)


def test_ids_grow_though_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    source = UlidSource()
    ids = [source.new() for _ in range(100)]
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    ids += [source.new() for _ in range(100)]
    ids += [UlidSource(after=ids[-1]).new()]

    assert ids == sorted(set(ids))
    assert all(is_ulid(made) for made in ids)
