"""What a pack's node has against its inputs: VALIDATE_INPUTS, or validate_inputs of V3 nodes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from graphcore.foreign import Examined, Objection
from graphcore.registry import Registry
from nodes.packs.awaiting import settle
from nodes.packs.calling import calls_of
from nodes.packs.changes import plain_values
from nodes.packs.overriding import own_method
from nodes.packs.returned import blocker_of

_NAMES: Final = ("validate_inputs", "VALIDATE_INPUTS")
_TYPES: Final = "input_types"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A class's check, and the inputs that it asks for: by name, or all of them."""

    check: Callable[..., Any]
    names: tuple[str, ...]
    all: bool

    def as_json(self) -> dict[str, Any]:
        """What others need to know of it; see `graphcore.foreign_spec`."""
        return {"names": list(self.names), "all": self.all, "links": _TYPES in self.names}


def hook_of(cls: Any) -> Hook | None:
    """The check of a class, or None."""
    check = next((found for name in _NAMES if (found := own_method(cls, name)) is not None), None)
    if check is None:
        return None
    asked = inspect.getfullargspec(inspect.unwrap(check))
    return Hook(check=check, names=(*asked.args, *asked.kwonlyargs), all=asked.varkw is not None)


def examiner(
    cls: Any, hidden: Mapping[str, str], registry: Registry
) -> Callable[[Examined], Sequence[Objection]] | None:
    """What asks a node of this class about its inputs.

    The check is given plain values; linked inputs are None, and their types are in `input_types`.
    """
    hook = hook_of(cls)
    if hook is None or not (hook.names or hook.all):
        return None

    def examine(examined: Examined) -> Sequence[Objection]:
        given = plain_values(examined.node, examined.values, hidden)
        given |= {name: [None] for name in examined.received if name not in given}
        given = {name: items for name, items in given.items() if hook.all or name in hook.names}
        if _TYPES in hook.names:
            given[_TYPES] = [
                {name: _type_of(registry, *source) for name, source in examined.received.items()}
            ]
        whole = bool(getattr(cls, "INPUT_IS_LIST", False))
        try:
            calls = calls_of(given, whole=whole)
            answers = [settle(partial(hook.check, **inputs)) for inputs in calls]
        except Exception as error:  # noqa: BLE001 - a pack's code; told to whoever sent the prompt
            return [Objection(input="", text=f"{type(error).__name__}: {error}")]
        refused = [answer for answer in answers if answer is not True and blocker_of(answer) is None]
        return [
            Objection(input=name, text=None if answer is False else str(answer))
            for name in given
            for answer in refused
        ]

    return examine


def _type_of(registry: Registry, name: str, output: int) -> object:
    """The type of a node's output, as its class declares it."""
    spec = registry.get(name)
    if spec is None or output >= len(spec.outputs):
        return "*"
    return spec.foreign.outputs[output] if spec.foreign is not None else spec.outputs[output].type.name
