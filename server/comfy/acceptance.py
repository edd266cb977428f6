"""Which part of a prompt can run: the outputs that pass, and what is wrong with the others."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from graphcore.errors import DocumentError, Problem, ValidationError
from graphcore.formats.comfy_api import read_prompt
from graphcore.formats.ui import is_ui_graph
from graphcore.growing import list_input
from graphcore.registry import Registry
from server.checking import Rules
from server.comfy import wire_errors as wire
from server.comfy.wire_errors import WireError
from server.sealing import secrets_of

_VISITS: Final = 2_000_000
Prompt = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A prompt that may run for `outputs`.

    `document` is what runs: the whole prompt, or what its good outputs need of it. `secrets` are what its secret inputs
    hold.
    """

    document: bytes
    outputs: tuple[str, ...]
    whole: bool
    secrets: frozenset[str]
    node_errors: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A prompt of which nothing may run."""

    error: WireError
    node_errors: Mapping[str, Any] = field(default_factory=dict)


def assess(prompt: object, targets: Collection[str] | None, rules: Rules) -> Accepted | Refused:
    """Find the outputs of a prompt that can run; with `targets`, among these alone."""
    registry = rules.registry
    if not isinstance(prompt, dict):
        return Refused(error=wire.no_prompt())
    if is_ui_graph(prompt):
        return Refused(error=wire.not_a_prompt())
    for node_id, entry in prompt.items():
        kind = entry.get("class_type") if isinstance(entry, dict) else None
        if not isinstance(kind, str):
            return Refused(
                error=wire.invalid_prompt(
                    "Cannot execute because a node is missing the class_type property.", node_id
                )
            )
        if kind not in registry:
            return Refused(
                error=wire.invalid_prompt(f"Cannot execute because node {kind} does not exist.", node_id)
            )
    nodes: Prompt = prompt
    outputs = [node_id for node_id, entry in nodes.items() if _is_output(entry, registry)]
    if targets is not None:
        outputs = [node_id for node_id in outputs if node_id in targets]
    if not outputs:
        return Refused(error=wire.no_outputs())
    try:
        graph = rules.check(read_prompt(prompt), targets=outputs)
    except (ValidationError, DocumentError):
        return _Sieve(nodes, rules).pass_through(outputs)
    return Accepted(document=_document(nodes), outputs=tuple(outputs), whole=True, secrets=secrets_of(graph))


def _is_output(entry: Mapping[str, Any], registry: Registry) -> bool:
    spec = registry.get(entry["class_type"])
    return spec is not None and spec.output


def _document(nodes: Prompt) -> bytes:
    return json.dumps({"prompt": nodes}, separators=(",", ":"), ensure_ascii=False).encode()


class _Sieve:
    """Takes outputs away until what is left has no problem."""

    def __init__(self, nodes: Prompt, rules: Rules) -> None:
        self._sent = nodes
        self._nodes: Prompt = {
            node_id: _declared_alone(entry, rules.registry) for node_id, entry in nodes.items()
        }
        self._rules = rules
        self._sources = {node_id: _sources(entry, nodes) for node_id, entry in self._nodes.items()}
        self._readers: dict[str, list[str]] = {node_id: [] for node_id in nodes}
        for node_id, sources in self._sources.items():
            for source in sources:
                self._readers[source].append(node_id)
        self._problems: list[Problem] = []

    def pass_through(self, outputs: Sequence[str]) -> Accepted | Refused:
        """The outputs that can run, with what is wrong with the others."""
        good = list(outputs)
        while good:
            needed = _reached(good, self._sources)
            part = {node_id: entry for node_id, entry in self._nodes.items() if node_id in needed}
            try:
                graph = self._rules.check(read_prompt(part), targets=good)  # type: ignore[arg-type]
            except ValidationError as error:
                self._problems.extend(error.problems)
                spoilt = _reached(
                    [problem.node for problem in error.problems if problem.node in part], self._readers
                )
                left = [node_id for node_id in good if node_id not in spoilt]
                good = left if len(left) < len(good) else []
            else:
                return Accepted(
                    document=_document(part),
                    outputs=tuple(good),
                    whole=part == self._sent,
                    secrets=secrets_of(graph),
                    node_errors=self._node_errors(outputs),
                )
        return self._refused(outputs)

    def _refused(self, outputs: Sequence[str]) -> Refused:
        errors = self._node_errors(outputs)
        lines = [
            f"{error['message']}: {error['details']}"
            for node_id in outputs
            for error in errors.get(node_id, {"errors": ()})["errors"]
        ]
        lines += [problem.message for problem in self._problems if problem.node not in self._nodes]
        return Refused(error=wire.failed_outputs("\n".join(lines)), node_errors=errors)

    def _node_errors(self, outputs: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        wanted, visits = set(outputs), 0
        for problem in self._problems:
            node_id = problem.node
            entry = self._nodes.get(node_id) if node_id is not None else None
            if node_id is None or entry is None:
                continue
            if node_id not in found:
                reached = _reached([node_id], self._readers) if visits < _VISITS else set()
                visits += len(reached)
                found[node_id] = {
                    "errors": [],
                    "dependent_outputs": [output for output in outputs if output in reached & wanted],
                    "class_type": entry["class_type"],
                }
            found[node_id]["errors"].extend(
                wire.wire_errors(problem, entry, self._rules.registry, self._rules.files)
            )
        return found


def _declared_alone(entry: Mapping[str, Any], registry: Registry) -> Mapping[str, Any]:
    """A node without inputs that its type does not declare, whatever they hold."""
    spec, inputs = registry.get(entry["class_type"]), entry.get("inputs")
    if spec is None or not isinstance(inputs, Mapping):
        return entry
    return {
        **entry,
        "inputs": {
            name: value
            for name, value in inputs.items()
            if spec.input(name) is not None or list_input(spec, name) is not None
        },
    }


def _sources(entry: Mapping[str, Any], nodes: Prompt) -> list[str]:
    """The nodes that feed a node."""
    inputs = entry.get("inputs")
    values = inputs.values() if isinstance(inputs, Mapping) else ()
    return [str(value[0]) for value in values if _is_link(value) and str(value[0]) in nodes]


def _is_link(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int))


def _reached(start: Iterable[str | None], edges: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    stack = [node_id for node_id in start if node_id is not None]
    while stack:
        node_id = stack.pop()
        if node_id not in found:
            found.add(node_id)
            stack.extend(edges.get(node_id, ()))
    return found
