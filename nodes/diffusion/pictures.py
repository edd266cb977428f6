"""Picture files and tensors: read with all that files do (rotation, alpha, frames, 16 bits), written as PNG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps, ImageSequence
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from graphcore.errors import InputError
from graphcore.provenance.credentials import CREATED
from nodes.values import Image, Mask

MADE_BY_ALGORITHM: Final = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{CREATED}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
"""XMP with IPTC's statement that a trained algorithm made the picture."""
MAX_PIXELS = 2**28
MAX_FRAMES = 4096
_SEVERAL_VIEWS = ("MPO",)
"""Formats whose frames are other views of one picture: cameras write them, and the first is meant."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadPicture:
    """A picture file: its frames, and as a mask what is transparent in them (1 where nothing is seen)."""

    image: Image
    mask: Mask


def read_picture(path: Path) -> ReadPicture:
    """Read a picture file, turned as its EXIF data says; raises InputError if it is damaged or too large.

    Frames of another size than the first are left out. Without transparency the mask is 0 everywhere.
    """
    frames = [np.asarray(frame, dtype=np.float32) / 255 for frame in _frames(path)]
    stacked = torch.from_numpy(np.stack(frames))
    return ReadPicture(image=Image(stacked[..., :3].contiguous()), mask=Mask(1 - stacked[..., 3]))


def read_channel(path: Path, channel: str) -> Mask:
    """One channel of a picture file as a mask; "alpha" gives 1 where the picture is transparent."""
    picture = read_picture(path)
    if channel == "alpha":
        return picture.mask
    return Mask(picture.image.pixels[..., ("red", "green", "blue").index(channel)].contiguous())


def _frames(path: Path) -> list[Pillow.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            with Pillow.open(path) as opened:
                _check_size(opened, path)
                frames: list[Pillow.Image] = []
                for frame in ImageSequence.Iterator(opened):
                    turned = _rgba(ImageOps.exif_transpose(frame))
                    if not frames or turned.size == frames[0].size:
                        frames.append(turned)
                    if opened.format in _SEVERAL_VIEWS:
                        break
                return frames
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise InputError(
            f"'{path.name}' cannot be read as a picture ({error}); use a whole PNG, JPEG, WebP, GIF, BMP or TIFF.",
            code="bad-picture",
            location=path.name,
        ) from error


def _check_size(opened: Pillow.Image, path: Path) -> None:
    count = getattr(opened, "n_frames", 1)
    pixels = opened.width * opened.height * count
    if pixels > MAX_PIXELS or count > MAX_FRAMES:
        raise InputError(
            f"'{path.name}' has {count} frames of {opened.width}x{opened.height} pixels, which is over the limit of "
            f"{MAX_PIXELS} pixels; scale it down.",
            code="over-budget",
            location=path.name,
        )


def _rgba(frame: Pillow.Image) -> Pillow.Image:
    if frame.mode.startswith("I") or frame.mode == "F":
        values = np.asarray(frame, dtype=np.float32)
        scale = _white(frame.mode, float(values.max(initial=0)))
        grey = Pillow.fromarray((values / scale * 255).clip(0, 255).round().astype(np.uint8))
        return grey.convert("RGBA")
    return frame.convert("RGBA")


def _white(mode: str, highest: float) -> float:
    """The value of white: 16 bits say it themselves; of 32 bits and of floats, the highest value tells the range."""
    if mode.startswith("I;16"):
        return 65535.0
    if mode == "F" and highest <= 1:
        return 1.0
    return 65535.0 if highest > 255 else 255.0


def to_pillow(pixels: Tensor) -> Pillow.Image:
    """A picture (height, width, 3 or 4) in [0, 1] as 8-bit RGB or RGBA, as ComfyUI rounds: down."""
    array = (pixels.detach().cpu().float().numpy() * 255.0).clip(0, 255).astype(np.uint8)
    return Pillow.fromarray(array)


def png_bytes(pixels: Tensor, texts: Mapping[str, str], *, compress_level: int = 4) -> bytes:
    """A picture (height, width, 3 or 4) as a PNG file with these text chunks.

    Where there are any, XMP says too that a trained algorithm made the picture.
    """
    info = PngInfo()
    if texts:
        info.add_itxt("XML:com.adobe.xmp", MADE_BY_ALGORITHM)
    for name, text in texts.items():
        info.add_text(name, text)
    stream = io.BytesIO()
    to_pillow(pixels).save(stream, format="PNG", pnginfo=info, compress_level=compress_level)
    return stream.getvalue()


def require_picture(image: Image, *, alpha: bool = False) -> None:
    """Raise InputError unless this is a batch of RGB pictures (or RGBA, with `alpha`) with finite values."""
    pixels = image.pixels
    known = (3, 4) if alpha else (3,)
    if pixels.ndim != 4 or pixels.shape[-1] not in known or not pixels.numel():
        raise InputError(
            f"A picture has the shape (batch, height, width, 3), and this one {tuple(pixels.shape)}.",
            code="picture-shape",
        )
    if not bool(torch.isfinite(pixels).all()):
        raise InputError(
            "The picture holds values that are not finite (NaN or infinity), so what made it went wrong; "
            "compute in fp32 (--dtype fp32), or use another VAE.",
            code="not-finite",
        )
