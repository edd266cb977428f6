"""Nodes that let a picture steer sampling: ControlNets and T2I-Adapters."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, Literal, NamedTuple

from graphcore import Context, FileChoice, node
from nodes.conditioning.combining import Moment, Strength
from nodes.control.steering import ControlNet, ControlNetHint
from nodes.models.loaders import file_ref
from nodes.values import Conditioning, Image, Mask, Model, Vae

ControlNetName = Annotated[str, FileChoice("controlnet")]
UnionType = Literal[
    "auto",
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
]
UNION_NUMBERS: Final = {
    "openpose": 0,
    "depth": 1,
    "hed/pidi/scribble/ted": 2,
    "canny/lineart/anime_lineart/mlsd": 3,
    "normal": 4,
    "segment": 5,
    "tile": 6,
    "repaint": 7,
}


class Controlled(NamedTuple):
    """Both sides of guidance with a picture to follow."""

    positive: Conditioning
    negative: Conditioning


def _loaded(ctx: Context, name: str, base: Model | None) -> ControlNet:
    from nodes.diffusion.control_file import open_control
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, "controlnet", name)
    ctx.service(ModelStore).opened(file, open_control)
    return ControlNet(file=file, base=base)


@node("LoadControlNet", category="loaders", title="Load ControlNet", aliases=("ControlNetLoader",))
def load_controlnet(ctx: Context, control_net_name: ControlNetName) -> ControlNet:
    """Load a ControlNet or a T2I-Adapter, for SD 1.x, SD 2.x, SDXL or SD 3, in the original or diffusers' layout.

    Union ControlNets, Control-LoRAs and ControlNet-LLLites are loaded so too. The model that it is used with has to be
    of its family.
    """
    return _loaded(ctx, control_net_name, None)


@node(
    "LoadDiffControlNet",
    category="loaders",
    title="Load ControlNet (Difference)",
    aliases=("DiffControlNetLoader",),
)
def load_diff_controlnet(ctx: Context, model: Model, control_net_name: ControlNetName) -> ControlNet:
    """Load a ControlNet that holds differences to a model's weights, and add them to those of `model`.

    Files that hold whole weights are loaded as they are.
    """
    return _loaded(ctx, control_net_name, model)


@node("SetUnionControlNetType", category="conditioning/controlnet", title="Set Union ControlNet Type")
def set_union_controlnet_type(control_net: ControlNet, type: UnionType) -> ControlNet:
    """Tell a union ControlNet what kind of map it is shown; with auto it is not told."""
    return replace(control_net, union_type=UNION_NUMBERS.get(type))


@node("ControlNetApply", category="conditioning/controlnet", title="Apply ControlNet (one side)")
def controlnet_apply(
    conditioning: Conditioning, control_net: ControlNet, image: Image, strength: Strength = 1.0
) -> Conditioning:
    """Let sampling follow a picture.

    The other side of guidance follows it too, unless it has a picture of its own. Several may come one after another.
    """
    if strength == 0:
        return conditioning
    hint = ControlNetHint(control=control_net, pixels=image.pixels, strength=strength, everywhere=True)
    return _with_hint(conditioning, hint)


@node("ControlNetApplyAdvanced", category="conditioning/controlnet", title="Apply ControlNet")
def controlnet_apply_advanced(
    *,
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
    vae: Vae | None = None,
) -> Controlled:
    """Let sampling follow a picture in a part of the schedule; 0 is its noisy beginning, 1 its end.

    The picture is cut and resized to the size that is sampled; of a batch, each sample follows its own. Several may
    come one after another; their effects add up. `vae` is needed for SD 3 alone.
    """
    hint = ControlNetHint(
        control=control_net,
        pixels=image.pixels,
        strength=strength,
        start=start_percent,
        end=end_percent,
        vae=vae,
    )
    return _controlled(positive, negative, hint)


@node("ControlNetApplySD3", category="conditioning/controlnet", title="Apply ControlNet with VAE")
def controlnet_apply_sd3(
    *,
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    vae: Vae,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
) -> Controlled:
    """Let sampling follow a picture that the ControlNet reads through the model's VAE, as those for SD 3 do."""
    return controlnet_apply_advanced(
        positive=positive,
        negative=negative,
        control_net=control_net,
        image=image,
        strength=strength,
        start_percent=start_percent,
        end_percent=end_percent,
        vae=vae,
    )


@node(
    "ControlNetInpaintingAliMamaApply",
    category="conditioning/controlnet",
    title="Apply Inpainting ControlNet",
)
def controlnet_inpainting_apply(
    *,
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    vae: Vae,
    image: Image,
    mask: Mask,
    strength: Strength = 1.0,
    start_percent: Moment = 0.0,
    end_percent: Moment = 1.0,
) -> Controlled:
    """Show an inpainting ControlNet for SD 3 the picture without its masked part, and the mask.

    Other ControlNets are shown the whole picture.
    """
    hint = ControlNetHint(
        control=control_net,
        pixels=image.pixels,
        strength=strength,
        start=start_percent,
        end=end_percent,
        vae=vae,
        mask=mask.values,
    )
    return _controlled(positive, negative, hint)


def _controlled(positive: Conditioning, negative: Conditioning, hint: ControlNetHint) -> Controlled:
    if hint.strength == 0:
        return Controlled(positive, negative)
    return Controlled(_with_hint(positive, hint), _with_hint(negative, hint))


def _with_hint(conditioning: Conditioning, hint: ControlNetHint) -> Conditioning:
    return Conditioning(tuple(replace(entry, hints=(*entry.hints, hint)) for entry in conditioning.entries))
