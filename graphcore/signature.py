"""Reads a function's signature as a node: its inputs, widgets and outputs.

Every rule broken is told to the author as `file:line: function: what to change`.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from graphcore.context import Context
from graphcore.errors import DeclarationError
from graphcore.lists import Blocked, Each, Expand, Lazy, RawLink
from graphcore.sockets import ANY, COMBO, SocketType, socket_of
from graphcore.spec import MISSING, InputSpec, OutputSpec
from graphcore.widgets import FileChoice, Growing, OutputName, Range, Secret, Seed, Shown, Text, Toggle

_WIDGETS: Final[Mapping[type, tuple[str, tuple[str, ...]]]] = {
    Range: ("range", ("INT", "FLOAT")),
    Text: ("text", ("STRING",)),
    FileChoice: ("file", ("STRING",)),
    Growing: ("growing", ()),
    Seed: ("seed", ("INT",)),
    Toggle: ("toggle", ("BOOLEAN",)),
    Shown: ("shown", ()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function's signature, read as a node's."""

    where: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    open_inputs: InputSpec | None
    context_name: str | None
    is_async: bool
    single_output: bool
    description: str


def _declaring_line() -> str:
    """The place outside this package from which a declaration is being made."""
    package = Path(__file__).parent
    for frame in inspect.stack(context=0):
        if Path(frame.filename).parent != package:
            return f"{frame.filename}:{frame.lineno}"
    return "<unknown>"


def read_signature(function: Callable[..., object]) -> Signature:
    """Read `function` as a node; raises DeclarationError where it cannot be."""
    return _Reader(function).read()


class _Reader:
    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        self.where = f"{code.co_filename}:{code.co_firstlineno}" if code else _declaring_line()
        self.is_async = inspect.iscoroutinefunction(function)

    def fail(self, sentence: str) -> NoReturn:
        name = getattr(self.function, "__qualname__", "node")
        raise DeclarationError(f"{self.where}: {name}: {sentence}", location=self.where)

    def read(self) -> Signature:
        if not hasattr(self.function, "__code__"):
            self.fail("only functions can be nodes; decorate a function.")
        if inspect.isasyncgenfunction(self.function) or inspect.isgeneratorfunction(self.function):
            self.fail("a generator cannot be a node; return the values instead of yielding them.")
        hints = self._hints()
        inputs: list[InputSpec] = []
        open_inputs: InputSpec | None = None
        context_name: str | None = None
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL or (
                parameter.kind is inspect.Parameter.POSITIONAL_ONLY
            ):
                self.fail(f"input '{parameter.name}' must be passable by name; drop the '*' or '/'.")
            if parameter.name not in hints:
                self.fail(f"input '{parameter.name}' has no type; annotate it.")
            annotation = hints[parameter.name]
            if annotation is Context:
                if context_name is not None:
                    self.fail("the context is asked for twice; keep one Context parameter.")
                context_name = parameter.name
                continue
            default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
            spec = self._input(parameter.name, annotation, default)
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                open_inputs = spec
            else:
                inputs.append(spec)
        outputs, single = self._outputs(hints)
        return Signature(
            where=self.where,
            inputs=tuple(inputs),
            outputs=outputs,
            open_inputs=open_inputs,
            context_name=context_name,
            is_async=self.is_async,
            single_output=single,
            description=inspect.getdoc(self.function) or "",
        )

    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.function, include_extras=True)
        except NameError as error:
            self.fail(
                f"the annotation names '{error.name}', which cannot be found at run time; "
                "import it outside `if TYPE_CHECKING`."
            )
        except (AttributeError, SyntaxError, TypeError) as error:
            self.fail(f"an annotation cannot be read ({error}); use a type that typing understands.")

    def _input(self, name: str, annotation: Any, default: object) -> InputSpec:
        widgets: list[object] = []
        lazy = gather = raw_link = optional = False
        while True:
            origin = get_origin(annotation)
            if origin is Annotated:
                annotation, *extra = get_args(annotation)
                widgets.extend(extra)
            elif origin in (Union, types.UnionType) and type(None) in get_args(annotation):
                rest = [arg for arg in get_args(annotation) if arg is not type(None)]
                if len(rest) != 1:
                    self.fail(f"input '{name}' is a union of types; use one type (or one type and None).")
                annotation, optional = rest[0], True
            elif origin is Lazy or annotation is Lazy:
                annotation, lazy = (*get_args(annotation), Any)[0], True
            elif origin is RawLink or annotation is RawLink:
                annotation, raw_link = (*get_args(annotation), Any)[0], True
            elif origin is list:
                if gather:
                    self.fail(f"input '{name}' is a list of lists; a list may hold single values only.")
                if not get_args(annotation):
                    self.fail(f"'{name}' is a bare list; say of what, as in list[Image].")
                annotation, gather = get_args(annotation)[0], True
                if get_origin(annotation) in (Lazy, RawLink) or raw_link:
                    self.fail(f"input '{name}' is a list of links on demand; write Lazy[list[...]].")
            elif origin is Each:
                self.fail(f"input '{name}' is Each[...], which is for outputs; take one value, or list[...].")
            else:
                break
        if lazy and not self.is_async:
            self.fail(f"input '{name}' is Lazy, so the function must be `async def` and await it.")
        kind, choices = self._type(name, annotation)
        spec = self._with_widgets(
            InputSpec(
                name=name,
                type=kind,
                default=default,
                choices=choices,
                gather=gather,
                lazy=lazy,
                raw_link=raw_link,
                optional=optional and default is MISSING,
            ),
            widgets,
        )
        self._check_default(spec, optional=optional)
        return spec

    def _type(self, name: str, annotation: Any) -> tuple[SocketType, tuple[object, ...] | None]:
        if isinstance(annotation, TypeVar):
            return SocketType("*", variable=annotation.__name__), None
        if annotation is Any or annotation is object:
            return ANY, None
        if isinstance(annotation, SocketType):
            return annotation, None
        if get_origin(annotation) is Literal:
            choices = get_args(annotation)
            if len({type(choice) for choice in choices}) != 1:
                self.fail(f"the choices of '{name}' are of several types; use one type for all.")
            return COMBO, choices
        if annotation is list:
            self.fail(f"'{name}' is a bare list; say of what, as in list[Image].")
        kind = socket_of(annotation) if isinstance(annotation, type) else None
        if kind is None:
            label = getattr(annotation, "__name__", str(annotation))
            self.fail(
                f"'{name}' has the type {label}, which is no socket type; mark the class with "
                "@socket('NAME'), or use int, float, str, bool, Literal[...] or a type variable."
            )
        return kind, None

    def _with_widgets(self, spec: InputSpec, widgets: list[object]) -> InputSpec:
        for widget in widgets:
            if widget is Secret or isinstance(widget, Secret):
                spec = replace(spec, secret=True)
            elif isinstance(widget, SocketType):
                spec = replace(spec, type=widget)
            elif isinstance(widget, type) and widget in _WIDGETS:
                kind = widget.__name__
                self.fail(f"input '{spec.name}' names the class {kind}; call it: {kind}(...).")
            elif type(widget) in _WIDGETS:
                field, sockets = _WIDGETS[type(widget)]
                if sockets and spec.type.name not in sockets:
                    kind, wanted = type(widget).__name__, " or ".join(sockets)
                    self.fail(f"input '{spec.name}' has a {kind} but is no {wanted}; remove it.")
                if isinstance(widget, Range):
                    self._check_range(spec, widget)
                if isinstance(widget, Growing) and not spec.gather:
                    self.fail(f"input '{spec.name}' is Growing but no list; annotate it as list[...].")
                changes: dict[str, Any] = {field: widget}
                spec = replace(spec, **changes)
        return spec

    def _check_range(self, spec: InputSpec, bounds: Range) -> None:
        low, high = bounds.minimum, bounds.maximum
        bounds_given: tuple[object, ...] = (low, high)
        for bound in bounds_given:
            if bound is not None and not (isinstance(bound, (int, float)) and math.isfinite(bound)):
                self.fail(f"the Range of '{spec.name}' has the bound {bound!r}; use finite numbers.")
        if low is not None and high is not None and low > high:
            self.fail(f"the Range of '{spec.name}' is empty ({low} > {high}); swap its bounds.")

    def _check_default(self, spec: InputSpec, *, optional: bool) -> None:
        default = spec.default
        if default is MISSING or (default is None and (optional or spec.type.python is None)):
            return
        if default is None:
            self.fail(f"input '{spec.name}' defaults to None; annotate it as '… | None'.")
        if spec.gather:
            if not isinstance(default, (list, tuple)):
                self.fail(f"the default of '{spec.name}', {default!r}, is no list.")
            for item in default:
                self._check_default(replace(spec, default=item, gather=False), optional=optional)
            return
        if spec.choices is not None:
            if default not in spec.choices:
                self.fail(f"the default of '{spec.name}', {default!r}, is none of its choices.")
            return
        wanted = spec.type.python
        if wanted is float and type(default) is int:
            wanted = int
        if wanted in (int, float, str, bool) and type(default) is not wanted:
            self.fail(f"the default of '{spec.name}', {default!r}, is no {spec.type.name}.")
        if isinstance(default, float) and not math.isfinite(default):
            self.fail(f"the default of '{spec.name}' is not finite; use a finite number.")
        bounds = spec.range
        if bounds is not None and isinstance(default, (int, float)):
            below = bounds.minimum is not None and default < bounds.minimum
            above = bounds.maximum is not None and default > bounds.maximum
            if below or above:
                self.fail(f"the default of '{spec.name}', {default!r}, is outside its Range.")

    def _outputs(self, hints: dict[str, Any]) -> tuple[tuple[OutputSpec, ...], bool]:
        if "return" not in hints:
            self.fail("the return type is missing; annotate it (None for a node without outputs).")
        annotation = hints["return"]
        if get_origin(annotation) in (Union, types.UnionType):
            rest = [arg for arg in get_args(annotation) if arg not in (Expand, Blocked, type(None))]
            if len(rest) > 1:
                self.fail("the return type is a union; use a NamedTuple for several outputs.")
            annotation = rest[0] if rest else None
        if annotation is type(None) or annotation is None or annotation is Expand:
            return (), False
        if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
            fields = get_type_hints(annotation, include_extras=True)
            return tuple(self._output(name, kind, fixed=True) for name, kind in fields.items()), False
        if get_origin(annotation) is tuple or annotation in (tuple, dict):
            self.fail("several outputs need names; return a NamedTuple.")
        return (self._output("value", annotation, fixed=False),), True

    def _output(self, name: str, annotation: Any, *, fixed: bool) -> OutputSpec:
        each = False
        while True:
            origin = get_origin(annotation)
            if origin is Annotated:
                annotation, *extra = get_args(annotation)
                for widget in extra:
                    if isinstance(widget, OutputName):
                        name, fixed = widget.name, True
            elif origin is Each:
                annotation, each = get_args(annotation)[0], True
            elif origin in (Union, types.UnionType) and type(None) in get_args(annotation):
                annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
            else:
                break
        kind, _ = self._type(f"output {name}" if fixed else "the return value", annotation)
        if not fixed and kind.name not in ("*", "COMBO"):
            name = kind.name.lower()
        return OutputSpec(name=name, type=kind, each=each)
