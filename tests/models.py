"""Tiny models in real file layouts, made of diffusers' and transformers' own classes with random weights.

models = TinyModels(folder)
path = models.sd1()                      # original layout, fp32, whole checkpoint
path = models.sd1(dtype=torch.float16)   # any argument makes another file, written once
parts = models.sd1_parts()               # the modules themselves, to compare with
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodes.diffusion.clip_text import ClipText
from nodes.diffusion.layouts import clip, mmdit, unet, vae
from nodes.diffusion.layouts.rules import to_original
from nodes.diffusion.t5_text import T5Text

State = dict[str, Tensor]
VOCABULARY = 520
MERGES = (("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("r", "e"), ("re", "d</w>"))

VAE_CONFIG: Mapping[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": [32, 32, 32, 32],
    "layers_per_block": 1,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
SD1_UNET: Mapping[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [32, 64],
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "cross_attention_dim": 64,
    "attention_head_dim": 8,
}
SD2_UNET: Mapping[str, Any] = {
    **SD1_UNET,
    "block_out_channels": [64, 128],
    "use_linear_projection": True,
    "attention_head_dim": [1, 2],
    "cross_attention_dim": 128,
}
SDXL_UNET: Mapping[str, Any] = {
    **SD2_UNET,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "cross_attention_dim": 64 + 128,
    "transformer_layers_per_block": [1, 2],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 6 * 256 + 64,
}
REFINER_UNET: Mapping[str, Any] = {
    **SDXL_UNET,
    "cross_attention_dim": 128,
    "projection_class_embeddings_input_dim": 5 * 256 + 64,
}


def byte_tokenizer() -> dict[str, Any]:
    """A byte-pair vocabulary with three words (cat, dog, red): what `graphcore.tokenizer` holds."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(code) for code in plain] + [chr(256 + place) for place in range(256 - len(plain))]
    words = symbols + [f"{symbol}</w>" for symbol in symbols] + ["".join(pair) for pair in MERGES]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return {
        "vocab": {word: number for number, word in enumerate(words)},
        "merges": [" ".join(pair) for pair in MERGES],
    }


def make_unet(**config: Any) -> Any:
    """A UNet of diffusers."""
    return diffusers.UNet2DConditionModel(**config)


def make_vae(**config: Any) -> Any:
    """An autoencoder of diffusers."""
    return diffusers.AutoencoderKL(**config)


SD3_NETWORK: Mapping[str, Any] = {
    "sample_size": 32,
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 3,
    "attention_head_dim": 64,
    "num_attention_heads": 1,
    "joint_attention_dim": 64 + 128,
    "caption_projection_dim": 64,
    "pooled_projection_dim": 64 + 64,
    "pos_embed_max_size": 24,
    "dual_attention_layers": [0],
    "qk_norm": "rms_norm",
}
T5: Mapping[str, Any] = {
    "vocab_size": 40,
    "d_model": 64 + 128,
    "d_kv": 64,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 3,
    "feed_forward_proj": "gated-gelu",
}


def t5_tokenizer() -> str:
    """A word-by-word tokenizer for T5, as its tokenizer.json holds it."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "</s>", "<unk>", "a", "red", "cat", "and", "dog", "blurred", ","]
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tokenizer.to_str())


def text_config(
    width: int, *, projection: int | None = None, activation: str = "quick_gelu"
) -> dict[str, Any]:
    """A two-layer (three with a projection) text encoder over the vocabulary of `byte_tokenizer`."""
    config: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2 if projection is None else 3,
        "num_attention_heads": max(width // 64, 1),
        "max_position_embeddings": 77,
        "hidden_act": activation,
        "eos_token_id": VOCABULARY - 1,
        "bos_token_id": VOCABULARY - 2,
    }
    return config if projection is None else {**config, "projection_dim": projection}


@dataclass(frozen=True, slots=True, eq=False)
class TinyParts:
    """The modules of one model; `texts` by part name."""

    unet: Any
    vae: Any
    texts: Mapping[str, Any]


def seeded(make: Callable[[], Any], seed: int = 0) -> Any:
    """A module in evaluation mode with weights from `seed`; norms and biases are random too."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module: nn.Module = make().requires_grad_(False).eval()
        for name, parameter in module.named_parameters():
            if parameter.ndim == 1:
                centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
                parameter.copy_(centre + 0.1 * torch.randn_like(parameter))
    return module


@cache
def sd1_parts(in_channels: int = 4) -> TinyParts:
    """SD 1.x with 32 and 64 channels, and text vectors of 64; its VAE shrinks 8 times."""
    return TinyParts(
        seeded(lambda: make_unet(**{**SD1_UNET, "in_channels": in_channels})),
        seeded(lambda: make_vae(**VAE_CONFIG), 1),
        {"clip_l": seeded(lambda: ClipText(text_config(64)), 2)},
    )


@cache
def sd2_parts(in_channels: int = 4) -> TinyParts:
    """SD 2.x with 64 and 128 channels; its text encoder has a projection that nobody uses."""
    return TinyParts(
        seeded(lambda: make_unet(**{**SD2_UNET, "in_channels": in_channels})),
        seeded(lambda: make_vae(**VAE_CONFIG), 1),
        {"clip_h": seeded(lambda: ClipText(text_config(128, projection=64, activation="gelu")), 2)},
    )


@cache
def sdxl_parts(in_channels: int = 4) -> TinyParts:
    """SDXL base with text vectors of 64 + 128 and a pooled vector of 64."""
    return TinyParts(
        seeded(lambda: make_unet(**{**SDXL_UNET, "in_channels": in_channels})),
        seeded(lambda: make_vae(**VAE_CONFIG, scaling_factor=0.13025), 1),
        {
            "clip_l": seeded(lambda: ClipText(text_config(64)), 2),
            "clip_g": seeded(lambda: ClipText(text_config(128, projection=64, activation="gelu")), 3),
        },
    )


@cache
def refiner_parts() -> TinyParts:
    """The SDXL refiner: OpenCLIP-G alone, and a score in the place of sizes."""
    return TinyParts(
        seeded(lambda: make_unet(**REFINER_UNET)),
        seeded(lambda: make_vae(**VAE_CONFIG, scaling_factor=0.13025), 1),
        {"clip_g": seeded(lambda: ClipText(text_config(128, projection=64, activation="gelu")), 3)},
    )


@cache
def sd3_parts() -> TinyParts:
    """SD 3.5 with one head, a dual-attention layer and three text encoders; sixteen latent channels."""
    latents = {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
    scales = {"scaling_factor": 1.5305, "shift_factor": 0.0609}
    return TinyParts(
        seeded(lambda: diffusers.SD3Transformer2DModel(**SD3_NETWORK)),
        seeded(lambda: make_vae(**{**VAE_CONFIG, **latents, **scales}), 1),
        {
            "clip_l": seeded(lambda: identity_projection(ClipText(text_config(64, projection=64))), 2),
            "clip_g": seeded(lambda: ClipText(text_config(128, projection=64, activation="gelu")), 3),
            "t5": seeded(lambda: T5Text(T5), 4),
        },
    )


def identity_projection(module: ClipText) -> ClipText:
    """A text encoder whose projection changes nothing, as SD3's first has."""
    assert module.text_projection is not None
    module.text_projection.weight = nn.Parameter(torch.eye(64))
    return module


def sd3_state(*, with_t5: bool = True) -> State:
    """A whole SD 3.5 checkpoint in the original layout."""
    parts = sd3_parts()
    network = parts.unet.state_dict()
    state = (
        prefixed(
            "model.diffusion_model.", to_original(network, mmdit.rules(dict(parts.unet.config), network))
        )
        | prefixed("first_stage_model.", vae_state(parts.vae))
        | prefixed("text_encoders.clip_l.transformer.", clip_state(parts.texts["clip_l"]))
        | prefixed("text_encoders.clip_g.transformer.", clip_state(parts.texts["clip_g"]))
    )
    t5 = parts.texts["t5"].state_dict()
    tied = {"encoder.embed_tokens.weight": t5["shared.weight"]}
    return state | prefixed("text_encoders.t5xxl.transformer.", {**t5, **tied}) if with_t5 else state


def unet_state(module: Any) -> State:
    """A UNet in the original layout, without prefix."""
    state = module.state_dict()
    return to_original(state, unet.rules(dict(module.config), state))


def vae_state(module: Any) -> State:
    """A VAE in the original layout, without prefix."""
    state = module.state_dict()
    return to_original(state, vae.rules(dict(module.config), state))


def clip_state(module: ClipText) -> State:
    """A text encoder in transformers' layout, with the `position_ids` that old files hold."""
    state = to_original(module.state_dict(), clip.transformers_rules(module.state_dict(), "text_model."))
    return {**state, "text_model.embeddings.position_ids": torch.arange(module.positions)[None]}


def openclip_state(module: ClipText) -> State:
    """A text encoder in OpenCLIP's layout."""
    state = module.state_dict()
    return {**to_original(state, clip.openclip_rules(state)), "logit_scale": torch.tensor(4.6)}


def prefixed(prefix: str, state: State) -> State:
    """The same tensors under longer names."""
    return {prefix + name: tensor for name, tensor in state.items()}


def ema_state(state: State, factor: float = 0.5) -> State:
    """An averaged copy of an unprefixed UNet, under the names that training leaves: without dots."""
    return {
        "model_ema.diffusion_model" + name.replace(".", ""): tensor * factor for name, tensor in state.items()
    }


def sd1_state(*, in_channels: int = 4) -> State:
    """A whole SD 1.x checkpoint in the original layout."""
    parts = sd1_parts(in_channels)
    return (
        prefixed("model.diffusion_model.", unet_state(parts.unet))
        | prefixed("first_stage_model.", vae_state(parts.vae))
        | prefixed("cond_stage_model.transformer.", clip_state(parts.texts["clip_l"]))
    )


def sd2_state(*, in_channels: int = 4) -> State:
    """A whole SD 2.x checkpoint in the original layout."""
    parts = sd2_parts(in_channels)
    return (
        prefixed("model.diffusion_model.", unet_state(parts.unet))
        | prefixed("first_stage_model.", vae_state(parts.vae))
        | prefixed("cond_stage_model.model.", openclip_state(parts.texts["clip_h"]))
    )


def sdxl_state(*, in_channels: int = 4) -> State:
    """A whole SDXL checkpoint in the original layout."""
    parts = sdxl_parts(in_channels)
    return (
        prefixed("model.diffusion_model.", unet_state(parts.unet))
        | prefixed("first_stage_model.", vae_state(parts.vae))
        | prefixed("conditioner.embedders.0.transformer.", clip_state(parts.texts["clip_l"]))
        | prefixed("conditioner.embedders.1.model.", openclip_state(parts.texts["clip_g"]))
    )


def refiner_state() -> State:
    """A whole SDXL refiner in the original layout."""
    parts = refiner_parts()
    return (
        prefixed("model.diffusion_model.", unet_state(parts.unet))
        | prefixed("first_stage_model.", vae_state(parts.vae))
        | prefixed("conditioner.embedders.0.model.", openclip_state(parts.texts["clip_g"]))
    )


def write(path: Path, state: State, *, dtype: torch.dtype | None = None, metadata: Any = None) -> Path:
    """Write a state dict as safetensors; floating tensors in `dtype`, metadata values as JSON where not text."""
    tensors = {
        name: tensor.to(dtype).contiguous() if dtype and tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in state.items()
    }
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, metadata=texts or None)
    return path


class TinyModels:
    """Tiny model files in one folder, each written when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, name: str, state: Callable[[], State], dtype: torch.dtype, metadata: Any) -> Path:
        metadata = {"graphcore.tokenizer": byte_tokenizer(), **(metadata or {})}
        mark = f"{name}-{str(dtype).removeprefix('torch.')}-{zlib.crc32(json.dumps(metadata).encode())}"
        path = self.folder / "checkpoints" / f"{mark}.safetensors"
        return path if path.exists() else write(path, state(), dtype=dtype, metadata=metadata)

    def sd1(self, *, dtype: torch.dtype = torch.float32, metadata: Any = None) -> Path:
        """A whole SD 1.x checkpoint."""
        return self._file("sd1", sd1_state, dtype, metadata)

    def sd1_inpaint(self) -> Path:
        """SD 1.x with nine input channels."""
        return self._file("sd1-inpaint", lambda: sd1_state(in_channels=9), torch.float32, None)

    def sd2(self, *, dtype: torch.dtype = torch.float32, metadata: Any = None) -> Path:
        """A whole SD 2.x checkpoint."""
        return self._file("sd2", sd2_state, dtype, metadata)

    def sdxl(self, *, dtype: torch.dtype = torch.float32, metadata: Any = None) -> Path:
        """A whole SDXL checkpoint."""
        return self._file("sdxl", sdxl_state, dtype, metadata)

    def refiner(self, *, dtype: torch.dtype = torch.float32, metadata: Any = None) -> Path:
        """A whole SDXL refiner."""
        return self._file("refiner", refiner_state, dtype, metadata)

    def sd3(self, *, dtype: torch.dtype = torch.float32, with_t5: bool = True) -> Path:
        """A whole SD 3.5 checkpoint, with or without its T5."""
        name = "sd3" if with_t5 else "sd3-without-t5"
        metadata = {"graphcore.tokenizer_t5": t5_tokenizer()}
        return self._file(name, lambda: sd3_state(with_t5=with_t5), dtype, metadata)


def _write_t5(folder: Path, module: T5Text) -> None:
    from transformers import T5Config, T5EncoderModel

    saved = T5EncoderModel(T5Config(**T5))
    state = module.state_dict()
    saved.load_state_dict({**state, "encoder.embed_tokens.weight": state["shared.weight"]})
    saved.save_pretrained(folder)


def write_folder(folder: Path, parts: TinyParts, scheduler: Mapping[str, Any] | None = None) -> Path:
    """A model as a folder in diffusers' layout, as its pipelines save it (tokenizer aside)."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    parts.unet.save_pretrained(folder / ("transformer" if "t5" in parts.texts else "unet"))
    parts.vae.save_pretrained(folder / "vae")
    for name, module in parts.texts.items():
        if name == "t5":
            _write_t5(folder / "text_encoder_3", module)
            continue
        place = folder / ("text_encoder_2" if name == "clip_g" else "text_encoder")
        projected = module.text_projection is not None
        cls = CLIPTextModelWithProjection if projected else CLIPTextModel
        saved = cls(module.text_model.config)
        state = module.state_dict()
        if not any(key.startswith("text_model.") for key in saved.state_dict()):
            state = {key.removeprefix("text_model."): tensor for key, tensor in state.items()}
        saved.load_state_dict(state)
        saved.save_pretrained(place)
    config = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, **(scheduler or {})}
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    return folder
