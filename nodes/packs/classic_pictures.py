"""What ComfyUI's classes of picture nodes do beside running: packs inherit from them to save elsewhere, or to load."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodes.packs.faces import run_context
from nodes.packs.host import current_host
from nodes.packs.shims.folders import exists_annotated_filepath, get_output_directory, get_temp_directory


def saves_into(kind: str) -> Callable[[Any], None]:
    """What makes an object that saves pictures; packs that inherit from its class set these attributes."""

    def begin(node: Any) -> None:
        node.type = kind
        node.output_dir = get_output_directory() if kind == "output" else get_temp_directory()
        node.prefix_append = "" if kind == "output" else f"_temp_{secrets.token_hex(3)}"
        node.compress_level = 4 if kind == "output" else 1

    return begin


def save_images(
    node: Any, images: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
) -> dict[str, Any]:
    """Write pictures (batch, height, width, channels) as PNG files into the folder that the object names."""
    from nodes.diffusion.pictures import png_bytes
    from nodes.output_files import OutputNames

    context, saved = run_context(), []
    names = OutputNames(
        folder=Path(node.output_dir), prefix=filename_prefix + node.prefix_append, suffix=".png"
    )
    told = {} if prompt is None else {"prompt": json.dumps(prompt)}
    told |= {str(name): json.dumps(value) for name, value in (extra_pnginfo or {}).items()}
    for place, image in enumerate(images):
        texts = {**told, **context.picture_texts(place)} if context.settings.metadata else {}
        pixels = image.detach().float().cpu()
        size = {"width": pixels.shape[1], "height": pixels.shape[0]}
        file = names.write(
            png_bytes(pixels, texts, compress_level=node.compress_level), size, batch_number=place
        )
        saved.append({"filename": file.filename, "subfolder": file.subfolder, "type": node.type})
    return {"ui": {"images": saved}}


def changed(cls: Any, /, image: str, **rest: Any) -> str:
    """Text that changes when an input picture does."""
    del cls, rest
    files = current_host().files()
    return files.fingerprint(files.resolve_media(image))


def validated(cls: Any, /, image: str, **rest: Any) -> bool | str:
    """True if there is such an input picture."""
    del cls, rest
    return True if exists_annotated_filepath(image) else f"Invalid image file: {image}"
