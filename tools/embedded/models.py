"""The three parts of the checkpoint at their sizes, and the starting weights that make them learn fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

NOISE_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
LATENT_CHANNELS = 4
TEXT_POSITIONS = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Widths and depths. The defaults are the shipped checkpoint; tests use much smaller ones."""

    side: int = 128
    vae_widths: tuple[int, ...] = (32, 64, 96, 128)
    vae_groups: int = 8
    unet_widths: tuple[int, ...] = (64, 128, 192)
    unet_groups: int = 16
    unet_heads: int = 2
    text_width: int = 128
    text_layers: int = 3
    text_heads: int = 4


TINY = Sizes(
    side=64,
    vae_widths=(8, 8, 8, 8),
    vae_groups=4,
    unet_widths=(16, 16),
    unet_groups=4,
    text_width=16,
    text_layers=1,
    text_heads=2,
)


def new_vae(sizes: Sizes) -> AutoencoderKL:
    """An autoencoder that reduces by 8 to 4 channels, started near the identity."""
    levels = len(sizes.vae_widths)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=LATENT_CHANNELS,
        sample_size=sizes.side,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=sizes.vae_widths,
        layers_per_block=1,
        norm_num_groups=sizes.vae_groups,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )
    _start_near_identity(vae)
    return vae


def new_unet(sizes: Sizes, *, channels: int = LATENT_CHANNELS) -> UNet2DConditionModel:
    """A UNet that takes `channels`, with cross attention at all levels but the lowest, started aware of the border."""
    levels = len(sizes.unet_widths)
    unet = UNet2DConditionModel(
        sample_size=sizes.side // 8,
        in_channels=channels,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        block_out_channels=sizes.unet_widths,
        layers_per_block=1,
        norm_num_groups=sizes.unet_groups,
        attention_head_dim=sizes.unet_heads,
        cross_attention_dim=sizes.text_width,
    )
    unet.set_attn_processor(AttnProcessor())
    _start_border_aware(unet)
    return unet


def new_text_encoder(sizes: Sizes, *, vocabulary: int) -> CLIPTextModel:
    """A CLIP text transformer whose last two tokens are the start and the end of text."""
    encoder = plain_text_encoder(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=sizes.text_width,
            intermediate_size=sizes.text_width * 4,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=sizes.text_heads,
            max_position_embeddings=TEXT_POSITIONS,
            hidden_act="quick_gelu",
            projection_dim=sizes.text_width,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )
    with torch.no_grad():
        encoder.get_input_embeddings().weight.mul_(10)
    return encoder


def plain_text_encoder(config: CLIPTextConfig) -> CLIPTextModel:
    """The model with plain attention, which trains faster on a CPU than the fused kernel."""
    config._attn_implementation = "eager"
    return CLIPTextModel(config)


def plain_unet(config: Mapping[str, Any]) -> UNet2DConditionModel:
    """The UNet with plain attention, for the same reason."""
    unet = UNet2DConditionModel.from_config(dict(config))
    unet.set_attn_processor(AttnProcessor())
    return unet


class LayoutHead(nn.Module):
    """Predicts the latents pooled to 4x4 from the end-of-text vector: teaches the text encoder, then thrown away."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, 256), nn.SiLU(), nn.Linear(256, LATENT_CHANNELS * 16))

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """(batch, width) -> (batch, 4, 4, 4)."""
        layout: torch.Tensor = self.body(pooled).unflatten(1, (LATENT_CHANNELS, 4, 4))
        return layout


def _start_near_identity(vae: AutoencoderKL) -> None:
    """Residual branches silent, samplers plain resizing, latents nearly without noise."""
    with torch.no_grad():
        for name, module in vae.named_modules():
            if not isinstance(module, nn.Conv2d):
                continue
            if name.endswith("conv2"):
                module.weight.zero_()
            elif "upsamplers" in name:
                _set_resizing(module, taps=[(1, 1, 1.0)])
            elif "downsamplers" in name:
                _set_resizing(module, taps=[(y, x, 0.25) for y in (0, 1) for x in (0, 1)])
            elif name.endswith("conv_shortcut"):
                _set_resizing(module, taps=[(0, 0, 1.0)])
        first = vae.encoder.conv_in.weight
        first.mul_(0.3)
        first[:, :, 1, 1] += torch.nn.functional.normalize(torch.randn(first.shape[:2]), dim=1)
        quant = vae.quant_conv
        quant.weight[LATENT_CHANNELS:].zero_()
        quant.bias[LATENT_CHANNELS:].fill_(-6.0)


def _set_resizing(conv: nn.Conv2d, *, taps: list[tuple[int, int, float]]) -> None:
    """Make `conv` pass each channel on through the given (row, column, weight) taps, with a little noise kept."""
    conv.weight.mul_(0.3)
    for channel in range(min(conv.in_channels, conv.out_channels)):
        for row, column, weight in taps:
            conv.weight[channel, channel, row, column] += weight
    if conv.bias is not None:
        conv.bias.zero_()


def _start_border_aware(unet: UNet2DConditionModel) -> None:
    """Residual branches and output silent; random biases before zero padding let features tell the border."""
    with torch.no_grad():
        for name, module in unet.named_modules():
            if not isinstance(module, nn.Conv2d) or module.bias is None:
                continue
            if name.endswith("conv2") or name == "conv_out":
                module.weight.zero_()
                module.bias.zero_()
            elif name == "conv_in" or "samplers" in name:
                nn.init.normal_(module.bias)
