"""Awaiting a pack's coroutines: from code that cannot await, and without gradients."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def settle(make: Callable[[], Any]) -> Any:
    """What `make` returns, awaited if it is to be; the caller waits, whether a loop runs on its thread or not."""
    made = make()
    if not asyncio.iscoroutine(made):
        return made
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(made)
    return _apart(made)


def _apart(work: Coroutine[Any, Any, Any]) -> Any:
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            failure.append(error)

    thread = threading.Thread(target=run, name="graphcore-pack-await")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def without_gradients() -> AbstractContextManager[object]:
    """What pack code runs in: torch keeps no gradients, if it is there at all."""
    torch = sys.modules.get("torch")
    no_grad = getattr(torch, "no_grad", None)
    return no_grad() if no_grad is not None else nullcontext()


async def without_gradients_async(work: Awaitable[Any]) -> Any:
    """Await pack code; the switch is thrown for each of its steps, as it belongs to the thread and not to the task."""
    return await _Stepwise(work)


class _Stepwise:
    def __init__(self, work: Awaitable[Any]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        value: Any = None
        failure: BaseException | None = None
        while True:
            with without_gradients():
                try:
                    yielded = steps.send(value) if failure is None else steps.throw(failure)
                except StopIteration as stop:
                    return stop.value
            value = failure = None
            try:
                value = yield yielded
            except BaseException as error:  # noqa: BLE001 - handed on to the awaited code
                failure = error
