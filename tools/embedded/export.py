"""Writes the checkpoint as one fp16 safetensors file in the original layout, everything needed in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from nodes.diffusion.preview import fit_latent_rgb
from tools.embedded.drawing import picture_of
from tools.embedded.layout import TEXT_PREFIX, ldm_text, ldm_unet, ldm_vae
from tools.embedded.models import NOISE_SCHEDULE, TEXT_POSITIONS, plain_text_encoder, plain_unet
from tools.embedded.tokenizer import Vocabulary
from tools.embedded.world import scene_of

_DESCRIPTION = (
    "A small latent diffusion model of the Stable Diffusion 1.x family, trained from nothing on generated "
    "pictures of plain shapes and small scenes. 128x128 pixels, English words of a small grammar."
)
_PREVIEWED = 24
_NOT_CONFIG = (
    "_class_name",
    "_diffusers_version",
    "_name_or_path",
    "decay",
    "dtype",
    "transformers_version",
    "architectures",
    "torch_dtype",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The models of a checkpoint, with the vocabulary of its tokenizer."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    vocabulary: Vocabulary

    def tokenizer(self) -> CLIPTokenizer:
        return self.vocabulary.tokenizer()


def export(parts: Parts, path: Path, *, title: str, date: str, training: dict[str, Any]) -> int:
    """Write `path` in fp16 and return its size in bytes. The file appears in one move."""
    tensors = ldm_unet(parts.unet.state_dict(), layers=int(parts.unet.config["layers_per_block"]))
    tensors |= ldm_vae(parts.vae.state_dict(), levels=len(parts.vae.config["block_out_channels"]))
    tensors |= ldm_text(parts.text_encoder.state_dict())
    halves = {name: value.detach().half().contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    save_file(halves, draft, metadata=_header(parts, title=title, date=date, training=training))
    draft.replace(path)
    return path.stat().st_size


def load(path: Path) -> Parts:
    """Read an exported file back, through diffusers' own conversion of the original layout, as fp32 models."""
    header = read_header(path)
    config, words = json.loads(header["graphcore.config"]), json.loads(header["graphcore.tokenizer"])
    tensors = read_tensors(path)
    unet = unet_of(config["unet"], tensors)
    vae = AutoencoderKL.from_config(config["vae"])
    vae.load_state_dict(convert_ldm_vae_checkpoint(dict(tensors), config["vae"]))
    text_encoder = plain_text_encoder(CLIPTextConfig(**config["text_encoder"]))
    text_encoder.load_state_dict(_text_state(text_encoder, tensors))
    vocabulary = Vocabulary(tokens=words["vocab"], merges=tuple((a, b) for a, b in words["merges"]))
    return Parts(unet=unet.eval(), vae=vae.eval(), text_encoder=text_encoder.eval(), vocabulary=vocabulary)


def unet_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> UNet2DConditionModel:
    """The UNet of this configuration among a file's tensors."""
    unet = plain_unet(config)
    unet.load_state_dict(convert_ldm_unet_checkpoint(dict(tensors), dict(config)))
    return unet


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A file's tensors in fp32."""
    return {name: value.float() for name, value in load_file(path).items()}


def read_header(path: Path) -> dict[str, str]:
    """The header metadata of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _text_state(model: CLIPTextModel, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {name.removeprefix(TEXT_PREFIX): v for name, v in tensors.items() if name.startswith(TEXT_PREFIX)}
    return {name: found[name.removeprefix("text_model.")] for name in model.state_dict()}


def _header(parts: Parts, *, title: str, date: str, training: dict[str, Any]) -> dict[str, str]:
    side = int(parts.vae.config["sample_size"])
    config: dict[str, Any] = {
        "unet": plain_config(dict(parts.unet.config)),
        "vae": plain_config(dict(parts.vae.config)),
        "text_encoder": plain_config(parts.text_encoder.config.to_dict()),
        "scheduler": NOISE_SCHEDULE,
        "latent_rgb": _seen_latents(parts.vae),
    }
    words = {
        "vocab": parts.vocabulary.tokens,
        "merges": [list(pair) for pair in parts.vocabulary.merges],
        "model_max_length": TEXT_POSITIONS,
    }
    return {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "diffusers",
        "modelspec.title": title,
        "modelspec.description": _DESCRIPTION,
        "modelspec.license": "CC0-1.0",
        "modelspec.date": date,
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.prediction_type": "epsilon",
        "graphcore.config": json.dumps(config),
        "graphcore.tokenizer": json.dumps(words),
        "graphcore.training": json.dumps(training),
    }


def _seen_latents(vae: AutoencoderKL) -> dict[str, Any]:
    """How latents look as colours, for previews: fitted to what the decoder makes of drawings."""
    side = int(vae.config["sample_size"])
    scenes = [scene_of(number, "two") for number in range(_PREVIEWED)]
    drawings = np.stack([np.asarray(picture_of(scene).resize((side, side))) for scene in scenes])
    pictures = torch.from_numpy(drawings).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(pictures).latent_dist.mean
        made = vae.decode(latents).sample
    rgb = fit_latent_rgb(latents * float(vae.config["scaling_factor"]), made)
    factors = [[round(value, 5) for value in row] for row in rgb.factors]
    return {"factors": factors, "bias": [round(value, 5) for value in rgb.bias]}


def plain_config(config: dict[str, Any]) -> dict[str, Any]:
    """What a file's header says of a model's configuration: no bookkeeping, nothing that is None."""
    return {
        name: value
        for name, value in config.items()
        if name not in _NOT_CONFIG and not name.startswith("_") and value is not None
    }


def same_outputs(one: Parts, other: Parts) -> bool:
    """Whether two sets of parts compute the same from the same inputs, to the last bit."""
    generator = torch.Generator().manual_seed(3)
    side = int(one.unet.config["sample_size"])
    latents = torch.randn(1, 4, side, side, generator=generator)
    picture = torch.rand(1, 3, side * 8, side * 8, generator=generator) * 2 - 1
    tokens = one.tokenizer()("a red house", padding="max_length", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        texts = [p.text_encoder(tokens).last_hidden_state for p in (one, other)]
        noises = [p.unet(latents, 500, texts[0]).sample for p in (one, other)]
        made = [p.vae.decode(p.vae.encode(picture).latent_dist.mean).sample for p in (one, other)]
    return all(torch.equal(*pair) for pair in (texts, noises, made))
