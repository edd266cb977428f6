"""Conditionings as ComfyUI's nodes hold them: a list of pairs of a tensor and a dictionary of what belongs to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from graphcore.errors import InputError
from nodes.values import Area, Conditioning, ConditioningEntry, ControlHint

_HINTS: Final = "graphcore_hints"
_SIZES: Final = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
_SCORE: Final = "aesthetic_score"
_KNOWN: Final = frozenset(
    {
        "pooled_output",
        "area",
        "strength",
        "mask",
        "mask_strength",
        "set_area_to_bounds",
        "start_percent",
        "end_percent",
        "concat_latent_image",
        "concat_mask",
        _HINTS,
        _SCORE,
        *_SIZES,
    }
)


def from_conditioning(conditioning: Conditioning) -> list[list[Any]]:
    """A conditioning as a list of pairs; changing it changes nothing here."""
    return [[entry.embeddings, _options(entry)] for entry in conditioning.entries]


def to_conditioning(pairs: Iterable[Any]) -> Conditioning:
    """A list of pairs as a conditioning.

    What this project has no name for is kept, and given back with the pair. Raises InputError for a ControlNet
    that a pack has loaded by itself: sampling could not use it.
    """
    return Conditioning(tuple(_entry(embeddings, dict(options)) for embeddings, options in pairs))


def _options(entry: ConditioningEntry) -> dict[str, Any]:
    options: dict[str, Any] = {"pooled_output": entry.pooled}
    if entry.area is not None:
        area = entry.area
        sides = (area.height, area.width, area.y, area.x)
        options["area"] = ("percentage", *sides) if area.relative else tuple(int(side) for side in sides)
    if entry.area is not None or entry.strength != 1.0:
        options["strength"] = entry.strength
    if entry.mask is not None:
        options["mask"] = entry.mask
        options["mask_strength"] = entry.mask_strength
        options["set_area_to_bounds"] = entry.mask_bounds
    if (entry.start, entry.end) != (0.0, 1.0):
        options["start_percent"], options["end_percent"] = entry.start, entry.end
    if entry.size is not None:
        options.update(_sizes(entry.size))
    if entry.concat_latent is not None:
        options["concat_latent_image"] = entry.concat_latent
    if entry.concat_mask is not None:
        options["concat_mask"] = entry.concat_mask
    if entry.hints:
        options[_HINTS] = entry.hints
    options.update(entry.extra)
    return options


def _sizes(size: tuple[float, ...]) -> dict[str, Any]:
    if len(size) == len(_SIZES):
        return {name: int(value) for name, value in zip(_SIZES, size, strict=True)}
    height, width, *_, score = size
    return {"height": int(height), "width": int(width), _SCORE: score}


def _entry(embeddings: Any, options: dict[str, Any]) -> ConditioningEntry:
    if options.get("control") is not None:
        raise InputError(
            "A node pack has put a ControlNet of its own into a conditioning, which sampling here cannot use; apply it "
            "with ControlNetApplyAdvanced.",
            code="unsupported-conditioning",
        )
    area = options.get("area")
    hints: tuple[ControlHint, ...] = tuple(options.get(_HINTS, ()))
    return ConditioningEntry(
        embeddings=embeddings,
        pooled=options.get("pooled_output"),
        area=None if area is None else _area(area),
        strength=float(options.get("strength", 1.0)),
        mask=_mask(options.get("mask")),
        mask_strength=float(options.get("mask_strength", 1.0)),
        mask_bounds=bool(options.get("set_area_to_bounds", False)),
        start=float(options.get("start_percent", 0.0)),
        end=float(options.get("end_percent", 1.0)),
        size=_size(options),
        concat_latent=options.get("concat_latent_image"),
        concat_mask=_mask(options.get("concat_mask")),
        hints=hints,
        extra=tuple((name, value) for name, value in options.items() if name not in _KNOWN),
    )


def _area(area: Any) -> Area:
    relative = area[0] == "percentage"
    height, width, y, x = (float(side) for side in area[1:]) if relative else area
    return Area(x=x, y=y, width=width, height=height, relative=relative)


def _mask(mask: Any) -> Any:
    if mask is None:
        return None
    return mask[None] if mask.ndim == 2 else mask.reshape(-1, *mask.shape[-2:])


def _size(options: dict[str, Any]) -> tuple[float, ...] | None:
    """SDXL's sizes, in its order; those that are left out are those of a picture of 768 x 768, uncut."""
    if not any(name in options for name in (*_SIZES, _SCORE)):
        return None
    height, width = float(options.get("height", 768)), float(options.get("width", 768))
    crops = (float(options.get("crop_h", 0)), float(options.get("crop_w", 0)))
    if _SCORE in options:
        return (height, width, *crops, float(options[_SCORE]))
    target = (float(options.get("target_height", height)), float(options.get("target_width", width)))
    return (height, width, *crops, *target)
