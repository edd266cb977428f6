"""An API prompt as a UI graph that opens in the editor: litegraph 0.4 with nodes in layers from left to right.

Converting the file back gives the same prompt, with the defaults of the widgets that it left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from graphcore.errors import DocumentError, Problem, ValidationError
from graphcore.formats.ui.arrangement import Box, arrange
from graphcore.formats.ui.definitions import AUTOGROW, Definitions, InputDefinition, NodeDefinition
from graphcore.formats.ui.litegraph import ANY_TYPE
from graphcore.formats.ui.substitution import protect_from_choices
from graphcore.formats.ui.widgets import ABSENT, control_places, default_value, is_widget
from graphcore.jsontext import JSON

LITEGRAPH_VERSION = 0.4
CONTROL_VALUES: tuple[JSON, ...] = ("fixed", "")
PICTURE_CLASSES = frozenset({"LoadImage", "LoadImageMask", "SaveImage", "PreviewImage"})
LINE_HEIGHT = 24
SOCKET_HEIGHT = 20
TEXT_HEIGHT = 130
PICTURE_HEIGHT = 260
NARROW, WIDE, FOR_TEXT = 230, 320, 420
LETTER_WIDTH = 8.4
BESIDE_TITLE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One node of the prompt with its class."""

    id: str
    definition: NodeDefinition
    inputs: Mapping[str, object]
    title: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Socket:
    """An input slot to draw; `origin` is the node and output that feed it."""

    name: str
    type: str
    widget: bool = False
    origin: tuple[str, int] | None = None


def to_ui_graph(prompt: object, definitions: Definitions) -> dict[str, JSON]:
    """Draw a prompt.

    Raises ValidationError (one `missing-node-class` problem per class) and DocumentError (`bad-api-prompt`,
    `dangling-link`).
    """
    entries = _read_prompt(prompt, definitions)
    sockets = {entry.id: tuple(_sockets(entry)) for entry in entries.values()}
    links = [
        (socket.origin[0], entry_id)
        for entry_id, slots in sockets.items()
        for socket in slots
        if socket.origin is not None
    ]
    for origin, target in links:
        if origin not in entries:
            raise DocumentError(
                f"Node {target} is linked to node {origin}, which the prompt does not hold.",
                code="dangling-link",
                pointer=f"/{target}",
            )
    values = {entry.id: _widgets_values(entry) for entry in entries.values()}
    sizes = {entry.id: _size(entry, sockets[entry.id], values[entry.id]) for entry in entries.values()}
    return _Drawing(entries=entries, sockets=sockets, values=values, places=arrange(sizes, links)).document()


def _read_prompt(prompt: object, definitions: Definitions) -> dict[str, _Entry]:
    if not isinstance(prompt, Mapping):
        raise _bad("", "must be an object of nodes")
    entries: dict[str, _Entry] = {}
    missing: dict[str, Problem] = {}
    for node_id, entry in prompt.items():
        inputs = entry.get("inputs") if isinstance(entry, Mapping) else None
        class_type = entry.get("class_type") if isinstance(entry, Mapping) else None
        if not isinstance(inputs, Mapping) or not isinstance(class_type, str):
            raise _bad(f"/{node_id}", "must be an object with class_type and inputs")
        definition = definitions.get(class_type)
        meta = entry.get("_meta")
        title = meta.get("title") if isinstance(meta, Mapping) else None
        if definition is None:
            missing.setdefault(
                class_type,
                Problem(
                    code="missing-node-class",
                    message=f"The node class {class_type} is not known.",
                    node=node_id,
                    pointer=f"/{node_id}/class_type",
                    got=class_type,
                ),
            )
            continue
        entries[node_id] = _Entry(
            id=node_id,
            definition=definition,
            inputs=inputs,
            title=title if isinstance(title, str) and title and title != definition.display_name else None,
        )
    if missing:
        raise ValidationError(missing.values())
    return entries


def _sockets(entry: _Entry) -> Iterator[_Socket]:
    """Every plain socket of the class, its widgets that grew or that a link feeds, then undeclared ones."""
    specs = sorted(_expanded(entry.definition.inputs, "", entry.inputs), key=lambda pair: is_widget(pair[1]))
    for name, spec in specs:
        origin = _link(entry.inputs.get(name))
        widget = is_widget(spec)
        grown = not name.endswith(spec.name)
        if origin is not None or grown or not (widget or spec.type == AUTOGROW):
            yield _Socket(name=name, type=spec.type, widget=widget, origin=origin)
    drawn = {name for name, _ in specs}
    for name, value in entry.inputs.items():
        origin = _link(value)
        if name not in drawn and origin is not None:
            yield _Socket(name=name, type=ANY_TYPE, origin=origin)


def _expanded(
    specs: Sequence[InputDefinition], prefix: str, inputs: Mapping[str, object]
) -> Iterator[tuple[str, InputDefinition]]:
    """The inputs of a class with those that its dynamic combos and growing lists bring along."""
    for spec in specs:
        name = prefix + spec.name
        yield name, spec
        chosen = inputs.get(name, default_value(spec)) if spec.dynamic else None
        for option in spec.dynamic:
            if option.key == chosen:
                yield from _expanded(option.inputs, f"{name}.", inputs)
                break
        if spec.template:
            grown = [key for key in inputs if key.startswith(f"{name}.")]
            for key in spec.grown_names(len(grown)):
                yield prefix + key, spec.template[0]


def _widgets_values(entry: _Entry) -> list[JSON]:
    values: list[object] = []
    for name, spec in _expanded(entry.definition.inputs, "", entry.inputs):
        if is_widget(spec):
            values.append(_widget_value(spec, entry.inputs.get(name, ABSENT)))
            values.extend(CONTROL_VALUES[: control_places(spec)])
    return cast("list[JSON]", values)


def _widget_value(spec: InputDefinition, value: object) -> object:
    if value is ABSENT or _link(value) is not None:
        value = default_value(spec)
        return None if value is ABSENT else value
    if isinstance(value, Mapping) and "__value__" in value:
        return value["__value__"]
    if isinstance(value, str) and spec.flag("dynamicPrompts"):
        return protect_from_choices(value)
    return value


def _link(value: object) -> tuple[str, int] | None:
    if isinstance(value, list) and len(value) == 2:
        origin, slot = value
        if isinstance(origin, str) and isinstance(slot, int) and not isinstance(slot, bool):
            return origin, slot
    return None


def _size(entry: _Entry, sockets: tuple[_Socket, ...], values: list[JSON]) -> Box:
    texts = sum(spec.flag("multiline") for spec in entry.definition.inputs if is_widget(spec))
    rows = max(sum(not socket.widget for socket in sockets), len(entry.definition.outputs))
    height = 10 + rows * SOCKET_HEIGHT + (len(values) - texts) * LINE_HEIGHT + texts * TEXT_HEIGHT
    if entry.definition.name in PICTURE_CLASSES:
        height += PICTURE_HEIGHT
    width = FOR_TEXT if texts else WIDE if values else NARROW
    title = entry.title or entry.definition.display_name or entry.definition.name
    return Box(width=max(width, _title_width(title)), height=max(height, 30))


def _title_width(title: str) -> int:
    """What the editor needs to show a title on one line; it widens nodes that are narrower."""
    return BESIDE_TITLE + round(len(title) * LETTER_WIDTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawing:
    entries: Mapping[str, _Entry]
    sockets: Mapping[str, tuple[_Socket, ...]]
    values: Mapping[str, list[JSON]]
    places: Mapping[str, Box]

    def document(self) -> dict[str, JSON]:
        """The file, node for node in the order of the prompt."""
        rows: list[JSON] = []
        wired: dict[tuple[str, int], list[JSON]] = {}
        incoming: dict[tuple[str, int], int] = {}
        for target, slots in self.sockets.items():
            for index, socket in enumerate(slots):
                if socket.origin is None:
                    continue
                number = len(rows) + 1
                rows.append(
                    [
                        number,
                        _node_id(socket.origin[0]),
                        socket.origin[1],
                        _node_id(target),
                        index,
                        socket.type,
                    ]
                )
                wired.setdefault(socket.origin, []).append(number)
                incoming[target, index] = number
        nodes: list[JSON] = [
            self.node(entry, order, wired, incoming) for order, entry in enumerate(self.entries.values())
        ]
        numbers = [int(name) for name in self.entries if _is_number(name)]
        return {
            "last_node_id": max(numbers, default=0),
            "last_link_id": len(rows),
            "nodes": nodes,
            "links": rows,
            "groups": [],
            "config": {},
            "extra": {},
            "version": LITEGRAPH_VERSION,
        }

    def node(
        self,
        entry: _Entry,
        order: int,
        wired: Mapping[tuple[str, int], list[JSON]],
        incoming: Mapping[tuple[str, int], int],
    ) -> dict[str, JSON]:
        """One node of the file."""
        box = self.places[entry.id]
        inputs: list[JSON] = []
        for index, socket in enumerate(self.sockets[entry.id]):
            slot: dict[str, JSON] = {
                "name": socket.name,
                "type": socket.type,
                "link": incoming.get((entry.id, index)),
            }
            if socket.widget:
                slot["widget"] = {"name": socket.name}
            inputs.append(slot)
        outputs: list[JSON] = [
            {
                "name": output.name,
                "type": output.type,
                "links": wired.get((entry.id, index), []),
                "slot_index": index,
            }
            for index, output in enumerate(entry.definition.outputs)
        ]
        node: dict[str, JSON] = {
            "id": _node_id(entry.id),
            "type": entry.definition.name,
            "pos": [box.x, box.y],
            "size": [box.width, box.height],
            "flags": {},
            "order": order,
            "mode": 0,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": entry.definition.name},
            "widgets_values": self.values[entry.id],
        }
        if entry.title is not None:
            node["title"] = entry.title
        return node


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 10 and str(int(name)) == name


def _node_id(name: str) -> JSON:
    return int(name) if _is_number(name) else name


def _bad(pointer: str, what: str) -> DocumentError:
    return DocumentError(f"{pointer or 'The prompt'} {what}.", code="bad-api-prompt", pointer=pointer)
