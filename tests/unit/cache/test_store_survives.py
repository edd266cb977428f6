"""The persistent store: what was computed once is there after a restart, and a damaged entry is never a wrong value."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphcore import Each, Engine, Graph, Registry, Settings, node
from graphcore.cache.entry import CacheEntry
from graphcore.cache.store import DiskStore
from graphcore.spec import NodeSpec

CALLS: list[str] = []


@node("Slow")
def slow(text: str) -> str:
    """Takes long enough to be worth keeping."""
    CALLS.append(text)
    time.sleep(0.005)
    return text * 2


@node("Letters")
def letters(text: str) -> Each[str]:
    """Fans out."""
    time.sleep(0.005)
    return Each(text)


@node("Join")
def join(parts: list[str]) -> str:
    """Gathers."""
    time.sleep(0.005)
    return "-".join(parts)


def spec(name: str = "Slow") -> NodeSpec:
    found = Registry([slow, letters, join]).get(name)
    assert found is not None
    return found


def entry(value: object, seconds: float = 1.0) -> CacheEntry:
    return CacheEntry((value,), (), {"note": "made"}, seconds, 100)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskStore]:
    made = DiskStore(tmp_path / "store")
    yield made
    made.close()


def blobs(store: DiskStore) -> list[Path]:
    return sorted((store.folder / "blobs").glob("*/*.gcb"))


def test_a_new_process_finds_what_an_earlier_one_computed(tmp_path: Path) -> None:
    registry = Registry([slow, letters, join])
    graph = Graph(registry)
    graph.output("text", graph.Join(parts=graph.Letters(text=graph.Slow(text="ab"))))
    settings = Settings(data_dir=tmp_path)
    CALLS.clear()
    with Engine(registry, settings=settings) as engine:
        assert engine.run(graph.workflow())["text"] == "a-b-a-b"
    with Engine(registry, settings=settings) as engine:
        result = engine.run(graph.workflow())
    assert result["text"] == "a-b-a-b"
    assert [report.source for report in result.reports] == ["cache"]
    assert CALLS == ["ab"]


def test_an_entry_comes_back_with_all_that_it_held(store: DiskStore) -> None:
    store.put(key(1), spec(), entry(["text", 1, 1.5, None, {"a": True}]))
    store.flush()
    found = store.get(key(1), spec())
    assert found is not None
    assert found.outputs == (["text", 1, 1.5, None, {"a": True}],)
    assert found.facts == {"note": "made"}
    assert found.seconds == 1.0


def test_another_environment_finds_nothing(tmp_path: Path) -> None:
    one = DiskStore(tmp_path, environment={"torch": "2.13"})
    other = DiskStore(tmp_path, environment={"torch": "2.14"})
    one.put(key(1), spec(), entry("x"))
    one.flush()
    assert one.get(key(1), spec()) is not None
    assert other.get(key(1), spec()) is None
    one.close()
    other.close()


def test_each_flipped_bit_is_a_miss(store: DiskStore) -> None:
    store.put(key(1), spec(), entry("the value"))
    store.flush()
    (path,) = blobs(store)
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged)
        assert store.get(key(1), spec()) is None, f"byte {place} was flipped and the entry was believed"
        assert not path.exists()


def test_each_truncation_is_a_miss(store: DiskStore) -> None:
    store.put(key(1), spec(), entry("the value"))
    store.flush()
    (path,) = blobs(store)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert store.get(key(1), spec()) is None


def test_an_entry_put_in_the_place_of_another_is_a_miss(store: DiskStore) -> None:
    store.put(key(1), spec(), entry("one"))
    store.put(key(2), spec(), entry("two"))
    store.flush()
    first, second = (
        store.folder / "blobs" / name[:2] / f"{name}.gcb" for name in map(store.name, (key(1), key(2)))
    )
    first.write_bytes(second.read_bytes())
    assert store.get(key(1), spec()) is None
    found = store.get(key(2), spec())
    assert found is not None
    assert found.outputs == ("two",)


def test_a_value_without_a_codec_is_not_stored(store: DiskStore) -> None:
    store.put(key(1), spec(), entry(object()))
    store.flush()
    assert blobs(store) == []


def test_results_of_output_nodes_are_not_stored(store: DiskStore) -> None:
    @node("Shows", output=True)
    def shows(text: str) -> str:
        return text

    declared = Registry([shows]).get("Shows")
    assert declared is not None
    store.put(key(1), declared, entry("x"))
    store.flush()
    assert store.get(key(1), declared) is None


def test_the_store_keeps_to_its_budget_and_keeps_what_is_dear(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, budget=40_000)
    store.put(key(0), spec(), entry("dear" * 100, seconds=1000.0))
    for number in range(1, 200):
        store.put(key(number), spec(), entry("cheap" * 100, seconds=0.01))
    store.flush()
    assert sum(path.stat().st_size for path in blobs(store)) <= 40_000
    assert store.get(key(0), spec()) is not None
    store.close()


def test_a_read_only_disk_leaves_runs_correct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *args: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    registry = Registry([slow])
    graph = Graph(registry)
    graph.output("text", graph.Slow(text="x"))
    for name in ("mkdir", "write_bytes", "replace", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    with Engine(registry, settings=Settings(data_dir=tmp_path / "data")) as engine:
        assert engine.run(graph.workflow())["text"] == "xx"


def test_a_folder_that_cannot_be_made_leaves_runs_correct(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file stands where the folder should be")
    registry = Registry([slow])
    graph = Graph(registry)
    graph.output("text", graph.Slow(text="x"))
    with Engine(registry, settings=Settings(data_dir=tmp_path / "data")) as engine:
        assert engine.run(graph.workflow())["text"] == "xx"
        assert engine.plan(graph.workflow()).hits == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_no_failure(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with Path("/dev/full").open("wb", buffering=0) as stream:
            return stream.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    store.put(key(1), spec(), entry("x"))
    store.flush()
    assert store.get(key(1), spec()) is None


def test_a_broken_index_is_set_aside_and_the_entries_are_found_again(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    store.put(key(1), spec(), entry("x"))
    store.close()
    (tmp_path / "index.sqlite3").write_bytes(b"this is no database" * 100)
    store = DiskStore(tmp_path)
    found = store.get(key(1), spec())
    assert found is not None
    assert found.outputs == ("x",)
    check = store.verify()
    assert (check.good, check.unlisted, check.damaged) == (1, 1, ())
    assert store.info().entries == 1
    store.close()


def test_verify_drops_the_damaged_and_forgets_the_missing(store: DiskStore) -> None:
    for number in range(3):
        store.put(key(number), spec(), entry(f"value {number}"))
    store.flush()
    first, second, _ = blobs(store)
    first.write_bytes(b"junk")
    second.unlink()
    check = store.verify()
    assert (check.good, len(check.damaged), check.missing) == (1, 1, 1)
    assert store.info().entries == 1


def _write_many(folder: str, start: int) -> None:
    store = DiskStore(Path(folder))
    for number in range(60):
        store.put(key(number), spec(), entry(f"value {number}"))
        store.get(key((number + start) % 60), spec())
    store.close()


def test_processes_that_write_the_same_keys_do_not_harm_each_other(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_write_many, args=(str(tmp_path), start)) for start in (0, 30)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    store = DiskStore(tmp_path)
    for number in range(60):
        found = store.get(key(number), spec())
        assert found is not None
        assert found.outputs == (f"value {number}",)
    assert store.info().entries == 60
    store.close()


WRITER = """
import sys
from pathlib import Path
from graphcore.cache.entry import CacheEntry
from graphcore.cache.store import DiskStore
from tests.unit.cache.test_store_survives import key, spec
store = DiskStore(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    store.put(key(number % 40), spec(), CacheEntry((f"value {number % 40} " * 500,), (), {}, 1.0, 100))
    number += 1
    if number % 20 == 0:
        store.flush()
"""


def _killed_writer(folder: Path, delay: float) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)


def _all_true(folder: Path) -> int:
    store = DiskStore(folder)
    found = 0
    for number in range(40):
        held = store.get(key(number), spec())
        if held is not None:
            assert held.outputs == (f"value {number} " * 500,)
            found += 1
    store.verify()
    connection = sqlite3.connect(folder / "index.sqlite3")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    store.close()
    return found


def test_a_writer_killed_at_any_moment_leaves_no_wrong_value(tmp_path: Path) -> None:
    moments = random.Random(7)
    for _ in range(5):
        _killed_writer(tmp_path, moments.uniform(0.0, 0.1))
        _all_true(tmp_path)
    assert _all_true(tmp_path) > 0


@pytest.mark.slow
def test_two_hundred_killed_writers_leave_no_wrong_value(tmp_path: Path) -> None:
    moments = random.Random(11)
    for _ in range(200):
        _killed_writer(tmp_path, moments.uniform(0.0, 0.1))
        _all_true(tmp_path)
