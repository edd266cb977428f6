"""8-bit weights with a scale beside them ("scaled fp8"): what is stored times the scale is the weight.

    blocks.0.qkv.weight (fp8)   blocks.0.qkv.scale_weight (one number, or one for each row)

Files of this kind also hold scales of the layers' inputs, for GPUs that multiply 8-bit numbers; they are not used.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, dtype

from nodes.diffusion.part import Part
from nodes.diffusion.safetensors_header import Header

SCALES = ("scale_weight", "weight_scale")
BESIDE = frozenset({*SCALES, "scale_input", "input_scale", "scaled_fp8", "comfy_quant"})
"""The last names of tensors that are no weights, but say how weights are stored."""


def scale_of(part: Part, original: str) -> tuple[Header, str] | None:
    """Where the scale of the tensor called `original` is: its file and full name; None if it has none."""
    module, _, last = original.rpartition(".")
    for name in SCALES if last == "weight" else ():
        found = part.find(f"{module}.{name}")
        if found is not None:
            return found[0], found[1]
    return None


def unscaled(stored: Tensor, scale: Tensor, to: dtype) -> Tensor:
    """The weight that is `stored` with a `scale`, one number or one for each row. Raises ValueError if neither."""
    factor = scale.float().flatten()
    if len(factor) not in (1, len(stored)):
        raise ValueError(f"{len(factor)} scales for {len(stored)} rows")
    return (stored.float() * factor.view(-1, *[1] * (stored.ndim - 1))).to(to)


def in_whole_numbers(part: Part, originals: Iterable[str]) -> list[str]:
    """The weights that are stored as whole numbers, in their full names: no scale alone makes weights of them."""
    places = (part.find(name) for name in originals if name.endswith(".weight"))
    return [place[1] for place in places if place is not None and not place[2].dtype.startswith(("F", "BF"))]
