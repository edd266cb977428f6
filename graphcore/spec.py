"""What the engine knows of a node type: its inputs, its outputs, how it is run, keyed and cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any, Final

from graphcore.foreign import Foreign
from graphcore.sockets import SocketType
from graphcore.widgets import FileChoice, Growing, Range, Seed, Shown, Text, Toggle

MISSING: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of a node.

    `default` is MISSING for a required input. `choices` lists the values of a combo; `file` names the folder
    that the choices come from instead. `gather` inputs take a list; `lazy` ones are computed on demand;
    `raw_link` ones are handed over as links. `unchecked` ones take any plain value. `info` describes the input to
    ComfyUI's clients where its node has done so itself.
    """

    name: str
    type: SocketType
    default: object = MISSING
    choices: tuple[object, ...] | None = None
    range: Range | None = None
    text: Text | None = None
    file: FileChoice | None = None
    growing: Growing | None = None
    seed: Seed | None = None
    toggle: Toggle | None = None
    shown: Shown = Shown()
    secret: bool = False
    gather: bool = False
    lazy: bool = False
    raw_link: bool = False
    optional: bool = False
    unchecked: bool = False
    info: Sequence[object] | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        """Whether a workflow has to give the input a value or a link."""
        return self.default is MISSING and not self.optional

    @property
    def is_widget(self) -> bool:
        """True if the input can hold a plain value."""
        if self.shown.force_input:
            return False
        return self.type.name in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO") or self.choices is not None

    @property
    def is_open(self) -> bool:
        """True if an open-ended input takes plain values too, not links alone."""
        return not self.shown.force_input

    @property
    def comfy_type(self) -> str:
        """The type's name as ComfyUI writes it."""
        return "COMBO" if self.choices is not None or self.file is not None else self.type.name


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One output of a node; `each` if it fans out."""

    name: str
    type: SocketType
    each: bool = False
    tooltip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """What the engine knows of a node type.

    `function` takes the inputs by name. `fingerprint`, called with the inputs that it names (and `files`), returns
    text that enters the key. `uncacheable` is the reason why results may not be reused, or None.
    `keyed_by_id` puts the node's id into its key. `check`, called with the plain values that it names, returns
    a sentence about what is wrong with them, or None. `foreign` sets the nodes of ComfyUI packs apart.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    category: str = ""
    title: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    version: int = 1
    output: bool = False
    uncacheable: str | None = None
    fingerprint: Callable[..., str] | None = None
    check: Callable[..., str | None] | None = None
    thread: bool = False
    is_async: bool = False
    lane: str = "device"
    context_name: str | None = None
    open_inputs: InputSpec | None = None
    keyed_by_id: bool = False
    deprecated: bool = False
    experimental: bool = False
    single_output: bool = True
    foreign: Foreign | None = None
    module: str = ""
    source: str = ""
    by_name: Mapping[str, InputSpec] = field(default_factory=dict, repr=False, compare=False)
    output_index: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    deferred_inputs: tuple[InputSpec, ...] = field(default=(), repr=False, compare=False)
    gathering_inputs: tuple[InputSpec, ...] = field(default=(), repr=False, compare=False)
    budgeted_inputs: tuple[InputSpec, ...] = field(default=(), repr=False, compare=False)
    generic: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {spec.name: spec for spec in self.inputs})
        deferred = tuple(spec for spec in self.inputs if spec.lazy or spec.raw_link)
        object.__setattr__(self, "deferred_inputs", deferred)
        object.__setattr__(self, "gathering_inputs", tuple(spec for spec in self.inputs if spec.gather))
        budgeted = tuple(
            spec for spec in self.inputs if spec.range is not None and spec.range.role is not None
        )
        object.__setattr__(self, "budgeted_inputs", budgeted)
        kinds = [*(spec.type for spec in self.inputs), *(spec.type for spec in self.outputs)]
        generic = any(kind.variable is not None for kind in kinds)
        object.__setattr__(self, "generic", generic)
        object.__setattr__(self, "output_index", {spec.name: i for i, spec in enumerate(self.outputs)})

    def input(self, name: str) -> InputSpec | None:
        """The input called `name`, or the open-ended one that takes any name, or None."""
        declared = self.by_name.get(name)
        if declared is None and self.foreign is not None and self.foreign.declare is not None:
            declared = self.foreign.declare(name)
        return declared or self.open_inputs

    def named_by(self, function: Callable[..., object]) -> tuple[str, ...]:
        """The inputs that a fingerprint or a check asks for by its parameters' names."""
        parameters = signature(function).parameters.values()
        if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
            return tuple(self.by_name)
        return tuple(parameter.name for parameter in parameters if parameter.name in self.by_name)
