"""A UI graph as the API prompt that the official editor would send for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import cast

from graphcore.errors import DocumentError, Problem, ValidationError
from graphcore.formats.ui.definitions import Definitions
from graphcore.formats.ui.graph import UiGraph
from graphcore.formats.ui.links import Constant, Resolver, Source
from graphcore.formats.ui.litegraph import Limits
from graphcore.formats.ui.placement import PlacedNode, Scope, place
from graphcore.formats.ui.substitution import choose_dynamically, fill_file_name
from graphcore.formats.ui.virtual import PRIMITIVE, is_group_node, is_virtual
from graphcore.formats.ui.widgets import ABSENT
from graphcore.jsontext import JSON

PATTERN_WIDGET = "filename_prefix"
PATTERN_CLASSES = frozenset(
    {
        "SaveImage",
        "SaveImageAdvanced",
        "SaveAnimatedWEBP",
        "SaveAnimatedPNG",
        "SaveSVGNode",
        "SaveVideo",
        "SaveWEBM",
        "SaveAudio",
        "SaveAudioMP3",
        "SaveAudioOpus",
        "SaveGLB",
        "SaveLatent",
        "ModelSave",
        "CLIPSave",
        "VAESave",
        "LoraSave",
    }
)
COMFY_CORE = "comfy-core"
ALIAS_PROPERTY = "Node name for S&R"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingClass:
    """A node class without a definition, the nodes that need it, and the pack that the file names for it."""

    class_type: str
    nodes: tuple[str, ...]
    pack: str | None = None
    version: str | None = None

    def as_json(self) -> dict[str, object]:
        """The record as plain JSON."""
        return {
            "class_type": self.class_type,
            "nodes": list(self.nodes),
            "pack": self.pack,
            "version": self.version,
        }


def to_api_prompt(
    graph: UiGraph,
    definitions: Definitions,
    *,
    seed: int | None = None,
    now: datetime | None = None,
    limits: Limits | None = None,
) -> dict[str, JSON]:
    """The prompt that the editor would send, node for node and value for value.

    `seed` fixes the draws of dynamic prompts, `now` the date in file names.
    Raises ValidationError (one `missing-node-class` problem per class) and DocumentError
    (`legacy-group-node`, and what placement and links raise).
    """
    root = place(graph, definitions, limits or Limits())
    written = [placed for placed in root.walk() if _is_written(placed)]
    missing = _missing(written)
    if missing:
        raise ValidationError(_missing_problem(entry, written) for entry in missing)
    _apply_primitives(root)
    writer = _Writer(
        named=_nodes_by_name(root),
        resolver=Resolver(),
        random=Random(seed),
        now=now or datetime.now().astimezone(),
    )
    prompt = {placed.path: writer.entry(placed) for placed in written}
    _delete_dead_links(prompt)
    return cast("dict[str, JSON]", dict(sorted(prompt.items(), key=_editor_order)))


def missing_classes(
    graph: UiGraph, definitions: Definitions, *, limits: Limits | None = None
) -> tuple[MissingClass, ...]:
    """Every class that conversion needs and `definitions` lacks, each once, in the order of the file."""
    root = place(graph, definitions, limits or Limits())
    return _missing([placed for placed in root.walk() if _is_written(placed)])


def _is_written(placed: PlacedNode) -> bool:
    if not placed.active or placed.subgraph is not None or is_virtual(placed.node.type):
        return False
    if is_group_node(placed.node.type):
        raise DocumentError(
            f"Node {placed.path} is a legacy group node ({placed.node.type}); open the file in a current "
            "editor, which turns it into a subgraph, and save it again.",
            code="legacy-group-node",
            pointer=placed.node.pointer,
        )
    return True


def _missing(written: list[PlacedNode]) -> tuple[MissingClass, ...]:
    lacking: dict[str, list[PlacedNode]] = {}
    for placed in written:
        if placed.definition is None:
            lacking.setdefault(placed.node.type, []).append(placed)
    return tuple(
        MissingClass(
            class_type=class_type,
            nodes=tuple(placed.path for placed in users),
            pack=_first_text(users, "cnr_id", "aux_id"),
            version=_first_text(users, "ver"),
        )
        for class_type, users in lacking.items()
    )


def _first_text(users: list[PlacedNode], *names: str) -> str | None:
    for name in names:
        for placed in users:
            value = placed.node.properties.get(name)
            if isinstance(value, str) and value:
                return value
    return None


def _missing_problem(missing: MissingClass, written: list[PlacedNode]) -> Problem:
    first = next(placed for placed in written if placed.path == missing.nodes[0])
    version = f" {missing.version}" if missing.version else ""
    provider = f"the pack {missing.pack}{version}" if missing.pack else "no pack for it"
    if missing.pack == COMFY_CORE:
        provider = f"ComfyUI{version} itself"
    return Problem(
        code="missing-node-class",
        message=f"The node class {missing.class_type} is not known; the file names {provider}.",
        node=first.path,
        pointer=first.node.pointer,
        got=missing.class_type,
    )


def _apply_primitives(scope: Scope) -> None:
    """Give the first value of every primitive node to the widgets that it is linked to."""
    for placed in scope.nodes.values():
        for slot in placed.slots:
            link = scope.graph.links.get(slot.link) if slot.link is not None else None
            origin = scope.nodes.get(link.origin) if link is not None else None
            name = slot.widget or slot.name
            if origin is None or origin.node.type != PRIMITIVE or not origin.node.values:
                continue
            if name in placed.widgets:
                placed.widgets[name] = placed.widgets[name].holding(origin.node.values[0])
        if placed.inside is not None:
            _apply_primitives(placed.inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    named: Mapping[str, PlacedNode]
    resolver: Resolver
    random: Random
    now: datetime

    def entry(self, placed: PlacedNode) -> dict[str, object]:
        """One node of the prompt: its widget values first, then its links, which win."""
        inputs = {
            widget.name: _constant(self.text(widget.name, widget.value, placed))
            for widget in placed.widgets.values()
            if widget.value is not ABSENT
        }
        for index, slot in enumerate(placed.slots):
            source = self.resolver.resolve(placed, index)
            if isinstance(source, Source):
                inputs[slot.name] = [source.node, source.slot]
            elif isinstance(source, Constant) and source.value is not ABSENT:
                inputs[slot.name] = _constant(source.value)
        return {"inputs": inputs, "class_type": placed.node.type, "_meta": {"title": _title(placed)}}

    def text(self, name: str, value: object, placed: PlacedNode) -> object:
        """The value after the editor's own rewriting of texts."""
        if not isinstance(value, str):
            return value
        spec = placed.widgets[name].spec
        if spec is not None and spec.flag("dynamicPrompts"):
            return choose_dynamically(value, self.random)
        if name == PATTERN_WIDGET and placed.node.type in PATTERN_CLASSES:
            return fill_file_name(value, self.now, self.widget_of)
        return value

    def widget_of(self, node_name: str, widget_name: str) -> object:
        """The value of a widget of the node with this alias or else this title, or None."""
        placed = self.named.get(node_name)
        if placed is not None and placed.node.type == PRIMITIVE:
            return placed.node.values[0] if placed.node.values and widget_name == "value" else None
        widget = placed.widgets.get(widget_name) if placed is not None else None
        if widget is None:
            return None
        return "" if widget.value is None or widget.value is ABSENT else widget.value


def _nodes_by_name(root: Scope) -> dict[str, PlacedNode]:
    """The nodes by the names that file name patterns use: their alias, else their title; the first one counts."""
    titles: dict[str, PlacedNode] = {}
    aliases: dict[str, PlacedNode] = {}
    for placed in root.walk():
        titles.setdefault(_title(placed), placed)
        alias = placed.node.properties.get(ALIAS_PROPERTY, placed.node.type)
        if isinstance(alias, str):
            aliases.setdefault(alias, placed)
    return titles | aliases


def _title(placed: PlacedNode) -> str:
    if placed.node.title or placed.definition is None:
        return placed.node.title or placed.node.type
    return placed.definition.display_name


def _constant(value: object) -> object:
    return {"__value__": value} if isinstance(value, list) else value


def _delete_dead_links(prompt: Mapping[str, dict[str, object]]) -> None:
    for entry in prompt.values():
        inputs = entry["inputs"]
        if isinstance(inputs, dict):
            for name, value in list(inputs.items()):
                if isinstance(value, list) and value[0] not in prompt:
                    del inputs[name]


def _editor_order(item: tuple[str, object]) -> tuple[bool, int, str]:
    """Plain numbers first and ascending, as in the editor's own JSON; the rest keep the order of the file."""
    path = item[0]
    numeric = path.isascii() and path.isdecimal() and len(path) < 10
    return (not numeric, int(path) if numeric else 0, "")
