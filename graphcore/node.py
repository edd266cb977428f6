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

import inspect
from collections.abc import Callable
from typing import Final, TypeVar

from graphcore.errors import DeclarationError
from graphcore.signature import Signature, read_signature
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

    if callable(name):
        raise _misplaced(name)

    def declare(function: FunctionT) -> FunctionT:
        read = read_signature(function)
        mistake = _bad_text(name=name, category=category, title=title) or _uncallable(
            fingerprint=fingerprint, check=check
        )
        if mistake is not None:
            raise DeclarationError(f"{read.where}: {function.__qualname__}: {mistake}", location=read.where)
        names = {spec.name for spec in read.inputs}
        mistake = _mistake(
            read,
            aliases=aliases,
            version=version,
            cacheable=cacheable,
            reason=reason,
            thread=thread,
            fingerprint=() if read.open_inputs else _strangers(fingerprint, names | {"files"}),
            check=() if read.open_inputs else _strangers(check, names),
        )
        if mistake is not None:
            raise DeclarationError(f"{read.where}: {function.__qualname__}: {mistake}", location=read.where)
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


def _misplaced(function: Callable[..., object]) -> DeclarationError:
    where = read_signature(function).where
    return DeclarationError(
        f"{where}: {function.__qualname__}: @node is called with what it declares; write @node().",
        location=where,
    )


def _bad_text(**texts: object) -> str | None:
    for what, text in texts.items():
        if text is not None and not (isinstance(text, str) and text.isprintable()):
            return f"{what}={text!r} is no line of text; give it one."
    return "name='' names nothing; leave it out, or give a name." if texts["name"] == "" else None


def _uncallable(**functions: object) -> str | None:
    for what, function in functions.items():
        if function is not None and (not callable(function) or inspect.iscoroutinefunction(function)):
            return f"{what}={function!r} is no plain function; give one."
    return None


def _mistake(
    read: Signature,
    *,
    aliases: object,
    version: object,
    cacheable: bool,
    reason: str | None,
    thread: bool,
    fingerprint: tuple[str, ...],
    check: tuple[str, ...],
) -> str | None:
    if not cacheable and not reason:
        return "a node with cacheable=False must say why; add reason='…'."
    if cacheable and reason:
        return "reason= is for nodes with cacheable=False; remove it."
    if thread and read.is_async:
        return "thread=True is for synchronous nodes; an async node must not have it."
    if type(version) is not int or version < 1:
        return f"version={version!r} is no version; count from 1."
    if not isinstance(aliases, tuple) or not all(isinstance(alias, str) and alias for alias in aliases):
        return f"aliases={aliases!r} is no tuple of names; write aliases=('Name',)."
    for what, strangers in (("fingerprint", fingerprint), ("check", check)):
        if strangers:
            return f"{what}= names '{strangers[0]}', which is no input; name inputs only."
    return None


def _strangers(function: Callable[..., object] | None, known: set[str]) -> tuple[str, ...]:
    """The parameters of a function that nothing will be given for."""
    if function is None:
        return ()
    parameters = inspect.signature(function).parameters.values()
    return tuple(
        parameter.name
        for parameter in parameters
        if parameter.name not in known
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    )


def spec_of(function: object) -> NodeSpec | None:
    """What `@node` declared of a function, or None if it is no node."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, NodeSpec) else None


def _camel_case(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
