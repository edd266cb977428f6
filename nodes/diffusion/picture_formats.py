"""Pictures as files in several formats, each with its own place for texts: PNG chunks, EXIF, XMP."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image as Picture
from torch import Tensor

from nodes.diffusion.pictures import MADE_BY_ALGORITHM, png_bytes, to_pillow

_FIRST_TAG: Final = 0x0110
_EXIF_POINTER: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_EXIF_LIMIT: Final = 65_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingOptions:
    """How a picture is encoded; `quality` is 1 to 100, for what is not lossless."""

    format: Literal["png", "webp", "jpeg"]
    quality: int = 90
    lossless: bool = False


def encode_picture(pixels: Tensor, texts: Mapping[str, str], options: EncodingOptions) -> bytes:
    """A picture (height, width, 3) as a file that carries these texts.

    In WebP and JPEG each text is an EXIF tag `name:text`, as ComfyUI writes them; A1111's is the user comment. A JPEG's
    EXIF holds 64 kB: the longest texts are left out of one that would not fit.
    """
    if options.format == "png":
        return png_bytes(pixels, texts)
    stream = io.BytesIO()
    picture = to_pillow(pixels)
    kept = dict(texts)
    exif = exif_bytes(kept)
    while options.format == "jpeg" and len(exif) > _EXIF_LIMIT and kept:
        del kept[max(kept, key=lambda name: len(kept[name]))]
        exif = exif_bytes(kept)
    xmp = MADE_BY_ALGORITHM.encode() if texts else b""
    if options.format == "webp":
        picture.save(
            stream, "WEBP", quality=options.quality, lossless=options.lossless, method=4, exif=exif, xmp=xmp
        )
    else:
        extra = {"xmp": xmp} if xmp else {}
        picture.save(stream, "JPEG", quality=options.quality, subsampling=0, exif=exif, **extra)
    return stream.getvalue()


def exif_bytes(texts: Mapping[str, str]) -> bytes:
    """EXIF data with a tag for each text, and A1111's as the user comment; empty where there is none."""
    exif = Picture.Exif()
    tag = _FIRST_TAG
    for name, text in texts.items():
        if name == "parameters":
            comment = b"UNICODE\0" + text.encode("utf-16-be")
            exif.get_ifd(_EXIF_POINTER)[_USER_COMMENT] = comment
        else:
            exif[tag] = f"{name}:{text}"
            tag -= 1
    return exif.tobytes() if texts else b""
