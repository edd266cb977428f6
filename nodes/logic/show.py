"""Nodes that show values to people."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

from graphcore import Context, Shown, node

MAX_CHARACTERS = 20_000


@node("ShowText", category="show", title="Show Text", output=True)
def show_text(ctx: Context, text: Annotated[str, Shown(force_input=True)]) -> str:
    """Show a text, and pass it on."""
    ctx.show("text", {"text": text[:MAX_CHARACTERS]})
    return text


@node("PreviewAny", category="show", title="Show Anything", output=True)
def preview_any(ctx: Context, source: Any) -> None:
    """Show what a value is: numbers and texts as they are, tensors by shape and range."""
    ctx.show("text", {"text": described(source)[:MAX_CHARACTERS]})


def described(value: object) -> str:
    """A value in words."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float, type(None))):
        return json.dumps(value)
    shape = getattr(value, "shape", None)
    if shape is not None:
        return _tensor(value, tuple(shape))
    if is_dataclass(value) and not isinstance(value, type):
        parts = [f"{field.name}: {described(getattr(value, field.name))}" for field in fields(value)]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(described(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {described(item)}" for name, item in value.items()) + "}"
    return type(value).__name__


def _tensor(value: Any, shape: tuple[int, ...]) -> str:
    if not value.numel():
        return f"tensor {list(shape)}, empty"
    low, high = float(value.min()), float(value.max())
    return f"tensor {list(shape)} from {low:.4g} to {high:.4g}"
