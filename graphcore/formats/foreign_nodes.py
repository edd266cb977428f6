"""The nodes of another server as node types of ours: enough to read and check workflows for it, not to run them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn

from graphcore.errors import DocumentError
from graphcore.formats.ui.definitions import (
    AUTOGROW,
    COMBO,
    DYNAMIC_COMBO,
    MATCH_TYPE,
    InputDefinition,
    NodeDefinition,
    read_definition,
)
from graphcore.formats.ui.widgets import is_widget
from graphcore.registry import Registry
from graphcore.sockets import ANY, BOOLEAN, FLOAT, INT, STRING, SocketType
from graphcore.sockets import COMBO as COMBO_TYPE
from graphcore.spec import MISSING, InputSpec, NodeSpec, OutputSpec
from graphcore.widgets import Range, Shown

_PLAIN: Final = {kind.name: kind for kind in (INT, FLOAT, STRING, BOOLEAN, COMBO_TYPE)}
_UPLOADS: Final = ("image_upload", "animated_image_upload", "video_upload", "audio_upload", "file_upload")
_OPEN: Final = InputSpec(name="*", type=ANY, default=None, optional=True)


def foreign_registry(info: Mapping[str, object], own: Registry, used: Container[str] = ()) -> Registry:
    """The classes that an object_info mapping describes, and the nodes of `own` under the names that it leaves.

    A class whose description is damaged is left out, unless it is among those `used`: then DocumentError
    (`bad-object-info`) is raised.
    """
    registry = Registry()
    for class_type, entry in info.items():
        try:
            definition = read_definition(class_type, entry)
        except DocumentError:
            if class_type in used:
                raise
        else:
            registry.add_spec(_spec(definition))
    for spec in own:
        if spec.name not in info:
            registry.add_spec(
                replace(spec, aliases=tuple(alias for alias in spec.aliases if alias not in info))
            )
    return registry


def _spec(definition: NodeDefinition) -> NodeSpec:
    dynamic = any(spec.type in (DYNAMIC_COMBO, AUTOGROW) for spec in definition.inputs)
    names = _output_names(definition)
    return NodeSpec(
        name=definition.name,
        function=_elsewhere,
        inputs=tuple(_input(spec) for spec in definition.inputs if spec.type != AUTOGROW),
        outputs=tuple(
            OutputSpec(name=name, type=_socket(output.type))
            for name, output in zip(names, definition.outputs, strict=True)
        ),
        title=definition.display_name,
        output=definition.output_node,
        open_inputs=_OPEN if dynamic else None,
        single_output=len(definition.outputs) == 1,
        source=f"object_info {definition.name}",
    )


def _elsewhere(**inputs: Any) -> NoReturn:
    raise NotImplementedError("This node type is only described here.")


def _output_names(definition: NodeDefinition) -> list[str]:
    """A name for each output, none twice."""
    names: dict[str, None] = {}
    for index, output in enumerate(definition.outputs):
        names[output.name if output.name not in names else f"{output.name} {index}"] = None
    return list(names)


def _input(spec: InputDefinition) -> InputSpec:
    return InputSpec(
        name=spec.name,
        type=_socket(spec.type),
        default=MISSING if spec.required else None,
        optional=not spec.required,
        choices=_choices(spec),
        range=_range(spec),
        shown=Shown(force_input=spec.flag("forceInput")),
        options={
            "accepts_value": is_widget(spec) and spec.type not in _PLAIN,
            "multiselect": "multi_select" in spec.settings or spec.flag("multiselect"),
        },
    )


def _socket(name: str) -> SocketType:
    if name in (DYNAMIC_COMBO, COMBO):
        return COMBO_TYPE
    return ANY if name in (MATCH_TYPE, "*", "") else _PLAIN.get(name, SocketType(name))


def _choices(spec: InputDefinition) -> tuple[object, ...] | None:
    """The values that may be checked against; files to upload may come in after the list was made."""
    if spec.type == DYNAMIC_COMBO:
        return tuple(option.key for option in spec.dynamic) or None
    if spec.type != COMBO or any(spec.flag(name) for name in _UPLOADS) or "remote" in spec.settings:
        return None
    return spec.choices


def _range(spec: InputDefinition) -> Range | None:
    if spec.type not in (INT.name, FLOAT.name):
        return None
    least, most = _number(spec.settings.get("min")), _number(spec.settings.get("max"))
    return None if least is None and most is None else Range(least, most)


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
