"""SDXL base and refiner (Podell et al. 2023): sizes and a pooled text vector beside the text.

The base reads CLIP-L and OpenCLIP-G, the refiner OpenCLIP-G alone; both take the last hidden layer but one.
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
from nodes.diffusion.families.sd1 import UNET, VAE
from nodes.diffusion.network import LatentFormat, LatentRgb

SDXL_RGB = LatentRgb(
    factors=(
        (0.471, 0.471, 0.471),
        (-0.471, -0.039, 0.078),
        (0.196, 0.118, -0.039),
        (-0.549, -0.392, -0.275),
    ),
    bias=(0.176, 0.098, 0.020),
)
"""A linear fit of the decoder of SDXL, published in 2023 ("Explaining the SDXL latent space")."""

LATENT = LatentFormat(channels=4, scale_factor=0.13025, rgb=SDXL_RGB)
REFINER_WIDTHS = (2560,)
CLIP_L = Tower(part="clip_l", folder="text_encoder", layer=-2, final_norm=False)
CLIP_G = Tower(
    part="clip_g",
    folder="text_encoder_2",
    layer=-2,
    final_norm=False,
    pads_with_end=False,
    activation="gelu",
    pooled=True,
)


def _is_sdxl(evidence: Evidence) -> bool:
    has_network = {"label_emb.0.0.weight", "input_blocks.0.0.weight"} <= evidence.network.keys()
    return has_network and not evidence.has_prefix("cond_stage_model.")


def _recognises_refiner(evidence: Evidence) -> bool:
    if not _is_sdxl(evidence):
        return False
    if evidence.has_prefix("conditioner.embedders.1.model."):
        return False
    return (
        evidence.has_prefix("conditioner.embedders.0.model.")
        or evidence.network["label_emb.0.0.weight"][1] in REFINER_WIDTHS
    )


def _fits_folder(evidence: FolderEvidence) -> bool:
    return (
        evidence.made_by == "UNet2DConditionModel"
        and evidence.config.get("addition_embed_type") == "text_time"
    )


def _refiner_fits_folder(evidence: FolderEvidence) -> bool:
    if not _fits_folder(evidence):
        return False
    if evidence.folders is not None:
        return "text_encoder" not in evidence.folders
    return evidence.config.get("projection_class_embeddings_input_dim") in REFINER_WIDTHS


SDXL = Family(
    name="sdxl",
    title="SDXL",
    towers=(CLIP_L, CLIP_G),
    places=(
        UNET,
        VAE,
        PartPlace(
            name="clip_l",
            kind="clip",
            prefixes=("conditioner.embedders.0.transformer.",),
            layout="transformers",
        ),
        PartPlace(
            name="clip_g", kind="clip", prefixes=("conditioner.embedders.1.model.",), layout="openclip"
        ),
    ),
    latent=LATENT,
    conditioning="text+size",
    recognises=_is_sdxl,
    fits_folder=_fits_folder,
    parameterization=diffusion,
)

SDXL_REFINER = Family(
    name="sdxl-refiner",
    title="SDXL refiner",
    towers=(CLIP_G,),
    places=(
        UNET,
        VAE,
        PartPlace(
            name="clip_g", kind="clip", prefixes=("conditioner.embedders.0.model.",), layout="openclip"
        ),
    ),
    latent=LATENT,
    conditioning="text+score",
    recognises=_recognises_refiner,
    fits_folder=_refiner_fits_folder,
    parameterization=diffusion,
)
