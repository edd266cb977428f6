"""Reads JSON strictly: one clear error for whatever the bytes are, in bounded time and memory."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Mapping
from typing import Final

from graphcore.errors import DocumentError

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

MAX_BYTES: Final = 64 * 2**20
MAX_DEPTH: Final = 200
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_INT_DIGITS: Final = 19


def parse_json(source: bytes | str, *, max_bytes: int = MAX_BYTES, nan_as_null: bool = False) -> JSON:
    """Parse a JSON text; with `nan_as_null`, NaN and Infinity read as null, as old ComfyUI pictures need it.

    Refused, each with a DocumentError that says where: text that is not UTF-8 or not JSON, NaN and Infinity, numbers
    beyond 64-bit integers or finite floats, duplicate keys, lone surrogates, too deep nesting, too many bytes.
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
            parse_constant=_null if nan_as_null else _refuse_constant,
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
    if _ESCAPED_SURROGATE.search(text) or _LONE_SURROGATE.search(text):
        check_json(parsed)
    elif _may_be_deep(text):
        _check_depth(parsed)
    return parsed


def check_json(document: object) -> None:
    """Hold a value that did not come from `parse_json` to the same rules; raises DocumentError."""
    pending: list[tuple[object, int]] = [(document, 0)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise DocumentError("The document is nested too deeply; flatten it.", code="too-deep")
        if isinstance(value, Mapping):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise DocumentError(f"The key {shown(key)} is not text; use text.", code="not-json")
                _check_scalar(key)
                pending.append((item, depth + 1))
        elif isinstance(value, (list, tuple)):
            pending.extend((item, depth + 1) for item in value)
        else:
            _check_scalar(value)


def _check_depth(document: JSON) -> None:
    """The depth alone, level by level: scalars that `parse_json` let through need no second look."""
    level: list[JSON] = [document]
    for _ in range(MAX_DEPTH):
        below: list[JSON] = []
        for value in level:
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            below.extend(item for item in items if item.__class__ is dict or item.__class__ is list)
        if not below:
            return
        level = below
    raise DocumentError("The document is nested too deeply; flatten it.", code="too-deep")


def _check_scalar(value: object) -> None:
    if isinstance(value, str):
        if _LONE_SURROGATE.search(value):
            raise DocumentError(
                f"The text {shown(value)} holds half of a surrogate pair; remove it.", code="lone-surrogate"
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise DocumentError(f"{value} is not JSON; use a finite number.", code="not-finite")
    elif type(value) is int:
        _check_int(value)
    elif value is not None and not isinstance(value, bool):
        raise DocumentError(f"A {type(value).__name__} is not JSON; use plain values.", code="not-json")


def _check_int(value: int) -> None:
    if not -(2**63) <= value < 2**64:
        raise DocumentError(
            f"The integer {shown(value)} is beyond 64 bits; use a smaller one.", code="integer-too-large"
        )


def _may_be_deep(text: str) -> bool:
    return text.count("[") + text.count("{") > MAX_DEPTH


def shown(value: object) -> str:
    """A value in short, whatever it is: at most a line, in bounded time."""
    brief = reprlib.Repr()
    brief.maxlevel, brief.maxstring, brief.maxlong, brief.maxother = 3, 60, 40, 60
    try:
        return brief.repr(value)
    except Exception:  # noqa: BLE001 (any value may be broken in any way)
        return f"a {type(value).__name__}"


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
                    f"The key {shown(key)} stands twice in one object; keep one of them.",
                    code="duplicate-key",
                )
            seen.add(key)
    return made


def _null(word: str) -> JSON:
    del word
    return None


def _refuse_constant(word: str) -> JSON:
    raise DocumentError(f"{word} is not JSON; use a finite number.", code="not-finite")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise DocumentError(f"The number {shown(digits)} is too large; use a finite one.", code="not-finite")
    return value


def _bounded_int(digits: str) -> int:
    if len(digits) > _INT_DIGITS + 2:
        raise DocumentError(
            f"The integer {shown(digits)} is too long; use at most 64 bits.", code="integer-too-large"
        )
    value = int(digits)
    _check_int(value)
    return value
