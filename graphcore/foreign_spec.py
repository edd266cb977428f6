"""Makes node types of descriptions: how the nodes of ComfyUI packs are known where their code is not loaded.

A description is plain JSON:

    name, pack      the class's name, and the pack that it is from
    info            what GET /object_info says of it
    inputs, outputs the types of inputs by name and of outputs in order; a type that fits everything is "*"
    hook            null, or {"names": [...], "all": bool, "links": bool}: what the node checks itself
    open            "values" or "links" if the node takes inputs beyond those that it lists, else ""
    hidden          names of its hidden inputs
    by_id           whether its results depend on its id
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphcore.dynamic_inputs import choices_of, is_dynamic, within
from graphcore.foreign import Examined, Foreign, Objection
from graphcore.sockets import ANY, BOOLEAN, COMBO, FLOAT, INT, STRING, SocketType
from graphcore.spec import InputSpec, NodeSpec, OutputSpec
from graphcore.widgets import Range, Shown, Text

Description = Mapping[str, Any]
CONTEXT: Final = "(context)"
_MATCHING: Final = "COMFY_MATCHTYPE_V3"
_DYNAMIC_COMBO: Final = "COMFY_DYNAMICCOMBO_V3"
_SOCKETS: Final = {kind.name: kind for kind in (INT, FLOAT, STRING, BOOLEAN, COMBO)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a node type does where its code is loaded; see `Foreign`."""

    function: Callable[..., Any]
    is_async: bool = False
    inputs: Mapping[str, object] | None = None
    outputs: Sequence[object] | None = None
    state: Callable[[str, Mapping[str, object]], str | None] | None = None
    examine: Callable[[Examined], Sequence[Objection]] | None = None
    fresh: Callable[[], NodeSpec] | None = None
    declare: Callable[[str], InputSpec | None] | None = None


def foreign_spec(description: Description, hooks: Hooks) -> NodeSpec:
    """The node type that a description tells of."""
    info = description["info"]
    hook = description.get("hook") or {}
    foreign = Foreign(
        pack=description["pack"],
        description=description,
        inputs=description["inputs"] if hooks.inputs is None else hooks.inputs,
        outputs=description["outputs"] if hooks.outputs is None else hooks.outputs,
        state=hooks.state,
        examine=hooks.examine if hook else None,
        fresh=hooks.fresh,
        declare=hooks.declare or _declaring(description),
        any_link=bool(hook.get("links")),
    )
    return NodeSpec(
        name=description["name"],
        function=hooks.function,
        inputs=tuple(_inputs(info, hook)),
        outputs=tuple(_outputs(info)),
        category=str(info.get("category", "")),
        title=str(info.get("display_name") or description["name"]),
        description=str(info.get("description") or ""),
        output=bool(info.get("output_node")),
        is_async=hooks.is_async,
        context_name=CONTEXT,
        keyed_by_id=bool(description.get("by_id")),
        deprecated=bool(info.get("deprecated")),
        experimental=bool(info.get("experimental")),
        single_output=False,
        foreign=foreign,
        module=str(info.get("python_module", "")),
        source=f"the node pack '{description['pack']}'",
    )


def _inputs(info: Mapping[str, Any], hook: Mapping[str, Any]) -> Iterator[InputSpec]:
    for group in ("required", "optional"):
        for name, declared in (info["input"].get(group) or {}).items():
            checked_by_node = bool(hook.get("all")) or name in hook.get("names", ())
            yield foreign_input(name, declared, optional=group == "optional", unchecked=checked_by_node)


def foreign_input(name: str, declared: Sequence[Any], *, optional: bool, unchecked: bool) -> InputSpec:
    """An input as ComfyUI describes it: its type, or its choices, and its options."""
    kind, options = declared[0], declared[1] if len(declared) > 1 and isinstance(declared[1], dict) else {}
    choices = kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    if kind == _DYNAMIC_COMBO:
        choices = [choice["key"] for choice in options.get("options", ()) if isinstance(choice, dict)]
    if "remote" in options or not isinstance(choices, list):
        choices = None
    dynamic, keys = is_dynamic(declared), choices_of(declared)
    socket = COMBO if isinstance(kind, list) else _SOCKETS.get(kind) or SocketType(str(kind))
    bounds = {edge: _number(options.get(edge)) for edge in ("min", "max", "step", "round")}
    bounded = any(bound is not None for bound in bounds.values())
    return InputSpec(
        name=name,
        type=socket,
        choices=keys if choices is None else tuple(choices),
        range=Range(bounds["min"], bounds["max"], bounds["step"], bounds["round"]) if bounded else None,
        text=Text(multiline=bool(options.get("multiline"))) if kind == "STRING" else None,
        shown=Shown(
            tooltip=options.get("tooltip") if isinstance(options.get("tooltip"), str) else None,
            force_input=bool(options.get("forceInput")),
            advanced=bool(options.get("advanced")),
        ),
        lazy=bool(options.get("lazy")),
        raw_link=bool(options.get("rawLink")),
        optional=optional or dynamic,
        unchecked=unchecked or (dynamic and keys is None) or (socket is COMBO and choices is None),
        info=(kind, options),
        options=options,
    )


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _outputs(info: Mapping[str, Any]) -> Iterator[OutputSpec]:
    kinds = info.get("output") or ()
    names, lists = info.get("output_name") or (), info.get("output_is_list") or ()
    tooltips = info.get("output_tooltips") or ()
    used: set[str] = set()
    for place, kind in enumerate(kinds):
        type_name = "COMBO" if isinstance(kind, list) else str(kind)
        name = names[place] if place < len(names) and isinstance(names[place], str) else type_name
        shown = name if name not in used else f"{name} {place}"
        used.add(shown)
        tooltip = tooltips[place] if place < len(tooltips) else None
        yield OutputSpec(
            name=shown,
            type=ANY if type_name == _MATCHING else SocketType(type_name),
            each=bool(lists[place]) if place < len(lists) else False,
            tooltip=tooltip if isinstance(tooltip, str) else "",
        )


def _declaring(description: Description) -> Callable[[str], InputSpec | None]:
    hidden, beyond = frozenset(description.get("hidden", ())), description.get("open")
    groups = description["info"]["input"]

    def declare(name: str) -> InputSpec | None:
        if name in hidden:
            return undeclared(name)
        known = within(groups, name) if "." in name else None
        if known is not None:
            return foreign_input(name, known, optional=True, unchecked=False)
        if beyond == "values":
            return undeclared(name)
        return undeclared(name, link_only=True) if beyond == "links" else None

    return declare


def undeclared(name: str, *, link_only: bool = False) -> InputSpec:
    """An input that a node takes and does not list."""
    return InputSpec(
        name=name,
        type=ANY,
        optional=True,
        unchecked=True,
        info=("*", {}),
        shown=Shown(force_input=link_only),
    )
