"""Node types that keep ComfyUI's own rules: what the engine needs to know of them, and which of their types fit.

Such a node is handed its inputs as they come: it walks through lists, stops at blockers and asks for lazy inputs by
itself. Its results live as long as the process, as its code may change between two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ne
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from graphcore.spec import InputSpec, NodeSpec

_MATCHING: Final = "COMFY_MATCHTYPE_V3"
_ANY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A node whose own check is asked for: its plain values, and for each link the type of node and the output."""

    node: str
    values: Mapping[str, object]
    received: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """What a node's own check has against its inputs.

    `input` is empty if the check itself failed; `text` is None if the check gave no reason.
    """

    input: str
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What sets a node type of a ComfyUI pack apart.

    `description` is what `graphcore.foreign_spec` makes such a type of; `info`, a part of it, is what GET /object_info
    says. `inputs` and `outputs` are the types as declared, which may be
    lists of choices or texts that compare in ways of their own. `state`, called with a node's id and plain values,
    returns text that enters its key, or None if the node must run each time. `examine` is the node's own check.
    `fresh` reads the declaration anew: its lists of choices may have changed. `declare` makes inputs of names that the
    declaration does not list. `any_link` is true if the node checks the types of links itself.
    """

    pack: str
    description: Mapping[str, Any]
    inputs: Mapping[str, object] = field(default_factory=dict)
    outputs: Sequence[object] = ()
    state: Callable[[str, Mapping[str, object]], str | None] | None = None
    examine: Callable[[Examined], Sequence[Objection]] | None = None
    fresh: Callable[[], NodeSpec] | None = None
    declare: Callable[[str], InputSpec | None] | None = None
    any_link: bool = False

    @property
    def info(self) -> Mapping[str, Any]:
        """What ComfyUI's clients are told of the type."""
        found: Mapping[str, Any] = self.description["info"]
        return found


def fits(received: object, wanted: object) -> bool:
    """True if ComfyUI lets an output of type `received` feed an input of type `wanted`.

    Types that compare unequal to nothing (a common way to write a wildcard) fit everything.
    """
    if not ne(received, wanted):
        return True
    if _ANY in (received, wanted) or _MATCHING in (received, wanted):
        return True
    if isinstance(received, list) and wanted == "COMBO":
        return True
    if not isinstance(received, str) or not isinstance(wanted, str):
        return False
    given, taken = _names(received), _names(wanted)
    return _ANY in given | taken or not given.isdisjoint(taken)


def _names(kind: str) -> set[str]:
    return {name.strip() for name in kind.split(",")}
