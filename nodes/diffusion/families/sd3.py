"""Stable Diffusion 3 and 3.5 (Esser et al. 2024): a transformer that learns a rectified flow.

Three text encoders: CLIP-L and OpenCLIP-G side by side, then T5; any of them may be left out, but not all.
"""

from __future__ import annotations

from nodes.diffusion.families.family import Evidence, Family, FolderEvidence, PartPlace, Tower, flow
from nodes.diffusion.families.sd1 import VAE
from nodes.diffusion.network import LatentFormat


def _recognises(evidence: Evidence) -> bool:
    return "joint_blocks.0.x_block.attn.qkv.weight" in evidence.network


def _fits_folder(evidence: FolderEvidence) -> bool:
    return evidence.made_by == "SD3Transformer2DModel"


def _text(name: str) -> tuple[str, ...]:
    return (f"text_encoders.{name}.transformer.",)


LATENT = LatentFormat(channels=16, scale_factor=1.5305, shift_factor=0.0609)

SD3 = Family(
    name="sd3",
    title="Stable Diffusion 3",
    towers=(
        Tower(
            part="clip_l",
            folder="text_encoder",
            layer=-2,
            final_norm=False,
            pooled=True,
            projects=False,
            optional=True,
        ),
        Tower(
            part="clip_g",
            folder="text_encoder_2",
            layer=-2,
            final_norm=False,
            pads_with_end=False,
            activation="gelu",
            pooled=True,
            optional=True,
        ),
        Tower(part="t5", folder="text_encoder_3", kind="t5", optional=True),
    ),
    places=(
        PartPlace(name="unet", kind="mmdit", prefixes=("model.diffusion_model.", "diffusion_model.", "")),
        VAE,
        PartPlace(name="clip_l", kind="clip", prefixes=_text("clip_l"), layout="transformers"),
        PartPlace(name="clip_g", kind="clip", prefixes=_text("clip_g"), layout="transformers"),
        PartPlace(name="t5", kind="t5", prefixes=_text("t5xxl"), layout="transformers"),
    ),
    latent=LATENT,
    conditioning="text+pooled",
    joins="sd3",
    recognises=_recognises,
    fits_folder=_fits_folder,
    parameterization=flow,
    network="mmdit",
)
