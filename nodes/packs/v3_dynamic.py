"""`comfy_api`'s inputs that a node has more or fewer of.

    Autogrow      images.image0, images.image1 ...      -> {"image0": ..., "image1": ...}
    DynamicCombo  mode = "blur", mode.radius            -> {"mode": "blur", "radius": ...}
    DynamicSlot   mask (linked), mask.feather           -> {"mask": ..., "feather": ...}

In a prompt they are flat, with dotted names; a node is given them nested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphcore.errors import InputError
from nodes.packs.v3_inputs import (
    ComfyTypeI,
    Input,
    Options,
    WidgetInput,
    comfytype,
    pruned,
)

MOST_NAMES: Final = 100


class DynamicInput(Input):
    """An input that stands for others; `inner` lists them by their names behind the dot."""

    def inner(self) -> Iterator[tuple[str, Input]]:
        """All inputs that there may be, by name."""
        raise NotImplementedError

    def required(self, given: Mapping[str, Any]) -> Iterator[str]:
        """The names of those that must be there, of a prompt's inputs behind the dot."""
        return iter(())

    def nested(self, path: str, given: Mapping[str, Any], own: Any) -> Any:
        """What a node is given; `given` is by name behind the dot, `own` the value under the plain name."""
        raise NotImplementedError


class _TemplatePrefix:
    """Inputs called by a prefix and a number, from 0."""

    def __init__(self, input: Input, prefix: str, min: int = 1, max: int = 10) -> None:
        self.input = input
        self.prefix = prefix
        self.min = min
        self.max = sorted((max, MOST_NAMES))[0]  # noqa: FURB192 (`min` is a parameter)
        self.names = [f"{prefix}{number}" for number in range(self.max)]

    def as_dict(self) -> Options:
        """As editors read it."""
        return {**_template_input(self.input), "prefix": self.prefix, "min": self.min, "max": self.max}


class _TemplateNames:
    """Inputs called by names."""

    def __init__(self, input: Input, names: Sequence[str], min: int = 1) -> None:
        self.input = input
        self.names = list(names)[:MOST_NAMES]
        self.min = min

    def as_dict(self) -> Options:
        """As editors read it."""
        return {**_template_input(self.input), "names": self.names, "min": self.min}


def _template_input(input: Input) -> Options:
    return {"input": grouped([input])}


def grouped(inputs: Sequence[Input]) -> dict[str, dict[str, Any]]:
    """Inputs as INPUT_TYPES lists them: by group and name."""
    groups: dict[str, dict[str, Any]] = {"required": {}}
    for declared in inputs:
        group = "optional" if declared.optional else "required"
        groups.setdefault(group, {})[declared.id] = declared.declared()
    return groups


@comfytype("COMFY_AUTOGROW_V3")
class Autogrow(ComfyTypeI):
    """As many inputs of one kind as are wanted."""

    Type = dict[str, Any]
    TemplatePrefix = _TemplatePrefix
    TemplateNames = _TemplateNames

    class Input(DynamicInput):
        """Inputs made of a template."""

        def __init__(
            self, id: str, template: _TemplatePrefix | _TemplateNames, *args: Any, **kwargs: Any
        ) -> None:
            super().__init__(id, *args, **kwargs)
            self.template = template

        def own_options(self) -> Options:
            return {"template": self.template.as_dict()}

        def inner(self) -> Iterator[tuple[str, Input]]:
            for name in self.template.names:
                yield name, self.template.input

        def required(self, given: Mapping[str, Any]) -> Iterator[str]:
            if not self.template.input.optional and not self.optional:
                yield from self.template.names[: self.template.min]

        def nested(self, path: str, given: Mapping[str, Any], own: Any) -> Any:
            return {
                name: _value(self.template.input, f"{path}.{name}", name, given)
                for name in self.template.names
                if name in given or any(each.startswith(f"{name}.") for each in given)
            }


@dataclass(frozen=True, slots=True)
class _Choice:
    """A choice of a combo, and the inputs that it brings."""

    key: str
    inputs: Sequence[Input]

    def as_dict(self) -> Options:
        """As editors read it."""
        return {"key": self.key, "inputs": grouped(self.inputs)}


@comfytype("COMFY_DYNAMICCOMBO_V3")
class DynamicCombo(ComfyTypeI):
    """One of several choices, each with inputs of its own."""

    Type = dict[str, Any]
    Option = _Choice

    class Input(DynamicInput):
        """A choice, and the inputs that it brings."""

        def __init__(self, id: str, options: Sequence[_Choice], *args: Any, **kwargs: Any) -> None:
            super().__init__(id, *args, **kwargs)
            self.options = list(options)

        def own_options(self) -> Options:
            return {"options": [choice.as_dict() for choice in self.options]}

        def inner(self) -> Iterator[tuple[str, Input]]:
            for choice in self.options:
                for declared in choice.inputs:
                    yield declared.id, declared

        def nested(self, path: str, given: Mapping[str, Any], own: Any) -> Any:
            key = own[0] if isinstance(own, list) and own else own
            chosen = next((choice for choice in self.options if choice.key == key), None)
            if chosen is None:
                if own is None and self.optional:
                    return {}
                known = ", ".join(repr(choice.key) for choice in self.options)
                raise InputError(f"'{path}' is {key!r}; choose one of {known}.", code="not-a-choice")
            return {self.id: own, **_nested(chosen.inputs, path, given)}


@comfytype("COMFY_DYNAMICSLOT_V3")
class DynamicSlot(ComfyTypeI):
    """An input that brings others with it once it is linked."""

    Type = dict[str, Any]

    class Input(DynamicInput):
        """An input, and those that it brings."""

        def __init__(
            self,
            slot: Input,
            inputs: Sequence[Input],
            display_name: str | None = None,
            tooltip: str | None = None,
            lazy: bool | None = None,
            extra_dict: Mapping[str, Any] | None = None,
        ) -> None:
            super().__init__(
                slot.id,
                display_name or slot.display_name,
                True,
                tooltip or slot.tooltip,
                lazy if lazy is not None else slot.lazy,
                extra_dict,
            )
            self.slot = slot
            self.inputs = list(inputs)
            self.force_input = True if isinstance(slot, WidgetInput) else None

        def own_options(self) -> Options:
            return pruned(
                {
                    "slotType": str(self.slot.get_io_type()),
                    "inputs": grouped(self.inputs),
                    "forceInput": self.force_input,
                }
            )

        def inner(self) -> Iterator[tuple[str, Input]]:
            for declared in self.inputs:
                yield declared.id, declared

        def nested(self, path: str, given: Mapping[str, Any], own: Any) -> Any:
            if own is None:
                return None
            return {self.id: own, **_nested(self.inputs, path, given)}


def find(inputs: Sequence[Input], name: str) -> Input | None:
    """The input that a dotted name of a prompt means, or None."""
    first, dot, rest = name.partition(".")
    for declared in inputs:
        if declared.id == first:
            if not dot:
                return declared
            return _find_inner(declared, rest)
    return None


def _find_inner(declared: Input, name: str) -> Input | None:
    if not isinstance(declared, DynamicInput):
        return None
    first, dot, rest = name.partition(".")
    for inner_name, inner in declared.inner():
        if inner_name == first:
            found = _find_inner(inner, rest) if dot else inner
            if found is not None:
                return found
    return None


def nested_inputs(inputs: Sequence[Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt's flat inputs as the node is given them; names that no input has are left out.

    Raises InputError where an input that must be there is not, or a choice is none.
    """
    return _nested(inputs, "", given)


def _nested(inputs: Sequence[Input], path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for declared in inputs:
        inner_path = f"{path}.{declared.id}" if path else declared.id
        if isinstance(declared, DynamicInput):
            found[declared.id] = _value(declared, inner_path, declared.id, given)
        elif declared.id in given:
            found[declared.id] = given[declared.id]
        elif path and not declared.optional:
            raise InputError(f"The input '{inner_path}' is missing; set or connect it.", code="missing-input")
    return found


def _value(declared: Input, path: str, name: str, given: Mapping[str, Any]) -> Any:
    if not isinstance(declared, DynamicInput):
        return given[name]
    start = f"{name}."
    behind = {key[len(start) :]: value for key, value in given.items() if key.startswith(start)}
    for wanted in declared.required(behind):
        if wanted not in behind:
            raise InputError(f"The input '{path}.{wanted}' is missing; connect it.", code="missing-input")
    return declared.nested(path, behind, given.get(name))
