"""Nodes that say at once where, when and with which hooks conditionings act, one by one or for both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from graphcore import OutputName, node
from nodes.conditioning.combining import Moment, PairedConditioning, Strength
from nodes.conditioning.hook_values import DEFAULT, HOOKS, Hooks, TimestepsRange
from nodes.values import Conditioning, ConditioningEntry, Mask

SINGLE, PAIR = "advanced/hooks/cond single", "advanced/hooks/cond pair"
MaskArea = Literal["default", "mask bounds"]


class TimestepsRanges(NamedTuple):
    """A part of the run, what is before it, and what is after it."""

    timesteps: Annotated[TimestepsRange, OutputName("TIMESTEPS_RANGE")]
    before: Annotated[TimestepsRange, OutputName("BEFORE_RANGE")]
    after: Annotated[TimestepsRange, OutputName("AFTER_RANGE")]


@node("ConditioningTimestepsRange", category="advanced/hooks", title="Timesteps Range", experimental=True)
def conditioning_timesteps_range(start_percent: Moment = 0.0, end_percent: Moment = 1.0) -> TimestepsRanges:
    """A part of the run for other nodes, with the parts before and after it; 0 is its noisy beginning."""
    return TimestepsRanges(
        TimestepsRange(start=start_percent, end=end_percent),
        TimestepsRange(start=0.0, end=start_percent),
        TimestepsRange(start=end_percent, end=1.0),
    )


@node("ConditioningSetProperties", category=SINGLE, title="Cond Set Props", experimental=True)
def conditioning_set_properties(
    *,
    cond_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: MaskArea,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Conditioning:
    """Let a conditioning act under a mask (with `strength`), with hooks, and in a part of the run."""
    return _told(cond_NEW, strength, set_cond_area, mask, hooks, timesteps)


@node(
    "ConditioningSetPropertiesAndCombine", category=SINGLE, title="Cond Set Props Combine", experimental=True
)
def conditioning_set_properties_and_combine(
    *,
    cond: Conditioning,
    cond_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: MaskArea,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> Conditioning:
    """Add a conditioning that acts under a mask, with hooks, or in a part of the run, to another."""
    return _both(cond, _told(cond_NEW, strength, set_cond_area, mask, hooks, timesteps))


@node("ConditioningSetDefaultCombine", category=SINGLE, title="Cond Set Default Combine", experimental=True)
def conditioning_set_default_combine(
    cond: Conditioning, cond_DEFAULT: Conditioning, hooks: Hooks | None = None
) -> Conditioning:
    """Add a conditioning that acts where no other does: outside all masks and areas."""
    return _both(cond, _default(cond_DEFAULT, hooks))


@node("PairConditioningCombine", category=PAIR, title="Cond Pair Combine", experimental=True)
def pair_conditioning_combine(
    positive_A: Conditioning, negative_A: Conditioning, positive_B: Conditioning, negative_B: Conditioning
) -> PairedConditioning:
    """Both pairs act."""
    return PairedConditioning(_both(positive_A, positive_B), _both(negative_A, negative_B))


@node("PairConditioningSetProperties", category=PAIR, title="Cond Pair Set Props", experimental=True)
def pair_conditioning_set_properties(
    *,
    positive_NEW: Conditioning,
    negative_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: MaskArea,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> PairedConditioning:
    """Let both sides act under a mask (with `strength`), with hooks, and in a part of the run."""
    positive, negative = (
        _told(each, strength, set_cond_area, mask, hooks, timesteps) for each in (positive_NEW, negative_NEW)
    )
    return PairedConditioning(positive, negative)


@node(
    "PairConditioningSetPropertiesAndCombine",
    category=PAIR,
    title="Cond Pair Set Props Combine",
    experimental=True,
)
def pair_conditioning_set_properties_and_combine(
    *,
    positive: Conditioning,
    negative: Conditioning,
    positive_NEW: Conditioning,
    negative_NEW: Conditioning,
    strength: Strength = 1.0,
    set_cond_area: MaskArea,
    mask: Mask | None = None,
    hooks: Hooks | None = None,
    timesteps: TimestepsRange | None = None,
) -> PairedConditioning:
    """Add a pair that acts under a mask, with hooks, or in a part of the run, to another."""
    new_positive, new_negative = (
        _told(each, strength, set_cond_area, mask, hooks, timesteps) for each in (positive_NEW, negative_NEW)
    )
    return PairedConditioning(_both(positive, new_positive), _both(negative, new_negative))


@node(
    "PairConditioningSetDefaultCombine",
    category=PAIR,
    title="Cond Pair Set Default Combine",
    experimental=True,
)
def pair_conditioning_set_default_combine(
    positive: Conditioning,
    negative: Conditioning,
    positive_DEFAULT: Conditioning,
    negative_DEFAULT: Conditioning,
    hooks: Hooks | None = None,
) -> PairedConditioning:
    """Add a pair that acts where no other does: outside all masks and areas."""
    return PairedConditioning(
        _both(positive, _default(positive_DEFAULT, hooks)), _both(negative, _default(negative_DEFAULT, hooks))
    )


def _told(
    conditioning: Conditioning,
    strength: float,
    area: str,
    mask: Mask | None,
    hooks: Hooks | None,
    timesteps: TimestepsRange | None,
) -> Conditioning:
    entries = [_hooked(entry, hooks) for entry in conditioning.entries]
    if mask is not None:
        bounds = area != "default"
        entries = [
            replace(entry, mask=mask.values, mask_strength=strength, mask_bounds=bounds) for entry in entries
        ]
    if timesteps is not None:
        entries = [replace(entry, start=timesteps.start, end=timesteps.end) for entry in entries]
    return Conditioning(tuple(entries))


def _default(conditioning: Conditioning, hooks: Hooks | None) -> Conditioning:
    entries = (_hooked(entry, hooks) for entry in conditioning.entries)
    return Conditioning(tuple(replace(entry, extra=(*entry.extra, (DEFAULT, True))) for entry in entries))


def _hooked(entry: ConditioningEntry, hooks: Hooks | None) -> ConditioningEntry:
    """The entry with hooks beside those that it has."""
    if hooks is None:
        return entry
    known = dict(entry.extra)
    held = known.get(HOOKS)
    known[HOOKS] = held + hooks if isinstance(held, Hooks) else hooks
    return replace(entry, extra=tuple(known.items()))


def _both(one: Conditioning, other: Conditioning) -> Conditioning:
    return Conditioning(one.entries + other.entries)
