"""Stable Video Diffusion (Blattmann et al. 2023): a picture to the frames that follow it.

No text: the network sees CLIP-H's view of the picture, the picture's latent beside each frame, and the frame rate, the
amount of motion and of noise on the picture as numbers. Its sigmas are continuous (EDM), and it predicts v.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodes.diffusion.families.family import Evidence, Family, FolderEvidence, PartPlace
from nodes.diffusion.families.sd1 import LATENT
from nodes.diffusion.layouts import video_unet
from nodes.diffusion.parameterization import ContinuousEdm, Parameterization


def _recognises(evidence: Evidence) -> bool:
    return video_unet.is_video(evidence.network)


def _fits_folder(evidence: FolderEvidence) -> bool:
    return evidence.made_by == "UNetSpatioTemporalConditionModel"


def _continuous(scheduler: Mapping[str, Any]) -> Parameterization:
    low, high = float(scheduler.get("sigma_min") or 0.002), float(scheduler.get("sigma_max") or 700.0)
    return ContinuousEdm(sigma_min=low, sigma_max=high)


SVD = Family(
    name="svd",
    title="Stable Video Diffusion",
    towers=(),
    places=(
        PartPlace(
            name="unet", kind="video_unet", prefixes=("model.diffusion_model.", "diffusion_model.", "")
        ),
        PartPlace(name="vae", kind="video_vae", prefixes=("first_stage_model.",)),
    ),
    latent=LATENT,
    conditioning="picture",
    recognises=_recognises,
    fits_folder=_fits_folder,
    parameterization=_continuous,
    network="video_unet",
)
