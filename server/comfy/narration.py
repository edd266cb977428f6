"""Tells a run's events as ComfyUI's messages, in ComfyUI's order. Knows nothing of sockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.comfy.shown import ui_of
from server.records import Progress

STATUS: Final = "status"
PREVIEW: Final = "preview"
_RUNNING_TOLD: Final = 16
_EXCEPTION: Final = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")
_BLOCKED: Final = "an input is blocked"
_KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    "cyclic-expansion": ("graph.DependencyCycleError", "Dependency cycle detected")
}


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `status` has no data of its own: what it counts is not the run's to know.

    `picture` goes with a preview. `passing` messages say how things stand, and the next one says it again: they may be
    left out for a reader that is slow.
    """

    type: str
    data: Mapping[str, Any]
    passing: bool = False
    picture: bytes = b""


def _as_it_is(value: Any) -> Any:
    return value


class Narration:
    """One run, as its client is told of it.

    `redact` is applied to what is said of failures.
    """

    def __init__(self, prompt_id: str, redact: Callable[[Any], Any] = _as_it_is) -> None:
        self.prompt_id = prompt_id
        self.begun = False
        self.parents: dict[str, str] = {}
        self._displays: dict[str, str] = {}
        self._tops: dict[str, str] = {}
        self._roots: dict[str, str] = {}
        self._redact = redact
        self._tellers: Mapping[str, Callable[[Mapping[str, Any]], list[Said]]] = {
            "run-queued": self._queued,
            "run-requeued": self._queued,
            "run-started": self._started,
            "nodes-cached": self._cached,
            "node-started": self._node_started,
            "node-expanded": self._expanded,
            "node-finished": self._node_finished,
            "node-skipped": self._skipped,
            "node-blocked": self._node_blocked,
            "node-failed": self._failed,
            "run-finished": self._finished,
        }
        self._reset()

    def _reset(self) -> None:
        for places in (self.parents, self._displays, self._tops, self._roots):
            places.clear()
        self._running: dict[str, str] = {}
        self._steps: dict[str, tuple[int, int]] = {}
        self._early: dict[str, list[Progress]] = {}
        self._executed: list[str] = []
        self._used: frozenset[str] = frozenset()
        self._blocked: set[str] = set()
        self._cached_told = False
        self._failure_told = False

    @property
    def running(self) -> str | None:
        """The node that was begun last and has not ended."""
        return next(reversed(self._running), None)

    def event(self, body: Mapping[str, Any]) -> list[Said]:
        """What is said when this happens."""
        teller = self._tellers.get(body["event"])
        return teller(body) if teller is not None else []

    def progress(self, progress: Progress) -> list[Said]:
        """What is said of a node's progress; nothing yet if the node has not been announced."""
        node = progress.node
        if node not in self._running:
            held = self._early.setdefault(node, [])
            if held and not (progress.preview and not held[-1].preview):
                held.clear()
            held.append(progress)
            return []
        said: list[Said] = []
        steps = (progress.done, progress.total)
        if self._steps.get(node) != steps:
            self._steps[node] = steps
            data = {"value": progress.done, "max": progress.total, "prompt_id": self.prompt_id, "node": node}
            said = [self._state(node, "running"), Said("progress", data, passing=True)]
        if progress.preview:
            about = {
                "node_id": node,
                "prompt_id": self.prompt_id,
                **self._places(node),
                "image_type": progress.media_type,
            }
            said.append(Said(PREVIEW, about, passing=True, picture=progress.preview))
        return said

    # ------------------------------------------------------------------ one method for each event

    def _queued(self, body: Mapping[str, Any]) -> list[Said]:
        return [Said(STATUS, {})]

    def _started(self, body: Mapping[str, Any]) -> list[Said]:
        early = self._early
        self._reset()
        self._early = early
        self.begun = True
        return [Said(STATUS, {}), self._said_at("execution_start", body)]

    def _cached(self, body: Mapping[str, Any]) -> list[Said]:
        self._used = frozenset(body["used"])
        if self._cached_told:
            return []
        self._cached_told = True
        self._executed.extend(body["used"])
        return [self._said_at("execution_cached", body, nodes=list(body["nodes"]))]

    def _node_started(self, body: Mapping[str, Any]) -> list[Said]:
        node = body["node"]
        self._running[node] = body["type"]
        self._steps[node] = (0, 1)
        data = {"node": node, "display_node": self._display(node), "prompt_id": self.prompt_id}
        said = [self._state(node, "running"), Said("executing", data, passing=True)]
        for progress in self._early.pop(node, ()):
            said.extend(self.progress(progress))
        return said

    def _expanded(self, body: Mapping[str, Any]) -> list[Said]:
        for node in body["nodes"]:
            self.parents[node] = body["node"]
        self._displays.update(body.get("stands_for", {}))
        return []

    def _node_finished(self, body: Mapping[str, Any]) -> list[Said]:
        node, shown = body["node"], body["shown"]
        said: list[Said] = []
        if shown or (body["cached"] and node in self._used):
            output = ui_of(shown) or None
            data = {
                "node": node,
                "display_node": self._display(node),
                "output": output,
                "prompt_id": self.prompt_id,
            }
            said.append(Said("executed", data))
        if body["cached"]:
            self._steps[node] = (1, 1)
        else:
            total = self._steps.get(node, (1, 1))[1]
            self._steps[node] = (total, total)
        self._running.pop(node, None)
        if not (body["cached"] and node in self._used):
            self._executed.append(node)
        said.append(self._state(node, "finished"))
        self._steps.pop(node, None)
        self._early.pop(node, None)
        return said

    def _skipped(self, body: Mapping[str, Any]) -> list[Said]:
        """A node is skipped because of a failure, which has been told, or of a blocker, which may have a text."""
        reason = body["reason"]
        if self._failure_told or reason == _BLOCKED or reason in self._blocked:
            return []
        self._blocked.add(reason)
        data = self._failure(body["node"], "", f"Execution Blocked: {reason}", "ExecutionBlocked")
        return [Said("execution_error", data)]

    def _node_blocked(self, body: Mapping[str, Any]) -> list[Said]:
        """A blocker with a message has stopped a node, or some of the items that it runs for."""
        data = self._failure(
            body["node"], body["type"], f"Execution Blocked: {body['message']}", "ExecutionBlocked"
        )
        return [Said("execution_error", data | {"node_id": body["node"]})]

    def _failed(self, body: Mapping[str, Any]) -> list[Said]:
        if self._failure_told:
            return []
        self._failure_told = True
        error, lines = body["error"], body["traceback"]
        kind, cause = _KNOWN.get(str(error.get("code", "")), (exception_type(lines), ""))
        cause = cause or str(error["message"]).partition(" failed: ")[2] or str(error["message"])
        data = self._failure(body["node"], body["type"], f"{cause.removeprefix(f'{kind}: ')}\n", kind)
        data["traceback"] = lines.splitlines(keepends=True)
        data["current_inputs"] = {name: [value] for name, value in error.get("inputs", {}).items()}
        data["current_outputs"] = list(self._executed)
        return [Said("execution_error", self._redact(data | {"timestamp": _milliseconds(body)}))]

    def _finished(self, body: Mapping[str, Any]) -> list[Said]:
        if not self.begun:
            return [Said(STATUS, {})]
        end = {"node": None, "prompt_id": self.prompt_id}
        return [*self._ending(body), Said(STATUS, {}), Said("executing", end)]

    def _ending(self, body: Mapping[str, Any]) -> list[Said]:
        state = body["state"]
        if state == "succeeded":
            return [self._said_at("execution_success", body)]
        node = self.running
        kind = self._running.get(node, "") if node is not None else ""
        if state == "cancelled":
            place = {"node_id": self._root(node) if node is not None else None, "node_type": kind}
            return [self._said_at("execution_interrupted", body, **place, executed=list(self._executed))]
        if self._failure_told:
            return []
        error = body["error"] or {}
        message = f"{error.get('message', 'The run failed.')}\n"
        data = self._failure(node, kind, message, f"graphcore.{error.get('code', 'error')}")
        return [Said("execution_error", self._redact(data | {"timestamp": _milliseconds(body)}))]

    # ------------------------------------------------------------------ parts of messages

    def _said_at(self, kind: str, body: Mapping[str, Any], **data: Any) -> Said:
        return Said(kind, {**data, "prompt_id": self.prompt_id, "timestamp": _milliseconds(body)})

    def _failure(self, node: str | None, kind: str, message: str, exception: str) -> dict[str, Any]:
        return {
            "prompt_id": self.prompt_id,
            "node_id": self._root(node) if node is not None else None,
            "node_type": kind,
            "executed": list(self._executed),
            "exception_message": message,
            "exception_type": exception,
            "traceback": [],
            "current_inputs": {},
            "current_outputs": [],
        }

    def _state(self, node: str, state: str) -> Said:
        """What has changed: this node, beside those that run. A run's traffic is then in proportion to its nodes."""
        nodes = {}
        if len(self._running) <= _RUNNING_TOLD:
            nodes = {other: self._entry(other, "running") for other in self._running}
        nodes[node] = self._entry(node, state)
        return Said("progress_state", {"prompt_id": self.prompt_id, "nodes": nodes}, passing=True)

    def _entry(self, node: str, state: str) -> dict[str, Any]:
        value, most = self._steps[node]
        return {
            "value": value,
            "max": most,
            "state": state,
            "node_id": node,
            "prompt_id": self.prompt_id,
            **self._places(node),
        }

    def _places(self, node: str) -> dict[str, str | None]:
        return {
            "display_node_id": self._display(node),
            "parent_node_id": self.parents.get(node),
            "real_node_id": self._root(node),
        }

    def _display(self, node: str) -> str:
        """The node that a node is shown as: the one it was expanded from, or the one that it stands for."""
        return _top(node, self._tops, lambda below: self._displays.get(below, self.parents.get(below)))

    def _root(self, node: str) -> str:
        """The node of the prompt that a node is, or was expanded from."""
        return _top(node, self._roots, self.parents.get)

    def place_of(self, node: str) -> dict[str, str | None]:
        """A node's entry in a history's `meta`."""
        return {
            "node_id": node,
            "display_node": self._display(node),
            "parent_node": self.parents.get(node),
            "real_node_id": self._root(node),
        }


def _top(node: str, known: dict[str, str], above: Callable[[str], str | None]) -> str:
    """Where going up from a node ends; `known` keeps what has been found, so that deep expansions cost little."""
    passed: dict[str, None] = {}
    while node not in known:
        passed[node] = None
        higher = above(node)
        if higher is None or higher in passed:
            known[node] = node
        else:
            node = higher
    found = known[node]
    known.update(dict.fromkeys(passed, found))
    return found


def retold(
    prompt_id: str, events: Sequence[Mapping[str, Any]], redact: Callable[[Any], Any]
) -> tuple[Narration, list[Said]]:
    """A run's last attempt told again from its events: the narration at its end, and all that was said."""
    narration = Narration(prompt_id, redact)
    first = max((place for place, body in enumerate(events) if body["event"] == "run-started"), default=0)
    said = [message for body in events[first:] for message in narration.event(body)]
    return narration, said


def exception_type(traceback: str) -> str:
    """The name of the exception that a traceback ends with."""
    for line in reversed(traceback.splitlines()):
        if not line.startswith((" ", "\t")) and (match := _EXCEPTION.match(line)) is not None:
            return match[1]
    return "Exception"


def _milliseconds(body: Mapping[str, Any]) -> int:
    return int(body["time"] * 1000)
