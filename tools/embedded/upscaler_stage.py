"""Stage "upscaler": a small convolutional network learns to double pictures and to mend what the autoencoder blurs."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional

from tools.embedded.drawing import SIDE, picture_of
from tools.embedded.world import PHASES, Draw

FACTOR = 2
_LEAK = 0.25
_SQUARED = 20.0
_BLURS = (0.0, 0.4, 0.8)


class Compact(nn.Module):
    """Convolutions at the small size and one pixel shuffle, added to the nearest-neighbour enlargement.

    The structure and parameter names are those of SRVGGNetCompact of Real-ESRGAN (Wang et al. 2021).
    """

    def __init__(self, *, width: int, layers: int) -> None:
        super().__init__()
        body: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1), nn.PReLU(width)]
        for _ in range(layers):
            body += [nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(width)]
        last = nn.Conv2d(width, 3 * FACTOR**2, 3, 1, 1)
        body.append(last)
        self.body = nn.Sequential(*body)
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_LEAK)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            last.weight.mul_(0.1)

    def forward(self, picture: Tensor) -> Tensor:
        """(batch, 3, height, width) in [0, 1] -> (batch, 3, 2 height, 2 width)."""
        enlarged = functional.interpolate(picture, scale_factor=float(FACTOR), mode="nearest")
        return functional.pixel_shuffle(self.body(picture), FACTOR) + enlarged


class UpscalerStage:
    """Pairs of a picture of the world at 256 pixels and at 128, half of these through the autoencoder first."""

    name = "upscaler"
    weight_decay = 0.0
    peak_rate = 6e-4

    def __init__(
        self, model: Compact, vae: AutoencoderKL, *, seed: int, batch: int = 12, crop: int = 48
    ) -> None:
        self.model, self.vae, self.seed, self.batch, self.crop = model, vae.eval(), seed, batch, crop

    def loss(self, step: int) -> Tensor:
        rng = random.Random(f"upscaler:{self.seed}:{step}")
        small, large = self._pairs(rng, max(1, self.batch // 4))
        with torch.autocast(small.device.type, dtype=torch.bfloat16):
            made = self.model(small)
        error = made.float() - large
        loss: Tensor = _SQUARED * error.square().mean() + error.abs().mean()
        return loss

    def measure(self) -> dict[str, float]:
        """Peak signal-to-noise ratio on unseen pictures in dB, of the network and of bicubic enlargement."""
        small, large = self._pairs(random.Random("upscaler: unseen"), 8, whole=True)
        with torch.no_grad():
            made = self.model(small).clamp(0, 1)
        plain = functional.interpolate(small, scale_factor=FACTOR, mode="bicubic").clamp(0, 1)
        return {"psnr": _ratio(made, large), "bicubic_psnr": _ratio(plain, large)}

    def _pairs(self, rng: random.Random, count: int, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        """Small pictures and large ones in [0, 1]; four crops of each picture unless `whole`."""
        scenes = [Draw(PHASES["two"], rng).scene() for _ in range(count)]
        pictures = [picture_of(scene, scale=FACTOR) for scene in scenes]
        large = _tensor(pictures)
        blur = rng.choice(_BLURS)
        reduced = _tensor([p.filter(ImageFilter.GaussianBlur(blur)).reduce(FACTOR) for p in pictures])
        device = next(self.model.parameters()).device
        large, small = large.to(device), reduced.to(device)
        if rng.random() < 0.5:
            small = self._through_autoencoder(small)
        return (small, large) if whole else self._crops(rng, small, large)

    def _through_autoencoder(self, small: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(small.device.type, dtype=torch.bfloat16):
            mean = self.vae.encode(small * 2 - 1).latent_dist.mean
            made = self.vae.decode(mean).sample.float()
        mended: Tensor = ((made + 1) / 2).clamp(0, 1)
        return mended

    def _crops(self, rng: random.Random, small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
        here, there = [], []
        for row in range(small.shape[0]):
            for _ in range(4):
                y, x = rng.randrange(SIDE - self.crop + 1), rng.randrange(SIDE - self.crop + 1)
                here.append(small[row, :, y : y + self.crop, x : x + self.crop])
                top, left, edge = y * FACTOR, x * FACTOR, self.crop * FACTOR
                there.append(large[row, :, top : top + edge, left : left + edge])
        return torch.stack(here), torch.stack(there)


def _tensor(pictures: Sequence[Image.Image]) -> Tensor:
    arrays = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255


def _ratio(made: Tensor, wanted: Tensor) -> float:
    return float(-10 * (made - wanted).square().mean(dim=(1, 2, 3)).log10().mean())
