"""What a node's numbers ask for, held against the limits: pixels, steps, pictures in a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphcore.limits import Limits
from graphcore.spec import NodeSpec


@dataclass(frozen=True, slots=True)
class Excess:
    """An amount beyond its limit."""

    what: str
    asked: float
    allowed: int

    @property
    def sentence(self) -> str:
        """What is asked for, and what the limit is."""
        return (
            f"The node asks for {self.asked:.0f} {self.what}, and the limit is {self.allowed}; ask for fewer."
        )


def excesses(spec: NodeSpec, values: Mapping[str, object], limits: Limits) -> list[Excess]:
    """What the inputs of a node ask for beyond the limits. An input that is not known yet counts as nothing."""
    amounts: dict[str, float] = {}
    for declared in spec.budgeted_inputs:
        value = values.get(declared.name)
        if declared.range is not None and declared.range.role is not None and isinstance(value, (int, float)):
            amounts[declared.range.role] = value
    pixels = amounts.get("width", 0) * amounts.get("height", 0) * amounts.get("batch", 1)
    asked = (
        Excess("pixels", pixels, limits.pixels),
        Excess("steps", amounts.get("steps", 0), limits.steps),
        Excess("pictures in a batch", amounts.get("batch", 0), limits.batch),
    )
    return [excess for excess in asked if excess.asked > excess.allowed]
