"""Opens a picture under limits and writes it anew. Runs in a process of its own: it need not end well."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageOps, UnidentifiedImageError

from graphcore.formats.reading import find_document

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_TEXT_BYTES: Final = 16 * 2**20


class Unreadable(Exception):
    """The bytes are no picture that we take; the message says why."""


class TooLarge(Exception):
    """The picture has more pixels than may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A picture made anew."""

    data: bytes
    media_type: str
    width: int
    height: int
    frames: int


def remake(data: bytes, *, pixels: int, keep_text: bool) -> Made:
    """The first frame of a picture as a PNG, upright, without its metadata (with its text chunks if `keep_text`)."""
    picture = _open(data, pixels)
    frames = int(getattr(picture, "n_frames", 1))
    texts = _texts(picture) if keep_text else None
    upright = _upright(picture)
    buffer = io.BytesIO()
    upright.save(buffer, format="PNG", pnginfo=texts, compress_level=4)
    return Made(
        data=buffer.getvalue(),
        media_type="image/png",
        width=upright.width,
        height=upright.height,
        frames=frames,
    )


def shrink(data: bytes, *, pixels: int, size: int, kind: str, quality: int, channel: str) -> Made:
    """A picture as WebP, JPEG or PNG, at most `size` pixels wide and high (0: as it is).

    `channel` is rgba, rgb, or a: black, and as transparent as the picture is (JPEG: how opaque it is, in grey).
    """
    upright = _upright(_open(data, pixels))
    if channel == "a":
        alpha = upright.convert("RGBA").getchannel("A")
        nothing = Image.new("L", alpha.size)
        upright = (
            alpha.convert("RGB")
            if kind == "jpeg"
            else Image.merge("RGBA", (nothing, nothing, nothing, alpha))
        )
    elif channel == "rgb" or kind == "jpeg":
        upright = upright.convert("RGB")
    elif upright.mode not in ("RGB", "RGBA"):
        upright = upright.convert("RGBA" if "A" in upright.mode or "transparency" in upright.info else "RGB")
    if size and max(upright.size) > size:
        upright.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    upright.save(buffer, format=kind.upper(), quality=quality)
    return Made(
        data=buffer.getvalue(),
        media_type=f"image/{kind}",
        width=upright.width,
        height=upright.height,
        frames=1,
    )


def cover(data: bytes, mask: bytes, *, pixels: int) -> Made:
    """The first picture as a PNG that is as transparent as the second, of the same size."""
    upright, over = _upright(_open(data, pixels)), _upright(_open(mask, pixels))
    if upright.size != over.size:
        raise Unreadable(
            f"The mask is {over.width} x {over.height}, the picture {upright.width} x {upright.height}."
        )
    covered = upright.convert("RGBA")
    covered.putalpha(over.convert("RGBA").getchannel("A"))
    buffer = io.BytesIO()
    covered.save(buffer, format="PNG", compress_level=4)
    return Made(
        data=buffer.getvalue(), media_type="image/png", width=covered.width, height=covered.height, frames=1
    )


def workflow(data: bytes) -> Made:
    """The workflow document that a picture carries; no pixel is decoded. Raises DocumentError."""
    document = json.dumps(find_document(data), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Made(data=document, media_type="application/json", width=0, height=0, frames=0)


def answer(request: Mapping[str, Any], data: bytes) -> Made:
    """Do what a request asks."""
    if request["op"] == "cover":
        return cover(data[: request["split"]], data[request["split"] :], pixels=request["pixels"])
    if request["op"] == "workflow":
        return workflow(data)
    if request["op"] == "remake":
        return remake(data, pixels=request["pixels"], keep_text=request["keep_text"])
    return shrink(
        data,
        pixels=request["pixels"],
        size=request["size"],
        kind=request["kind"],
        quality=request["quality"],
        channel=request["channel"],
    )


def _open(data: bytes, pixels: int) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = None
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise Unreadable("The bytes are no picture; send PNG, JPEG, WebP, GIF, BMP or TIFF.") from None
    except Exception as error:
        raise Unreadable(f"The picture is damaged ({type(error).__name__}).") from error
    if picture.width * picture.height > pixels:
        raise TooLarge(
            f"The picture has {picture.width} x {picture.height} pixels, and the limit is {pixels} in all."
        )
    try:
        picture.load()
    except Exception as error:
        raise Unreadable(f"The picture is damaged or cut short ({type(error).__name__}).") from error
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data says, with nothing but its pixels."""
    turned = ImageOps.exif_transpose(picture)
    if turned.mode not in ("RGB", "RGBA", "L", "LA", "I;16"):
        alpha = turned.mode in ("PA", "La", "RGBa") or "transparency" in turned.info
        turned = turned.convert("RGBA" if alpha else "RGB")
    return Image.frombytes(turned.mode, turned.size, turned.tobytes())


def _texts(picture: Image.Image) -> Any:
    from PIL.PngImagePlugin import PngInfo

    kept = PngInfo()
    size = 0
    for name in ("prompt", "workflow", "graphcore", "parameters"):
        text = picture.info.get(name)
        if isinstance(text, str) and size + len(text) <= _TEXT_BYTES:
            kept.add_text(name, str(text))
            size += len(text)
    return kept
