"""The UNet of Stable Video Diffusion as sampling sees it (`Network`): the batch is one video, its rows are frames."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.module_network import ModuleNetwork
from nodes.diffusion.network import FRAMES, LatentScene, Residuals
from nodes.values import ConditioningEntry

NUMBERS = 3
"""Frames a second less one, motion, and noise on the picture."""


class VideoNetwork(ModuleNetwork):
    """A UNetSpatioTemporalConditionModel that satisfies `Network`."""

    def conditions(self, entry: ConditioningEntry, scene: LatentScene) -> dict[str, Tensor]:
        """What this network takes of an entry: "context", "size" (three numbers), "concat", and how many "frames"."""
        width = int(self.module.config.cross_attention_dim)
        if entry.embeddings.shape[-1] != width or entry.size is None or len(entry.size) != NUMBERS:
            raise InputError(
                f"This model makes videos of a picture, and takes what CLIP sees in it, {width} wide; make the "
                "conditioning with SVD_img2vid_Conditioning, from the model's own image encoder.",
                code="bad-conditioning",
            )
        frames = len(scene.latent)
        picture = entry.concat_latent
        if picture is None:
            picture = torch.zeros_like(scene.latent[:1])
        if picture.shape[-2:] != scene.latent.shape[-2:]:
            picture = functional.interpolate(picture.float(), scene.latent.shape[-2:], mode="bilinear")
        picture = picture.repeat(-(-frames // len(picture)), 1, 1, 1)[:frames]
        return self.placed(
            {
                "context": entry.embeddings,
                "size": torch.tensor([entry.size]),
                "concat": picture,
                FRAMES: torch.tensor([[float(frames)]]),
            }
        )

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        residuals: Residuals | None = None,
        perturbation: str | None = None,
        attention: list[Tensor] | None = None,
    ) -> Tensor:
        """v for the frames of one or more videos of equal length (see `Network`)."""
        del attention
        if residuals is not None or perturbation is not None:
            raise InputError(
                "Video models follow no ControlNets and know no perturbed attention; take those nodes away.",
                code="unsupported-choice",
            )
        frames = round(float(conditions[FRAMES][0, 0]))
        seen = torch.cat([x, conditions["concat"]], dim=1)
        videos = seen.reshape(-1, frames, *seen.shape[1:])
        prediction: Tensor = self.module(
            videos,
            timestep[::frames],
            encoder_hidden_states=conditions["context"][::frames],
            added_time_ids=conditions["size"][::frames],
            return_dict=False,
        )[0]
        return prediction.reshape(-1, *prediction.shape[2:])
