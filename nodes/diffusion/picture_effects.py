"""Effects on pictures (batch, height, width, 3) in [0, 1]: blending, blur, sharpening."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.picture_batches import resized, with_channels
from nodes.values import Image


def blended(first: Image, second: Image, share: float, mode: str) -> Image:
    """`share` of the blend of both and the rest of the first; modes are those of the W3C compositing standard."""
    height, width = first.pixels.shape[1:3]
    if second.pixels.shape[1:3] != (height, width):
        second = resized(second, width, height, "bicubic", crop=True)
    base = first.pixels
    count = base.shape[0]
    top = with_channels(second.pixels, base.shape[-1])
    top = top.repeat(-(-count // top.shape[0]), 1, 1, 1)[:count]
    mixed = _blend(base, top, mode)
    return replace(first, pixels=(base * (1 - share) + mixed * share).clamp(0, 1))


def _blend(base: Tensor, top: Tensor, mode: str) -> Tensor:
    match mode:
        case "multiply":
            return base * top
        case "screen":
            return 1 - (1 - base) * (1 - top)
        case "overlay":
            return torch.where(base <= 0.5, 2 * base * top, 1 - 2 * (1 - base) * (1 - top))
        case "soft_light":
            curve = torch.where(base <= 0.25, ((16 * base - 12) * base + 4) * base, base.sqrt())
            darker = base - (1 - 2 * top) * base * (1 - base)
            return torch.where(top <= 0.5, darker, base + (2 * top - 1) * (curve - base))
        case "difference":
            return base - top
        case _:
            return top


def blurred(image: Image, radius: int, sigma: float) -> Image:
    """A Gaussian cut off at `radius` pixels, whose deviation is `sigma` times that; borders are mirrored."""
    return replace(image, pixels=_blur(image.pixels, radius, sigma))


def sharpened(image: Image, radius: int, sigma: float, alpha: float) -> Image:
    """An unsharp mask: the picture and ten times `alpha` its difference from a blurred one."""
    pixels = image.pixels
    sharper = pixels + 10 * alpha * (pixels - _blur(pixels, radius, sigma))
    return replace(image, pixels=sharper.clamp(0, 1))


def _blur(pixels: Tensor, radius: int, sigma: float) -> Tensor:
    planes = pixels.movedim(-1, 1)
    place = torch.linspace(-1, 1, 2 * radius + 1)
    weights = (-(place**2) / (2 * sigma**2)).exp()
    weights = weights / weights.sum()
    channels = planes.shape[1]
    mirrored = radius < min(planes.shape[2:])
    wide = functional.pad(planes, (radius,) * 4, mode="reflect" if mirrored else "replicate")
    across = functional.conv2d(wide, weights.expand(channels, 1, 1, -1), groups=channels)
    down = functional.conv2d(across, weights[:, None].expand(channels, 1, -1, 1), groups=channels)
    return down.movedim(1, -1).contiguous()


def noised(image: Image, seed: int, strength: float) -> Image:
    """Gaussian noise of this standard deviation, drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(image.pixels.shape, generator=generator)
    return replace(image, pixels=(image.pixels + strength * noise.to(image.pixels)).clamp(0, 1))


def reshaped(image: Image, operation: str, size: int) -> Image:
    """Grey-scale morphology with a square of `size` pixels; outside the picture there is nothing."""
    planes = image.pixels.movedim(-1, 1)
    match operation:
        case "erode":
            result = _eroded(planes, size)
        case "dilate":
            result = _dilated(planes, size)
        case "open":
            result = _dilated(_eroded(planes, size), size)
        case "close":
            result = _eroded(_dilated(planes, size), size)
        case "gradient":
            result = _dilated(planes, size) - _eroded(planes, size)
        case "top_hat":
            result = planes - _dilated(_eroded(planes, size), size)
        case _:
            result = _eroded(_dilated(planes, size), size) - planes
    return replace(image, pixels=result.clamp(0, 1).movedim(1, -1).contiguous())


def _dilated(planes: Tensor, size: int) -> Tensor:
    before, after = (size - 1) // 2, size // 2
    wide = functional.pad(planes, (before, after, before, after), value=float("-inf"))
    across = functional.max_pool2d(wide, (1, size), stride=1)
    return functional.max_pool2d(across, (size, 1), stride=1)


def _eroded(planes: Tensor, size: int) -> Tensor:
    return -_dilated(-planes, size)


def to_yuv(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness and the differences of blue and of red, each repeated over three channels (ITU-R BT.601)."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = (brightness, (blue - brightness) * 0.564 + 0.5, (red - brightness) * 0.713 + 0.5)
    first, second, third = (
        plane.clamp(0, 1)[..., None].expand(-1, -1, -1, 3).contiguous() for plane in planes
    )
    return first, second, third


def from_yuv(brightness: Tensor, blue_difference: Tensor, red_difference: Tensor) -> Tensor:
    """The inverse of `to_yuv`, from the first channel of each."""
    y, u, v = brightness[..., 0], blue_difference[..., 0] - 0.5, red_difference[..., 0] - 0.5
    channels = (y + 1.403 * v, y - 0.714 * v - 0.344 * u, y + 1.773 * u)
    return torch.stack(channels, dim=-1).clamp(0, 1)
