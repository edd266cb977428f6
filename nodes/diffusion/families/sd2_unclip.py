"""Stable unCLIP (Stable Diffusion 2.1 fine-tuned to take what CLIP sees in a picture beside the text); predicts v."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nodes.diffusion.families.family import Evidence, FolderEvidence, diffusion
from nodes.diffusion.families.sd1 import UNET, is_text_unet
from nodes.diffusion.families.sd2 import SD2
from nodes.diffusion.parameterization import Parameterization


def _recognises(evidence: Evidence) -> bool:
    return "label_emb.0.0.weight" in evidence.network and evidence.has_prefix("cond_stage_model.model.")


def _fits_folder(evidence: FolderEvidence) -> bool:
    return is_text_unet(evidence) and evidence.config.get("class_embed_type") == "projection"


def _parameterization(scheduler: Mapping[str, Any]) -> Parameterization:
    return diffusion({"prediction_type": "v_prediction", **scheduler})


SD2_UNCLIP = replace(
    SD2,
    name="sd2-unclip",
    title="Stable Diffusion 2.1 unCLIP",
    places=(
        replace(UNET, config={"class_embed_type": "projection", "addition_embed_type": None}),
        *SD2.places[1:],
    ),
    conditioning="text+picture",
    recognises=_recognises,
    fits_folder=_fits_folder,
    parameterization=_parameterization,
)
