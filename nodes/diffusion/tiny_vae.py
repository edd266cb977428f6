"""TAESD (Bohan 2023, "Tiny AutoEncoder for Stable Diffusion"): its files opened, and its networks at work.

Its latents are those that diffusion networks see, scaled; on sockets they are scaled back, so that they mean the same
as those of the family's own VAE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from graphcore.errors import InputError, ModelFileError
from graphcore.files import beside_decoder
from nodes.diffusion.families.sd1 import LATENT as SD1_LATENT
from nodes.diffusion.families.sd3 import LATENT as SD3_LATENT
from nodes.diffusion.families.sdxl import LATENT as SDXL_LATENT
from nodes.diffusion.layouts import tiny_vae
from nodes.diffusion.layouts.rules import NOT_THERE
from nodes.diffusion.layouts.unet import Shapes
from nodes.diffusion.model_config import merged
from nodes.diffusion.network import LatentFormat
from nodes.diffusion.part import Part, below
from nodes.diffusion.safetensors_header import Header, TensorInfo, read_header
from nodes.diffusion.vae import VaeCodec

MERGED_PREFIXES: Final = {"encoder": "taesd_encoder.", "decoder": "taesd_decoder."}
"""How ComfyUI names both sides in one file."""
PREVIEW_FILES: Final = (("taesd", SD1_LATENT), ("taesdxl", SDXL_LATENT), ("taesd3", SD3_LATENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class SidedPart(Part):
    """A part whose sides stand in files, or under prefixes, of their own: one header and one prefix a side."""

    sides: tuple[str, ...]
    prefixes: tuple[str, ...]

    def names(self) -> Iterator[str]:
        for header, side, prefix in self._places():
            for name in header.tensors:
                if name.startswith(prefix) and name[len(prefix) :].partition(".")[0].isdigit():
                    yield f"{side}.{name[len(prefix) :]}"

    def find(self, name: str) -> tuple[Header, str, TensorInfo] | None:
        wanted, _, rest = name.partition(".")
        for header, side, prefix in self._places():
            info = header.tensors.get(prefix + rest)
            if side == wanted and info is not None:
                return header, prefix + rest, info
        return None

    def _places(self) -> Iterator[tuple[Header, str, str]]:
        return zip(self.headers, self.sides, self.prefixes, strict=True)


def open_tiny_vae(header: Header, said: Mapping[str, Any]) -> Part | None:
    """TAESD in a file: both sides, or one (with the other in the file beside it); None if it holds none.

    Raises ModelFileError if its layers are not those of TAESD, or both sides do not fit each other.
    """
    shapes = _shapes(header)
    place = _found(header, shapes)
    if place is None:
        return None
    part, named = place
    try:
        config = tiny_vae.config_from(named)
    except NOT_THERE as error:
        raise ModelFileError(
            f"{header.path.name} looks like TAESD, but its layers are not TAESD's; get the file again.",
            code="model-file-mismatch",
            location=str(header.path),
        ) from error
    scaled = scaled_by_name(replace(part, config=config), header.path.stem)
    told = _told_scale(header)
    return replace(scaled, config=merged({**scaled.config, **told}, said.get("vae", {})))


def _found(header: Header, shapes: Shapes) -> tuple[Part, Shapes] | None:
    if tiny_vae.sides_of(shapes):
        inner = {name: shape for name, shape in shapes.items() if ".layers." in name}
        return Part(name="vae", kind="tiny_vae", config={}, headers=(header,), layout="diffusers"), inner
    places = [(header, side, prefix) for side, prefix in MERGED_PREFIXES.items() if below(shapes, prefix)]
    side = tiny_vae.side_of(shapes)
    if side is not None:
        places = [(header, side, "")]
        encoder = beside_decoder(header.path) if side == "decoder" else None
        if encoder is not None:
            places.append((read_header(encoder), "encoder", ""))
    if not places:
        return None
    named: dict[str, tuple[int, ...]] = {}
    for place, which, prefix in places:
        named |= tiny_vae.in_diffusers(which, below(_shapes(place), prefix))
    headers, sides, prefixes = zip(*places, strict=True)
    part = SidedPart(name="vae", kind="tiny_vae", config={}, headers=headers, sides=sides, prefixes=prefixes)
    return part, named


def _shapes(header: Header) -> Shapes:
    return {name: info.shape for name, info in header.tensors.items()}


def scaled_by_name(part: Part, name: str) -> Part:
    """The part with the scale of a family's latents, unless its configuration tells one: shapes do not.

    16 channels are SD 3's (Flux's if the name says so); 4 are SD's, or SDXL's if "xl" is in the name.
    """
    if float(part.config.get("scaling_factor") or 1.0) != 1.0:
        return part
    lower = name.lower()
    if part.config.get("latent_channels", 4) == SD3_LATENT.channels:
        flux = LatentFormat(channels=16, scale_factor=0.3611, shift_factor=0.1159)
        return scaled_as(part, flux if "f1" in lower or "flux" in lower else SD3_LATENT)
    return scaled_as(part, SDXL_LATENT if "xl" in lower else SD1_LATENT)


def scaled_as(part: Part, latent: LatentFormat) -> Part:
    """The part with the scale of a family's latents."""
    scale = {"scaling_factor": latent.scale_factor, "shift_factor": latent.shift_factor}
    return replace(part, config={**part.config, **scale})


def _told_scale(header: Header) -> dict[str, float]:
    """What the two numbers that ComfyUI writes beside the weights say."""
    from nodes.diffusion.weights import read_tensor

    names = {"vae_scale": "scaling_factor", "vae_shift": "shift_factor"}
    return {
        target: float(read_tensor(header, name).float().flatten()[0])
        for name, target in names.items()
        if name in header.tensors and header.tensors[name].shape in ((), (1,))
    }


class TinyVaeCodec(VaeCodec):
    """An AutoencoderTiny ready to compute; it may have one side only."""

    @property
    def scale(self) -> LatentFormat:
        """How latents on sockets become its own."""
        config = self.module.config
        return LatentFormat(
            channels=self.channels,
            scale_factor=float(config.scaling_factor),
            shift_factor=float(config.shift_factor),
        )

    @torch.inference_mode()
    def _decode(self, latents: Tensor) -> Tensor:
        self._require("decoder")
        decoded: Tensor = self.module.decode(self._ready(self.scale.scaled(latents))).sample
        return decoded.float().cpu()

    @torch.inference_mode()
    def _encode(self, pictures: Tensor) -> Tensor:
        self._require("encoder")
        encoded: Tensor = self.module.encode(self._ready(pictures)).latents
        return self.scale.unscaled(encoded.float().cpu())

    def _require(self, side: str) -> None:
        if getattr(self.module, side) is None:
            raise InputError(
                f"This file of TAESD holds no {side}; put both its files, `…_encoder.safetensors` and "
                "`…_decoder.safetensors`, into one folder.",
                code="vae-side-missing",
            )


def preview_name(latent: LatentFormat) -> str | None:
    """Which TAESD shows latents of this scale; None if there is none."""
    for name, known in PREVIEW_FILES:
        if (known.channels, known.scale_factor, known.shift_factor) == (
            latent.channels,
            latent.scale_factor,
            latent.shift_factor,
        ):
            return name
    return None
