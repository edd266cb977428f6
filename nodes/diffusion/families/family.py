"""What sets one family of models apart: how it is recognised, where its parts stand, how it is sampled.

A family is data plus a few functions; docs/adding-a-family.md shows how one is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.network import LatentFormat
from nodes.diffusion.parameterization import (
    ContinuousEdm,
    DiscreteDiffusion,
    Parameterization,
    Prediction,
    RectifiedFlow,
    linear_betas,
)

PartKind = Literal[
    "unet",
    "video_unet",
    "video_vae",
    "tiny_vae",
    "mmdit",
    "vae",
    "clip",
    "t5",
    "clip_vision",
    "controlnet",
    "controlnet_union",
    "sd3_controlnet",
    "t2i_adapter",
    "lllite",
    "ip_adapter",
    "gligen",
    "style_model",
]
Layout = Literal["original", "transformers", "openclip", "diffusers"]
Joining = Literal["width", "sd3"]
"""How towers become one: side by side; or CLIPs side by side, filled up with zeros, and T5 after them."""
ConditioningRule = Literal["text", "text+size", "text+score", "text+pooled", "text+picture", "picture"]
"""What a network takes beside the text: nothing; SDXL's six sizes; the refiner's five; SD3's pooled vector; unCLIP's
picture.

Or a picture in the place of a text (Stable Video Diffusion).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlace:
    """Where a part stands in a single file: the prefixes it may have there, and its layout.

    `config` is what its shapes do not tell of its configuration.
    """

    name: str
    kind: PartKind
    prefixes: tuple[str, ...]
    layout: Layout = "original"
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """One text encoder of a family, and how its output is used.

    `layer` is the hidden layer taken where nobody chooses (-1 the last, -2 the one before); `final_norm` says
    whether the last norm follows. `pads_with_end`: chunks are filled with the end token, else with token 0.
    `pooled`: its pooled vector is used, through its projection if `projects`. An `optional` one may be missing.
    """

    part: str
    folder: str
    kind: PartKind = "clip"
    layer: int = -1
    final_norm: bool = True
    pads_with_end: bool = True
    activation: str = "quick_gelu"
    pooled: bool = False
    projects: bool = True
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a family is recognised by: all shapes of a file, and those of its network without their prefix."""

    shapes: Shapes
    network: Shapes

    def has_prefix(self, prefix: str) -> bool:
        """True if any tensor's name starts so."""
        return any(name.startswith(prefix) for name in self.shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderEvidence:
    """What a family is recognised by in diffusers' layout: the network's config.json, and the folders beside it.

    `folders` is None where the network stands alone.
    """

    config: Mapping[str, Any]
    folders: frozenset[str] | None = None

    @property
    def made_by(self) -> object:
        """The class that wrote the network."""
        return self.config.get("_class_name")


def _no_folder(evidence: FolderEvidence) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of diffusion models.

    `recognises` (single files) and `fits_folder` (diffusers' folders) are asked family by family, in order;
    `parameterization` is given the scheduler's configuration (diffusers' terms) that a file brought along or that its
    heuristics found.
    """

    name: str
    title: str
    towers: tuple[Tower, ...]
    places: tuple[PartPlace, ...]
    latent: LatentFormat
    conditioning: ConditioningRule
    recognises: Callable[[Evidence], bool]
    parameterization: Callable[[Mapping[str, Any]], Parameterization]
    fits_folder: Callable[[FolderEvidence], bool] = _no_folder
    network: PartKind = "unet"
    joins: Joining = "width"

    def tower(self, part: str) -> Tower:
        """The tower whose weights are the part of that name."""
        return next(tower for tower in self.towers if tower.part == part)


def diffusion(scheduler: Mapping[str, Any]) -> Parameterization:
    """Diffusion as `scheduler` configures it; Stable Diffusion's discrete betas and epsilon where it is silent.

    A scheduler of the class "EDM…" means continuous sigmas (CosXL).
    """
    if str(scheduler.get("_class_name", "")).startswith("EDM"):
        return _continuous(scheduler)
    steps = int(scheduler.get("num_train_timesteps", 1000))
    start, end = float(scheduler.get("beta_start", 0.00085)), float(scheduler.get("beta_end", 0.012))
    betas = linear_betas(timesteps=steps, start=start, end=end)
    if scheduler.get("beta_schedule", "scaled_linear") == "linear":
        betas = torch.linspace(start, end, steps, dtype=torch.float64)
    predictions: dict[object, Prediction] = {
        "v_prediction": "v_prediction",
        "v": "v_prediction",
        "sample": "sample",
    }
    return DiscreteDiffusion(
        betas=betas,
        prediction=predictions.get(scheduler.get("prediction_type"), "epsilon"),
        zero_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
    )


def _continuous(scheduler: Mapping[str, Any]) -> Parameterization:
    says_v = scheduler.get("prediction_type") in ("v_prediction", "v")
    return ContinuousEdm(
        sigma_min=float(scheduler.get("sigma_min", 0.002)),
        sigma_max=float(scheduler.get("sigma_max", 80.0)),
        prediction="v_prediction" if says_v else "epsilon",
        preconditioned=not says_v,
        sigma_data=1.0 if says_v else float(scheduler.get("sigma_data", 0.5)),
    )


def flow(scheduler: Mapping[str, Any]) -> Parameterization:
    """Rectified flow as `scheduler` configures it; SD3's shift of 3 where it is silent."""
    return RectifiedFlow(
        shift=float(scheduler.get("shift", 3.0)), timesteps=int(scheduler.get("num_train_timesteps", 1000))
    )
