"""The memory cache holds no more than its budget, and keeps what is dear to compute and small to hold."""

from __future__ import annotations

import hashlib

import pytest

from graphcore import Each, NodeReport, spec_of
from graphcore.cache.entry import CacheEntry
from graphcore.cache.memory import MemoryCache
from graphcore.cache.size import size_of
from tests.unit.engine.arithmetic import add

SPEC = spec_of(add)
assert SPEC is not None
NODE = SPEC


def key(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def entry(seconds: float, size: int) -> CacheEntry:
    return CacheEntry((0,), (), {}, seconds, size)


def held(cache: MemoryCache, names: list[str]) -> list[str]:
    known = cache.known([key(name) for name in names])
    return [name for name in names if key(name) in known]


def test_it_never_holds_more_than_its_budget() -> None:
    cache = MemoryCache(1000)
    for place in range(500):
        cache.put(key(place), NODE, entry(place % 7, 1 + place % 90))
        assert cache.statistics().size <= 1000
    statistics = cache.statistics()
    assert statistics.evictions > 0
    assert statistics.entries == len(cache.known([key(place) for place in range(500)]))


def test_the_dear_and_small_stay_the_cheap_and_large_go() -> None:
    cache = MemoryCache(1000)
    cache.put(key("dear and small"), NODE, entry(10.0, 10))
    cache.put(key("cheap and large"), NODE, entry(0.1, 900))
    cache.put(key("middling"), NODE, entry(1.0, 200))
    assert held(cache, ["dear and small", "cheap and large", "middling"]) == ["dear and small", "middling"]


def test_what_is_no_longer_used_ages() -> None:
    cache = MemoryCache(1000)
    cache.put(key("dear once"), NODE, entry(5.0, 500))
    for place in range(2000):
        cache.put(key(place), NODE, entry(3.0, 400))
    assert held(cache, ["dear once"]) == []


def test_what_is_used_stays_young() -> None:
    cache = MemoryCache(1000)
    cache.put(key("used"), NODE, entry(3.5, 400))
    for place in range(200):
        cache.put(key(place), NODE, entry(3.0, 400))
        assert cache.get(key("used"), NODE) is not None


def test_what_is_larger_than_the_budget_is_not_kept() -> None:
    cache = MemoryCache(1000)
    cache.put(key("small"), NODE, entry(1.0, 10))
    cache.put(key("huge"), NODE, entry(1e9, 1001))
    assert held(cache, ["small", "huge"]) == ["small"]


def test_an_entry_put_twice_counts_once() -> None:
    cache = MemoryCache(1000)
    for _ in range(50):
        cache.put(key("same"), NODE, entry(1.0, 300))
    assert (cache.statistics().size, cache.statistics().entries) == (300, 1)


def test_an_entry_without_size_does_no_harm() -> None:
    cache = MemoryCache(1000)
    cache.put(key("empty"), NODE, entry(1.0, 0))
    assert cache.get(key("empty"), NODE) is not None


def test_clearing_forgets_everything() -> None:
    cache = MemoryCache(1000)
    cache.put(key("a"), NODE, entry(1.0, 300))
    cache.clear()
    assert cache.get(key("a"), NODE) is None
    assert cache.statistics().size == 0
    assert cache.statistics().misses == 1


class Array:
    nbytes = 4096


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (1, 16, 64),
        ("x" * 1000, 1000, 1200),
        (Array(), 4096, 4300),
        ([Array(), Array()], 8192, 8800),
        (Each([Array()]), 4096, 4300),
        ({"samples": Array()}, 4096, 4500),
    ],
)
def test_sizes_are_near_enough(value: object, least: int, most: int) -> None:
    assert least <= size_of(value) <= most


def test_what_is_held_twice_counts_once_and_loops_end() -> None:
    array = Array()
    looped: list[object] = [array, array]
    looped.append(looped)
    assert size_of(looped) < 2 * 4096


def test_a_report_says_where_a_result_came_from() -> None:
    report = NodeReport(node="n", type="Add", key=key("n"), source="cache", start=0.0, seconds=0.0, size=1)
    assert report.facts == {}
