"""Reads JSON strictly: one clear error for whatever the bytes are, in bounded time and memory."""

from __future__ import annotations

import json
import math
import re
from typing import Final

from graphcore.errors import DocumentError

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

MAX_BYTES: Final = 64 * 2**20
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INT_DIGITS: Final = 19


def parse_json(source: bytes | str, *, max_bytes: int = MAX_BYTES) -> JSON:
    """Parse a JSON text.

    Refused, each with a DocumentError that says where: text that is not UTF-8 or not JSON, NaN and Infinity, numbers
    beyond 64-bit integers or finite floats, duplicate keys, lone surrogates, nesting that is too deep, too many bytes.
    """
    size = len(source)
    if size > max_bytes:
        raise DocumentError(
            f"The document has {size} bytes, and the limit is {max_bytes}; send a smaller one.",
            code="document-too-large",
        )
    text = _decode(source)
    if not text.strip():
        raise DocumentError("The document is empty; send a workflow as JSON.", code="not-json")
    try:
        parsed: JSON = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_int,
        )
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"The document is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            code="not-json",
        ) from None
    except RecursionError:
        raise DocumentError("The document is nested too deeply; flatten it.", code="too-deep") from None
    if "\\u" in text or _LONE_SURROGATE.search(text):
        _refuse_surrogates(parsed)
    return parsed


def _decode(source: bytes | str) -> str:
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"The document is not UTF-8 text (byte {error.start}); save it as UTF-8.", code="not-utf8"
        ) from None


def _unique_keys(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DocumentError(
                    f"The key {_short(key)} stands twice in one object; keep one of them.", code="duplicate-key"
                )
            seen.add(key)
    return made


def _refuse_constant(word: str) -> JSON:
    raise DocumentError(f"{word} is not JSON; use a finite number.", code="not-finite")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise DocumentError(f"The number {_short(digits)} is too large; use a finite one.", code="not-finite")
    return value


def _bounded_int(digits: str) -> int:
    if len(digits) > _INT_DIGITS + 2:
        raise DocumentError(
            f"The integer {_short(digits)} is too long; use at most 64 bits.", code="integer-too-large"
        )
    value = int(digits)
    if not -(2**63) <= value < 2**64:
        raise DocumentError(
            f"The integer {_short(digits)} is beyond 64 bits; use a smaller one.", code="integer-too-large"
        )
    return value


def _refuse_surrogates(parsed: JSON) -> None:
    pending: list[JSON] = [parsed]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, str) and _LONE_SURROGATE.search(value):
            raise DocumentError(
                f"The text {_short(ascii(value))} holds half of a surrogate pair; remove it.", code="lone-surrogate"
            )


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
