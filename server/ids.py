"""Run ids: ULIDs, made by the server alone, in ascending order even when the clock is set back."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 26
_RANDOM_BITS: Final = 80


class UlidSource:
    """Makes ULIDs; each is greater than those before it."""

    def __init__(self, after: str | None = None) -> None:
        self._last = _number(after) if after is not None and is_ulid(after) else 0
        self._lock = threading.Lock()

    def new(self) -> str:
        """The next id."""
        fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            if fresh >> _RANDOM_BITS <= self._last >> _RANDOM_BITS:
                fresh = self._last + 1 + secrets.randbits(32)
            self._last = fresh
        return _text(fresh)


def is_ulid(text: str) -> bool:
    """True if a text has the form of a ULID."""
    return len(text) == _LENGTH and text[0] in "01234567" and all(letter in _ALPHABET for letter in text)


def _text(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def _number(text: str) -> int:
    number = 0
    for letter in text:
        number = number << 5 | _ALPHABET.index(letter)
    return number
