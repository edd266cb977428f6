"""The part of `comfy.utils` that resizes, repeats and tiles batches of pictures and latents."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def common_upscale(samples: Tensor, width: int, height: int, upscale_method: str, crop: str) -> Tensor:
    """Resize a batch (batch, channels, height, width); frames of a video (…, frames, height, width) each by itself.

    Methods are nearest-exact, bilinear, area, bicubic, lanczos, bislerp and torch's own; a `crop` of "center" cuts the
    longer side first, so that nothing is distorted.
    """
    from torch.nn import functional

    from nodes.diffusion.resizing import resize

    shape = samples.shape
    if samples.ndim == 5:
        samples = samples.movedim(2, 1).flatten(0, 1)
    if upscale_method == "nearest":
        result = functional.interpolate(samples, size=(height, width), mode=upscale_method)
    else:
        result = resize(samples, width, height, upscale_method, crop=crop == "center")
    if len(shape) == 5:
        result = result.reshape(shape[0], shape[2], shape[1], height, width).movedim(1, 2)
    return result


def lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Resize pictures (batch, channels, height, width) in [0, 1] with a Lanczos filter."""
    from nodes.diffusion.resizing import resize

    return resize(samples, width, height, "lanczos")


def bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Resize latents (batch, channels, height, width), turning vectors into each other instead of mixing them."""
    from nodes.diffusion.resizing import resize

    return resize(samples, width, height, "bislerp")


def repeat_to_batch_size(tensor: Tensor, batch_size: int, dim: int = 0) -> Tensor:
    """A tensor with `batch_size` rows along `dim`: cut, or repeated from the start."""
    count = tensor.shape[dim]
    if count >= batch_size:
        return tensor.narrow(dim, 0, batch_size)
    repeats = [1] * tensor.ndim
    repeats[dim] = math.ceil(batch_size / count)
    return tensor.repeat(repeats).narrow(dim, 0, batch_size)


def resize_to_batch_size(tensor: Tensor, batch_size: int) -> Tensor:
    """A tensor with `batch_size` rows, chosen evenly over those that there are."""
    import torch

    count = tensor.shape[0]
    if count == batch_size:
        return tensor
    if batch_size <= 1:
        return tensor[:batch_size]
    if batch_size < count:
        places = torch.linspace(0, count - 1, batch_size).round().long()
    else:
        places = torch.tensor(
            [min(math.floor((row + 0.5) * count / batch_size), count - 1) for row in range(batch_size)]
        )
    return tensor[places]


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    """How many tiles `tiled_scale` will compute."""
    rows = 1 if height <= tile_y else math.ceil((height - overlap) / (tile_y - overlap))
    columns = 1 if width <= tile_x else math.ceil((width - overlap) / (tile_x - overlap))
    return rows * columns


def tiled_scale(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    pbar: Any = None,
) -> Tensor:
    """Compute a batch (batch, channels, height, width) tile by tile, blending the overlaps."""
    return tiled_scale_multidim(
        samples,
        function,
        tile=(tile_y, tile_x),
        overlap=overlap,
        upscale_amount=upscale_amount,
        out_channels=out_channels,
        output_device=output_device,
        pbar=pbar,
    )


def tiled_scale_multidim(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile: tuple[int, ...] = (64, 64),
    overlap: int | tuple[int, ...] = 8,
    upscale_amount: float | tuple[float, ...] = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    downscale: bool = False,
    index_formulas: Any = None,
    pbar: Any = None,
) -> Tensor:
    """As `tiled_scale`, over as many dimensions as `tile` has; with `downscale`, the amounts divide."""
    import torch

    del index_formulas
    dims = len(tile)
    overlaps = (overlap,) * dims if isinstance(overlap, (int, float)) else tuple(overlap)
    amounts = (upscale_amount,) * dims if isinstance(upscale_amount, (int, float)) else tuple(upscale_amount)
    scales = tuple(1 / amount if downscale else float(amount) for amount in amounts)
    sizes = samples.shape[-dims:]
    scaled = [round(size * scale) for size, scale in zip(sizes, scales, strict=True)]
    output = torch.empty((samples.shape[0], out_channels, *scaled), device=output_device)
    for number, sample in enumerate(torch.split(samples, 1)):
        total = torch.zeros((1, out_channels, *scaled), device=output_device)
        weights = torch.zeros_like(total[:, :1])
        for corner in itertools.product(
            *(_starts(size, side, gap) for size, side, gap in zip(sizes, tile, overlaps, strict=True))
        ):
            part, place = sample, [slice(None), slice(None)]
            for axis, start in enumerate(corner):
                length = min(tile[axis], sizes[axis] - start)
                part = part.narrow(axis + 2, start, length)
            computed = function(part).to(output_device)
            for axis, start in enumerate(corner):
                first = round(start * scales[axis])
                place.append(slice(first, first + computed.shape[axis + 2]))
            mask = _feathered(
                computed, [round(gap * scale) for gap, scale in zip(overlaps, scales, strict=True)]
            )
            total[tuple(place)] += computed * mask
            weights[tuple(place)] += mask
            if pbar is not None:
                pbar.update(1)
        output[number : number + 1] = total / weights
    return output


def _starts(size: int, tile: int, overlap: float) -> Iterator[int]:
    if size <= tile:
        return iter((0,))
    step = max(int(tile - overlap), 1)
    last = size - tile
    return iter([*range(0, last, step), last])


def _feathered(tile: Tensor, overlaps: list[int]) -> Tensor:
    """A weight that rises from the sides of a tile; it is nowhere 0, so that it can be divided by."""
    import torch

    mask = torch.ones_like(tile[:, :1])
    for axis, overlap in enumerate(overlaps):
        length = tile.shape[axis + 2]
        reach = min(overlap, length)
        if reach <= 0:
            continue
        ramp = torch.ones(length, device=tile.device, dtype=tile.dtype)
        slope = (torch.arange(reach, device=tile.device, dtype=tile.dtype) + 1) / reach
        ramp[:reach] *= slope
        ramp[length - reach :] *= slope.flip(0)
        shape = [1] * tile.ndim
        shape[axis + 2] = length
        mask = mask * ramp.reshape(shape)
    return mask


def reshape_mask(input_mask: Tensor, output_shape: Any) -> Tensor:
    """A mask resized and repeated to the shape of latents (batch, channels, height, width)."""
    from torch.nn import functional

    mask = input_mask.reshape(-1, 1, *input_mask.shape[-2:])
    resized = functional.interpolate(mask, size=tuple(output_shape[-2:]), mode="bilinear")
    return repeat_to_batch_size(resized.repeat(1, output_shape[1], 1, 1), output_shape[0])


def append_dims(x: Tensor, target_dims: int) -> Tensor:
    """A tensor with dimensions of length 1 at its end, until it has so many."""
    return x.reshape(*x.shape, *([1] * (target_dims - x.ndim)))
