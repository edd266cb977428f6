"""Tiny networks that steer others, in real file layouts: ControlNets, T2I-Adapters."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch

from nodes.diffusion.layouts import clip_vision, controlnet, ip_adapter, t2i_adapter, unet
from nodes.diffusion.layouts.rules import to_original
from tests.models import (
    SD1_UNET,
    SD2_UNET,
    State,
    TinyParts,
    byte_tokenizer,
    make_unet,
    openclip_state,
    prefixed,
    sd1_parts,
    sd2_parts,
    sd3_parts,
    sdxl_parts,
    seeded,
    unet_state,
    vae_state,
    write,
)

PARTS = {"sd1": sd1_parts, "sd2": sd2_parts, "sdxl": sdxl_parts, "sd3": sd3_parts}


def awake(module: Any, seed: int = 0) -> Any:
    """The module with random numbers in the place of weights that begin as zeros, so that it has an effect."""
    stream = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if not torch.count_nonzero(parameter):
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=stream))
    return module


@cache
def control_net(family: str = "sd1", seed: int = 0) -> Any:
    """A ControlNetModel for the tiny UNet of a family."""
    unet = PARTS[family]().unet
    return awake(seeded(lambda: diffusers.ControlNetModel.from_unet(unet), seed + 10), seed)


@cache
def union_net(kinds: int = 8) -> Any:
    """A ControlNetUnionModel for the tiny SDXL."""
    config = dict(sdxl_parts().unet.config)
    names = (
        "in_channels",
        "down_block_types",
        "block_out_channels",
        "cross_attention_dim",
        "transformer_layers_per_block",
        "attention_head_dim",
        "use_linear_projection",
        "addition_embed_type",
        "addition_time_embed_dim",
        "projection_class_embeddings_input_dim",
    )
    made = seeded(
        lambda: diffusers.ControlNetUnionModel(
            **{name: config[name] for name in names},
            layers_per_block=1,
            conditioning_embedding_out_channels=(16, 16, 32, 32),
            num_control_type=kinds,
            num_trans_channel=64,
            num_proj_channel=64,
        ),
        20,
    )
    return awake(made)


@cache
def sd3_control_net(*, extra: int = 0, stability: bool = False) -> Any:
    """An SD3ControlNetModel for the tiny SD 3, of two layers; Stability AI's kind has no places and no text."""
    config = sd3_parts().unet.config
    names = ("patch_size", "in_channels", "out_channels", "attention_head_dim", "num_attention_heads")
    shared = {name: config[name] for name in names}
    text = {
        "joint_attention_dim": None if stability else config["joint_attention_dim"],
        "caption_projection_dim": 64,
        "pooled_projection_dim": config["pooled_projection_dim"],
    }
    places: dict[str, Any] = {"pos_embed_max_size": 24, "qk_norm": "rms_norm"}
    if stability:
        places = {"use_pos_embed": False, "force_zeros_for_pooled_projection": False}
    made = seeded(
        lambda: diffusers.SD3ControlNetModel(
            sample_size=32, num_layers=2, extra_conditioning_channels=extra, **shared, **text, **places
        ),
        30,
    )
    return awake(made)


@cache
def adapter(kind: str = "full_adapter", *, channels: int = 3) -> Any:
    """A T2IAdapter for the tiny SD 1.x ("full_adapter", "light_adapter") or SDXL ("full_adapter_xl")."""
    widths = {"full_adapter": [32, 64], "light_adapter": [32, 64], "full_adapter_xl": [64, 128]}[kind]
    shrink = 16 if kind == "full_adapter_xl" else 8
    return seeded(
        lambda: diffusers.T2IAdapter(
            in_channels=channels, channels=widths, downscale_factor=shrink, adapter_type=kind
        ),
        40,
    )


def control_state(module: Any) -> State:
    """A ControlNet in ldm's layout."""
    state = module.state_dict()
    return prefixed("control_model.", to_original(state, controlnet.rules(dict(module.config), state)))


def control_lora_state(module: Any, family: str) -> State:
    """A ControlNet as a Control-LoRA of its UNet: low-rank differences, of full rank here; biases and norms whole."""
    base = PARTS[family]().unet.state_dict()
    own = module.state_dict()
    found: State = {"lora_controlnet": torch.zeros(0)}
    for rule in controlnet.rules(dict(module.config), own):
        tensor, plain = own[rule.target], base.get(rule.target)
        if plain is None or tensor.ndim == 1:
            found[rule.original] = tensor
            continue
        left, scales, right = torch.linalg.svd((tensor - plain).flatten(1), full_matrices=False)
        stem = rule.original.removesuffix(".weight")
        found[f"{stem}.up"] = left * scales
        found[f"{stem}.down"] = right.view(len(scales), *tensor.shape[1:])
    return found


def stability_state(module: Any) -> State:
    """A ControlNet for SD 3.5 in Stability AI's layout."""
    state = module.state_dict()
    return to_original(state, controlnet.stability_rules({}, state))


def adapter_state(module: Any) -> State:
    """A T2I-Adapter in TencentARC's layout."""
    state = module.state_dict()
    return to_original(state, t2i_adapter.original_rules(dict(module.config), state))


def put(models: Path, name: str, state: State, *, kind: str = "controlnet", metadata: Any = None) -> str:
    """Write a file into a model folder; its name there. Checkpoints bring their vocabulary along."""
    if kind == "checkpoints":
        metadata = {"graphcore.tokenizer": byte_tokenizer(), **(metadata or {})}
    write(models / kind / name, state, metadata=metadata)
    return name


def parts_of(family: str) -> TinyParts:
    """The tiny model of a family."""
    return PARTS[family]()


@cache
def vision_tower(width: int = 64, *, projection: int = 64, activation: str = "quick_gelu") -> Any:
    """A CLIP image encoder of three layers that sees 28 pixels a side."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=max(width // 64, 1),
        image_size=28,
        patch_size=14,
        projection_dim=projection,
        hidden_act=activation,
    )
    return seeded(lambda: CLIPVisionModelWithProjection(config), 50)


def openclip_vision_state(module: Any) -> State:
    """A CLIP image encoder in OpenCLIP's layout, below `visual.`."""
    state = module.state_dict()
    return prefixed("visual.", to_original(state, clip_vision.rules("openclip", state)))


@cache
def image_adapter(family: str = "sd1", kind: str = "plain") -> State:
    """An IP-Adapter for the tiny UNet of a family, in the layout of its files; `vision_tower` is its encoder."""
    unet = PARTS[family]().unet
    layers = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    weights = [unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape for name in layers]
    context = weights[0][1]
    sizes: dict[str, dict[str, Any]] = {
        "plain": {"image_embed_dim": 64, "cross_attention_dim": context, "num_image_text_embeds": 4},
        "full": {"image_embed_dim": 64, "cross_attention_dim": context},
        "plus": {
            "embed_dims": 64,
            "output_dims": context,
            "hidden_dims": 64,
            "depth": 4,
            "heads": 1,
            "num_queries": 4,
        },
    }
    config = {
        "kind": kind,
        "places": [2 * place + 1 for place in range(len(layers))],
        "widths": [tuple(shape) for shape in weights],
        **sizes[kind],
    }
    module = seeded(lambda: ip_adapter.from_config(config), 60)
    state = module.state_dict()
    return to_original(state, ip_adapter.rules(config, state))


@cache
def unclip_parts() -> TinyParts:
    """SD 2.x whose UNet takes what `vision_tower` sees beside the text."""
    parts = sd2_parts()
    config = {**SD2_UNET, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 128}
    return TinyParts(seeded(lambda: make_unet(**config), 70), parts.vae, parts.texts)


def image_normalizer() -> Any:
    """The mean and spread of the embeddings that `unclip_parts` was made with."""
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
        StableUnCLIPImageNormalizer,
    )

    made = seeded(lambda: StableUnCLIPImageNormalizer(embedding_dim=64), 71)
    stream = torch.Generator().manual_seed(72)
    made.mean.copy_(0.1 * torch.randn(1, 64, generator=stream))
    made.std.copy_(0.5 + torch.rand(1, 64, generator=stream))
    return made


def unclip_state() -> State:
    """A whole unCLIP checkpoint in the original layout."""
    parts, normalizer = unclip_parts(), image_normalizer()
    return (
        prefixed("model.diffusion_model.", unet_state(parts.unet))
        | prefixed("first_stage_model.", vae_state(parts.vae))
        | prefixed("cond_stage_model.model.", openclip_state(parts.texts["clip_h"]))
        | prefixed("embedder.model.", openclip_vision_state(vision_tower()))
        | {
            "noise_augmentor.data_mean": normalizer.mean.clone(),
            "noise_augmentor.data_std": normalizer.std.clone(),
        }
    )


@cache
def grounded_unet() -> Any:
    """The tiny UNet of SD 1.x with GLIGEN's gated attention."""
    plain = sd1_parts().unet
    made = awake(seeded(lambda: make_unet(**{**SD1_UNET, "attention_type": "gated"}), 80))
    made.load_state_dict(plain.state_dict(), strict=False)
    return made


def gligen_state() -> State:
    """The GLIGEN of `grounded_unet` in the layout of its files."""
    module = grounded_unet()
    names = unet.modules(dict(module.config))
    state: State = {}
    for name, tensor in module.state_dict().items():
        head, separator, rest = name.partition(".transformer_blocks.")
        if ".fuser." in rest and separator:
            state[f"{names[head]}.transformer_blocks.{rest}"] = tensor
        elif name.startswith("position_net."):
            state[name] = tensor
    return state
