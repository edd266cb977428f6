"""A mistake in a node's declaration is told to its author, with file and line, when the node is declared."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from graphcore import (
    Context,
    DeclarationError,
    Each,
    Expand,
    FileChoice,
    Lazy,
    OutputName,
    Range,
    Registry,
    Secret,
    Seed,
    Text,
    Toggle,
    node,
    spec_of,
)
from tests.unit.engine.arithmetic import Picture, add, arithmetic


class Plain:
    """A class that is no socket type."""


def no_type(value) -> int: ...  # type: ignore[no-untyped-def, empty-body]
def no_return(value: int): ...  # type: ignore[no-untyped-def]
def unknown_class(value: Plain) -> int: ...  # type: ignore[empty-body]
def union(value: int | str) -> int: ...  # type: ignore[empty-body]
def star(*values: int) -> int: ...  # type: ignore[empty-body]
def by_place(value: int, /) -> int: ...  # type: ignore[empty-body]
def bare_list(values: list) -> int: ...  # type: ignore[type-arg, empty-body]
def nested_list(values: list[list[int]]) -> int: ...  # type: ignore[empty-body]
def each_input(value: Each[int]) -> int: ...  # type: ignore[empty-body]
def lazy_sync(value: Lazy[int]) -> int: ...  # type: ignore[empty-body]
def list_of_lazy(value: list[Lazy[int]]) -> int: ...  # type: ignore[empty-body]
def range_on_text(value: Annotated[str, Range(0, 1)]) -> int: ...  # type: ignore[empty-body]
def range_empty(value: Annotated[int, Range(2, 1)]) -> int: ...  # type: ignore[empty-body]
def range_class(value: Annotated[int, Range]) -> int: ...  # type: ignore[empty-body]
def default_outside(value: Annotated[int, Range(0, 1)] = 2) -> int: ...  # type: ignore[empty-body]
def default_no_choice(value: Literal["a", "b"] = "c") -> int: ...  # type: ignore[assignment, empty-body]
def mixed_choices(value: Literal["a", 1] = "a") -> int: ...  # type: ignore[empty-body]
def default_type(value: int = 1.5) -> int: ...  # type: ignore[assignment, empty-body]
def default_none(value: int = None) -> int: ...  # type: ignore[assignment, empty-body]  # noqa: RUF013
def default_infinite(value: float = float("inf")) -> int: ...  # type: ignore[empty-body]
def file_on_int(value: Annotated[int, FileChoice("loras")]) -> int: ...  # type: ignore[empty-body]
def text_on_int(value: Annotated[int, Text()]) -> int: ...  # type: ignore[empty-body]
def seed_on_text(value: Annotated[str, Seed()]) -> int: ...  # type: ignore[empty-body]
def toggle_on_int(value: Annotated[int, Toggle()]) -> int: ...  # type: ignore[empty-body]
def range_of_text(value: Annotated[int, Range("1", "2")]) -> int: ...  # type: ignore[empty-body]
def range_nan(value: Annotated[float, Range(float("nan"))]) -> int: ...  # type: ignore[empty-body]
def typing_list(values: typing.List) -> int: ...  # type: ignore[type-arg, empty-body] # noqa: UP006
def default_no_list(values: list[int] = 3) -> int: ...  # type: ignore[assignment, empty-body]
def default_item(values: list[int] = ["3"]) -> int: ...  # type: ignore[list-item, empty-body] # noqa: B006
def unfinished(value: "int |") -> int: ...  # type: ignore[valid-type, empty-body] # noqa: F722
def no_such(value: typing.Nothing) -> int: ...  # type: ignore[name-defined, empty-body]
def two_contexts(one: Context, two: Context) -> int: ...  # type: ignore[empty-body]
def union_return(value: int) -> int | str: ...  # type: ignore[empty-body]
def tuple_return(value: int) -> tuple[int, str]: ...  # type: ignore[empty-body]
def generator(value: int) -> int:  # type: ignore[misc]
    yield value


MISTAKES: dict[Callable[..., Any], str] = {
    no_type: "'value' has no type",
    no_return: "return type is missing",
    unknown_class: "Plain, which is no socket type",
    union: "union",
    star: "'values' must be passable by name",
    by_place: "'value' must be passable by name",
    bare_list: "bare list",
    nested_list: "list of lists",
    each_input: "Each",
    lazy_sync: "async def",
    list_of_lazy: "write Lazy[list[",
    range_on_text: "Range but is no INT or FLOAT",
    range_empty: "is empty",
    range_class: "names the class Range",
    default_outside: "outside its Range",
    default_no_choice: "none of its choices",
    mixed_choices: "several types",
    default_type: "is no INT",
    default_none: "annotate it as",
    default_infinite: "not finite",
    file_on_int: "FileChoice",
    text_on_int: "Text",
    seed_on_text: "Seed",
    toggle_on_int: "Toggle",
    range_of_text: "use finite numbers",
    range_nan: "use finite numbers",
    typing_list: "bare list",
    default_no_list: "is no list",
    default_item: "is no INT",
    unfinished: "cannot be read",
    no_such: "cannot be read",
    two_contexts: "asked for twice",
    union_return: "NamedTuple",
    tuple_return: "NamedTuple",
    generator: "generator",
}


@pytest.mark.parametrize(("function", "told"), MISTAKES.items(), ids=[f.__name__ for f in MISTAKES])
def test_a_mistake_is_told_with_file_and_line(function: Callable[..., Any], told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        node("Broken")(function)
    assert told in caught.value.message
    assert caught.value.location == f"{__file__}:{function.__code__.co_firstlineno}"
    assert caught.value.message.startswith(caught.value.location)
    assert function.__name__ in caught.value.message


def plain(value: int = 0) -> int:
    return value


async def asynchronous(value: int = 0) -> int:
    return value


@pytest.mark.parametrize(
    ("function", "options", "told"),
    [
        (plain, {"cacheable": False}, "must say why"),
        (plain, {"reason": "because"}, "cacheable=False"),
        (asynchronous, {"thread": True}, "synchronous"),
        (plain, {"version": 0}, "version"),
        (plain, {"version": "2"}, "version"),
        (plain, {"aliases": "Plain"}, "aliases"),
        (plain, {"fingerprint": lambda valeu: ""}, "'valeu'"),
        (plain, {"check": lambda other: None}, "'other'"),
        (plain, {"check": "value"}, "no plain function"),
        (plain, {"fingerprint": asynchronous}, "no plain function"),
        (plain, {"category": 3}, "no line of text"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    function: Callable[..., Any], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(DeclarationError, match=told):
        node("Broken", **options)(function)


@pytest.mark.parametrize("name", ["", "two\nlines", 5])
def test_a_name_is_a_line_of_text(name: Any) -> None:
    with pytest.raises(DeclarationError, match="name="):
        node(name)(plain)


def test_a_class_and_a_bare_decorator_are_told_with_their_line() -> None:
    with pytest.raises(DeclarationError, match="write @node\\(\\)") as bare:
        node(plain)  # type: ignore[arg-type]
    assert bare.value.location == f"{__file__}:{plain.__code__.co_firstlineno}"
    with pytest.raises(DeclarationError, match="only functions") as caught:
        node("Broken")(Plain)
    assert caught.value.location.startswith(f"{__file__}:")


def test_a_name_of_the_annotations_that_cannot_be_found_is_told() -> None:
    def local(value: Missing) -> int: ...  # type: ignore[name-defined, empty-body] # noqa: F821

    with pytest.raises(DeclarationError, match="'Missing', which cannot be found"):
        node("Broken")(local)


def test_a_node_stays_the_function_that_it_is() -> None:
    assert add(2, b=3) == 5


class Parts(NamedTuple):
    first: Picture
    second: int


@node(aliases=("OldName",), category="test")
def every_part(
    ctx: Context,
    picture: Picture,
    numbers: list[int],
    mode: Literal["a", "b"] = "a",
    size: Annotated[int, Range(1, 9, step=2)] = 3,
    key: Annotated[str, Secret()] = "",
    maybe: Picture | None = None,
) -> Parts:
    """All that a signature can say."""
    return Parts(picture, size)


def test_the_signature_is_the_schema() -> None:
    spec = spec_of(every_part)
    assert spec is not None
    assert (spec.name, spec.aliases, spec.category) == ("EveryPart", ("OldName",), "test")
    assert spec.description == "All that a signature can say."
    assert [declared.name for declared in spec.inputs] == [
        "picture",
        "numbers",
        "mode",
        "size",
        "key",
        "maybe",
    ]
    assert [declared.comfy_type for declared in spec.inputs] == [
        "PICTURE",
        "INT",
        "COMBO",
        "INT",
        "STRING",
        "PICTURE",
    ]
    assert [declared.required for declared in spec.inputs] == [True, True, False, False, False, False]
    assert spec.by_name["numbers"].gather
    assert spec.by_name["mode"].choices == ("a", "b")
    assert spec.by_name["size"].range == Range(1, 9, step=2)
    assert spec.by_name["key"].secret
    assert [(output.name, output.type.name) for output in spec.outputs] == [
        ("first", "PICTURE"),
        ("second", "INT"),
    ]
    assert spec.context_name == "ctx"


@node("Named")
def named() -> Annotated[int, OutputName("count")]:
    """One output by name."""
    return 1


@node("Nothing")
def nothing() -> Expand | None:
    """No output, or more nodes."""
    return None


def test_outputs_are_named() -> None:
    for function, names in ((named, ["count"]), (add, ["int"]), (nothing, [])):
        spec = spec_of(function)
        assert spec is not None
        assert [output.name for output in spec.outputs] == names


def test_a_registry_refuses_what_is_no_node_and_names_that_are_taken() -> None:
    registry = arithmetic()
    with pytest.raises(DeclarationError, match="is no node"):
        registry.add(plain)

    @node("Other", aliases=("Plus",))
    def other() -> int:
        return 1

    with pytest.raises(DeclarationError, match="'Plus' is taken"):
        registry.add(other)
    registry.add(add)


def test_a_registry_finds_by_name_and_alias_and_knows_the_nearest() -> None:
    registry = arithmetic()
    assert registry.get("Plus") is registry.get("Add")
    assert "Plus" in registry
    assert registry.nearest("plsu") == "Plus"
    assert registry.nearest("zzzzzz") is None
    assert Registry().nearest("Add") is None
