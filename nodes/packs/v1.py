"""Reads a class of a ComfyUI pack: what it declares as class attributes, as a description and as a node type."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import ne
from typing import Any, Final

from graphcore.errors import DeclarationError
from graphcore.foreign_spec import Description, Hooks, foreign_input, foreign_spec, undeclared
from graphcore.registry import Registry
from graphcore.spec import InputSpec, NodeSpec
from nodes.packs.calling import hidden_inputs, node_function
from nodes.packs.changes import state_of
from nodes.packs.checks import examiner, hook_of
from nodes.packs.overriding import own_method

_log = logging.getLogger(__name__)
_GROUPS: Final = ("required", "optional")
_PROBE: Final = "(an input of no name)"
_NOTHING_IS_THIS: Final = "(a type of no name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackClass:
    """A class that a pack offers as a node: its name there, and the pack that it is from."""

    name: str
    cls: Any
    pack: str
    display_name: str | None = None


def node_type(offered: PackClass, registry: Registry) -> NodeSpec:
    """The node type of a class; raises DeclarationError if it cannot be read as one."""
    cls = offered.cls
    try:
        types = cls.INPUT_TYPES()
        description = describe(offered, types)
        function = getattr(cls, cls.FUNCTION)
    except Exception as error:
        raise DeclarationError(
            f"{offered.pack}: the class {offered.name} cannot be read as a node: {type(error).__name__}: {error}.",
            location=offered.pack,
        ) from error
    is_async = _awaits(function) or own_method(cls, "check_lazy_status") is not None
    hidden = hidden_inputs(types)
    asked = {} if callable(getattr(cls, "GET_SCHEMA", None)) else hidden
    hooks = Hooks(
        function=node_function(offered.name, cls, hidden, is_async=is_async),
        is_async=is_async,
        inputs=_raw_inputs(types),
        outputs=tuple(cls.RETURN_TYPES),
        state=state_of(cls, asked),
        examine=examiner(cls, asked, registry),
        fresh=lambda: _fresh(offered, registry),
        declare=_declaring(cls, types, description),
    )
    return foreign_spec(description, hooks)


def _awaits(function: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function)) or inspect.iscoroutinefunction(function)


def _fresh(offered: PackClass, registry: Registry) -> NodeSpec:
    """The type as the class declares it now; as it was, if the class cannot say so any more."""
    try:
        spec = node_type(offered, registry)
    except DeclarationError as error:
        _log.warning("%s", error.message)
        known = registry.get(offered.name)
        assert known is not None
        return known
    registry.replace_spec(spec)
    return spec


def describe(offered: PackClass, types: Mapping[str, Any] | None = None) -> Description:
    """What the class declares, as plain JSON; see `graphcore.foreign_spec`."""
    cls = offered.cls
    types = cls.INPUT_TYPES() if types is None else types
    info = _info(offered, types)
    hook = hook_of(cls)
    raw = _raw_inputs(types)
    return {
        "name": offered.name,
        "pack": offered.pack,
        "info": info,
        "inputs": {name: _type_text(kind) for name, kind in raw.items()},
        "outputs": [_type_text(kind) for kind in cls.RETURN_TYPES],
        "hook": None if hook is None else hook.as_json(),
        "open": _open(cls, types),
        "hidden": [str(name) for name in types.get("hidden") or ()],
        "by_id": bool(getattr(cls, "NOT_IDEMPOTENT", False)) or "UNIQUE_ID" in hidden_inputs(types).values(),
    }


def _info(offered: PackClass, types: Mapping[str, Any]) -> dict[str, Any]:
    cls = offered.cls
    own = getattr(cls, "GET_NODE_INFO_V1", None)
    if callable(own):
        place = {"name": offered.name, "python_module": f"custom_nodes.{offered.pack}"}
        return dict(as_json(own())) | place
    returned = tuple(cls.RETURN_TYPES)
    info: dict[str, Any] = {
        "input": {group: _group(group, types[group] or {}) for group in types},
        "input_order": {group: [*(types[group] or {}).keys()] for group in types},
        "is_input_list": bool(getattr(cls, "INPUT_IS_LIST", False)),
        "output": list(returned),
        "output_is_list": list(getattr(cls, "OUTPUT_IS_LIST", [False] * len(returned))),
        "output_name": list(getattr(cls, "RETURN_NAMES", None) or returned),
        "name": offered.name,
        "display_name": offered.display_name or offered.name,
        "description": getattr(cls, "DESCRIPTION", "") or "",
        "python_module": f"custom_nodes.{offered.pack}",
        "category": getattr(cls, "CATEGORY", "sd"),
        "output_node": getattr(cls, "OUTPUT_NODE", False) is True,
        "search_aliases": list(getattr(cls, "SEARCH_ALIASES", ())),
    }
    if hasattr(cls, "OUTPUT_TOOLTIPS"):
        info["output_tooltips"] = list(cls.OUTPUT_TOOLTIPS)
    for attribute, name in (("DEPRECATED", "deprecated"), ("EXPERIMENTAL", "experimental")):
        if getattr(cls, attribute, False):
            info[name] = True
    if hasattr(cls, "API_NODE"):
        info["api_node"] = bool(cls.API_NODE)
    info["input"].setdefault("required", {})
    return dict(as_json(info))


def _group(name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a group, each as a list of its type and perhaps its options."""
    if name not in _GROUPS:
        return dict(declared.items())
    return {key: value if isinstance(value, (list, tuple)) else [value] for key, value in declared.items()}


def as_json(value: Any) -> Any:
    """A declaration as plain JSON: subclasses of text and of dictionaries are what they hold, infinity is left out."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): as_json(item) for name, item in value.items() if not _infinite(item)}
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return [as_json(item) for item in value]
    item = getattr(value, "item", None)
    return as_json(item()) if callable(item) and getattr(value, "shape", None) == () else str(value)


def _infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _raw_inputs(types: Mapping[str, Any]) -> dict[str, object]:
    found: dict[str, object] = {}
    for group in _GROUPS:
        for name, declared in (types.get(group) or {}).items():
            found[str(name)] = declared[0] if isinstance(declared, (list, tuple)) and declared else declared
    return found


def _type_text(kind: object) -> object:
    """A type as text; one that compares unequal to nothing is the wildcard."""
    if isinstance(kind, str):
        return "*" if not ne(kind, _NOTHING_IS_THIS) else "".join(kind)
    return as_json(kind) if isinstance(kind, (list, tuple)) else str(kind)


def _open(cls: Any, types: Mapping[str, Any]) -> str:
    """Whether the node takes inputs that it does not list, as `graphcore.foreign_spec` says it."""
    if any(_flexible(types.get(group)) for group in _GROUPS):
        return "values"
    if hasattr(cls, "GET_SCHEMA"):
        return ""
    parameters = inspect.signature(getattr(cls, cls.FUNCTION)).parameters.values()
    takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return "links" if takes_more else ""


def _flexible(group: Any) -> bool:
    return isinstance(group, dict) and type(group) is not dict and _PROBE in group


def _declaring(
    cls: Any, types: Mapping[str, Any], description: Description
) -> Callable[[str], InputSpec | None]:
    """Makes inputs that the class does not list: hidden ones, those of flexible groups, links for keyword arguments."""
    flexible = next((types[group] for group in _GROUPS if _flexible(types.get(group))), None)
    hidden, takes_links = frozenset(description["hidden"]), description["open"] == "links"

    def declare(name: str) -> InputSpec | None:
        if name in hidden:
            return undeclared(name)
        if flexible is not None:
            try:
                return foreign_input(name, as_json(flexible[name]), optional=True, unchecked=False)
            except Exception:  # noqa: BLE001 - the pack's own dictionary
                return undeclared(name)
        return undeclared(name, link_only=True) if takes_links else None

    return declare
