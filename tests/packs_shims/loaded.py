"""An engine with node packs, and what a prompt that is run there shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from graphcore import Engine, Settings
from graphcore.events import Event, NodeFinished
from nodes.packs.loading import load_packs
from tests.tiny_engine import all_nodes

Prompt = dict[str, Any]
PICTURE: Prompt = {
    "class_type": "EmptyImage",
    "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0x404040},
}


def node(class_type: str, **inputs: Any) -> Prompt:
    """A node of a prompt; two underscores in a name are a dot."""
    return {
        "class_type": class_type,
        "inputs": {name.replace("__", "."): value for name, value in inputs.items()},
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """What the nodes of a run have shown, by id, and its events."""

    by_node: Mapping[str, tuple[Mapping[str, Any], ...]]
    events: tuple[Event, ...]

    def text(self, node_id: str) -> str:
        """The one text that a node shows."""
        (found,) = [item["text"] for item in self.by_node[node_id] if item["kind"] == "text"]
        return str(found)

    def files(self, node_id: str, kind: str = "images") -> list[Mapping[str, Any]]:
        """The files that a node shows."""
        return [item for item in self.by_node[node_id] if item["kind"] == kind]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine whose registry has a pack's nodes, too."""

    engine: Engine
    settings: Settings

    @classmethod
    def of(cls, pack: Path, folder: Path, **settings: Any) -> Self:
        """Load a pack into an engine on the CPU that reads and writes below `folder`."""
        chosen = Settings(
            **{
                "input_dir": folder / "input",
                "output_dir": folder / "output",
                "temp_dir": folder / "temp",
                "device": "cpu",
                "dtype": "fp32",
                **settings,
            }
        )
        chosen.input_dir.mkdir(parents=True, exist_ok=True)
        registry = all_nodes()
        load_packs(registry, [pack], chosen)
        for report in registry.pack_reports:
            assert report.error is None, report.error
            assert not report.left_out, report.left_out
        return cls(Engine(registry, settings=chosen), chosen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.engine.close()

    def show(self, **nodes: Prompt) -> Shown:
        """Run a prompt; what its nodes show."""
        events: list[Event] = []
        self.engine.run(nodes, listener=events.append)
        shown = {event.node: event.shown for event in events if isinstance(event, NodeFinished)}
        return Shown(shown, tuple(events))

    def text(self, *link: Any, **nodes: Prompt) -> str:
        """Run a prompt; an output of it as text."""
        return self.show(**nodes, shown=node("PreviewAny", source=list(link))).text("shown")
