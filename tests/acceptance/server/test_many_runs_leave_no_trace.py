"""Ten thousand runs: memory stays flat, no descriptor, thread or process is left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from graphcore.client.asynchronous import AsyncClient
from tests.acceptance.server.started import Started
from tests.served import sum_of


async def soak(url: str, start: int, runs: int, clients: int = 16) -> None:
    """Submit runs, each with results of its own, and wait for them."""
    numbers = iter(range(start, start + runs))
    async with AsyncClient(url) as client:

        async def one() -> None:
            for number in numbers:
                run = await client.submit(sum_of(number, 1))
                assert (await client.wait(run.id)).succeeded

        await asyncio.gather(*(one() for _ in range(clients)))


@pytest.mark.slow
def test_memory_and_descriptors_stay_flat(tmp_path: Path) -> None:
    with Started(tmp_path / "data", "--cache", "none") as server:
        url = f"http://127.0.0.1:{server.port}"
        own = psutil.Process(server.process.pid)
        asyncio.run(soak(url, 0, 2000))
        before = [
            (process.memory_info().rss, process.num_fds(), process.num_threads()) for process in family(own)
        ]
        asyncio.run(soak(url, 2000, 8000))
        after = [
            (process.memory_info().rss, process.num_fds(), process.num_threads()) for process in family(own)
        ]

    assert len(after) == len(before)
    for (rss, descriptors, threads), (later_rss, later_descriptors, later_threads) in zip(
        before, after, strict=True
    ):
        assert later_rss - rss < 16 * 2**20
        assert later_descriptors <= descriptors + 2
        assert later_threads <= threads + 1


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and those that it started."""
    return [process, *process.children(recursive=True)]
