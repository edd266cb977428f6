"""Adapters that act under some conditionings alone, with strengths that may change over the run."""

from __future__ import annotations

from dataclasses import dataclass

from graphcore.sockets import socket
from nodes.models.merges import MergePatch
from nodes.values import Clip, ConditioningEntry, FileRef, LoraPatch, Model, Patch

HOOKS = "hooks"
"""What hooks are called among a conditioning's further values."""
DEFAULT = "default"
"""The further value of a conditioning that acts where no other does."""
_NEAR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class HookKeyframe:
    """From the share `start` of the run on, strengths are multiplied by `strength`."""

    strength: float
    start: float


@socket("HOOK_KEYFRAMES")
@dataclass(frozen=True, slots=True, kw_only=True)
class HookKeyframes:
    """Keyframes in the order of their beginnings."""

    frames: tuple[HookKeyframe, ...] = ()

    def strength_at(self, share: float) -> float:
        """The strength of the last one that has begun; before the first that of the first, without any 1."""
        begun = [frame.strength for frame in self.frames if frame.start <= share + _NEAR]
        return begun[-1] if begun else self.frames[0].strength if self.frames else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A LoRA file, or another model whose difference acts like one."""

    strength_model: float
    strength_clip: float = 0.0
    lora: FileRef | None = None
    model: Model | None = None
    clip: Clip | None = None
    keyframes: HookKeyframes = HookKeyframes()

    def model_patch(self, share: float) -> Patch | None:
        """What it does to a network's weights at a share of the run; None for nothing."""
        return self._patch(self.model, self.strength_model * self.keyframes.strength_at(share))

    def clip_patch(self) -> Patch | None:
        """What it does to a text encoder's weights; None for nothing."""
        return self._patch(self.clip, self.strength_clip)

    def _patch(self, other: Model | Clip | None, strength: float) -> Patch | None:
        if not strength:
            return None
        if self.lora is not None:
            return LoraPatch(file=self.lora, strength=strength)
        return None if other is None else MergePatch(other=other, own=1 - strength, others=strength)


@socket("HOOKS")
@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Adapters that act together, in their order."""

    hooks: tuple[Hook, ...] = ()

    def __add__(self, other: Hooks) -> Hooks:
        """Both, each hook once."""
        return Hooks(hooks=tuple(dict.fromkeys(self.hooks + other.hooks)))


@socket("TIMESTEPS_RANGE")
@dataclass(frozen=True, slots=True, kw_only=True)
class TimestepsRange:
    """A part of the run, in shares of the schedule."""

    start: float
    end: float


def hooks_of(entry: ConditioningEntry) -> Hooks | None:
    """The hooks of a conditioning's entry, if it has any."""
    held = dict(entry.extra).get(HOOKS)
    return held if isinstance(held, Hooks) and held.hooks else None
