"""The autoencoder of Stable Video Diffusion: pictures to latents one by one, latents to frames together."""

from __future__ import annotations

import torch
from torch import Tensor

from graphcore.errors import InputError, ResourceError
from nodes.diffusion.vae import Tiling, VaeCodec, is_out_of_memory, release_cached


class TemporalVaeCodec(VaeCodec):
    """An AutoencoderKLTemporalDecoder ready to compute: its decoder sees all frames of a video at once."""

    def decode(self, latents: Tensor, *, tiling: Tiling | None = None) -> Tensor:
        """Frames (count, height, width, 3) in [0, 1], float32 on the CPU, of latents (count, channels, h, w).

        Where memory does not suffice for all, they are decoded in runs of half as many. Tiles are not used. Raises
        InputError if the latents have another number of channels, ResourceError if even one frame does not fit.
        """
        del tiling
        if latents.ndim != 4 or latents.shape[1] != self.channels or not latents.numel():
            raise InputError(
                f"This VAE decodes latents of {self.channels} channels, but these have the shape "
                f"{list(latents.shape)}; use the VAE of the model that made them."
            )
        count = len(latents)
        while True:
            try:
                pictures = torch.cat([self._decode_run(run) for run in torch.split(latents, count)])
                return pictures.movedim(1, -1).add(1).div(2).clamp(0, 1).contiguous()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if count == 1:
                    raise ResourceError(
                        "There is not enough memory for one frame; free some, make it smaller, or use --device cpu.",
                        code="out-of-memory",
                    ) from error
                count = -(-count // 2)
            release_cached(self.device)

    @torch.inference_mode()
    def _decode_run(self, latents: Tensor) -> Tensor:
        frames: Tensor = self.module.decode(self._ready(latents), num_frames=len(latents)).sample
        return frames.float().cpu().clone()
