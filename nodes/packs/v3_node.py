"""`comfy_api`'s base class of nodes, with what a class of the older kind has, so that both are run alike."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, Generic, TypeVar

from nodes.packs.shims.graphs import ExecutionBlocker
from nodes.packs.v3_dynamic import nested_inputs
from nodes.packs.v3_schema import HiddenHolder, NodeOutput, Schema

T = TypeVar("T")
_CHECKS: Final = ("check_lazy_status", "fingerprint_inputs", "validate_inputs")
_TYPES: Final = "input_types"


class _ClassValue(Generic[T]):
    """An attribute that is computed from the class."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute

    def __get__(self, instance: object, owner: Any) -> T:
        return self._compute(owner)


class ComfyNode(ABC):
    """A node: `define_schema` describes it and `execute` runs it. It has no state; `hidden` is there while it runs."""

    hidden: HiddenHolder = HiddenHolder()

    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema:
        """What the node is called, takes and gives."""
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def execute(cls, **kwargs: Any) -> Any:
        """Run the node on its inputs by name."""
        raise NotImplementedError

    @classmethod
    def validate_inputs(cls, **kwargs: Any) -> bool | str:
        """True, or what is wrong with the inputs."""
        del kwargs
        return True

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> Any:
        """Something that changes when the node must be run again."""
        del kwargs

    @classmethod
    def check_lazy_status(cls, **kwargs: Any) -> list[str]:
        """The lazy inputs that are still wanted."""
        return [name for name, value in kwargs.items() if value is None]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _CHECKS:
            own = vars(cls).get(name)
            if isinstance(own, classmethod):
                setattr(cls, name, classmethod(_prepared(own.__func__)))

    @classmethod
    def GET_SCHEMA(cls) -> Schema:  # noqa: N802 (ComfyUI's name)
        """The description, made anew, as lists of files may have changed.

        Raises ValueError if two inputs, or two outputs, have one id.
        """
        schema = cls.define_schema()
        schema.finalize()
        schema.validate()
        return schema

    @classmethod
    def INPUT_TYPES(cls, include_hidden: bool = True, **rest: Any) -> dict[str, Any]:  # noqa: N802
        """The inputs, as a class of the older kind lists them."""
        del rest
        return cls.GET_SCHEMA().input_types(include_hidden=include_hidden)

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:  # noqa: N802
        """What GET /object_info says of the node."""
        return asdict(cls.GET_SCHEMA().get_v1_info(cls))

    @classmethod
    def EXECUTE_NORMALIZED(cls, **kwargs: Any) -> NodeOutput:  # noqa: N802
        """`execute`, given nested inputs and hidden ones; what it returns, as a NodeOutput."""
        node, inputs = prepared_call(cls, kwargs)
        return normalized(node.execute(**inputs))

    @classmethod
    async def EXECUTE_NORMALIZED_ASYNC(cls, **kwargs: Any) -> NodeOutput:  # noqa: N802
        """As EXECUTE_NORMALIZED, for nodes that await."""
        node, inputs = prepared_call(cls, kwargs)
        return normalized(await node.execute(**inputs))

    FUNCTION = _ClassValue(
        lambda cls: (
            "EXECUTE_NORMALIZED_ASYNC" if inspect.iscoroutinefunction(cls.execute) else "EXECUTE_NORMALIZED"
        )
    )
    SCHEMA = _ClassValue(lambda cls: cls.GET_SCHEMA())
    RELATIVE_PYTHON_MODULE = "custom_nodes"
    DESCRIPTION = _ClassValue(lambda cls: cls.GET_SCHEMA().description)
    CATEGORY = _ClassValue(lambda cls: cls.GET_SCHEMA().category)
    EXPERIMENTAL = _ClassValue(lambda cls: cls.GET_SCHEMA().is_experimental)
    DEPRECATED = _ClassValue(lambda cls: cls.GET_SCHEMA().is_deprecated)
    DEV_ONLY = _ClassValue(lambda cls: cls.GET_SCHEMA().is_dev_only)
    API_NODE = _ClassValue(lambda cls: cls.GET_SCHEMA().is_api_node)
    OUTPUT_NODE = _ClassValue(lambda cls: cls.GET_SCHEMA().is_output_node)
    INPUT_IS_LIST = _ClassValue(lambda cls: cls.GET_SCHEMA().is_input_list)
    OUTPUT_IS_LIST = _ClassValue(lambda cls: [each.is_output_list for each in cls.GET_SCHEMA().outputs])
    RETURN_TYPES = _ClassValue(lambda cls: [each.get_io_type() for each in cls.GET_SCHEMA().outputs])
    RETURN_NAMES = _ClassValue(lambda cls: [each.name for each in cls.GET_SCHEMA().outputs])
    OUTPUT_TOOLTIPS = _ClassValue(lambda cls: [each.tooltip for each in cls.GET_SCHEMA().outputs])
    NOT_IDEMPOTENT = _ClassValue(lambda cls: cls.GET_SCHEMA().not_idempotent)
    ACCEPT_ALL_INPUTS = _ClassValue(lambda cls: cls.GET_SCHEMA().accept_all_inputs)
    SEARCH_ALIASES = _ClassValue(lambda cls: cls.GET_SCHEMA().search_aliases)


def _prepared(check: Callable[..., Any]) -> Callable[..., Any]:
    """A check that is given what `execute` is: no hidden inputs, and dynamic ones nested."""

    @functools.wraps(check)
    def call(cls: Any, **kwargs: Any) -> Any:
        types = {_TYPES: kwargs.pop(_TYPES)} if _TYPES in kwargs else {}
        node, inputs = prepared_call(cls, kwargs, complete=False)
        return check(node, **inputs, **types)

    return call


def prepared_call(
    cls: Any, kwargs: Mapping[str, Any], *, complete: bool = True
) -> tuple[Any, dict[str, Any]]:
    """The class with its hidden inputs, and the inputs that `execute` is given.

    Raises InputError if an input of a dynamic one is missing, unless the inputs need not be `complete`.
    """
    schema: Schema = cls.GET_SCHEMA()
    names = {schema.hidden_name(each): each.name for each in schema.hidden}
    held = {names[name]: value for name, value in kwargs.items() if name in names}
    if schema.is_input_list:
        held = {name: value[0] if isinstance(value, list) and value else None for name, value in held.items()}
    given = {name: value for name, value in kwargs.items() if name not in names}
    node = type(cls.__name__, (cls,), {"hidden": HiddenHolder(**held), "__module__": cls.__module__})
    if not schema.open:
        listed = {each.id for each in schema.inputs}
        return node, {name: value for name, value in given.items() if name in listed}
    if not complete and not any(each.id in given for each in schema.inputs):
        return node, given
    nested = nested_inputs(schema.inputs, given)
    if schema.accept_all_inputs:
        nested = {**{name: value for name, value in given.items() if "." not in name}, **nested}
    if not complete:
        firsts = {name.partition(".")[0] for name in given}
        nested = {name: value for name, value in nested.items() if name in firsts}
    return node, nested


def normalized(returned: Any) -> NodeOutput:
    """What a node returned, as a NodeOutput; raises TypeError for what is none and cannot be made one."""
    if isinstance(returned, NodeOutput):
        return returned
    if returned is None:
        return NodeOutput()
    if isinstance(returned, tuple):
        return NodeOutput(*returned)
    if isinstance(returned, dict):
        return NodeOutput.from_dict(returned)
    if isinstance(returned, ExecutionBlocker):
        return NodeOutput(block_execution=returned.message)
    raise TypeError(f"A node must return a NodeOutput, and this one returned a {type(returned).__name__}.")
