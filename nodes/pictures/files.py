"""Nodes that read and write pictures."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from graphcore import Context, FileChoice, node
from nodes.output_files import OutputNames
from nodes.values import Image, Mask

PictureName = Annotated[str, FileChoice("input", upload="image")]
MaskChannel = Literal["alpha", "red", "green", "blue"]


class LoadedImage(NamedTuple):
    """A picture, and what is transparent in it."""

    image: Image
    mask: Mask


@node("LoadImage", category="image", title="Load Image")
def load_image(ctx: Context, image: PictureName) -> LoadedImage:
    """Read a picture from the input folder (`name [output]` reads from the output folder).

    It is turned as its EXIF data says; all frames of an animation become a batch. The mask is 1 where the picture
    is transparent, 0 everywhere if it has no transparency.
    """
    from nodes.diffusion.pictures import read_picture

    read = read_picture(_path(ctx, image))
    return LoadedImage(read.image, read.mask)


@node("LoadImageOutput", category="image", title="Load Image (from Outputs)")
def load_image_output(
    ctx: Context, image: Annotated[str, FileChoice("output", upload="image")]
) -> LoadedImage:
    """Read a picture from the output folder."""
    from nodes.diffusion.pictures import read_picture

    name = image.removesuffix("[output]").rstrip()
    read = read_picture(_path(ctx, f"{name} [output]"))
    return LoadedImage(read.image, read.mask)


@node("LoadImageMask", category="mask", title="Load Image (as Mask)")
def load_image_mask(ctx: Context, image: PictureName, channel: MaskChannel) -> Mask:
    """Read one channel of a picture as a mask; "alpha" gives 1 where the picture is transparent."""
    from nodes.diffusion.pictures import read_channel

    return read_channel(_path(ctx, image), channel)


def _path(ctx: Context, name: str) -> Path:
    path = ctx.files.resolve_media(name)
    noted = ctx.facts.get("files")
    known = noted if isinstance(noted, dict) else {}
    ctx.note(files={**known, f"input/{name}": ctx.files.fingerprint(path)})
    return path


@node("SaveImage", category="image", title="Save Image", output=True)
def save_image(ctx: Context, images: Image, filename_prefix: str = "ComfyUI") -> None:
    """Write pictures as PNG files into the output folder.

    `filename_prefix` may name sub-folders, and hold %width%, %height%, %batch_num%, %year%, %month%, %day%, %hour%,
    %minute%, %second% and %date:yyyy-MM-dd%. Files are numbered, and never written over. Unless metadata is off, they
    carry the workflow, so that a picture can be run again.
    """
    names = OutputNames(folder=ctx.files.output_dir, prefix=filename_prefix, suffix=".png")
    _write_pictures(ctx, images, names, "output", compress_level=4)


@node("PreviewImage", category="image", title="Preview Image", output=True)
def preview_image(ctx: Context, images: Image) -> None:
    """Show pictures without keeping them: they are written into the temporary folder."""
    prefix = f"preview_{secrets.token_hex(4)}"
    names = OutputNames(folder=ctx.files.temp_dir, prefix=prefix, suffix=".png")
    _write_pictures(ctx, images, names, "temp", compress_level=1)


@node("MaskPreview", category="mask", title="Preview Mask", output=True)
def mask_preview(ctx: Context, mask: Mask) -> None:
    """Show masks as grey pictures without keeping them."""
    pictures = Image(mask.values[..., None].expand(-1, -1, -1, 3).contiguous())
    prefix = f"mask_{secrets.token_hex(4)}"
    names = OutputNames(folder=ctx.files.temp_dir, prefix=prefix, suffix=".png")
    _write_pictures(ctx, pictures, names, "temp", compress_level=1)


def _write_pictures(
    ctx: Context, images: Image, names: OutputNames, kind: str, *, compress_level: int
) -> None:
    from nodes.diffusion.pictures import png_bytes, require_picture

    require_picture(images, alpha=True)
    count, height, width = images.pixels.shape[:3]
    for number in range(count):
        ctx.check_cancelled()
        texts = ctx.picture_texts(number)
        verdict = _verdict_texts(images, number) if texts else {}
        data = png_bytes(images.pixels[number], {**texts, **verdict}, compress_level=compress_level)
        saved = names.write(data, {"width": width, "height": height}, batch_number=number)
        ctx.show("images", {"filename": saved.filename, "subfolder": saved.subfolder, "type": kind})


def _verdict_texts(images: Image, number: int) -> dict[str, str]:
    """What the safety filter said of a picture, if it has looked at it."""
    if not images.verdicts:
        return {}
    verdict = images.verdicts[number]
    said = {"flagged": verdict.flagged, "action": verdict.action, "scores": list(verdict.scores)}
    return {"safety": json.dumps(said)}
