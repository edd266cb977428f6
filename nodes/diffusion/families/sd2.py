"""Stable Diffusion 2.x: OpenCLIP-H, matrices as attention projections; the 768 models predict v."""

from __future__ import annotations

from nodes.diffusion.families.family import (
    Evidence,
    Family,
    FolderEvidence,
    PartPlace,
    Tower,
    diffusion,
)
from nodes.diffusion.families.sd1 import LATENT, UNET, VAE, is_text_unet


def _recognises(evidence: Evidence) -> bool:
    if "label_emb.0.0.weight" in evidence.network or "input_blocks.0.0.weight" not in evidence.network:
        return False
    if evidence.has_prefix("cond_stage_model.model."):
        return True
    projection = next((s for name, s in evidence.network.items() if name.endswith(".proj_in.weight")), ())
    return len(projection) == 2 and not evidence.has_prefix("cond_stage_model.transformer.")


def _fits_folder(evidence: FolderEvidence) -> bool:
    return is_text_unet(evidence) and bool(evidence.config.get("use_linear_projection"))


SD2 = Family(
    name="sd2",
    title="Stable Diffusion 2.x",
    towers=(Tower(part="clip_h", folder="text_encoder", layer=-2, pads_with_end=False, activation="gelu"),),
    places=(
        UNET,
        VAE,
        PartPlace(name="clip_h", kind="clip", prefixes=("cond_stage_model.model.",), layout="openclip"),
    ),
    latent=LATENT,
    conditioning="text",
    recognises=_recognises,
    fits_folder=_fits_folder,
    parameterization=diffusion,
)
