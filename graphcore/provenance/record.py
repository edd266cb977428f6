"""The run record: what a result was made of, written into each picture that is saved.

It names the workflow's declared inputs, every model and input file with its digest, seeds, versions, device and
dtype, and what each node took. Secrets never enter it, nor paths of the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from graphcore.checked import CheckedNode
from graphcore.errors import DocumentError
from graphcore.files import Files, split_annotation
from graphcore.jsontext import JSON
from graphcore.registry import Registry
from graphcore.results import NodeReport
from graphcore.version import __version__
from graphcore.workflow import NodeEntry, Workflow

RECORD_VERSION: Final = 1
_REDACTED: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedFile:
    """A file that a run read: its kind of folder, its name there, and its SHA-256 ("" if it is gone)."""

    kind: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a result was made of.

    `node` is the node that saved it and `index` the picture's place in its batch. `environment` holds versions,
    device and dtype; `nodes` what each node took, and whether its result came from a cache; `facts` what nodes noted.
    """

    graphcore: str
    node: str
    index: int
    created: str
    inputs: Mapping[str, JSON]
    seeds: Mapping[str, int]
    files: tuple[UsedFile, ...]
    environment: Mapping[str, str]
    nodes: Mapping[str, Mapping[str, JSON]]
    facts: Mapping[str, JSON]
    seconds: float

    def as_json(self) -> dict[str, JSON]:
        """The record as plain JSON."""
        return {
            "record": RECORD_VERSION,
            "graphcore": self.graphcore,
            "node": self.node,
            "index": self.index,
            "created": self.created,
            "inputs": dict(self.inputs),
            "seeds": dict(self.seeds),
            "files": [{"kind": used.kind, "name": used.name, "digest": used.digest} for used in self.files],
            "environment": dict(self.environment),
            "nodes": {name: dict(values) for name, values in self.nodes.items()},
            "facts": dict(self.facts),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSource:
    """What a record is drawn up from: the run so far, as seen by the node that saves."""

    workflow: Workflow
    nodes: Sequence[CheckedNode]
    reports: Sequence[NodeReport]
    index: Mapping[str, int]
    files: Files
    environment: Mapping[str, str]
    seconds: float


def make_record(source: RecordSource, node: str, picture: int) -> RunRecord:
    """Draw up the record of a picture that `node` saves; covers the nodes that feed it."""
    ids = above(source.nodes, source.index, node)
    chosen = [source.nodes[place] for place in sorted(ids)]
    reports = {report.node: report for report in source.reports}
    facts: dict[str, JSON] = {}
    nodes: dict[str, Mapping[str, JSON]] = {}
    for item in chosen:
        report = reports.get(item.id)
        if report is None:
            continue
        nodes[item.id] = {
            "type": item.spec.name,
            "version": item.spec.version,
            "seconds": round(report.seconds, 4),
            "source": report.source,
        }
        for name, value in report.facts.items():
            facts[f"{item.id}.{name}"] = value  # type: ignore[assignment]
    return RunRecord(
        graphcore=__version__,
        node=node,
        index=picture,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        inputs={name: value for name, value in source.workflow.input_values().items() if _plain(value)},  # type: ignore[misc]
        seeds=_seeds(chosen),
        files=tuple(used_files(chosen, source.files)),
        environment=source.environment,
        nodes=nodes,
        facts=facts,
        seconds=round(source.seconds, 4),
    )


def check_record(record: Mapping[str, object]) -> None:
    """See that a record that somebody sent has the shape that is written here; raises DocumentError."""
    files, index = record.get("files", []), record.get("index", 0)
    nodes, environment = record.get("nodes", {}), record.get("environment", {})
    sound = {
        "node": isinstance(record.get("node", ""), str),
        "index": type(index) is int and index >= 0,
        "environment": isinstance(environment, Mapping),
        "files": isinstance(files, list) and all(map(_names_file, files)),
        "nodes": isinstance(nodes, Mapping) and all(isinstance(node, Mapping) for node in nodes.values()),
    }
    for name, whole in sound.items():
        if not whole:
            raise DocumentError(
                f"The picture's run record is damaged: '{name}' is not as graphcore writes it.",
                code="damaged-record",
            )


def _names_file(used: object) -> bool:
    return isinstance(used, Mapping) and all(
        isinstance(used.get(name), str) for name in ("kind", "name", "digest")
    )


def above(nodes: Sequence[CheckedNode], index: Mapping[str, int], node: str) -> set[int]:
    """The places of a node and of all that feeds it."""
    found: set[int] = set()
    pending = [index[node]] if node in index else []
    while pending:
        place = pending.pop()
        if place not in found:
            found.add(place)
            pending.extend(link.source for link in nodes[place].links if link.source >= 0)
    return found


def used_files(nodes: Iterable[CheckedNode], files: Files) -> list[UsedFile]:
    """The files that these nodes name, each once, with their digests."""
    found: dict[tuple[str, str], UsedFile] = {}
    for node in nodes:
        for declared in node.spec.inputs:
            widget = declared.file
            value = node.arguments.get(declared.name)
            if widget is None or not isinstance(value, str) or value == widget.empty:
                continue
            kind, name = split_annotation(value, widget.kind)
            path = files.find(kind, name)
            digest = files.digest(path) if path is not None else ""
            found[kind, name] = UsedFile(kind=kind, name=name, digest=digest)
    return list(found.values())


def _seeds(nodes: Iterable[CheckedNode]) -> dict[str, int]:
    seeds = {}
    for node in nodes:
        for declared in node.spec.inputs:
            value = node.arguments.get(declared.name)
            if declared.seed is not None and isinstance(value, int):
                seeds[f"{node.id}.{declared.name}"] = value
    return seeds


def redacted(workflow: Workflow, registry: Registry) -> Workflow:
    """The workflow without the values of secret inputs."""
    nodes: dict[str, NodeEntry] = {}
    for node_id, entry in workflow.nodes.items():
        spec = registry.get(entry.type)
        secret = {declared.name for declared in spec.inputs if declared.secret} if spec is not None else set()
        if secret & set(entry.inputs):
            kept = {name: _REDACTED if name in secret else value for name, value in entry.inputs.items()}
            entry = replace(entry, inputs=kept)
        nodes[node_id] = entry
    return replace(workflow, nodes=nodes)


def _plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
