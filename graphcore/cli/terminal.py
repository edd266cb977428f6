"""Text of others on a terminal: shown, never obeyed."""

from __future__ import annotations


def visible(text: object) -> str:
    """The text with control characters written out (`\\x1b`), so that it cannot colour, move or title a terminal."""
    given = str(text)
    if given.isprintable():
        return given
    return "".join(
        character if character.isprintable() or character in "\n\t" else repr(character)[1:-1]
        for character in given
    )
