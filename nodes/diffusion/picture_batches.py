"""Pictures (batch, height, width, 3) joined, cut, laid over each other and side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.latents import pasted
from nodes.diffusion.resizing import require_room, resize
from nodes.values import Image, Mask, SafetyVerdict

UNCHECKED = SafetyVerdict(flagged=False, scores=(), action="unchecked")


def resized(image: Image, width: int, height: int, method: str, *, crop: bool = False) -> Image:
    """Pictures of another size; values stay within [0, 1]."""
    pixels = resize(image.pixels.movedim(-1, 1), width, height, method, crop=crop)
    return Image(pixels.clamp(0, 1).movedim(1, -1).contiguous(), image.verdicts)


def joined(images: Sequence[Image]) -> Image:
    """Several batches as one, all resized to the first one's size."""
    if not images:
        raise InputError("There is no picture in the list; give at least one.", code="empty-list")
    height, width = images[0].pixels.shape[1:3]
    fitted = [
        image
        if image.pixels.shape[1:3] == (height, width)
        else resized(image, width, height, "bilinear", crop=True)
        for image in images
    ]
    require_room(sum(image.pixels.shape[0] for image in images), width, height)
    verdicts: tuple[SafetyVerdict, ...] = ()
    if any(image.verdicts for image in images):
        verdicts = tuple(verdict for image in images for verdict in checked_verdicts(image))
    channels = max(image.pixels.shape[-1] for image in fitted)
    return Image(torch.cat([with_channels(image.pixels, channels) for image in fitted]), verdicts)


def with_channels(pixels: Tensor, channels: int) -> Tensor:
    """Pictures with so many channels: cut, or made opaque."""
    missing = channels - pixels.shape[-1]
    if missing <= 0:
        return pixels[..., :channels]
    return torch.cat([pixels, pixels.new_ones(*pixels.shape[:-1], missing)], dim=-1)


def singles(images: Iterable[Image]) -> Iterator[Image]:
    """The pictures of several batches, one by one, each with its verdict."""
    for image in images:
        for number in range(image.pixels.shape[0]):
            yield Image(image.pixels[number : number + 1], image.verdicts[number : number + 1])


def checked_verdicts(image: Image) -> tuple[SafetyVerdict, ...]:
    """One verdict a picture, "unchecked" where no filter has looked."""
    return image.verdicts or (UNCHECKED,) * image.pixels.shape[0]


def in_grid(image: Image, columns: int, gap: int) -> Image:
    """All pictures of a batch in one, row by row, on white; 0 columns make it about square."""
    count, height, width = image.pixels.shape[:3]
    across = min(columns, count) or int(count**0.5 + 0.999999)
    down = -(-count // across)
    tall, wide = down * (height + gap) - gap, across * (width + gap) - gap
    require_room(1, wide, tall)
    sheet = torch.ones(1, tall, wide, 3)
    for number, picture in enumerate(image.pixels):
        top, left = number // across * (height + gap), number % across * (width + gap)
        sheet[0, top : top + height, left : left + width] = picture[..., :3]
    return Image(sheet, worst_verdict(image))


def worst_verdict(image: Image) -> tuple[SafetyVerdict, ...]:
    """The verdicts of a batch as that of one picture: flagged if any is."""
    if not image.verdicts:
        return ()
    flagged = [verdict for verdict in image.verdicts if verdict.flagged]
    return (flagged[0] if flagged else image.verdicts[0],)


def padded(image: Image, left: int, top: int, right: int, bottom: int, feathering: int) -> tuple[Image, Mask]:
    """Grey borders around pictures, and the mask of them, which fades into the picture over `feathering` pixels."""
    count, height, width, channels = image.pixels.shape
    require_room(count, width + left + right, height + top + bottom)
    wide = torch.full((count, height + top + bottom, width + left + right, channels), 0.5)
    wide[:, top : top + height, left : left + width] = image.pixels
    mask = torch.ones(1, *wide.shape[1:3])
    inner = torch.zeros(height, width)
    if feathering > 0 and feathering * 2 < min(height, width):
        near = _distance(height, top > 0, bottom > 0)[:, None].minimum(_distance(width, left > 0, right > 0))
        inner = ((feathering - near) / feathering).clamp(min=0) ** 2
    mask[:, top : top + height, left : left + width] = inner
    return Image(wide, image.verdicts), Mask(mask)


def _distance(length: int, first: bool, last: bool) -> Tensor:
    """How far each place is from the padded ends of a side; `length` where none is padded."""
    place = torch.arange(length, dtype=torch.float32)
    far = torch.full((length,), float(length))
    return (place if first else far).minimum(length - place if last else far)


def composited(
    destination: Image, source: Image, x: int, y: int, mask: Mask | None, *, stretch: bool
) -> Image:
    """`source` in `destination` at x, y, where the mask is 1; `stretch` first resizes it to the destination."""
    height, width = destination.pixels.shape[1:3]
    over = resized(source, width, height, "bilinear") if stretch else source
    values = None if mask is None else mask.values
    top = with_channels(over.pixels, destination.pixels.shape[-1])
    pixels = pasted(destination.pixels.movedim(-1, 1), top.movedim(-1, 1), x, y, values)
    return Image(pixels.movedim(1, -1).contiguous(), destination.verdicts)


def uniform(width: int, height: int, batch_size: int, color: int) -> Image:
    """Pictures of one colour (0xRRGGBB)."""
    channels = torch.tensor([(color >> shift & 0xFF) / 255 for shift in (16, 8, 0)])
    return Image(channels.expand(batch_size, height, width, 3).clone())


def average_hash(image: Image) -> int:
    """64 bits: which places of a batch's first picture, shrunk to 8 x 8 and grey, are lighter than their mean."""
    red, green, blue = image.pixels[0, ..., :3].float().unbind(-1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    small = resize(grey[None, None], 8, 8, "area").flatten()
    bits = (small > small.mean()).tolist()
    return sum(1 << place for place, lighter in enumerate(bits) if lighter)
