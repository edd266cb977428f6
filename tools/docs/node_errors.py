"""The errors that a node can raise, read from its source and that of the functions that it calls by name.

What is called through an object is not followed, so that a list may lack some.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from graphcore import errors
from graphcore.errors import DeclarationError, GraphcoreError
from graphcore.spec import NodeSpec
from tools.docs.errors import coded, sentence_of

CHECK_CODE: Final = "node-check-failed"
_BUILT: Final = {"__init__", "__post_init__", "create"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Refusal:
    """An error with its sentence, and how many calls lie between the node and the place that raises it."""

    depth: int
    code: str
    sentence: str


class Room:
    """The modules below one folder of the project, as their source has them."""

    def __init__(self, root: Path, room: str) -> None:
        self._root = root
        self._room = room
        self._modules: dict[str, _Module | None] = {}

    def refusals(self, spec: NodeSpec) -> list[Refusal]:
        """What a node can refuse, nearest first, each sentence once."""
        found: dict[tuple[str, str], int] = {}
        for depth, definition in self._reached([spec.function]):
            for said in definition.refusals:
                found.setdefault(said, depth)
        for _, definition in self._reached([spec.check] if spec.check else []):
            for sentence in definition.returned:
                found.setdefault((CHECK_CODE, sentence), 0)
        return sorted(
            Refusal(depth=depth, code=code, sentence=sentence)
            for (code, sentence), depth in found.items()
            if code != DeclarationError.code and _says_something(sentence)
        )

    def _reached(self, functions: Iterable[Callable[..., object]]) -> Iterator[tuple[int, _Definition]]:
        """Functions, those that they call, and so on, with their distance."""
        names = [(function.__module__, function.__name__) for function in functions]
        depths = dict.fromkeys(names, 0)
        for place in names:
            definition = self._definition(*place)
            if definition is not None:
                yield depths[place], definition
                for called in definition.called:
                    if called not in depths:
                        depths[called] = depths[place] + 1
                        names.append(called)

    def _definition(self, module_name: str, name: str) -> _Definition | None:
        """Where a name is defined, followed through the modules that import it."""
        for _ in range(8):
            module = self._module(module_name)
            if module is None:
                return None
            definition = module.definitions.get(name)
            if definition is not None:
                return definition
            first, dot, method = name.partition(".")
            if first not in module.imports:
                return None
            module_name, first = module.imports[first]
            name = f"{first}{dot}{method}"
        return None

    def _module(self, name: str) -> _Module | None:
        if name.partition(".")[0] != self._room:
            return None
        if name not in self._modules:
            path = self._root.joinpath(*name.split("."))
            files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
            read = ast.parse(files[0].read_text(encoding="utf-8")) if files else None
            self._modules[name] = _Module(name=name, tree=read) if read is not None else None
        return self._modules[name]


@dataclass(frozen=True, kw_only=True)
class _Module:
    name: str
    tree: ast.Module

    @cached_property
    def definitions(self) -> Mapping[str, _Definition]:
        found = {}
        for entry in self.tree.body:
            if isinstance(entry, _Function):
                found[entry.name] = _Definition(module=self, statement=entry)
            if isinstance(entry, ast.ClassDef):
                for method in entry.body:
                    if isinstance(method, _Function):
                        name = f"{entry.name}.{method.name}"
                        found[name] = _Definition(module=self, statement=method, owner=entry.name)
        return found

    @cached_property
    def imports(self) -> Mapping[str, tuple[str, str]]:
        outside = [entry for entry in self.tree.body if not isinstance(entry, _Function)]
        return {name: origin for entry in outside for name, origin in _imported(entry)}


@dataclass(frozen=True, kw_only=True)
class _Definition:
    """A function, or a class, of a module; or a method, whose class is its `owner`."""

    module: _Module
    statement: _Function
    owner: str = ""

    @cached_property
    def called(self) -> tuple[tuple[str, str], ...]:
        """Module and name of what a function, or the making of a class, names."""
        return tuple(dict.fromkeys(self._names()))

    @cached_property
    def refusals(self) -> tuple[tuple[str, str], ...]:
        """Code and sentence of the errors that are made here."""
        calls = [item for item in ast.walk(self.statement) if isinstance(item, ast.Call)]
        return tuple(said for call in calls for said in (*coded(call), *_by_class(call)))

    @cached_property
    def returned(self) -> tuple[str, ...]:
        """The sentences that a check returns."""
        values = [item.value for item in ast.walk(self.statement) if isinstance(item, ast.Return)]
        texts = [
            sentence_of(text)
            for value in values
            if value
            for text in ast.walk(value)
            if isinstance(text, ast.expr)
        ]
        return tuple(text for text in texts if text.endswith("."))

    def _names(self) -> Iterator[tuple[str, str]]:
        origins = {**self.module.imports, **dict(_imported(self.statement))}
        items = [item for entry in _run(self.statement) for item in ast.walk(entry)]
        services = {id(kind): kind.id for item in items if (kind := _service(item)) is not None}
        held = {"self": self.owner} if self.owner else {}
        for item in items:
            if isinstance(item, ast.Assign) and (kind := _service(item.value)) is not None:
                held.update((target.id, kind.id) for target in item.targets if isinstance(target, ast.Name))
        for item in items:
            if isinstance(item, ast.Name) and id(item) not in services:
                yield origins.get(item.id, (self.module.name, item.id))
            elif isinstance(item, ast.Attribute):
                name = item.value.id if isinstance(item.value, ast.Name) else ""
                asked = _service(item.value)
                kind_name = asked.id if asked is not None else held.get(name)
                if kind_name:
                    module, origin = origins.get(kind_name, (self.module.name, kind_name))
                    yield module, f"{origin}.{item.attr}"
                elif name in origins:
                    yield ".".join(origins[name]), item.attr


def _service(item: ast.AST) -> ast.Name | None:
    """The class whose object is asked for by `ctx.service(Class)`: how that is made is not the node's doing."""
    if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "service":
        return next((argument for argument in item.args if isinstance(argument, ast.Name)), None)
    return None


def _says_something(sentence: str) -> bool:
    """False for a sentence that is put together elsewhere."""
    return len([word for word in sentence.split() if word[0].isalnum()]) > 1


def _run(definition: _Function) -> list[ast.stmt]:
    """The statements that run when something is called."""
    if isinstance(definition, ast.ClassDef):
        return [entry for entry in definition.body if getattr(entry, "name", "") in _BUILT]
    return definition.body


def _imported(entry: ast.AST) -> Iterator[tuple[str, tuple[str, str]]]:
    for item in ast.walk(entry):
        if isinstance(item, ast.ImportFrom) and item.module:
            for alias in item.names:
                yield alias.asname or alias.name, (item.module, alias.name)


def _by_class(call: ast.Call) -> Iterator[tuple[str, str]]:
    """An error that is raised without a code has that of its class."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, GraphcoreError)) or not call.args:
        return
    if not any(keyword.arg == "code" for keyword in call.keywords):
        yield kind.code, sentence_of(call.args[0])
