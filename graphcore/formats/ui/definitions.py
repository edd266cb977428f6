"""What a node class looks like from outside, read from ComfyUI's object_info JSON.

object_info maps a class name to its inputs, outputs and titles. Inputs come in two shapes: V1 gives a combo
as the list of its options (`[["a", "b"], {}]`), V3 gives the type "COMBO" with `options` among its settings;
both read into the same InputDefinition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from graphcore.errors import DocumentError

COMBO = "COMBO"
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW = "COMFY_AUTOGROW_V3"
MATCH_TYPE = "COMFY_MATCHTYPE_V3"
MAX_NESTING = 8
MAX_GROWN = 1000
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicOption:
    """One choice of a dynamic combo and the inputs that it brings along."""

    key: object
    inputs: tuple[InputDefinition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDefinition:
    """One declared input. `choices` is None unless the type is COMBO and its options are listed."""

    name: str
    type: str
    required: bool
    settings: Mapping[str, object]
    choices: tuple[object, ...] | None = None
    dynamic: tuple[DynamicOption, ...] = ()
    template: tuple[InputDefinition, ...] = ()

    def flag(self, name: str) -> bool:
        """Whether the setting `name` is on."""
        return bool(self.settings.get(name))

    @property
    def widget_type(self) -> str:
        """The type that decides on the widget: the setting `widgetType`, or else the input's own type."""
        override = self.settings.get("widgetType")
        return override if isinstance(override, str) else self.type

    def grown_names(self, count: int) -> list[str]:
        """The names of the first `count` inputs of an autogrow input."""
        template = self.settings.get("template")
        shape: Mapping[str, object] = template if isinstance(template, Mapping) else {}
        names = shape.get("names")
        if isinstance(names, list):
            return [f"{self.name}.{name}" for name in names[:count]]
        least = shape.get("min")
        most = max(count, least if isinstance(least, int) else 0)
        return [f"{self.name}.{shape.get('prefix', '')}{index}" for index in range(min(most, MAX_GROWN))]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDefinition:
    """One declared output."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDefinition:
    """One node class; `inputs` holds the required ones first, each group in its declared order."""

    name: str
    display_name: str
    inputs: tuple[InputDefinition, ...]
    outputs: tuple[OutputDefinition, ...]
    output_node: bool = False


class Definitions(Protocol):
    """Where the converter looks up node classes."""

    def get(self, class_type: str) -> NodeDefinition | None:
        """The definition of `class_type`, or None when the class is not known."""


@dataclass(frozen=True, slots=True)
class ObjectInfoDefinitions:
    """Definitions read from an object_info mapping, each when it is first asked for.

    Raises DocumentError (`bad-object-info`) when an entry is not of the documented shape.
    """

    entries: Mapping[str, object]
    _read: dict[str, NodeDefinition] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, document: object) -> ObjectInfoDefinitions:
        """Take the parsed answer of GET /object_info."""
        if not isinstance(document, Mapping):
            raise _bad("", "must be an object that maps class names to definitions")
        return cls(document)

    def get(self, class_type: str) -> NodeDefinition | None:
        """The definition of a class, or None; raises DocumentError if it is not readable."""
        known = self._read.get(class_type)
        if known is None and class_type in self.entries:
            known = read_definition(class_type, self.entries[class_type])
            self._read[class_type] = known
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)


def read_object_info(text: bytes) -> dict[str, object]:
    """Parse the answer of GET /object_info as it came; its limits of numbers may exceed 64 bits.

    Raises DocumentError (`bad-object-info`).
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad("", "is not JSON") from error
    if not isinstance(document, dict):
        raise _bad("", "must be an object that maps class names to definitions")
    return document


def read_definition(class_type: str, entry: object) -> NodeDefinition:
    """Read one object_info entry. Raises DocumentError (`bad-object-info`)."""
    if not isinstance(entry, Mapping):
        raise _bad(class_type, "must be an object")
    order = entry.get("input_order")
    inputs = _read_groups(entry.get("input"), order if isinstance(order, Mapping) else {}, class_type, 0)
    display_name = entry.get("display_name")
    return NodeDefinition(
        name=class_type,
        display_name=display_name if isinstance(display_name, str) and display_name else class_type,
        inputs=inputs,
        outputs=_read_outputs(entry, class_type),
        output_node=bool(entry.get("output_node")),
    )


def _read_groups(
    groups: object, order: Mapping[str, object], place: str, nesting: int
) -> tuple[InputDefinition, ...]:
    if groups is None:
        return ()
    if not isinstance(groups, Mapping):
        raise _bad(place, "has an `input` that is not an object")
    if nesting > MAX_NESTING:
        raise _bad(place, f"nests its inputs deeper than {MAX_NESTING} levels")
    inputs: list[InputDefinition] = []
    for group in ("required", "optional"):
        members = groups.get(group) or {}
        if not isinstance(members, Mapping):
            raise _bad(place, f"has an `input.{group}` that is not an object")
        inputs.extend(
            _read_input(name, members[name], group == "required", f"{place}.{name}", nesting)
            for name in _ordered_names(members, order.get(group))
        )
    return tuple(inputs)


def _ordered_names(members: Mapping[str, object], order: object) -> list[str]:
    if not isinstance(order, list):
        return list(members)
    first = [name for name in order if isinstance(name, str) and name in members]
    return list(dict.fromkeys([*first, *members]))


def _read_input(name: str, spec: object, required: bool, place: str, nesting: int) -> InputDefinition:
    if isinstance(spec, str):
        spec = [spec]
    if not isinstance(spec, list) or not spec:
        raise _bad(place, "must be a list of a type and its settings")
    kind = spec[0]
    settings = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    if isinstance(kind, list):
        return InputDefinition(
            name=name, type=COMBO, required=required, settings=settings, choices=tuple(kind)
        )
    if not isinstance(kind, str):
        raise _bad(place, "has a type that is neither a name nor a list of options")
    options = settings.get("options")
    template = settings.get("template")
    return InputDefinition(
        name=name,
        type=kind,
        required=required,
        settings=settings,
        choices=tuple(options) if kind == COMBO and isinstance(options, list) else None,
        dynamic=_read_dynamic(options, place, nesting) if kind == DYNAMIC_COMBO else (),
        template=(
            _read_groups(template.get("input"), {}, place, nesting + 1)
            if kind == AUTOGROW and isinstance(template, Mapping)
            else ()
        ),
    )


def _read_dynamic(options: object, place: str, nesting: int) -> tuple[DynamicOption, ...]:
    if not isinstance(options, list):
        return ()
    choices: list[DynamicOption] = []
    for option in options:
        if not isinstance(option, Mapping) or "key" not in option:
            raise _bad(place, "has a dynamic option without a key")
        inputs = _read_groups(option.get("inputs"), {}, place, nesting + 1)
        choices.append(DynamicOption(key=option["key"], inputs=inputs))
    return tuple(choices)


def _read_outputs(entry: Mapping[str, object], place: str) -> tuple[OutputDefinition, ...]:
    types = entry.get("output")
    if types is None:
        return ()
    if not isinstance(types, list):
        raise _bad(place, "has an `output` that is not a list")
    names = entry.get("output_name")
    named = names if isinstance(names, list) else []
    outputs: list[OutputDefinition] = []
    for index, kind in enumerate(types):
        type_name = kind if isinstance(kind, str) else COMBO
        name = named[index] if index < len(named) and isinstance(named[index], str) else type_name
        outputs.append(OutputDefinition(name=name, type=type_name))
    return tuple(outputs)


def _bad(place: str, what: str) -> DocumentError:
    subject = f"The definition {place}" if place else "The object_info document"
    return DocumentError(f"{subject} {what}.", code="bad-object-info", pointer=place)
