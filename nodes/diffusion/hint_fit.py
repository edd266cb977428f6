"""Whether hints fit the model that they steer, told from headers before any weights are loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from graphcore.errors import InputError
from nodes.control.steering import ControlNetHint, GligenHint, IpAdapterHint
from nodes.diffusion.control_file import ControlFile, open_control
from nodes.diffusion.control_lora import skips_of
from nodes.diffusion.gligen import block_names, open_gligen
from nodes.diffusion.ip_adapter import open_ip_adapter, wanted_of
from nodes.diffusion.lllite import is_for_sdxl, layer_names
from nodes.diffusion.part import Part
from nodes.diffusion.store import ModelStore
from nodes.values import Conditioning, Model

MADE_FOR = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL", 1280: "the SDXL refiner"}
"""Families by the width of the text that their networks read."""


def require_hints_fit(store: ModelStore, model: Model, conditionings: Iterable[Conditioning]) -> None:
    """Raise InputError if a hint was made for another family of models; reads headers alone."""
    checkpoint = store.checkpoint(model.file)
    base = checkpoint.part(model.part)
    title = checkpoint.family.title if checkpoint.family is not None else "this model"
    for conditioning in conditionings:
        for entry in conditioning.entries:
            for hint in entry.hints:
                if isinstance(hint, ControlNetHint):
                    _require_control_fits(store, hint, model, base, title)
                if isinstance(hint, IpAdapterHint):
                    _require_adapter_fits(store, hint, model, base, title)
                if isinstance(hint, GligenHint):
                    _require_gligen_fits(store, hint, model, base, title)


def _require_adapter_fits(
    store: ModelStore, hint: IpAdapterHint, model: Model, base: Part, title: str
) -> None:
    part = store.opened(hint.adapter.file, open_ip_adapter)
    outline = store.outline(model.file, base) if base.kind == "unet" else {}
    layers = [shape for name, shape in outline.items() if name.endswith("attn2.to_k.weight")]
    widths = [tuple(shape) for shape in part.config["widths"]]
    if widths != layers:
        width = widths[0][1]
        _refuse(hint.adapter.file.name, made_for_width(width), title)
    wanted_of(part, hint.output)


def _require_gligen_fits(store: ModelStore, hint: GligenHint, model: Model, base: Part, title: str) -> None:
    part = store.opened(hint.gligen.file, open_gligen)
    outline = store.outline(model.file, base) if base.kind == "unet" else {}
    blocks = block_names(base.config, list(outline)) if outline else {}
    widths = {
        original: (outline[f"{name}.norm1.weight"][0], outline[f"{name}.attn2.to_k.weight"][1])
        for name, original in blocks.items()
    }
    if widths != dict(zip(part.config["places"], map(tuple, part.config["widths"]), strict=True)):
        width = int(part.config["out_dim"])
        _refuse(hint.gligen.file.name, made_for_width(width), title)


def _require_lllite_fits(
    store: ModelStore, control: ControlFile, model: Model, base: Part, title: str
) -> None:
    layers = control.config["layers"]
    outline = store.outline(model.file, base) if base.kind == "unet" else {}
    names = layer_names(base.config, layers, list(outline)) if outline else {}
    takes = {layer: outline[f"{name}.weight"][1] for layer, name in names.items()}
    if takes != {layer: sizes["takes"] for layer, sizes in layers.items()}:
        _refuse(control.part.path.name, made_for(control), title)


def _require_control_fits(
    store: ModelStore, hint: ControlNetHint, model: Model, base: Part, title: str
) -> None:
    control = store.opened(hint.control.file, open_control)
    name = hint.control.file.name
    if control.part.kind == "lllite":
        _require_lllite_fits(store, control, model, base, title)
        return
    _require_same_network(control, base, name, title)
    if control.is_difference and hint.control.base is None:
        raise InputError(
            f"'{name}' holds a ControlNet's differences to its model; load it with DiffControlNetLoader.",
            code="control-difference",
        )
    kinds = int(control.config.get("num_control_type", 0))
    if hint.control.union_type is not None and not 0 <= hint.control.union_type < kinds:
        what = f"knows {kinds} kinds of maps" if kinds else "is no union ControlNet"
        raise InputError(
            f"'{name}' {what}, so kind {hint.control.union_type} cannot be chosen; choose another, or auto.",
            code="union-type",
        )
    if control.part.kind != "sd3_controlnet":
        return
    if hint.vae is None:
        raise InputError(
            f"'{name}' reads its picture through the model's VAE; connect the VAE to the node that applies it.",
            code="missing-vae",
        )
    if int(control.config.get("extra_conditioning_channels", 0)) and hint.mask is None:
        raise InputError(
            f"'{name}' is for inpainting; apply it with ControlNetInpaintingAliMamaApply, and give a mask.",
            code="missing-mask",
        )


def _require_same_network(control: ControlFile, base: Part, name: str, title: str) -> None:
    kind = control.part.kind
    if base.kind != ("mmdit" if kind == "sd3_controlnet" else "unet"):
        _refuse(name, made_for(control), title)
    if base.kind == "mmdit":
        own = int(base.config["num_attention_heads"]) * int(base.config["attention_head_dim"])
        if control.widths != (own,):
            _refuse(name, f"a network {control.widths[0]} wide", f"{title}, {own} wide")
        return
    context = base.config.get("cross_attention_dim", 768)
    widths = tuple(int(width) for width in base.config["block_out_channels"])
    if kind == "t2i_adapter":
        for_xl = control.adapter_type == "full_adapter_xl"
        is_xl = base.config.get("addition_embed_type") == "text_time"
        if for_xl != is_xl or control.widths[: len(widths)] != widths:
            _refuse(name, made_for(control), title)
        return
    if control.context_width != (context if isinstance(context, int) else context[0]):
        _refuse(name, made_for(control), title)
    if control.is_lora:
        widths = tuple(skips_of(base.config))
    if control.widths != widths:
        _refuse(name, f"a network of other widths ({control.widths} for {widths})", title)


def made_for(control: ControlFile) -> str:
    """The family that a ControlNet or T2I-Adapter was made for, in words."""
    if control.part.kind == "sd3_controlnet":
        return "SD 3"
    if control.part.kind == "lllite":
        return "SDXL" if is_for_sdxl(control.config["layers"]) else "Stable Diffusion 1.x"
    if control.part.kind == "t2i_adapter":
        return "SDXL" if control.adapter_type == "full_adapter_xl" else "Stable Diffusion 1.x"
    return made_for_width(control.context_width or 0)


def made_for_width(width: int) -> str:
    """The family whose networks read text of a width, in words."""
    return MADE_FOR.get(width, f"text {width} wide")


def _refuse(name: str, made_for: str, title: str) -> NoReturn:
    raise InputError(
        f"'{name}' was made for {made_for}, but the model is {title}; choose one for {title}.",
        code="wrong-family",
        location=name,
    )
