"""JSON pointers (RFC 6901) into documents."""

from __future__ import annotations


def pointer(*parts: str | int) -> str:
    """The JSON pointer with these parts, escaped."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
