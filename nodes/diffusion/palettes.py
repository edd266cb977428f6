"""Pictures with few colours: palettes by median cut (Heckbert 1982), dithering by error or order (Bayer 1973)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow

from nodes.diffusion.pictures import to_pillow
from nodes.values import Image


def quantized(image: Image, colors: int, dither: str) -> Image:
    """Each picture with at most so many colours; "bayer-n" dithers with an n x n matrix."""
    painted = [_painted(to_pillow(pixels[..., :3]), colors, dither) for pixels in image.pixels]
    return replace(image, pixels=torch.from_numpy(np.stack(painted)).float() / 255)


def _painted(picture: Pillow.Image, colors: int, dither: str) -> npt.NDArray[np.uint8]:
    palette = picture.quantize(colors=colors)
    if dither.startswith("bayer-"):
        picture = _ordered(picture, int(dither.removeprefix("bayer-")), colors)
    diffusion = Pillow.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else Pillow.Dither.NONE
    return np.asarray(picture.quantize(colors=colors, palette=palette, dither=diffusion).convert("RGB"))


def _ordered(picture: Pillow.Image, size: int, colors: int) -> Pillow.Image:
    """The picture with the matrix added, over about one step between neighbouring colours."""
    values = np.asarray(picture, dtype=np.float32)
    step = 255 / max(colors ** (1 / 3) - 1, 1)
    repeats = -(-values.shape[0] // size), -(-values.shape[1] // size)
    matrix = np.tile(bayer_matrix(size), repeats)[: values.shape[0], : values.shape[1], None]
    return Pillow.fromarray((values + matrix * step).clip(0, 255).round().astype(np.uint8))


def bayer_matrix(size: int) -> npt.NDArray[np.float32]:
    """The matrix of a power of two, its values spread evenly around 0, between -1/2 and 1/2."""
    matrix = np.zeros((1, 1), dtype=np.float32)
    while len(matrix) < size:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return ((matrix + 0.5) / size**2 - 0.5).astype(np.float32)
