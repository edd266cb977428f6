"""Prompts over the nodes of packs, and what running them tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from graphcore import Engine, Settings
from graphcore.cache.entry import Cache
from graphcore.errors import GraphcoreError
from graphcore.events import Event, NodeBlocked, NodeStarted
from graphcore.results import RunResult
from nodes.packs.loading import load_packs
from tests.tiny_engine import all_nodes

Prompt = dict[str, Any]


def node(class_type: str, /, **inputs: Any) -> Prompt:
    """A node of a prompt."""
    return {"class_type": class_type, "inputs": inputs}


def shown(source: Sequence[Any]) -> Prompt:
    """A node that shows a value as text, once for each item of a list."""
    return node("BasicsShow", value=list(source))


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has ended: its result, and what happened."""

    result: RunResult
    events: tuple[Event, ...]

    def texts(self, node_id: str = "show") -> list[str]:
        """The texts that a node showed."""
        return [str(item["text"]) for item in self.result.shown.get(node_id, ()) if item["kind"] == "text"]

    @property
    def started(self) -> list[str]:
        """The nodes that ran, in order."""
        return [event.node for event in self.events if isinstance(event, NodeStarted)]

    @property
    def blocked(self) -> list[tuple[str, str]]:
        """The nodes that blockers stopped, and their messages."""
        return [(event.node, event.message) for event in self.events if isinstance(event, NodeBlocked)]


@dataclass(frozen=True, slots=True)
class PackEngine:
    """An engine whose registry has packs' nodes, too."""

    engine: Engine

    @classmethod
    def of(cls, packs: Sequence[Path], folder: Path, cache: Cache | None = None) -> Self:
        """Load packs into an engine on the CPU that reads and writes below `folder`."""
        settings = Settings(
            input_dir=folder / "input",
            output_dir=folder / "output",
            temp_dir=folder / "temp",
            data_dir=folder / "data",
            device="cpu",
        )
        registry = all_nodes()
        load_packs(registry, packs, settings)
        return cls(Engine(registry, settings=settings, cache=cache))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.engine.close()

    def attempt(self, prompt: Mapping[str, Prompt], **options: Any) -> Ran:
        """Run a prompt to its end, whatever that is."""
        handle = self.engine.start({"prompt": dict(prompt)}, **options)
        result = handle.result(30)
        return Ran(result, tuple(handle.events()))

    def run(self, **nodes: Prompt) -> Ran:
        """Run a prompt that succeeds."""
        ran = self.attempt(nodes)
        ran.result.raise_for_state()
        return ran

    def problems(self, **nodes: Prompt) -> list[tuple[str, str | None, str | None]]:
        """What is wrong with a prompt: codes, inputs and what they got."""
        found = self.engine.validate({"prompt": nodes})
        return [(problem.code, problem.input, problem.got) for problem in found]

    def error(self, **nodes: Prompt) -> GraphcoreError:
        """The error of a prompt that fails."""
        ran = self.attempt(nodes)
        assert ran.result.error is not None
        return ran.result.error
