"""What the engine costs beside the work of the nodes: microseconds and bytes a node, for trivial nodes.

    python -m benchmarks.engine [--smoke] [--json] [--most N]

Graphs are a chain, a fan (one source, all read by one sum) and a lattice (each node reads two of the row before).
Measured are validation, keys, run and events: cold, and once more with everything cached. Times are CPU seconds of the
process, so that a busy machine disturbs them little. The yardstick is a bare loop over the same graph, in the same
process: it hashes each node's JSON with SHA-256 and calls its function.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import math
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import linear_regression
from typing import Final

from rich.console import Console
from rich.table import Table

from graphcore import Engine, Link, NodeEntry, Registry, Workflow, node

MAX_COLD_RATIO: Final = 8.9
MAX_CACHED_RATIO: Final = 2.7
MAX_EXPONENT: Final = 1.1
MAX_BYTES: Final = 3000
_LATTICE_WIDTH: Final = 100


@node("Number")
def number(value: int = 1) -> int:
    """A number."""
    return value


@node("Add")
def add(a: int, b: int = 0) -> int:
    """a + b."""
    return a + b


@node("Sum")
def total(values: list[int]) -> int:
    """The sum of a list."""
    return sum(values)


FUNCTIONS: Final[Mapping[str, Callable[..., int]]] = {"Number": number, "Add": add, "Sum": total}


def chain(count: int) -> Workflow:
    """Each node adds to the one before."""
    nodes = {"n0": NodeEntry(type="Number", inputs={"value": 1})}
    for place in range(1, count):
        nodes[f"n{place}"] = NodeEntry(type="Add", inputs={"a": Link(f"n{place - 1}"), "b": place})
    return Workflow(nodes=nodes, outputs={"last": Link(f"n{count - 1}")})


def fan(count: int) -> Workflow:
    """One number, read by all others, which one sum reads."""
    nodes = {"n0": NodeEntry(type="Number", inputs={"value": 1})}
    middle = [f"n{place}" for place in range(1, count - 1)]
    for place, name in enumerate(middle):
        nodes[name] = NodeEntry(type="Add", inputs={"a": Link("n0"), "b": place})
    nodes["sum"] = NodeEntry(type="Sum", inputs={"values": [Link(name) for name in middle]})
    return Workflow(nodes=nodes, outputs={"sum": Link("sum")})


def lattice(count: int) -> Workflow:
    """Rows of nodes, each of which reads two of the row before."""
    width = min(_LATTICE_WIDTH, max(2, math.isqrt(count)))
    nodes: dict[str, NodeEntry] = {}
    for place in range(count):
        row, column = divmod(place, width)
        if row == 0:
            nodes[f"n{place}"] = NodeEntry(type="Number", inputs={"value": place})
        else:
            above = (row - 1) * width
            inputs = {"a": Link(f"n{above + column}"), "b": Link(f"n{above + (column + 1) % width}")}
            nodes[f"n{place}"] = NodeEntry(type="Add", inputs=inputs)
    first = count - width
    nodes["sum"] = NodeEntry(
        type="Sum", inputs={"values": [Link(f"n{first + place}") for place in range(width)]}
    )
    return Workflow(nodes=nodes, outputs={"sum": Link("sum")})


SHAPES: Final = {"chain": chain, "fan": fan, "lattice": lattice}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One graph measured: microseconds a node, and bytes a node that a run holds at most."""

    shape: str
    nodes: int
    bare_us: float
    cold_us: float
    cached_us: float
    bytes_per_node: float | None

    @property
    def cold_ratio(self) -> float:
        return self.cold_us / self.bare_us

    @property
    def cached_ratio(self) -> float:
        return self.cached_us / self.bare_us


def bare_loop(workflow: Workflow) -> int:
    """Hash and call every node in order, with nothing around it: what no engine can do without."""
    keys: dict[str, str] = {}
    values: dict[str, int] = {}
    result = 0
    for node_id, entry in workflow.nodes.items():
        inputs: dict[str, object] = {}
        described: dict[str, object] = {}
        for name, value in entry.inputs.items():
            if isinstance(value, Link):
                inputs[name], described[name] = values[value.node], keys[value.node]
            elif isinstance(value, list):
                inputs[name] = [values[link.node] for link in value]
                described[name] = [keys[link.node] for link in value]
            else:
                inputs[name] = described[name] = value
        text = json.dumps([entry.type, described], sort_keys=True)
        keys[node_id] = hashlib.sha256(text.encode()).hexdigest()
        result = values[node_id] = FUNCTIONS[entry.type](**inputs)
    return result


def measure(shape: str, count: int, *, memory: bool) -> Measurement:
    """Measure one graph: the best of several times, to shut out what else the machine does."""
    workflow = SHAPES[shape](count)
    nodes = len(workflow.nodes)
    repeats = max(2, min(20, 20_000 // nodes))
    bare = min(_seconds(lambda: bare_loop(workflow)) for _ in range(repeats + 2))
    cold, cached = math.inf, math.inf
    for _ in range(repeats + 1):
        with Engine(Registry(FUNCTIONS.values())) as engine:
            engine.run(chain(2))
            cold = min(cold, _seconds(lambda: engine.run(workflow)))
            cached = min(
                cached, _seconds(lambda: engine.run(workflow)), _seconds(lambda: engine.run(workflow))
            )
    return Measurement(
        shape=shape,
        nodes=nodes,
        bare_us=bare / nodes * 1e6,
        cold_us=cold / nodes * 1e6,
        cached_us=cached / nodes * 1e6,
        bytes_per_node=_bytes(workflow) / nodes if memory else None,
    )


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _bytes(workflow: Workflow) -> int:
    """The most memory that a cold run holds: checked graph, keys, events, results and cache."""
    with Engine(Registry(FUNCTIONS.values())) as engine:
        engine.run(chain(2))
        gc.collect()
        tracemalloc.start()
        engine.run(workflow)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def exponent(found: list[Measurement], cost: Callable[[Measurement], float]) -> float:
    """The growth exponent of the whole time over all sizes: the slope of a line through the logarithms."""
    if len(found) < 2:
        return 1.0
    sizes = [math.log(entry.nodes) for entry in found]
    times = [math.log(cost(entry) * entry.nodes) for entry in found]
    return linear_regression(sizes, times).slope


def failures(found: list[Measurement]) -> list[str]:
    """The limits that are exceeded. Small graphs pay for starting and ending a run, so they do not count."""
    told = []
    for entry in found:
        if entry.nodes < 900:
            continue
        name = f"{entry.shape} of {entry.nodes}"
        if entry.cold_ratio > MAX_COLD_RATIO:
            told.append(
                f"{name}: cold is {entry.cold_ratio:.1f} times the bare loop; the limit is {MAX_COLD_RATIO}"
            )
        if entry.cached_ratio > MAX_CACHED_RATIO:
            told.append(
                f"{name}: cached is {entry.cached_ratio:.1f} times the bare loop; the limit is {MAX_CACHED_RATIO}"
            )
        if entry.bytes_per_node is not None and entry.bytes_per_node > MAX_BYTES:
            told.append(f"{name}: {entry.bytes_per_node:.0f} bytes a node; the limit is {MAX_BYTES}")
    for shape in SHAPES:
        grown = exponent([entry for entry in found if entry.shape == shape], lambda entry: entry.cold_us)
        if grown > MAX_EXPONENT:
            told.append(f"{shape}: grows with exponent {grown:.2f}; the limit is {MAX_EXPONENT}")
    return told


def show(found: list[Measurement], told: list[str]) -> None:
    """Print the figures as a table."""
    table = Table(title="The engine's cost a node (CPU microseconds)")
    for column in ("graph", "nodes", "bare loop", "cold", "ratio", "cached", "ratio", "bytes"):
        table.add_column(column, justify="left" if column == "graph" else "right")
    for entry in found:
        table.add_row(
            entry.shape,
            f"{entry.nodes:,}",
            f"{entry.bare_us:.2f}",
            f"{entry.cold_us:.1f}",
            f"{entry.cold_ratio:.1f}",
            f"{entry.cached_us:.1f}",
            f"{entry.cached_ratio:.1f}",
            "" if entry.bytes_per_node is None else f"{entry.bytes_per_node:,.0f}",
        )
    console = Console()
    console.print(table)
    for shape in SHAPES:
        of_shape = [entry for entry in found if entry.shape == shape]
        cold = exponent(of_shape, lambda entry: entry.cold_us)
        cached = exponent(of_shape, lambda entry: entry.cached_us)
        console.print(f"{shape}: growth exponent {cold:.2f} cold, {cached:.2f} cached")
    for line in told:
        console.print(f"[red]{line}[/red]")


def main() -> int:
    """Run the benchmark; 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="small graphs only")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--most", type=int, default=100_000, help="nodes of the largest graph")
    options = parser.parse_args()
    sizes = [10, 1_000, 10_000] if options.smoke else [10, 100, 1_000, 10_000, 100_000]
    found = [
        measure(shape, size, memory=size >= 1_000)
        for shape in SHAPES
        for size in sizes
        if size <= options.most
    ]
    told = failures(found)
    if options.json:
        figures = [
            asdict(entry) | {"cold_ratio": entry.cold_ratio, "cached_ratio": entry.cached_ratio}
            for entry in found
        ]
        print(json.dumps({"measurements": figures, "exceeded": told}, indent=1))
    else:
        show(found, told)
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
