"""What a model file, or its user, says of the model in words: configurations as JSON, in diffusers' terms.

Said in the header's metadata under `graphcore.config`, or in `<file>.json` beside the file, which wins: objects
under "unet", "vae", "text_encoder", "text_encoder_2", "text_encoder_3", "scheduler" and "latent_rgb", and the name
of a "family".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphcore.errors import ModelFileError
from nodes.diffusion.network import LatentFormat, LatentRgb
from nodes.diffusion.safetensors_header import Header

CONFIG_KEY = "graphcore.config"
MAX_LAYERS, MAX_SIDE, MAX_WIDTH = 256, 2048, 10_000_000
MAX_BYTES = 16_000_000
SECTIONS = ("unet", "vae", "text_encoder", "text_encoder_2", "text_encoder_3", "scheduler", "latent_rgb")


def explicit_config(header: Header) -> dict[str, Any]:
    """What the header's metadata and the side-car file say; the side-car wins, section by section."""
    path = header.path
    said: dict[str, Any] = {}
    if CONFIG_KEY in header.metadata:
        said |= _sections(header.metadata[CONFIG_KEY], f"metadata '{CONFIG_KEY}' of {path.name}", path)
    side_car = path.with_name(path.name + ".json")
    if side_car.is_file():
        said |= _sections(read_text(side_car), f"file {side_car.name}", path)
    return said


def read_text(path: Path) -> str:
    """A small text file; ModelFileError if it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelFileError(
                f"{path.name} has more than {MAX_BYTES} bytes, so it is no configuration or tokenizer; remove it.",
                code="model-file-config",
                location=str(path),
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"{path.name} cannot be read as text ({error}); correct or remove it.",
            code="model-file-config",
            location=str(path),
        ) from error


def parse_object(text: str, name: str, path: Path) -> dict[str, Any]:
    """A JSON object, or ModelFileError; `name` says what it is, as in "file x.json"."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ModelFileError(
            f"The {name} is not a JSON object; correct or remove it.",
            code="model-file-config",
            location=str(path),
        )
    return value


def refuse_giant(config: Mapping[str, Any], path: Path) -> None:
    """Raise ModelFileError for numbers that no model has, before they are built from."""
    for key, value in config.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        largest = MAX_LAYERS if "layers" in key else MAX_SIDE if key.startswith("pos_embed") else MAX_WIDTH
        if len(values) > MAX_LAYERS or any(isinstance(each, int) and abs(each) > largest for each in values):
            raise ModelFileError(
                f"The configuration of {path.name} gives '{key}' as {ascii(value)[:60]}, which is more than any model "
                "has; correct it.",
                code="model-file-config",
                location=str(path),
            )


def merged(config: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with what was said explicitly put over it; null and private keys say nothing.

    But a null middle block says that there is none. A text encoder's projection is there if its tensor is, whatever was
    said.
    """
    told = {key: value for key, value in said.items() if value is not None or key == "mid_block_type"}
    kept = {key: value for key, value in told.items() if key[:1] != "_"}
    kept.pop("projection_dim", None)
    return {**config, **kept}


def own_section(said: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """What a file of one part says of it: under the part's own name, or without any."""
    told = said.get(section, {name: value for name, value in said.items() if name not in SECTIONS})
    return told if isinstance(told, Mapping) else {}


def latent_format(usual: LatentFormat, said: Mapping[str, Any]) -> LatentFormat:
    """A family's latents with what was said of the VAE. Raises TypeError or ValueError if that is no number.

    The linear view as colours fits only the family's own scale; another one is taken from "latent_rgb".
    """
    vae = said.get("vae", {})
    latent = replace(
        usual,
        channels=int(vae.get("latent_channels") or usual.channels),
        scale_factor=float(vae.get("scaling_factor") or usual.scale_factor),
        shift_factor=float(vae.get("shift_factor") or usual.shift_factor),
    )
    means, deviations = _normalized(vae)
    latent = replace(latent, means=means, deviations=deviations)
    if "block_out_channels" in vae:
        latent = replace(latent, downscale=2 ** (len(vae["block_out_channels"]) - 1))
    rgb = said.get("latent_rgb")
    if rgb:
        factors = tuple((float(red), float(green), float(blue)) for red, green, blue in rgb["factors"])
        red, green, blue = rgb.get("bias", (0.0, 0.0, 0.0))
        return replace(latent, rgb=LatentRgb(factors=factors, bias=(float(red), float(green), float(blue))))
    return latent if latent.scale_factor == usual.scale_factor else replace(latent, rgb=None)


def _normalized(vae: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and deviation of each channel, where a configuration has both."""
    mean, deviation = vae.get("latents_mean"), vae.get("latents_std")
    if mean is None or deviation is None:
        return (), ()
    means, deviations = (tuple(float(value) for value in values) for values in (mean, deviation))
    if len(means) != len(deviations) or not all(deviations):
        raise ValueError("latents_mean and latents_std do not fit each other")
    return means, deviations


def _sections(text: str, name: str, path: Path) -> dict[str, Any]:
    value = parse_object(text, name, path)
    for section in SECTIONS:
        if not isinstance(value.get(section, {}), dict):
            raise ModelFileError(
                f"'{section}' in the {name} is not a JSON object; correct or remove it.",
                code="model-file-config",
                location=str(path),
            )
    return value
