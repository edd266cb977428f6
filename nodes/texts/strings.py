"""Nodes that put texts together."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Any

from graphcore import InputError, OutputName, Text, node
from nodes.texts.length import MAX_CHARACTERS, limited, too_long

Long = Annotated[str, Text()]
Short = Annotated[str, Text(multiline=False)]


@node("TextJoin", category="text", title="Join Texts")
def text_join(texts: list[str], separator: Short = ", ") -> str:
    """Join texts with a separator between them; empty ones are left out."""
    return limited(separator.join(text for text in texts if text))


@node("StringConcatenate", category="text", title="Concatenate")
def string_concatenate(string_a: Long, string_b: Long, delimiter: Short = "") -> str:
    """Two texts with a delimiter between them."""
    return limited(f"{string_a}{delimiter}{string_b}")


@node("TextReplace", category="text", title="Replace in Text", aliases=("StringReplace",))
def text_replace(string: Long, find: Long, replace: Long) -> str:
    """Replace every occurrence of a text by another."""
    if not find:
        return string
    count = string.count(find)
    if len(string) + count * max(len(replace) - len(find), 0) > MAX_CHARACTERS:
        raise too_long()
    return string.replace(find, replace)


@node("StringLength", category="text", title="Length of Text")
def string_length(string: Long) -> Annotated[int, OutputName("length")]:
    """The number of characters."""
    return len(string)


@node("TextFormat", category="text", title="Format Text")
def text_format(
    template: Annotated[str, Text(placeholder="a {a} cat, {b:.2f}")],
    a: Any = None,
    b: Any = None,
    c: Any = None,
    d: Any = None,
) -> str:
    """Fill {a}, {b}, {c} and {d} of a template with values; {a:.2f} formats a number, {{ is a brace."""
    values = {"a": a, "b": b, "c": c, "d": d}
    parts = []
    try:
        for text, name, how, conversion in Formatter().parse(template):
            parts.append(text)
            if name is not None:
                parts.append(_formatted(values, name, how or "", conversion))
    except ValueError as error:
        raise InputError(f"The template cannot be filled: {error}.", code="bad-template") from error
    return limited("".join(parts))


def _formatted(values: dict[str, Any], name: str, how: str, conversion: str | None) -> str:
    if name not in values or conversion is not None:
        raise InputError(
            f"The template names {{{name}}}; it may name {{a}}, {{b}}, {{c}} and {{d}}.", code="bad-template"
        )
    value = values[name]
    if not isinstance(value, (str, int, float)):
        raise InputError(f"{{{name}}} must be filled with a text or a number.", code="bad-template")
    if any(int(digits) > 1000 for digits in _numbers(how)) or "{" in how:
        raise InputError(f"The format '{how[:40]}' of {{{name}}} is too wide.", code="bad-template")
    return format(value, how)


def _numbers(how: str) -> list[str]:
    return "".join(
        character if character.isascii() and character.isdigit() else " " for character in how
    ).split()
