"""Nodes that write pictures in other formats than PNG, with the same metadata."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from graphcore import Context, Range, ResourceError, Text, node
from nodes.output_files import OutputNames
from nodes.safety.credentials import SELF, SigningIdentity, self_made_identity, signed, signing_identity
from nodes.values import Image

_SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}


@node("ExportImage", category="image", title="Export Image", output=True)
def export_image(
    ctx: Context,
    images: Image,
    filename_prefix: str = "graphcore",
    format: Literal["png", "webp", "jpeg"] = "webp",
    quality: Annotated[int, Range(1, 100)] = 90,
    lossless: bool = False,
    sidecar: bool = False,
    signer: Annotated[str, Text(multiline=False)] = "",
) -> None:
    """Write pictures as PNG, WebP or JPEG into the output folder.

    WebP and JPEG carry the workflow and the run record in EXIF, and in XMP that a trained algorithm made them.
    `sidecar` writes the same texts as JSON beside each picture. `lossless` concerns WebP, `quality` what is not
    lossless. `signer` adds content credentials (C2PA) that show any later change: "self" signs with a certificate made
    on this machine; another name stands for `<name>.crt.pem` and `<name>.key.pem` in `credentials/` of the data folder.
    """
    from nodes.diffusion.picture_formats import EncodingOptions, encode_picture
    from nodes.diffusion.pictures import require_picture

    require_picture(images)
    options = EncodingOptions(format=format, quality=quality, lossless=lossless)
    names = OutputNames(folder=ctx.files.output_dir, prefix=filename_prefix, suffix=_SUFFIXES[format])
    identity = _identity(ctx, signer) if signer else None
    count, height, width = images.pixels.shape[:3]
    for number in range(count):
        ctx.check_cancelled()
        texts = ctx.picture_texts(number)
        data = encode_picture(images.pixels[number], texts, options)
        if identity is not None:
            data = signed(data, identity, texts)
        saved = names.write(data, {"width": width, "height": height}, batch_number=number)
        ctx.show("images", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})
        if sidecar:
            written = {name: _parsed(text) for name, text in texts.items()}
            beside = ctx.files.output_dir / saved.subfolder / f"{saved.filename}.json"
            beside.write_text(json.dumps(written, indent=2, ensure_ascii=False), encoding="utf-8")


def _identity(ctx: Context, signer: str) -> SigningIdentity:
    """The signer's identity; without a data folder there is only the self-made one, which nobody keeps."""
    folder = ctx.settings.data_dir
    if folder is not None:
        return signing_identity(folder / "credentials", signer)
    if signer == SELF:
        return self_made_identity()
    raise ResourceError(
        f"The signer '{signer[:80]}' is kept in the data folder, and this engine has none; give it one, or use 'self'.",
        code="no-signer",
    )


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
