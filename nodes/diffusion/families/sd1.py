"""Stable Diffusion 1.x (Rombach et al. 2022): one CLIP-L text encoder, convolutional attention projections.

Networks with eight or nine input channels (InstructPix2Pix, inpainting) are the same family.
"""

from __future__ import annotations

from nodes.diffusion.families.family import (
    Evidence,
    Family,
    FolderEvidence,
    PartPlace,
    Tower,
    diffusion,
)
from nodes.diffusion.network import LatentFormat, LatentRgb

SD1_RGB = LatentRgb(
    factors=((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
)
"""A linear fit of the decoder of SD 1.x, published by its finder in 2022 ("Decoding latents to RGB")."""

LATENT = LatentFormat(channels=4, scale_factor=0.18215, rgb=SD1_RGB)
VAE = PartPlace(name="vae", kind="vae", prefixes=("first_stage_model.",))
UNET = PartPlace(name="unet", kind="unet", prefixes=("model.diffusion_model.", "diffusion_model.", ""))


def _recognises(evidence: Evidence) -> bool:
    return "input_blocks.0.0.weight" in evidence.network and "label_emb.0.0.weight" not in evidence.network


def is_text_unet(evidence: FolderEvidence) -> bool:
    """A UNet that takes text and nothing beside it."""
    config = evidence.config
    return (
        evidence.made_by == "UNet2DConditionModel"
        and config.get("addition_embed_type") is None
        and config.get("cross_attention_dim") is not None
    )


SD1 = Family(
    name="sd1",
    title="Stable Diffusion 1.x",
    towers=(Tower(part="clip_l", folder="text_encoder"),),
    places=(
        UNET,
        VAE,
        PartPlace(
            name="clip_l", kind="clip", prefixes=("cond_stage_model.transformer.",), layout="transformers"
        ),
    ),
    latent=LATENT,
    conditioning="text",
    recognises=_recognises,
    fits_folder=is_text_unet,
    parameterization=diffusion,
)
