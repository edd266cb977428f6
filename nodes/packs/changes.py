"""Whether a pack's node has changed by its own word: IS_CHANGED, or fingerprint_inputs of V3 nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from graphcore.keys import encode
from graphcore.lists import Constant
from nodes.packs.awaiting import settle
from nodes.packs.calling import Values, calls_of
from nodes.packs.exchange import to_comfy
from nodes.packs.overriding import own_method

_log = logging.getLogger(__name__)
_NAMES: Final = ("fingerprint_inputs", "IS_CHANGED")
State = Callable[[str, Mapping[str, object]], str | None]


def state_of(cls: Any, hidden: Mapping[str, str]) -> State | None:
    """What tells whether a node has changed, for its key; None for a class that says nothing of it.

    The method is given plain values alone: linked inputs are missing. One that fails counts as changed each time.
    """
    ask = next((found for name in _NAMES if (found := own_method(cls, name)) is not None), None)
    if ask is None:
        return None

    def state(node_id: str, values: Mapping[str, object]) -> str | None:
        given = plain_values(node_id, values, hidden)
        whole = bool(getattr(cls, "INPUT_IS_LIST", False))
        try:
            calls = calls_of(given, whole=whole)
            answers = [settle(partial(ask, **inputs)) for inputs in calls]
            return encode(_hashable(answers)).hex()
        except Exception as error:  # noqa: BLE001 - a pack's code; it counts as changed
            _log.warning("%s could not say whether it has changed: %s", cls.__name__, error)
            return None

    return state


def plain_values(node_id: str, values: Mapping[str, object], hidden: Mapping[str, str]) -> Values:
    """A node's plain values, and the hidden inputs as they are outside a run."""
    given: Values = {}
    for name, value in values.items():
        held = value.value if isinstance(value, Constant) else value
        given[name] = [to_comfy("*", held)]
    outside: dict[str, Any] = {"UNIQUE_ID": node_id, "PROMPT": {}, "DYNPROMPT": None}
    for name, kind in hidden.items():
        if kind in _KINDS:
            given[name] = [outside.get(kind)]
    return given


_KINDS: Final = frozenset(
    {"UNIQUE_ID", "PROMPT", "DYNPROMPT", "EXTRA_PNGINFO", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"}
)


def _hashable(value: Any) -> Any:
    """An answer in plain values; raises ValueError for one that equals nothing, itself included."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        if value != value:
            raise ValueError("not a number, which is to say: changed each time")
        return float(value)
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(name): _hashable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hashable(item) for item in value]
    raise ValueError(f"a {type(value).__name__} cannot be compared")
