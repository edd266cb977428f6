"""Which widgets a node has and which values the file holds for them.

`widgets_values` has one place per widget, in the order of the class's inputs, plus places that never reach
the prompt: the control after a seed, the filter after a controlled combo, and upload buttons at the end. The
places are counted, not recognised, because old files hold booleans where new ones hold text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from graphcore.formats.ui.definitions import COMBO, DYNAMIC_COMBO, InputDefinition, NodeDefinition
from graphcore.formats.ui.graph import UiNode

WIDGET_TYPES = frozenset(
    {
        "INT",
        "FLOAT",
        "STRING",
        "BOOLEAN",
        COMBO,
        DYNAMIC_COMBO,
        "MARKDOWN",
        "TEXTAREA",
        "COLOR",
        "COLORS",
        "CURVE",
        "RANGE",
        "BOUNDING_BOX",
        "BOUNDING_BOXES",
        "CHART",
        "GALLERIA",
        "PAINTER",
        "COMPOSITOR",
        "IMAGECOMPARE",
        "IMAGEUPLOAD",
        "AUDIO_UI",
        "AUDIOUPLOAD",
        "AUDIO_RECORD",
        "WEBCAM",
        "LOAD_3D",
        "LOAD_3D_ADVANCED",
        "PREVIEW_3D",
        "VIDEO_EDIT",
    }
)
SEED_NAMES = frozenset({"seed", "noise_seed"})
SAMPLER_CLASSES = frozenset({"KSampler", "KSamplerAdvanced"})
OLD_SAMPLER_PREFIX = "sample_"
MAX_COMPARED = 256
EMPTY_VALUES: Mapping[str, object] = {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}


class Absent:
    """The type of ABSENT: a widget for which there is no value at all."""

    __slots__ = ()


ABSENT = Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Widget:
    """A widget and its value as the prompt would hold it; `spec` is None for widgets only the file knows."""

    name: str
    value: object
    spec: InputDefinition | None = None

    def holding(self, value: object) -> Widget:
        """The same widget with another value."""
        return Widget(name=self.name, value=value, spec=self.spec)


def is_widget(spec: InputDefinition) -> bool:
    """Whether the editor shows this input as a widget rather than a plain socket."""
    return spec.widget_type in WIDGET_TYPES and not spec.flag("forceInput")


def default_value(spec: InputDefinition) -> object:
    """What the widget holds when the file says nothing; ABSENT for a combo without options."""
    if "default" in spec.settings:
        return spec.settings["default"]
    if spec.choices:
        return spec.choices[0]
    if spec.dynamic:
        return spec.dynamic[0].key
    return EMPTY_VALUES.get(spec.widget_type, ABSENT)


def read_widgets(definition: NodeDefinition, node: UiNode) -> dict[str, Widget]:
    """The widgets of `node` by name, in the order of the class, each with its value."""
    widgets: dict[str, Widget] = {}
    saved = _SavedValues(definition, node)
    for widget in _walk(definition.inputs, "", saved):
        widgets[widget.name] = widget
    if definition.name in SAMPLER_CLASSES:
        _drop_sampler_prefix(widgets)
    return widgets


class _SavedValues:
    """Hands out the saved values of one node, by name where the file names them, else by position.

    A file that holds both may have been edited in its list alone: names count only while they agree with it.
    """

    __slots__ = ("_inputs", "_named", "_place", "_values")

    def __init__(self, definition: NodeDefinition, node: UiNode) -> None:
        self._named = named_values(node)
        self._values = _without_socket_places(definition, node.values or ())
        self._inputs = tuple(slot.name for slot in node.inputs)
        self._place = 0

    def inputs_below(self, prefix: str) -> int:
        """How many inputs of the file have names that start with `prefix`."""
        return sum(name.startswith(prefix) for name in self._inputs)

    def take(self, name: str) -> object:
        """The value for the next widget, or ABSENT."""
        place = self._place
        self._place += 1
        if name in self._named:
            return self._named[name]
        return self._values[place] if place < len(self._values) else ABSENT

    def skip(self, places: int) -> None:
        """Pass over places that belong to no input."""
        self._place += places


def named_values(node: UiNode) -> Mapping[str, object]:
    """The saved values by name; empty where the file has none or its list says otherwise."""
    named = node.named_values or {}
    if node.values is None:
        return named
    if len(named) <= MAX_COMPARED and all(value in node.values for value in named.values()):
        return named
    return {}


def _walk(specs: Iterable[InputDefinition], prefix: str, saved: _SavedValues) -> Iterator[Widget]:
    for spec in specs:
        if spec.template and is_widget(spec.template[0]):
            for grown in spec.grown_names(saved.inputs_below(f"{prefix}{spec.name}.")):
                name = prefix + grown
                yield Widget(
                    name=name, value=_settled(spec.template[0], saved.take(name)), spec=spec.template[0]
                )
        if not is_widget(spec):
            continue
        name = prefix + spec.name
        value = _settled(spec, saved.take(name))
        yield Widget(name=name, value=value, spec=spec)
        saved.skip(control_places(spec))
        for option in spec.dynamic:
            if option.key == value:
                yield from _walk(option.inputs, f"{name}.", saved)
                break


def _settled(spec: InputDefinition, value: object) -> object:
    if value is ABSENT:
        return default_value(spec)
    if value is None and spec.choices:
        return spec.choices[0]
    return value


def control_places(spec: InputDefinition) -> int:
    """How many places after the widget's own belong to its control after generation."""
    declared = spec.settings.get("control_after_generate")
    if spec.type == COMBO:
        return 2 if declared else 0
    if spec.type != "INT":
        return 0
    controlled = spec.name in SEED_NAMES if declared is None else bool(declared)
    return 1 if controlled else 0


def _without_socket_places(definition: NodeDefinition, values: tuple[object, ...]) -> tuple[object, ...]:
    """Drop the places that old files kept for inputs that are sockets by `forceInput`."""
    sockets: list[bool] = []
    for spec in definition.inputs:
        if spec.flag("forceInput") or is_widget(spec):
            sockets.append(spec.flag("forceInput"))
            if spec.flag("control_after_generate"):
                sockets.append(False)
    if not any(sockets) or len(sockets) != len(values):
        return values
    return tuple(value for value, socket in zip(values, sockets, strict=True) if not socket)


def _drop_sampler_prefix(widgets: dict[str, Widget]) -> None:
    sampler = widgets.get("sampler_name")
    if sampler is not None and isinstance(sampler.value, str):
        widgets["sampler_name"] = sampler.holding(sampler.value.removeprefix(OLD_SAMPLER_PREFIX))
