"""Parameter names of the original latent-diffusion (LDM) layout, from diffusers' and transformers' names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CONTROL_PREFIX = "control_model."
TEXT_PREFIX = "cond_stage_model.transformer.text_model."

_UNET_OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_UNET_RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def ldm_unet(state: Mapping[str, Tensor], *, layers: int) -> dict[str, Tensor]:
    """The UNet's weights under their LDM names; `layers` is its layers per block."""
    attended = {int(m[1]) for m in (re.match(r"up_blocks\.(\d+)\.attentions", name) for name in state) if m}
    return {UNET_PREFIX + _unet_name(name, layers, attended): value for name, value in state.items()}


def ldm_vae(state: Mapping[str, Tensor], *, levels: int) -> dict[str, Tensor]:
    """The autoencoder's weights (without mid attention) under their LDM names; `levels` is its number of blocks."""
    return {VAE_PREFIX + _vae_name(name, levels): value for name, value in state.items()}


def ldm_text(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The CLIP text transformer's weights under their LDM names."""
    return {
        TEXT_PREFIX + name.removeprefix("text_model."): value
        for name, value in state.items()
        if not name.endswith("position_ids")
    }


def ldm_control(state: Mapping[str, Tensor], *, layers: int) -> dict[str, Tensor]:
    """The ControlNet's weights under the names of its authors' files; `layers` is its layers per block."""
    return {CONTROL_PREFIX + _control_name(name, layers): value for name, value in state.items()}


def _control_name(name: str, layers: int) -> str:
    block = re.match(r"controlnet_cond_embedding\.(conv_in|conv_out|blocks\.(\d+))(.*)", name)
    if block:
        number = {"conv_in": 0, "conv_out": 14}.get(block[1]) or 2 * (int(block[2] or -1) + 1)
        return f"input_hint_block.{number}{block[3]}"
    name, zero = re.subn(r"^controlnet_down_blocks\.(\d+)", r"zero_convs.\1.0", name)
    if zero:
        return name
    if name.startswith("controlnet_mid_block"):
        return name.replace("controlnet_mid_block", "middle_block_out.0")
    return _unet_name(name, layers, set())


def _unet_name(name: str, layers: int, attended: set[int]) -> str:
    for ours, theirs in _UNET_OUTER.items():
        if name.startswith(ours + "."):
            return theirs + _residual(name[len(ours) :])
    match = re.match(
        r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)(.*)", name
    )
    if match is None:
        raise ValueError(f"The UNet weight {name!r} has no place in the LDM layout.")
    way, block, part, number, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if part == "downsamplers":
        return f"input_blocks.{(block + 1) * (layers + 1)}.0.op{rest.removeprefix('.conv')}"
    if part == "upsamplers":
        return f"output_blocks.{block * (layers + 1) + layers}.{2 if block in attended else 1}{rest}"
    row = block * (layers + 1) + number
    side = f"input_blocks.{1 + row}" if way == "down" else f"output_blocks.{row}"
    return f"{side}.0{_residual(rest)}" if part == "resnets" else f"{side}.1{rest}"


def _residual(rest: str) -> str:
    parts = rest.split(".")
    return (
        ".".join([parts[0], _UNET_RESIDUAL.get(parts[1], parts[1]), *parts[2:]]) if len(parts) > 1 else rest
    )


def _vae_name(name: str, levels: int) -> str:
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = re.sub(r"encoder\.down_blocks\.(\d+)", r"encoder.down.\1", name)
    name = re.sub(r"decoder\.up_blocks\.(\d+)", lambda m: f"decoder.up.{levels - 1 - int(m[1])}", name)
    name = re.sub(r"\.resnets\.(\d+)", r".block.\1", name)
    name = name.replace(".downsamplers.0.", ".downsample.").replace(".upsamplers.0.", ".upsample.")
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
