"""A node with an input of every kind that a form can ask for."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import Context, Range, Text, node
from graphcore.widgets import FileChoice, Secret, Seed, Shown, Toggle


@node("EveryWidget", category="test", output=True, title="Every widget")
def every_widget(
    line: str,
    words: Annotated[str, Text(placeholder="Say something")],
    whole: Annotated[int, Range(0, 100, step=5)],
    share: Annotated[float, Range(0.0, 1.0, step=0.05)],
    size: Annotated[float, Range(minimum=0.5)],
    way: Literal["up", "down", "around"],
    loud: Annotated[bool, Toggle(on="Loud", off="Quiet"), Shown(tooltip="How it is said.")],
    seed: Annotated[int, Seed()],
    model: Annotated[str, FileChoice("checkpoints")],
    picture: Annotated[str, FileChoice("input", upload="image")],
    ctx: Context,
    password: Annotated[str, Secret()] = "",
) -> None:
    """Show what was given."""
    given = (line, words, whole, share, size, way, loud, seed, model, len(picture) > 4, password)
    ctx.show("text", {"text": "|".join(str(value) for value in given)})
