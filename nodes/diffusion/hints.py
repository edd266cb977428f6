"""Hints on wires become networks at work: opened, checked against the model, loaded, and given their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from graphcore.errors import InputError
from nodes.diffusion.clip_vision import vision_encoder
from nodes.diffusion.control_file import ControlFile, open_control
from nodes.diffusion.control_networks import AdapterControl, TransformerControl, UNetControl, UnionControl
from nodes.diffusion.ip_adapter import ImagePrompt, image_tokens, open_ip_adapter, wanted_of
from nodes.diffusion.network import HintNetwork, Network, ReadyHint
from nodes.diffusion.part import Part
from nodes.diffusion.region import resized_mask
from nodes.diffusion.resizing import resize
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weights import expected_bytes, load, read_tensor
from nodes.steering import ControlNet, ControlNetHint, IpAdapterHint
from nodes.values import Conditioning, ControlHint, Model

MADE_FOR = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL", 1280: "the SDXL refiner"}
"""Families by the width of the text that their networks read."""
CANNY = 1
"""How Stability AI's files for SD 3.5 number the kind of map whose pictures they scale differently."""


def require_hints_fit(store: ModelStore, model: Model, conditionings: Iterable[Conditioning]) -> None:
    """Raise InputError if a hint was made for another family of models; reads headers alone."""
    checkpoint = store.checkpoint(model.file)
    base = checkpoint.part(model.part)
    title = checkpoint.family.title if checkpoint.family is not None else "this model"
    for conditioning in conditionings:
        for entry in conditioning.entries:
            for hint in entry.hints:
                if isinstance(hint, ControlNetHint):
                    _require_control_fits(store, hint, base, title)
                if isinstance(hint, IpAdapterHint):
                    _require_adapter_fits(store, hint, model, base, title)


def _require_adapter_fits(
    store: ModelStore, hint: IpAdapterHint, model: Model, base: Part, title: str
) -> None:
    part = store.opened(hint.adapter.file, open_ip_adapter)
    outline = store.outline(model.file, base) if base.kind == "unet" else {}
    layers = [shape for name, shape in outline.items() if name.endswith("attn2.to_k.weight")]
    widths = [tuple(shape) for shape in part.config["widths"]]
    if widths != layers:
        width = widths[0][1]
        _refuse(hint.adapter.file.name, MADE_FOR.get(width, f"text {width} wide"), title)
    wanted_of(part, hint.output)


def _require_control_fits(store: ModelStore, hint: ControlNetHint, base: Part, title: str) -> None:
    control = store.opened(hint.control.file, open_control)
    name = hint.control.file.name
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
    if (kind == "sd3_controlnet") != (base.kind == "mmdit"):
        _refuse(name, "SD 3" if kind == "sd3_controlnet" else _made_for(control), title)
    if base.kind == "mmdit":
        own = int(base.config["num_attention_heads"]) * int(base.config["attention_head_dim"])
        if control.widths != (own,):
            _refuse(name, f"a network {control.widths[0]} wide", f"{title}, {own} wide")
        return
    context = base.config.get("cross_attention_dim", 768)
    widths = tuple(int(width) for width in base.config["block_out_channels"])
    if kind == "t2i_adapter":
        for_xl = control.config["adapter_type"] == "full_adapter_xl"
        is_xl = base.config.get("addition_embed_type") == "text_time"
        if for_xl != is_xl or control.widths[: len(widths)] != widths:
            _refuse(name, _made_for(control), title)
        return
    if control.context_width != (context if isinstance(context, int) else context[0]):
        _refuse(name, _made_for(control), title)
    if control.widths != widths:
        _refuse(name, f"a network of other widths ({control.widths} for {widths})", title)


def _made_for(control: ControlFile) -> str:
    if control.part.kind == "t2i_adapter":
        return "SDXL" if control.config["adapter_type"] == "full_adapter_xl" else "Stable Diffusion 1.x"
    width = control.context_width
    return MADE_FOR.get(width or 0, f"text {width} wide")


def _refuse(name: str, made_for: str, title: str) -> NoReturn:
    raise InputError(
        f"'{name}' was made for {made_for}, but the model is {title}; choose one for {title}.",
        code="wrong-family",
        location=name,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HintResolver:
    """Makes hints ready for one run: `stack` holds the leases of their weights, `latent` is what is sampled."""

    store: ModelStore
    stack: ExitStack
    network: Network
    latent: Tensor
    _prompts: dict[tuple[object, ...], ImagePrompt] = field(default_factory=dict)

    def __call__(self, hint: ControlHint) -> ReadyHint:
        """A hint ready to compute; raises InputError for one of an unknown kind."""
        if isinstance(hint, ControlNetHint):
            return ReadyHint(network=self._control(hint))
        if isinstance(hint, IpAdapterHint):
            return self._image_prompt(hint)
        raise InputError(f"Nothing here can compute a {type(hint).__name__} hint.", code="unresolved-hint")

    def _image_prompt(self, hint: IpAdapterHint) -> ReadyHint:
        """Both sides of guidance get the same network, so that they share forward passes."""
        part = self.store.opened(hint.adapter.file, open_ip_adapter)
        key = (hint.adapter, hint.strength, hint.start, hint.end, id(hint.mask))
        if key not in self._prompts:
            lease = self.store.companion(
                ("ip_adapter", hint.adapter.file),
                partial(load, part),
                expected_bytes=expected_bytes(part, self.store.precision),
            )
            module: Any = self.stack.enter_context(lease)
            self._prompts[key] = ImagePrompt(
                network=module,
                name=f"image.{len(self._prompts)}",
                strength=hint.strength,
                start=hint.start,
                end=hint.end,
                mask=None if hint.mask is None else hint.mask.to(self.network.device),
                size=(self.latent.shape[-2], self.latent.shape[-1]),
            )
        prompt = self._prompts[key]
        tokens = image_tokens(prompt.network, self._seen(hint, part), together=hint.together)
        return ReadyHint(network=prompt, tensors={prompt.name: tokens})

    def _seen(self, hint: IpAdapterHint, part: Part) -> Tensor:
        seen = wanted_of(part, hint.output)
        if not hint.blank:
            return seen
        if part.config["kind"] == "plain":
            return torch.zeros_like(seen)
        with vision_encoder(self.store, hint.output.vision) as encoder:
            return wanted_of(part, encoder.blank()).expand_as(seen)

    def _control(self, hint: ControlNetHint) -> HintNetwork:
        control = self.store.opened(hint.control.file, open_control)
        module: Any = self.stack.enter_context(self._lease(hint.control, control))
        acts = {"strength": hint.strength, "start": hint.start, "end": hint.end}
        if control.part.kind == "sd3_controlnet":
            latent = self._encoded(hint, control)
            base = getattr(self.network, "module", None)
            return TransformerControl(module=module, base=base, latent=latent, **acts)
        if control.part.kind == "t2i_adapter":
            cell = self.network.latent_format.downscale
            picture = self._picture(hint.pixels, cell, channels=int(control.config["in_channels"]))
            return AdapterControl(module=module, picture=picture, factor=cell, **acts)
        stages = len(control.config.get("conditioning_embedding_out_channels", (16, 32, 96, 256)))
        factor = 2 ** (stages - 1)
        picture = self._picture(hint.pixels, factor, channels=3)
        if control.part.kind == "controlnet_union":
            kind = hint.control.union_type
            return UnionControl(module=module, picture=picture, factor=factor, kind=kind, **acts)
        return UNetControl(module=module, picture=picture, factor=factor, **acts)

    def _lease(self, value: ControlNet, control: ControlFile) -> Any:
        part, base = control.part, value.base if control.is_difference else None

        def make() -> nn.Module:
            self.store.resolve(value.file)
            module = load(part)
            return module if base is None else _with_base(self.store, module, base)

        expected = expected_bytes(part, self.store.precision)
        return self.store.companion(("control", value.file, base), make, expected_bytes=expected)

    def _picture(self, pixels: Tensor, factor: int, *, channels: int) -> Tensor:
        """Pixels (batch, height, width, 3) as channels first, cut and resized to the latent's size."""
        height, width = (side * factor for side in self.latent.shape[-2:])
        picture = resize(pixels.movedim(-1, 1).float(), width, height, "nearest-exact", crop=True)
        if channels == 1:
            picture = picture.mean(dim=1, keepdim=True)
        return picture.to(self.network.device, self.network.dtype)

    def _encoded(self, hint: ControlNetHint, control: ControlFile) -> Tensor:
        """The picture as SD 3's ControlNets read it: a latent, and where a mask is asked for, what is to be kept."""
        latent_format, sides = self.network.latent_format, self.latent.shape[-2:]
        height, width = (side * latent_format.downscale for side in sides)
        pixels = resize(hint.pixels.movedim(-1, 1).float(), width, height, "nearest-exact", crop=True)
        kept = None
        if hint.mask is not None and int(control.config.get("extra_conditioning_channels", 0)):
            kept = 1 - resized_mask(hint.mask, height, width)[:, None].round()
            pixels = pixels * kept
        if _kind_of_map(control) == CANNY:
            pixels = (pixels * 127.5 + 1.5) / 2
        assert hint.vae is not None
        with self.store.vae(hint.vae) as codec:
            latent = codec.encode(pixels.movedim(1, -1))
        if kept is None and control.config.get("force_zeros_for_pooled_projection", True):
            latent = latent * latent_format.scale_factor
        else:
            latent = latent_format.scaled(latent)
        if kept is not None:
            mask = resize(kept, sides[1], sides[0], "nearest-exact")
            rows = max(len(latent), len(mask))
            latent = torch.cat([latent.expand(rows, -1, -1, -1), mask.expand(rows, -1, -1, -1)], dim=1)
        return latent.to(self.network.device, self.network.dtype)


def _kind_of_map(control: ControlFile) -> int | None:
    """What kind of map a ControlNet for SD 3.5 says it reads, where its file says so."""
    header = control.part.headers[0]
    if "control_type" not in header.tensors:
        return None
    return round(float(read_tensor(header, "control_type")))


def _with_base(store: ModelStore, module: nn.Module, base: Model) -> nn.Module:
    """A ControlNet saved as differences, with the weights of the model that they are differences to."""
    with store.network(base) as network:
        whole: Mapping[str, Tensor] = getattr(network, "module").state_dict()  # noqa: B009
        state = {
            name: tensor + whole[name].to(tensor) if name in whole else tensor
            for name, tensor in module.state_dict().items()
        }
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False)


def with_shared_hints(conditionings: Mapping[str, Conditioning]) -> dict[str, Conditioning]:
    """Conditionings of a run, where those without any hint follow the hints that are meant for all."""
    shared: dict[int, ControlHint] = {}
    for conditioning in conditionings.values():
        for entry in conditioning.entries:
            shared |= {id(hint): hint for hint in entry.hints if getattr(hint, "everywhere", False)}
    if not shared:
        return dict(conditionings)
    hints = tuple(shared.values())
    return {
        name: conditioning
        if any(entry.hints for entry in conditioning.entries)
        else Conditioning(tuple(replace(entry, hints=hints) for entry in conditioning.entries))
        for name, conditioning in conditionings.items()
    }
