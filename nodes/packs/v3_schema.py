"""`comfy_api`'s description of a node, what a node returns, and the hidden inputs that it may ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from nodes.packs.v3_dynamic import DynamicInput, find, grouped
from nodes.packs.v3_inputs import Input, Output
from nodes.packs.v3_types import MatchType


class Hidden(str, Enum):  # noqa: UP042 (its members compare as ComfyUI's do)
    """Inputs that no client sends."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"

    __str__ = str.__str__


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenHolder:
    """The hidden inputs of a node that is running; None for what it has not asked for."""

    unique_id: str | None = None
    prompt: Any = None
    extra_pnginfo: Any = None
    dynprompt: Any = None
    auth_token_comfy_org: str | None = None
    api_key_comfy_org: str | None = None

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@dataclass(kw_only=True)
class NodeInfoV1:
    """What GET /object_info says of a node."""

    input: Any = None
    input_order: dict[str, list[str]] | None = None
    output: list[Any] | None = None
    output_is_list: list[bool] | None = None
    output_name: list[str] | None = None
    output_tooltips: list[str | None] | None = None
    output_matchtypes: list[str | None] | None = None
    name: str | None = None
    display_name: str | None = None
    description: str = ""
    python_module: Any = None
    category: str = "sd"
    output_node: bool = False
    deprecated: bool = False
    experimental: bool = False
    api_node: bool = False


class OpenGroup(dict[str, Any]):
    """Inputs by name that also answers for names that a prompt may use beyond those that are listed."""

    def __init__(self, listed: Mapping[str, Any], inputs: Sequence[Input]) -> None:
        super().__init__(listed)
        self._inputs = inputs

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __missing__(self, name: str) -> tuple[Any, dict[str, Any]]:
        declared = find(self._inputs, name)
        if declared is None:
            raise KeyError(name)
        return declared.declared()

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default


@dataclass
class Schema:
    """The description of a node: what it is called, what it takes and gives, and how it is run."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    price_badge: Any = None
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False

    def __post_init__(self) -> None:
        self.inputs = list(self.inputs or [])
        self.outputs = list(self.outputs or [])
        self.hidden = list(self.hidden or [])

    def validate(self) -> None:
        """Raises ValueError if two inputs, or two outputs, have one id."""
        for what, ids in (
            ("input", [each.id for each in self.inputs]),
            ("output", [each.id for each in self.outputs if each.id is not None]),
        ):
            twice = next((name for name in ids if ids.count(name) > 1), None)
            if twice is not None:
                raise ValueError(
                    f"{self.node_id}: two {what}s are called '{twice}'; give each an id of its own."
                )

    def finalize(self) -> None:
        """Add what follows from the rest: hidden inputs of output nodes and of API nodes, ids of outputs."""
        wanted = list(self.hidden)
        if self.is_api_node:
            wanted += [Hidden.auth_token_comfy_org, Hidden.api_key_comfy_org]
        if self.is_output_node:
            wanted += [Hidden.prompt, Hidden.extra_pnginfo]
        self.hidden = list(dict.fromkeys(wanted))
        for place, output in enumerate(self.outputs):
            if output.id is None:
                output.id = f"_{place}_{output.get_io_type()}_"

    @property
    def open(self) -> bool:
        """True if a prompt may hold inputs beyond those that are listed."""
        return self.accept_all_inputs or any(isinstance(each, DynamicInput) for each in self.inputs)

    def input_types(self, *, include_hidden: bool = True) -> dict[str, Any]:
        """The inputs as INPUT_TYPES lists them; a hidden one whose name an input has goes by another."""
        groups: dict[str, Any] = dict(grouped(self.inputs))
        if self.open:
            groups["required"] = OpenGroup(groups["required"], self.inputs)
        if include_hidden and self.hidden:
            groups["hidden"] = {self.hidden_name(each): (each.value,) for each in self.hidden}
        return groups

    def hidden_name(self, hidden: Hidden) -> str:
        """The name that a hidden input is handed over by."""
        taken = any(each.id == hidden.name for each in self.inputs)
        return f"hidden {hidden.name}" if taken else hidden.name

    def get_v1_info(self, cls: Any) -> NodeInfoV1:
        """What GET /object_info says of the node."""
        groups: dict[str, Any] = dict(grouped(self.inputs))
        if self.hidden:
            groups["hidden"] = {each.name: (each.value,) for each in self.hidden}
        matches = [
            each.template.template_id if isinstance(each, MatchType.Output) else None for each in self.outputs
        ]
        return NodeInfoV1(
            input=groups,
            input_order={group: list(names) for group, names in groups.items()},
            output=[each.get_io_type() for each in self.outputs],
            output_is_list=[each.is_output_list for each in self.outputs],
            output_name=[each.name for each in self.outputs],
            output_tooltips=[each.tooltip for each in self.outputs],
            output_matchtypes=matches if any(matches) else None,
            name=self.node_id,
            display_name=self.display_name,
            category=self.category,
            description=self.description,
            output_node=self.is_output_node,
            deprecated=self.is_deprecated,
            experimental=self.is_experimental,
            api_node=self.is_api_node,
            python_module=getattr(cls, "RELATIVE_PYTHON_MODULE", "nodes"),
        )


_RESERVED: Final = ("ui", "expand")


class NodeOutput:
    """What a node returns: its outputs in order, what it shows, a graph to run in its place, or why it stops others."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: Mapping[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """The outputs, or None if there are none."""
        return self.args or None

    def __getitem__(self, place: int) -> Any:
        return self.args[place]

    def __len__(self) -> int:
        return len(self.args)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NodeOutput:
        """As a V1 node returns it: `result`, `ui`, `expand`."""
        result = data.get("result")
        args: tuple[Any, ...] = () if result is None else tuple(result)
        return cls(*args, **{name: data.get(name) for name in _RESERVED})


@dataclass(kw_only=True)
class NodeReplace:
    """Which node takes the place of an older one, and how its inputs and outputs are called there."""

    new_node_id: str
    old_node_id: str
    old_widget_ids: list[str] | None = None
    input_mapping: list[dict[str, Any]] | None = None
    output_mapping: list[dict[str, Any]] | None = None
