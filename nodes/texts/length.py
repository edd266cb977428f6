"""How long a text may become."""

from __future__ import annotations

from graphcore import InputError

MAX_CHARACTERS = 1_000_000


def limited(text: str) -> str:
    """The text. Raises InputError if it is too long."""
    if len(text) > MAX_CHARACTERS:
        raise too_long()
    return text


def too_long() -> InputError:
    """The error of a text that is, or would be, too long."""
    return InputError(
        f"The text would have more than {MAX_CHARACTERS} characters; make it shorter.", code="over-budget"
    )
