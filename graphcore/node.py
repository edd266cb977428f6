"""Nodes are typed functions: the signature is the schema.

    @node("ImageBlend", category="image")
    def image_blend(
        image1: Image,
        image2: Image,
        blend_factor: Annotated[float, Range(0.0, 1.0, step=0.01)] = 0.5,
    ) -> Image:
        "Blend two images of the same size."

The decorator returns the function itself, so that a node is tested by calling it; what it declared is found with
`spec_of(function)`. A mistake is a DeclarationError that names the file and the line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from graphcore.errors import DeclarationError
from graphcore.signature import read_signature
from graphcore.spec import NodeSpec

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

_ATTRIBUTE: Final = "__graphcore_node__"


def node(
    name: str | None = None,
    *,
    category: str = "",
    title: str = "",
    aliases: tuple[str, ...] = (),
    output: bool = False,
    version: int = 1,
    cacheable: bool = True,
    reason: str | None = None,
    fingerprint: Callable[..., str] | None = None,
    check: Callable[..., str | None] | None = None,
    thread: bool = False,
    keyed_by_id: bool = False,
    deprecated: bool = False,
    experimental: bool = False,
) -> Callable[[FunctionT], FunctionT]:
    """Declare a function as a node.

    `output=True` marks what a run is for. `cacheable=False` needs a `reason`, which plans show. `fingerprint` names
    outside state, `version` is raised when the behaviour changes: both enter the key. `thread=True` runs a
    synchronous node in a thread pool. `aliases` are further type names (ComfyUI's class, say).

    Raises DeclarationError, with file and line, if the signature cannot be read as a node.
    """
    def declare(function: FunctionT) -> FunctionT:
        read = read_signature(function)
        if not cacheable and not reason:
            raise DeclarationError(
                f"{read.where}: a node with cacheable=False must say why; add reason='…'.", location=read.where
            )
        if cacheable and reason:
            raise DeclarationError(
                f"{read.where}: reason= is for nodes with cacheable=False; remove it.", location=read.where
            )
        if thread and read.is_async:
            raise DeclarationError(
                f"{read.where}: thread=True is for synchronous nodes; an async node must not have it.",
                location=read.where,
            )
        spec = NodeSpec(
            name=name or _camel_case(function.__name__),
            function=function,
            inputs=read.inputs,
            outputs=read.outputs,
            category=category,
            title=title,
            description=read.description,
            aliases=aliases,
            version=version,
            output=output,
            uncacheable=None if cacheable else reason,
            fingerprint=fingerprint,
            check=check,
            thread=thread,
            is_async=read.is_async,
            context_name=read.context_name,
            open_inputs=read.open_inputs,
            keyed_by_id=keyed_by_id,
            deprecated=deprecated,
            experimental=experimental,
            single_output=read.single_output,
            module=function.__module__,
            source=read.where,
        )
        setattr(function, _ATTRIBUTE, spec)
        return function

    return declare


def spec_of(function: object) -> NodeSpec | None:
    """What `@node` declared of a function, or None if it is no node."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, NodeSpec) else None


def _camel_case(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
