"""Trained adapters as LoRA files hold them.

UNets and their text encoders are named as kohya's trainer names them (`lora_unet_down_blocks_0_....lora_down.weight`),
which ComfyUI, A1111 and diffusers read. For SD3's transformer that trainer's names fit no reader's fused layers alike;
its adapters are named as PEFT and diffusers name them (`transformer.....lora_A.weight`), which ComfyUI reads too, with
the scale multiplied into them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from nodes.diffusion.training.low_rank import LayerAdapter, LowRank, RankChoice

_TEXT_PREFIXES: Final[Mapping[str, Mapping[str, str]]] = {
    "sd1": {"clip_l": "lora_te_"},
    "sd2": {"clip_h": "lora_te_"},
    "sdxl": {"clip_l": "lora_te1_", "clip_g": "lora_te2_"},
    "sdxl-refiner": {"clip_g": "lora_te2_"},
    "sd3": {"clip_l": "text_encoder.", "clip_g": "text_encoder_2."},
}
_ARCHITECTURES: Final = {
    "sd1": ("stable-diffusion-v1", "sd_v1"),
    "sd2": ("stable-diffusion-v2", "sd_v2"),
    "sdxl": ("stable-diffusion-xl-v1-base", "sdxl_base_v1-0"),
    "sdxl-refiner": ("stable-diffusion-xl-v1-refiner", "sdxl_refiner_v1-0"),
    "sd3": ("stable-diffusion-3-medium", "sd3"),
}


def text_prefix(family: str, part: str) -> str | None:
    """How names of a text encoder's adapters begin in LoRA files; None if files have no name for it."""
    return _TEXT_PREFIXES.get(family, {}).get(part)


def network_prefix(kind: str) -> str:
    """How names of a network's adapters begin."""
    return "transformer." if kind == "mmdit" else "lora_unet_"


def named_tensors(adapters: Mapping[str, LayerAdapter], prefix: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of adapters under the names that files give them."""
    tensors: dict[str, Tensor] = {}
    for name, adapter in adapters.items():
        held = {key: tensor.detach().cpu() for key, tensor in adapter.tensors.items()}
        if prefix.endswith(".") and isinstance(adapter, LowRank):
            tensors[f"{prefix}{name}.lora_A.weight"] = held["lora_down"].to(dtype)
            tensors[f"{prefix}{name}.lora_B.weight"] = (held["lora_up"] * adapter.scale).to(dtype)
            continue
        module = prefix + (name if prefix.endswith(".") else name.replace(".", "_"))
        for key, tensor in held.items():
            tensors[f"{module}.{key}.weight" if key.startswith("lora_") else f"{module}.{key}"] = tensor.to(
                dtype
            )
        tensors[f"{module}.alpha"] = torch.tensor(adapter.scale * adapter.rank)
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def file_metadata(family: str, choice: RankChoice, settings: Mapping[str, object]) -> dict[str, str]:
    """What a LoRA file says of itself, in the keys of kohya's trainer and of the ModelSpec."""
    architecture, base = _ARCHITECTURES.get(family, (family, family))
    return {
        "format": "pt",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": "diffusers",
        "ss_network_module": "networks.lora" if choice.algorithm == "LoRA" else "lycoris.kohya",
        "ss_network_dim": str(choice.rank),
        "ss_network_alpha": str(choice.alpha),
        "ss_base_model_version": base,
        "graphcore.training": json.dumps(dict(settings)),
    }


def content_digest(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}\0{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].float().contiguous().numpy().tobytes())
    return digest.hexdigest()
