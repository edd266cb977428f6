"""What is leased stays; what is not goes by least recent use, by budget, or by idleness; things are made once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nodes.diffusion.leases import LeaseCache, Made


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def counted(calls: list[str], name: str, size: int = 10) -> Callable[[], Made[str]]:
    def make() -> Made[str]:
        calls.append(name)
        return Made(value=name, bytes=size)

    return make


@pytest.fixture
def calls() -> list[str]:
    return []


def use(cache: LeaseCache, calls: list[str], *names: str) -> None:
    for name in names:
        with cache.lease(name, counted(calls, name), expected_bytes=10) as value:
            assert value == name


def test_a_value_is_made_once_and_shared(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=100)
    with cache.lease("a", counted(calls, "a")) as first, cache.lease("a", counted(calls, "a")) as second:
        assert first is second
    use(cache, calls, "a")
    assert calls == ["a"]
    assert (cache.usage().bytes, cache.usage().leased_bytes, cache.usage().entries) == (10, 0, 1)


def test_the_least_recently_used_goes_first(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=20, clock=Clock())
    use(cache, calls, "a", "b", "a", "c", "a", "b")
    assert calls == ["a", "b", "c", "b"]
    assert cache.usage().bytes == 20


def test_room_is_made_before_something_new_is(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=10, clock=Clock())
    use(cache, calls, "a")
    held: list[int] = []

    def make() -> Made[str]:
        held.append(cache.usage().bytes)
        return Made(value="b", bytes=10)

    with cache.lease("b", make, expected_bytes=10):
        assert held == [0]


def test_what_is_leased_is_never_dropped(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=10, clock=Clock())
    with cache.lease("a", counted(calls, "a")), cache.lease("b", counted(calls, "b")):
        assert cache.usage().leased_bytes == 20
        assert cache.release() == 0
    assert cache.usage().bytes == 10
    assert cache.release() == 10
    assert cache.usage().entries == 0


def test_a_value_larger_than_the_budget_is_used_and_then_dropped(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=5)
    use(cache, calls, "a", "a")
    assert calls == ["a", "a"]
    assert cache.usage().bytes == 0


def test_failing_to_make_leaves_nothing_behind(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=100)

    def fail() -> Made[str]:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"), cache.lease("a", fail):
        pass
    use(cache, calls, "a")
    assert calls == ["a"]


def test_an_error_in_the_block_gives_the_lease_back(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=100)
    with pytest.raises(ValueError, match="x"), cache.lease("a", counted(calls, "a")):
        raise ValueError("x")
    assert cache.usage().leased_bytes == 0


def test_idle_things_are_released_by_themselves(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=100, idle_s=0.01)
    use(cache, calls, "a")
    gone = threading.Event()
    for _ in range(500):
        if cache.usage().entries == 0:
            break
        gone.wait(0.01)
    assert cache.usage().entries == 0
    cache.close()


def test_only_what_was_idle_long_enough_is_released(calls: list[str]) -> None:
    clock = Clock()
    cache = LeaseCache(budget_bytes=100, clock=clock)
    use(cache, calls, "old")
    clock.now += 100
    use(cache, calls, "new")
    assert cache.release(idle_for=50) == 10
    use(cache, calls, "new")
    assert calls == ["old", "new"]


def test_many_threads_make_each_value_once_and_stay_within_the_budget() -> None:
    cache = LeaseCache(budget_bytes=30)
    in_making: dict[str, int] = {}
    lock = threading.Lock()
    errors: list[BaseException] = []

    def make(name: str) -> Callable[[], Made[str]]:
        def inner() -> Made[str]:
            with lock:
                in_making[name] = in_making.get(name, 0) + 1
                assert in_making[name] == 1
            with lock:
                in_making[name] -= 1
            return Made(value=name, bytes=10)

        return inner

    def work(seed: int) -> None:
        try:
            for step in range(200):
                name = "abcdef"[(seed * 7 + step * (seed + 1)) % 6]
                with cache.lease(name, make(name), expected_bytes=10) as value:
                    assert value == name
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert cache.usage().leased_bytes == 0
    assert cache.usage().bytes <= 30


def test_those_who_wait_for_a_failure_try_again_themselves(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=100)
    started, may_fail = threading.Event(), threading.Event()

    def fail() -> Made[str]:
        started.set()
        may_fail.wait(5)
        raise OSError("gone")

    def first() -> None:
        with pytest.raises(OSError, match="gone"), cache.lease("a", fail):
            pass

    def second() -> None:
        with cache.lease("a", counted(calls, "a")):
            pass

    one = threading.Thread(target=first)
    one.start()
    started.wait(5)
    two = threading.Thread(target=second)
    two.start()
    may_fail.set()
    one.join(5)
    two.join(5)
    assert calls == ["a"]


def test_what_something_shares_with_stays_as_long_as_it_does(calls: list[str]) -> None:
    cache = LeaseCache(budget_bytes=25, clock=Clock())

    def child() -> Made[str]:
        return Made(value="child", bytes=5, parent="base")

    with cache.lease("base", counted(calls, "base")), cache.lease("child", child):
        pass
    use(cache, calls, "other", "base")
    assert calls == ["base", "other"]
    use(cache, calls, "third", "fourth")
    assert cache.usage().bytes == 20
    use(cache, calls, "base")
    assert calls == ["base", "other", "third", "fourth", "base"]
    assert cache.release() > 0
    assert cache.usage().entries == 0
