"""ComfyUI's node that resizes pictures or masks in one of eight ways, each with inputs of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeVar

from graphcore import InputError, OutputName, node
from graphcore.node import spec_of
from graphcore.spec import NodeSpec
from nodes.choices import MAX_SIDE, ImageResize
from nodes.values import Image, Mask

T = TypeVar("T")
ResizeType = Literal[
    "scale by multiplier",
    "scale dimensions",
    "scale longer dimension",
    "scale shorter dimension",
    "scale width",
    "scale height",
    "scale total pixels",
    "match size",
]
_SIDE: Final = ["INT", {"default": 512, "min": 0, "max": MAX_SIDE, "step": 1}]
_CROP: Final = ["COMBO", {"default": "center", "options": ["disabled", "center"]}]
INPUTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "scale by multiplier": {"multiplier": ["FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}]},
    "scale dimensions": {"width": _SIDE, "height": _SIDE, "crop": _CROP},
    "scale longer dimension": {"longer_size": _SIDE},
    "scale shorter dimension": {"shorter_size": _SIDE},
    "scale width": {"width": _SIDE},
    "scale height": {"height": _SIDE},
    "scale total pixels": {"megapixels": ["FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}]},
    "match size": {"match": ["IMAGE,MASK", {}], "crop": _CROP},
}
"""What each way takes, as editors are told; in a workflow the names begin with `resize_type.`."""


def specs() -> Iterator[NodeSpec]:
    """The node, which tells editors of the inputs that each way brings along."""
    spec = spec_of(resize_image_mask)
    assert spec is not None
    options = [{"key": key, "inputs": {"required": dict(inputs)}} for key, inputs in INPUTS.items()]
    told = ("COMFY_DYNAMICCOMBO_V3", {"options": options})
    yield replace(
        spec,
        inputs=tuple(
            replace(declared, info=told) if declared.name == "resize_type" else declared
            for declared in spec.inputs
        ),
    )


@node(
    "ResizeImageOrMask",
    category="image/transform",
    title="Resize Image/Mask",
    aliases=("ResizeImageMaskNode",),
)
def resize_image_mask(
    input: T, resize_type: ResizeType, scale_method: ImageResize = "area", **options: Any
) -> Annotated[T, OutputName("resized")]:
    """Resize pictures or masks: by a factor, to sides, to a number of pixels (1024 x 1024 are one), as others are.

    What a way takes is named after it: `resize_type.width`, `resize_type.crop`. A side of 0 follows from the other.
    """
    from nodes.diffusion.resizing import resize

    planes = _planes(input)
    rows, columns = planes.shape[-2:]
    width, height, crop = _target(resize_type, _given(resize_type, options), columns, rows)
    resized = resize(planes, width, height, scale_method, crop=crop).clamp(0, 1)
    if isinstance(input, Image):
        return replace(input, pixels=resized.movedim(1, -1).contiguous())
    return Mask(resized[:, 0])  # type: ignore[return-value]


def _planes(given: object) -> Any:
    """Pictures or masks as (batch, channels, height, width)."""
    if isinstance(given, Image):
        return given.pixels.movedim(-1, 1)
    if isinstance(given, Mask):
        return given.values[:, None]
    raise InputError("Pictures and masks can be resized; link one of them.", code="wrong-type")


def _given(way: str, options: Mapping[str, object]) -> dict[str, Any]:
    """The inputs of a way, checked, with defaults for those left out."""
    found: dict[str, Any] = {}
    for name, (kind, told) in INPUTS[way].items():
        value = options.get(f"resize_type.{name}", told.get("default"))
        if kind in ("INT", "FLOAT"):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not told["min"] <= value <= told["max"]:
                raise InputError(
                    f"'resize_type.{name}' must be a number from {told['min']} to {told['max']}.",
                    code="bad-size",
                )
        elif kind == "COMBO" and value not in told["options"]:
            raise InputError(
                f"'resize_type.{name}' must be one of {', '.join(told['options'])}.", code="not-a-choice"
            )
        found[name] = value
    return found


def _target(way: str, given: Mapping[str, Any], columns: int, rows: int) -> tuple[int, int, bool]:
    """Width and height, and whether the longer side is cut first."""
    match way:
        case "scale by multiplier":
            factor = float(given["multiplier"])
        case "scale longer dimension":
            factor = given["longer_size"] / max(columns, rows)
        case "scale shorter dimension":
            factor = given["shorter_size"] / min(columns, rows)
        case "scale total pixels":
            factor = (given["megapixels"] * 1024 * 1024 / (columns * rows)) ** 0.5
        case "match size":
            height, width = _planes(given["match"]).shape[-2:]
            return width, height, given["crop"] == "center"
        case _:
            width, height = int(given.get("width", 0)), int(given.get("height", 0))
            factor = (width or columns * height / rows) / columns if width or height else 1.0
            if width and height:
                return width, height, given.get("crop") == "center"
    if factor <= 0:
        return columns, rows, False
    return max(1, round(columns * factor)), max(1, round(rows * factor)), False
