"""From a part of a file to a network that computes: built without memory, filled from the memory map.

The network is made on the meta device and its parameters become views of the mapped file: no copy, no cast.
Copies are made only when it must compute in another dtype or on another device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from graphcore.errors import ModelFileError
from nodes.diffusion.layouts import (
    clip,
    clip_vision,
    controlnet,
    gligen,
    ip_adapter,
    lllite,
    mmdit,
    style_model,
    t2i_adapter,
    tiny_vae,
    unet,
    vae,
    video_unet,
    video_vae,
)
from nodes.diffusion.layouts.rules import Rule, target_shape, to_target
from nodes.diffusion.model_config import refuse_giant
from nodes.diffusion.part import Part
from nodes.diffusion.precision import Precision
from nodes.diffusion.safetensors_header import ITEM_BYTES, Header
from nodes.diffusion.scaled_weights import BESIDE, in_whole_numbers, scale_of, unscaled
from nodes.diffusion.streaming import stream, streaming_of

IGNORED = BESIDE | {"spiece_model", "position_ids", "logit_scale", "attn_mask", "num_updates", "decay"}
TIED = "encoder.embed_tokens.weight"
"""T5's token table under its second name."""
IGNORED_HEADS = frozenset({"loss", "model_ema"})
SHOWN = 3
COMPANIONS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "clip_vision": clip_vision.from_config,
    "ip_adapter": ip_adapter.from_config,
    "gligen": gligen.from_config,
    "style_model": style_model.from_config,
    "tiny_vae": tiny_vae.from_config,
    "lllite": lllite.from_config,
}
ORIGINAL_RULES: Mapping[str, Callable[[Mapping[str, Any], Iterable[str]], tuple[Rule, ...]]] = {
    "mmdit": mmdit.rules,
    "unet": unet.rules,
    "vae": vae.rules,
    "video_unet": video_unet.rules,
    "video_vae": video_vae.rules,
    "controlnet": controlnet.rules,
    "sd3_controlnet": controlnet.stability_rules,
    "t2i_adapter": t2i_adapter.original_rules,
    "ip_adapter": ip_adapter.rules,
    "gligen": gligen.rules,
    "style_model": style_model.rules,
    "tiny_vae": tiny_vae.rules,
}


def load(part: Part, unpacked: torch.dtype = torch.float32) -> nn.Module:
    """The part as a network in evaluation mode on the CPU, in the file's own dtypes, sharing the file's pages.

    Weights that stand there with a scale are copied, in the dtype `unpacked`. Raises ModelFileError that names tensors
    which are missing, left over, of another shape than configured, or stored in whole numbers.
    """
    module = build(part)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    rules = rules_for(part, wanted)
    check(part, rules, wanted)
    module.load_state_dict(tensors(part, rules, unpacked), assign=True)
    _fill_buffers(module)
    return module.requires_grad_(False).eval()


def build(part: Part) -> nn.Module:
    """The part's network on the meta device: shapes without memory."""
    refuse_giant(part.config, part.path)
    try:
        with torch.device("meta"):
            return _construct(part.kind, part.config)
    except ModelFileError:
        raise
    except Exception as error:
        raise ModelFileError(
            f"No network can be built from the configuration of '{part.name}' in {part.path.name}: {error}. Give the "
            f"right one in {part.path.name}.json.",
            code="model-file-config",
            location=str(part.path),
        ) from error


def rules_for(part: Part, targets: Iterable[str]) -> tuple[Rule, ...]:
    """How the network's tensors, by name, are made of the file's."""
    if part.kind == "clip":
        if part.layout == "openclip":
            return clip.openclip_rules(targets)
        names = set(part.names())
        return clip.transformers_rules(targets, clip.text_prefix(dict.fromkeys(names, ())) or "")
    if part.kind == "clip_vision":
        return clip_vision.rules(part.layout, targets)
    if part.kind == "vae" and part.layout == "diffusers":
        return vae.diffusers_rules(targets, set(part.names()))
    if part.layout == "diffusers":
        return tuple(Rule(target, target) for target in targets)
    original = ORIGINAL_RULES.get(part.kind)
    if original and part.config:
        return original(part.config, targets)
    return tuple(Rule(target, target) for target in targets)


def check(part: Part, rules: Iterable[Rule], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelFileError unless the file holds exactly the tensors that the network wants."""
    missing: list[str] = []
    wrong: list[str] = []
    used: set[str] = set()
    for rule in rules:
        found = part.find(rule.original)
        used.add(rule.original)
        if found is None:
            missing.append(part.prefix + rule.original)
        elif target_shape(found[2].shape, rule.form) != wanted[rule.target]:
            shapes = f"{list(found[2].shape)} instead of {list(wanted[rule.target])}"
            wrong.append(f"{part.prefix}{rule.original} ({shapes})")
    whole = in_whole_numbers(part, used)
    if whole:
        raise ModelFileError(
            f"'{part.name}' in {part.path.name} is quantized: {whole[0]} is stored in whole numbers, which is not "
            "supported; get the file in fp16, bf16 or fp8.",
            code="model-file-quantized",
            location=str(part.path),
        )
    heads = {name.partition(".")[0] for name in used}
    left = (
        []
        if part.ema
        else [part.prefix + name for name in part.names() if name not in used and _matters(name, heads)]
    )
    for what, names in (
        ("is missing", missing),
        ("has the wrong shape", wrong),
        ("belongs to no layer", left),
    ):
        if names:
            _refuse(part, what, names)


def tensors(part: Part, rules: Iterable[Rule], unpacked: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The network's state dict as views of the mapped files; weights with a scale are copied, in `unpacked`."""
    wanted: dict[Path, dict[str, list[Rule]]] = {}
    for rule in rules:
        found = part.find(rule.original)
        if found is not None:
            wanted.setdefault(found[0].path, {}).setdefault(found[1], []).append(rule)
    state: dict[str, Tensor] = {}
    for path, names in wanted.items():
        for name, tensor in _map(path, names).items():
            stored = _unpacked(part, names[name][0].original, tensor, unpacked)
            state |= {rule.target: to_target(stored, rule.form) for rule in names[name]}
    return state


def _unpacked(part: Part, original: str, stored: Tensor, dtype: torch.dtype) -> Tensor:
    place = scale_of(part, original)
    if place is None:
        return stored
    try:
        return unscaled(stored, read_tensor(*place), dtype)
    except ValueError as error:
        _refuse(part, f"has a scale of another shape ({error})", [part.prefix + original])


def placed(module: nn.Module, device: torch.device, precision: Precision) -> nn.Module:
    """The module on a device and in a precision; weights that are so already stay as they are."""
    moved = nn.Module.to(module, device=device, dtype=precision.dtype)
    return nn.Module.to(moved, memory_format=precision.memory_format)  # type: ignore[call-overload,no-any-return]


def patched(part: Part, base: nn.Module, changed: Mapping[str, Tensor]) -> nn.Module:
    """A second network of the part: some tensors replaced, all others shared with `base`, which stays as it is."""
    module = build(part)
    module.load_state_dict({**base.state_dict(), **changed}, assign=True)
    _fill_buffers(module)
    streaming = streaming_of(base)
    if streaming is not None:
        stream(module, streaming)
    return module.requires_grad_(False).eval()


def expected_bytes(part: Part, precision: Precision) -> int:
    """About how many bytes the part will take in a precision, from its header."""
    return sum(
        info.bytes // ITEM_BYTES[info.dtype] * precision.dtype.itemsize
        for header in part.headers
        for name, info in header.tensors.items()
        if name.startswith(part.prefix)
    )


def read_tensor(header: Header, name: str) -> Tensor:
    """One tensor of a file, mapped."""
    return _map(header.path, {name})[name]


def _map(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"The model file {path.name} cannot be read ({error}); get the file again.",
            code="model-file-damaged",
            location=str(path),
        ) from error


def _construct(kind: str, config: Mapping[str, Any]) -> nn.Module:
    if kind == "clip":
        from nodes.diffusion.clip_text import ClipText

        return ClipText(config)
    if kind in COMPANIONS:
        companion: nn.Module = COMPANIONS[kind](config)
        return companion
    if kind == "t5":
        from nodes.diffusion.t5_text import T5Text

        return T5Text(config)
    import diffusers

    classes: dict[str, Any] = {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "video_unet": diffusers.UNetSpatioTemporalConditionModel,
        "video_vae": diffusers.AutoencoderKLTemporalDecoder,
        "mmdit": diffusers.SD3Transformer2DModel,
        "controlnet": diffusers.ControlNetModel,
        "controlnet_union": diffusers.ControlNetUnionModel,
        "sd3_controlnet": diffusers.SD3ControlNetModel,
        "t2i_adapter": diffusers.T2IAdapter,
    }
    network = classes[kind]
    known = network.__init__.__wrapped__.__code__.co_varnames
    module: nn.Module = network(**{key: value for key, value in config.items() if key in known})
    return module


def _fill_buffers(module: nn.Module) -> None:
    for name, buffer in module.named_buffers():
        if buffer.is_meta and name.endswith("position_ids"):
            owner = module.get_submodule(name.rpartition(".")[0])
            owner.register_buffer("position_ids", torch.arange(buffer.shape[-1])[None], persistent=False)


def _matters(name: str, heads: set[str]) -> bool:
    head, _, _ = name.partition(".")
    return (
        name != TIED
        and head in heads
        and head not in IGNORED_HEADS
        and name.rpartition(".")[2] not in IGNORED
    )


def _refuse(part: Part, what: str, names: list[str]) -> NoReturn:
    first = ", ".join(names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise ModelFileError(
        f"'{part.name}' in {part.path.name} does not fit its configuration: {first}{more} {what}; the file is damaged, "
        f"or its configuration needs to be given in {part.path.name}.json.",
        code="model-file-mismatch",
        location=str(part.path),
    )
