"""The server: starting, durable submissions, trivial runs from end to end, many event streams, a wide graph.

python -m benchmarks.server [--smoke]

Clients and server share the machine's processors. Limits are those that the server is to hold on an idle machine of two
cores or more; what was measured is printed in any case.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Final, Self

import aiohttp
import psutil

ROOT: Final = Path(__file__).parents[1]
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured; `limit` is the least (or, with `most`, the greatest) that is good enough."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    most: bool = False

    @property
    def kept(self) -> bool:
        if self.limit is None:
            return True
        return self.value <= self.limit if self.most else self.value >= self.limit

    def __str__(self) -> str:
        bound = "" if self.limit is None else f"   ({'at most' if self.most else 'at least'} {self.limit:g})"
        return f"{self.name:<52} {self.value:>10.2f} {self.unit}{bound}"


class ServerProcess:
    """`graphcore serve` with the trivial nodes, timed until it is ready."""

    def __init__(self, folder: Path, *options: str) -> None:
        arguments = ["serve", "--port", "0", "--data-dir", str(folder), *options]
        began = time.perf_counter()
        self.process = Popen(
            [sys.executable, "-m", "graphcore", *arguments],
            stdout=PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready_s = time.perf_counter() - began
        self.url = line.split()[-1].rstrip("/") + "/api/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        self.process.wait(60)

    def resident_mib(self) -> tuple[float, float]:
        """Memory of the server's own process, and of all its processes (shared pages counted once)."""
        own = psutil.Process(self.process.pid)
        every = [own, *own.children(recursive=True)]
        return own.memory_info().rss / 2**20, sum(process.memory_full_info().pss for process in every) / 2**20


def sum_workflow(number: int) -> dict[str, Any]:
    """Four trivial nodes, of which no two workflows have equal results."""
    return {
        "graphcore": 1,
        "nodes": {
            "a": {"type": "Number", "inputs": {"value": number}},
            "b": {"type": "Number", "inputs": {"value": 1}},
            "sum": {"type": "Sum", "inputs": {"a": {"node": "a"}, "b": {"node": "b"}}},
            "report": {"type": "Report", "inputs": {"value": {"node": "sum"}}},
        },
    }


def fan_workflow(width: int) -> dict[str, Any]:
    """Many nodes that feed from one, each shown."""
    nodes: dict[str, Any] = {"n": {"type": "Number", "inputs": {"value": 1}}}
    for place in range(width):
        nodes[f"s{place}"] = {"type": "Sum", "inputs": {"a": {"node": "n"}, "b": place}}
        nodes[f"r{place}"] = {"type": "Report", "inputs": {"value": {"node": f"s{place}"}}}
    return {"graphcore": 1, "nodes": nodes}


async def submitted(session: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> str:
    """Submit a run; its id."""
    async with session.post(f"{url}/runs", data=json.dumps(body), headers=_JSON) as response:
        held = await response.json()
        assert response.status == 202, held
        return str(held["id"])


def prompt_of(number: int) -> dict[str, Any]:
    """The same four nodes as ComfyUI's clients send them."""
    return {
        "a": {"class_type": "Number", "inputs": {"value": number}},
        "b": {"class_type": "Number", "inputs": {"value": 1}},
        "sum": {"class_type": "Sum", "inputs": {"a": ["a", 0], "b": ["b", 0]}},
        "report": {"class_type": "Report", "inputs": {"value": ["sum", 0]}},
    }


async def prompts(url: str, runs: int, clients: int) -> list[Figure]:
    """Durable prompts by ComfyUI's route while the queue is paused, then all of them to their end."""
    numbers = count(10**9)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client() -> None:
            while (number := next(numbers)) < 10**9 + runs:
                body = json.dumps({"prompt": prompt_of(number), "client_id": "benchmark"})
                async with session.post(f"{url.removesuffix('/api/v1')}/prompt", data=body) as response:
                    assert response.status == 200, await response.text()

        await session.post(f"{url}/queue/pause")
        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        accepted_s = time.perf_counter() - began
        await session.post(f"{url}/queue/resume")
        await drained(session, url)
    return [Figure(f"durable prompts (POST /prompt), {clients} clients", runs / accepted_s, "prompts/s", 600)]


async def drained(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until the queue is empty."""
    while True:
        async with session.get(f"{url}/status") as response:
            held = await response.json()
        if not held["waiting"] and not held["running"]:
            return
        await asyncio.sleep(0.02)


async def submissions(url: str, runs: int, clients: int) -> list[Figure]:
    """Durable submissions while the queue is paused, then all of them from start to end."""
    numbers = count()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client() -> None:
            while (number := next(numbers)) < runs:
                await submitted(session, url, {"workflow": sum_workflow(number)})

        await session.post(f"{url}/queue/pause")
        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        accepted_s = time.perf_counter() - began
        await session.post(f"{url}/queue/resume")
        began = time.perf_counter()
        await drained(session, url)
        queue_s = time.perf_counter() - began
        numbers = count(runs)
        runs *= 2
        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        await drained(session, url)
        both_s = time.perf_counter() - began
    return [
        Figure(f"durable submissions, {clients} clients", runs / 2 / accepted_s, "runs/s", 600),
        Figure("queued trivial runs, begun to ended", runs / 2 / queue_s, "runs/s"),
        Figure("trivial runs, submitted to ended", runs / 2 / both_s, "runs/s", 400),
    ]


async def streams(server: ServerProcess, readers: int) -> list[Figure]:
    """Many streams of one run's events at once: all are told of the end, and memory stays bounded."""
    before, _ = server.resident_mib()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=300)
    ) as session:
        steps = {"graphcore": 1, "nodes": {"s": {"type": "Steps", "inputs": {"count": 100_000}}}}
        run = await submitted(session, server.url, {"workflow": steps})
        opened = asyncio.Semaphore(0)

        async def reader() -> int:
            async with session.get(f"{server.url}/runs/{run}/events") as response:
                opened.release()
                text = await response.text()
                return text.count("event: run-finished")

        tasks = [asyncio.create_task(reader()) for _ in range(readers)]
        for _ in range(readers):
            await opened.acquire()
        during, _ = server.resident_mib()
        began = time.perf_counter()
        await session.delete(f"{server.url}/runs/{run}")
        told = await asyncio.gather(*tasks)
        end_s = time.perf_counter() - began
    assert sum(told) == readers, "a stream did not tell of the end"
    return [
        Figure(f"memory for {readers} event streams", during - before, "MiB", 100, most=True),
        Figure(f"all of {readers} streams told of the end", end_s, "s"),
    ]


async def fan(url: str, width: int) -> list[Figure]:
    """What the events of a wide graph weigh."""
    async with aiohttp.ClientSession() as session:
        run = await submitted(session, url, {"workflow": fan_workflow(width)})
        began = time.perf_counter()
        async with session.get(f"{url}/runs/{run}/events") as response:
            body = await response.read()
        seconds = time.perf_counter() - began
    nodes = 2 * width + 1
    return [
        Figure(f"events of a run of {nodes} nodes", len(body) / 1e6, "MB", 5, most=True),
        Figure(f"the run of {nodes} nodes", seconds, "s"),
    ]


async def node_listing(url: str) -> list[Figure]:
    """How long the description of all node types takes, in both dialects (the best of ten)."""
    found = []
    for what, address in (
        ("describe", f"{url}/nodes"),
        ("object_info of", f"{url.removesuffix('/v1')}/object_info"),
    ):
        async with aiohttp.ClientSession() as session:
            times = []
            for _ in range(10):
                began = time.perf_counter()
                async with session.get(address) as response:
                    data = await response.read()
                times.append(time.perf_counter() - began)
        held = json.loads(data)
        count_of = len(held.get("nodes", held))
        found.append(Figure(f"{what} all {count_of} node types", min(times) * 1000, "ms", 50, most=True))
    return found


def measured(*, smoke: bool) -> list[Figure]:
    """All figures."""
    scale: Callable[[int], int] = (lambda number: max(4, number // 50)) if smoke else (lambda number: number)
    trivial = ("--pack", "none", "--node-module", "tests.packs.trivial", "--max-queue", "100000")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures = []
        for place in range(1 if smoke else 3):
            with ServerProcess(folder / f"start{place}") as server:
                own, every = server.resident_mib()
                figures.append(server.ready_s)
                listing = asyncio.run(node_listing(server.url))
        found = [
            Figure("ready, with the installed nodes (best)", min(figures), "s", 1.5, most=True),
            Figure("memory of the server process when ready", own, "MiB", 120, most=True),
            Figure("memory of all processes when ready", every, "MiB"),
            *listing,
        ]
        with ServerProcess(folder / "busy", *trivial) as server:
            asyncio.run(submissions(server.url, scale(200), 4))
            found += asyncio.run(submissions(server.url, scale(6000), 32))
            found += asyncio.run(prompts(server.url, scale(3000), 32))
            found += asyncio.run(fan(server.url, scale(1500)))
            found += asyncio.run(streams(server, scale(1000)))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 0 if all limits are kept."""
    parser = argparse.ArgumentParser(description="Measure the server.")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs; no limits")
    options = parser.parse_args(arguments)
    found = measured(smoke=options.smoke)
    for figure in found:
        print(figure)
    return 0 if options.smoke or all(figure.kept for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
