"""Nodes that let adapters act under some conditionings alone: for a region, or with a strength that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from graphcore import Context, FileChoice, OutputName, Range, node
from nodes.conditioning.hook_values import HOOKS, Hook, HookKeyframe, HookKeyframes, Hooks
from nodes.models.loaders import file_ref
from nodes.models.lora import LoraName
from nodes.values import Clip, Model

CATEGORY = "advanced/hooks"
HookStrength = Annotated[float, Range(-20.0, 20.0, step=0.01)]
Percent = Annotated[float, Range(0.0, 1.0, step=0.001)]
Keyframes = Annotated[HookKeyframes, OutputName("HOOK_KF")]
KeyframeStrength = Annotated[float, Range(0.0, 10.0, step=0.001)]
CheckpointName = Annotated[str, FileChoice("checkpoints")]


@node("CreateHookLora", category=f"{CATEGORY}/create", title="Create Hook LoRA", experimental=True)
def create_hook_lora(
    ctx: Context,
    lora_name: LoraName,
    strength_model: HookStrength = 1.0,
    strength_clip: HookStrength = 1.0,
    prev_hooks: Hooks | None = None,
) -> Hooks:
    """A LoRA for the conditionings that it is given to; others are predicted without it."""
    hook = Hook(
        lora=file_ref(ctx, "loras", lora_name), strength_model=strength_model, strength_clip=strength_clip
    )
    return _after(prev_hooks, hook)


@node(
    "CreateHookLoraModelOnly",
    category=f"{CATEGORY}/create",
    title="Create Hook LoRA (Model Only)",
    experimental=True,
)
def create_hook_lora_model_only(
    ctx: Context, lora_name: LoraName, strength_model: HookStrength = 1.0, prev_hooks: Hooks | None = None
) -> Hooks:
    """A LoRA for some conditionings, which leaves the text encoder as it is."""
    return create_hook_lora(ctx, lora_name, strength_model, 0.0, prev_hooks)


@node(
    "CreateHookModelAsLora",
    category=f"{CATEGORY}/create",
    title="Create Hook Model as LoRA",
    experimental=True,
)
def create_hook_model_as_lora(
    ctx: Context,
    ckpt_name: CheckpointName,
    strength_model: HookStrength = 1.0,
    strength_clip: HookStrength = 1.0,
    prev_hooks: Hooks | None = None,
) -> Hooks:
    """Another model of the same family for some conditionings: its difference is added, times the strengths."""
    file = file_ref(ctx, "checkpoints", ckpt_name)
    hook = Hook(
        model=Model(file=file),
        clip=Clip(files=(file,)),
        strength_model=strength_model,
        strength_clip=strength_clip,
    )
    return _after(prev_hooks, hook)


@node(
    "CreateHookModelAsLoraModelOnly",
    category=f"{CATEGORY}/create",
    title="Create Hook Model as LoRA (Model Only)",
    experimental=True,
)
def create_hook_model_as_lora_model_only(
    ctx: Context,
    ckpt_name: CheckpointName,
    strength_model: HookStrength = 1.0,
    prev_hooks: Hooks | None = None,
) -> Hooks:
    """Another model for some conditionings, which leaves the text encoder as it is."""
    return create_hook_model_as_lora(ctx, ckpt_name, strength_model, 0.0, prev_hooks)


@node("CombineHooks2", category=f"{CATEGORY}/combine", title="Combine Hooks [2]", experimental=True)
def combine_hooks_2(hooks_A: Hooks | None = None, hooks_B: Hooks | None = None) -> Hooks:
    """Hooks that act together."""
    return _together(hooks_A, hooks_B)


@node("CombineHooks4", category=f"{CATEGORY}/combine", title="Combine Hooks [4]", experimental=True)
def combine_hooks_4(
    hooks_A: Hooks | None = None,
    hooks_B: Hooks | None = None,
    hooks_C: Hooks | None = None,
    hooks_D: Hooks | None = None,
) -> Hooks:
    """Hooks that act together."""
    return _together(hooks_A, hooks_B, hooks_C, hooks_D)


@node("CombineHooks8", category=f"{CATEGORY}/combine", title="Combine Hooks [8]", experimental=True)
def combine_hooks_8(
    hooks_A: Hooks | None = None,
    hooks_B: Hooks | None = None,
    hooks_C: Hooks | None = None,
    hooks_D: Hooks | None = None,
    hooks_E: Hooks | None = None,
    hooks_F: Hooks | None = None,
    hooks_G: Hooks | None = None,
    hooks_H: Hooks | None = None,
) -> Hooks:
    """Hooks that act together."""
    return _together(hooks_A, hooks_B, hooks_C, hooks_D, hooks_E, hooks_F, hooks_G, hooks_H)


@node(
    "CreateHookKeyframe", category=f"{CATEGORY}/scheduling", title="Create Hook Keyframe", experimental=True
)
def create_hook_keyframe(
    strength_mult: HookStrength = 1.0,
    start_percent: Percent = 0.0,
    prev_hook_kf: HookKeyframes | None = None,
) -> Keyframes:
    """From a share of the run on, multiply the strength of hooks by a number."""
    return _ordered(prev_hook_kf, [HookKeyframe(strength=strength_mult, start=start_percent)])


@node(
    "CreateHookKeyframesInterpolated",
    category=f"{CATEGORY}/scheduling",
    title="Create Hook Keyframes (Interpolated)",
    experimental=True,
)
def create_hook_keyframes_interpolated(
    *,
    strength_start: KeyframeStrength = 1.0,
    strength_end: KeyframeStrength = 1.0,
    interpolation: Literal["linear", "ease_in", "ease_out", "ease_in_out"],
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    keyframes_count: Annotated[int, Range(2, 100, step=1)] = 5,
    print_keyframes: bool = False,
    prev_hook_kf: HookKeyframes | None = None,
) -> Keyframes:
    """Let the strength of hooks go from one number to another in so many steps of equal length.

    "ease_in" begins slowly (by squares), "ease_out" ends slowly, "ease_in_out" both. `print_keyframes` is not used.
    """
    del print_keyframes
    shares = [number / (keyframes_count - 1) for number in range(keyframes_count)]
    frames = [
        HookKeyframe(
            strength=strength_start + (strength_end - strength_start) * _eased(share, interpolation),
            start=start_percent + (end_percent - start_percent) * share,
        )
        for share in shares
    ]
    return _ordered(prev_hook_kf, frames)


@node("SetHookKeyframes", category=f"{CATEGORY}/scheduling", title="Set Hook Keyframes", experimental=True)
def set_hook_keyframes(hooks: Hooks, hook_kf: HookKeyframes | None = None) -> Hooks:
    """Let the strength of hooks change over the run."""
    if hook_kf is None:
        return hooks
    return Hooks(hooks=tuple(replace(hook, keyframes=hook_kf) for hook in hooks.hooks))


@node("SetClipHooks", category=f"{CATEGORY}/clip", title="Set CLIP Hooks", experimental=True)
def set_clip_hooks(
    clip: Clip, apply_to_conds: bool = True, schedule_clip: bool = False, hooks: Hooks | None = None
) -> Clip:
    """Encode prompts with hooks in the text encoder, and with `apply_to_conds` predict them with the hooks as well.

    The text encoder has their full strength whatever their keyframes say: `schedule_clip` is not used.
    """
    del schedule_clip
    if hooks is None:
        return clip
    patches = tuple(patch for hook in hooks.hooks if (patch := hook.clip_patch()) is not None)
    carried = ((HOOKS, hooks),) if apply_to_conds else clip.carried
    return replace(clip, patches=(*clip.patches, *patches), carried=carried)


def _after(earlier: Hooks | None, hook: Hook) -> Hooks:
    return (earlier or Hooks()) + Hooks(hooks=(hook,))


def _together(*groups: Hooks | None) -> Hooks:
    total = Hooks()
    for group in groups:
        total = total + (group or Hooks())
    return total


def _ordered(earlier: HookKeyframes | None, frames: list[HookKeyframe]) -> HookKeyframes:
    """Keyframes by their beginning; of two that begin at once the later one holds."""
    every = {frame.start: frame for frame in (*(earlier.frames if earlier else ()), *frames)}
    return HookKeyframes(frames=tuple(every[start] for start in sorted(every)))


def _eased(share: float, interpolation: str) -> float:
    match interpolation:
        case "ease_in":
            return share**2
        case "ease_out":
            return 1 - (1 - share) ** 2
        case "ease_in_out":
            return 3 * share**2 - 2 * share**3
    return share
