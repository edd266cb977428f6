"""A run as a timeline in the trace-event format, which Perfetto and Chrome's tracing page open."""

from __future__ import annotations

from graphcore.jsontext import JSON
from graphcore.results import RunResult


def trace_events(result: RunResult) -> dict[str, JSON]:
    """The nodes of a run as slices, with their bytes and whether they came from a cache. Times in microseconds."""
    events: list[JSON] = [
        {"name": "process_name", "ph": "M", "pid": 1, "args": {"name": f"graphcore run {result.run_id}"}}
    ]
    lanes: list[float] = []
    for report in sorted(result.reports, key=lambda report: (report.start, -report.seconds)):
        lane = next((place for place, busy in enumerate(lanes) if busy <= report.start), len(lanes))
        if lane == len(lanes):
            lanes.append(0.0)
        lanes[lane] = report.start + report.seconds
        events.append(
            {
                "name": f"{report.type} ({report.node})",
                "cat": report.source,
                "ph": "X",
                "pid": 1,
                "tid": lane + 1,
                "ts": round(report.start * 1e6, 1),
                "dur": max(round(report.seconds * 1e6, 1), 0.1),
                "args": {"bytes": report.size, "source": report.source},
            }
        )
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def run_report(result: RunResult) -> dict[str, JSON]:
    """Seconds, bytes and hits of each node of a run, the dearest first."""
    nodes: list[JSON] = [
        {
            "node": report.node,
            "type": report.type,
            "source": report.source,
            "start": round(report.start, 6),
            "seconds": round(report.seconds, 6),
            "bytes": report.size,
        }
        for report in sorted(result.reports, key=lambda report: -report.seconds)
    ]
    return {
        "run": result.run_id,
        "state": result.state.value,
        "seconds": round(result.seconds, 6),
        "hits": sum(report.source == "cache" for report in result.reports),
        "bytes": sum(report.size for report in result.reports),
        "nodes": nodes,
    }
