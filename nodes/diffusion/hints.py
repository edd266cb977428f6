"""Hints on wires become networks at work: opened, checked against the model, loaded, and given their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphcore.errors import InputError
from nodes.control.steering import ControlNet, ControlNetHint, Gligen, GligenHint, IpAdapterHint
from nodes.diffusion.clip_vision import vision_encoder
from nodes.diffusion.control_file import ControlFile, open_control
from nodes.diffusion.control_lora import joined
from nodes.diffusion.control_networks import AdapterControl, TransformerControl, UNetControl, UnionControl
from nodes.diffusion.gligen import NAME as BOXES
from nodes.diffusion.gligen import GroundingPrompt, block_names, box_tokens, open_gligen
from nodes.diffusion.ip_adapter import ImagePrompt, image_tokens, open_ip_adapter, wanted_of
from nodes.diffusion.lllite import LlliteControl, layer_names
from nodes.diffusion.network import HintNetwork, Network, ReadyHint
from nodes.diffusion.part import Part
from nodes.diffusion.region import resized_mask
from nodes.diffusion.resizing import resize
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weights import expected_bytes, load, read_tensor
from nodes.values import Conditioning, ControlHint, Model

CANNY = 1
"""How Stability AI's files for SD 3.5 number the kind of map whose pictures they scale differently."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HintResolver:
    """Makes hints ready for one run of a model; `stack` holds the leases of their weights, `latent` is sampled."""

    store: ModelStore
    stack: ExitStack
    network: Network
    model: Model
    latent: Tensor
    _prompts: dict[tuple[object, ...], ImagePrompt] = field(default_factory=dict)
    _groundings: dict[Gligen, GroundingPrompt] = field(default_factory=dict)

    def __call__(self, hint: ControlHint) -> ReadyHint:
        """A hint ready to compute; raises InputError for one of an unknown kind."""
        if isinstance(hint, ControlNetHint):
            return ReadyHint(network=self._control(hint))
        if isinstance(hint, IpAdapterHint):
            return self._image_prompt(hint)
        if isinstance(hint, GligenHint):
            return self._grounding(hint)
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

    def _grounding(self, hint: GligenHint) -> ReadyHint:
        """Both sides of guidance get the same network, so that they share forward passes."""
        part = self.store.opened(hint.gligen.file, open_gligen)
        if hint.gligen not in self._groundings:
            lease = self.store.companion(
                ("gligen", hint.gligen.file),
                partial(load, part),
                expected_bytes=expected_bytes(part, self.store.precision),
            )
            module: Any = self.stack.enter_context(lease)
            base: Any = getattr(self.network, "module", None)
            names = block_names(dict(base.config), list(base.state_dict()))
            places = {name: part.config["places"].index(original) for name, original in names.items()}
            self._groundings[hint.gligen] = GroundingPrompt(network=module, places=places)
        prompt = self._groundings[hint.gligen]
        height, width = self.latent.shape[-2:]
        tokens = box_tokens(prompt.network, hint.boxes, (height, width), self.network.latent_format.downscale)
        return ReadyHint(network=prompt, tensors={BOXES: tokens})

    def _control(self, hint: ControlNetHint) -> HintNetwork:
        control = self.store.opened(hint.control.file, open_control)
        module: Any = self.stack.enter_context(self._lease(hint.control, control))
        acts: dict[str, Any] = {"strength": hint.strength, "start": hint.start, "end": hint.end}
        if control.part.kind == "sd3_controlnet":
            latent = self._encoded(hint, control)
            base = getattr(self.network, "module", None)
            return TransformerControl(module=module, base=base, picture=latent, **acts)
        if control.part.kind == "lllite":
            return self._lllite(hint, module, acts)
        if control.part.kind == "t2i_adapter":
            cell = self.network.latent_format.downscale
            picture = self._picture(hint.pixels, cell, channels=int(control.config.get("in_channels", 3)))
            return AdapterControl(module=module, picture=picture, factor=cell, **acts)
        stages = len(control.config.get("conditioning_embedding_out_channels", (16, 32, 96, 256)))
        factor = 2 ** (stages - 1)
        picture = self._picture(hint.pixels, factor, channels=3)
        if control.part.kind == "controlnet_union":
            kind = hint.control.union_type
            return UnionControl(module=module, picture=picture, factor=factor, kind=kind, **acts)
        return UNetControl(module=module, picture=picture, factor=factor, **acts)

    def _lllite(self, hint: ControlNetHint, module: Any, acts: Mapping[str, Any]) -> HintNetwork:
        base: Any = getattr(self.network, "module", None)
        cell = self.network.latent_format.downscale
        picture = self._picture(hint.pixels, cell, channels=3) * 2 - 1
        names = layer_names(dict(base.config), module, list(base.state_dict()))
        return LlliteControl(module=module, names=names, picture=picture, factor=cell, **acts)

    def _lease(self, value: ControlNet, control: ControlFile) -> Any:
        part, base = control.part, value.base if control.is_difference else None
        network: Any = getattr(self.network, "module", None)
        if control.is_lora:
            return self.store.companion(
                ("control", value.file, self.model), partial(joined, part, network), expected_bytes=0
            )

        def make() -> nn.Module:
            self.store.resolve(value.file)
            module = load(part)
            return module if base is None else _with_base(self.store, module, base)

        expected = expected_bytes(part, self.store.precision)
        return self.store.companion(("control", value.file, base), make, expected_bytes=expected)

    def _picture(self, pixels: Tensor, factor: int, *, channels: int) -> Tensor:
        """Pixels (batch, height, width, 3) as channels first, cut and resized to the latent's size."""
        height, width = (side * factor for side in self.latent.shape[-2:])
        picture = resize(_planes(pixels), width, height, "nearest-exact", crop=True)
        if channels == 1:
            picture = picture.mean(dim=1, keepdim=True)
        return picture.to(self.network.device, self.network.dtype)

    def _encoded(self, hint: ControlNetHint, control: ControlFile) -> Tensor:
        """The picture as SD 3's ControlNets read it: a latent, and where a mask is asked for, what is to be kept."""
        latent_format, sides = self.network.latent_format, self.latent.shape[-2:]
        height, width = (side * latent_format.downscale for side in sides)
        pixels = resize(_planes(hint.pixels), width, height, "nearest-exact", crop=True)
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


def _planes(pixels: Tensor) -> Tensor:
    """Pictures (batch, height, width, 3) as channels first, without transparency; InputError for other shapes."""
    if pixels.ndim != 4 or pixels.shape[-1] < 3 or not pixels.numel():
        raise InputError(
            f"A picture to follow has the shape (batch, height, width, 3), and this one {tuple(pixels.shape)}.",
            code="picture-shape",
        )
    return pixels[..., :3].movedim(-1, 1).float()


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


def _with_empty_boxes(conditionings: Mapping[str, Conditioning]) -> Mapping[str, Conditioning]:
    """Where one side of guidance has boxes, the other has a GLIGEN without any, as it was trained."""
    found = {
        hint.gligen: GligenHint(gligen=hint.gligen)
        for conditioning in conditionings.values()
        for entry in conditioning.entries
        for hint in entry.hints
        if isinstance(hint, GligenHint)
    }
    if not found:
        return conditionings
    empty = next(iter(found.values()))
    return {
        name: conditioning
        if any(isinstance(hint, GligenHint) for entry in conditioning.entries for hint in entry.hints)
        else Conditioning(
            tuple(replace(entry, hints=(*entry.hints, empty)) for entry in conditioning.entries)
        )
        for name, conditioning in conditionings.items()
    }


def with_shared_hints(conditionings: Mapping[str, Conditioning]) -> dict[str, Conditioning]:
    """Conditionings of a run, where those without any hint follow the hints that are meant for all."""
    shared: dict[int, ControlHint] = {}
    for conditioning in conditionings.values():
        for entry in conditioning.entries:
            shared |= {id(hint): hint for hint in entry.hints if getattr(hint, "everywhere", False)}
    conditionings = _with_empty_boxes(conditionings)
    if not shared:
        return dict(conditionings)
    hints = tuple(shared.values())
    return {
        name: conditioning
        if any(not isinstance(hint, GligenHint) for entry in conditioning.entries for hint in entry.hints)
        else Conditioning(
            tuple(replace(entry, hints=(*hints, *entry.hints)) for entry in conditioning.entries)
        )
        for name, conditioning in conditionings.items()
    }
