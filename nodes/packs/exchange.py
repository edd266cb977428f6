"""Values at the border to node packs: what this project's nodes hold, as ComfyUI's nodes expect it, and back.

    IMAGE   Image          <-> tensor (batch, height, width, channels)
    MASK    Mask           <-> tensor (batch, height, width)
    LATENT  Latent         <-> {"samples": tensor, "noise_mask"?, "batch_index"?, ...}
    CONDITIONING           <-> [[tensor, {...}], ...]
    SIGMAS  Sigmas         <-> tensor (steps + 1,)
    AUDIO   Audio          <-> {"waveform": tensor (1, channels, samples), "sample_rate": int}
    VIDEO   Video          <-> an object of comfy_api
    MODEL, CLIP, VAE, NOISE, SAMPLER, GUIDER, CLIP_VISION, UPSCALE_MODEL
            a face with ComfyUI's methods <-> the value behind it

All else travels as it is. No torch is imported here until a value holds a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from nodes.control.steering import ClipVision, ClipVisionOutput
from nodes.packs.conditioning import from_conditioning, to_conditioning
from nodes.packs.faces import Face, face_of
from nodes.packs.media import from_audio, from_video, to_audio, to_video
from nodes.packs.v3_media import VideoInput
from nodes.pictures.upscaling import UpscaleModel
from nodes.values import (
    Audio,
    Clip,
    Conditioning,
    Guider,
    Image,
    Latent,
    Mask,
    Model,
    Noise,
    Sampler,
    Sigmas,
    Vae,
    Video,
)

if TYPE_CHECKING:
    from torch import Tensor

ANY: Final = "*"
_COLOURS: Final = (1, 3, 4)
_FACED: Final = (Model, Clip, Vae, Noise, Sampler, Guider, ClipVision, ClipVisionOutput, UpscaleModel)


@dataclass(frozen=True, slots=True, eq=False)
class PackLatent(Latent):
    """A latent with what a pack keeps beside it."""

    beside: tuple[tuple[str, object], ...] = ()


def to_comfy(kind: str, value: Any) -> Any:
    """A value as a pack's node expects it; `kind` is the socket type that it is wanted as.

    What is told apart is the value, so that wildcards get what they are given.
    """
    if isinstance(value, Image):
        return value.pixels
    if isinstance(value, Mask):
        return value.values
    if isinstance(value, Latent):
        return _latent_dict(value)
    if isinstance(value, Conditioning):
        return from_conditioning(value)
    if isinstance(value, Sigmas):
        return value.values
    if isinstance(value, _FACED):
        return face_of(value)
    if isinstance(value, Audio):
        return from_audio(value)
    if isinstance(value, Video):
        return from_video(value)
    return value


def from_comfy(kind: str, value: Any) -> Any:
    """A value that a pack's node returned, as this project's nodes hold it; `kind` is its output's socket type.

    Outputs of several types, wildcards among them, are told apart by the value. Raises InputError for a value
    that cannot be what its type says.
    """
    if isinstance(value, Face):
        return value.value
    read = _READERS.get(kind)
    if read is not None:
        return read(value)
    return _told_apart(value) if kind == ANY or "," in kind or kind.startswith("COMFY_") else value


def _told_apart(value: Any) -> Any:
    if isinstance(value, dict) and _is_tensor(value.get("samples")):
        return _latent(value)
    if isinstance(value, list) and value and all(_is_conditioning_entry(entry) for entry in value):
        return to_conditioning(value)
    if isinstance(value, VideoInput):
        return to_video(value)
    if isinstance(value, dict) and set(value) == {"waveform", "sample_rate"}:
        return to_audio(value)
    if _is_tensor(value) and _is_plain(value):
        if value.ndim == 4 and value.shape[-1] in _COLOURS:
            return Image(value)
        if value.ndim == 3:
            return Mask(value)
    return value


def _is_conditioning_entry(entry: Any) -> bool:
    return (
        isinstance(entry, (list, tuple))
        and len(entry) == 2
        and _is_tensor(entry[0])
        and isinstance(entry[1], dict)
    )


def _is_tensor(value: Any) -> bool:
    """True for a tensor, without importing torch to find out."""
    kind = type(value)
    return any(base.__module__ == "torch" and base.__name__ == "Tensor" for base in kind.__mro__)


def _is_plain(tensor: Tensor) -> bool:
    import torch

    return tensor.dtype is torch.float32 and tensor.device.type == "cpu"


def _settled(tensor: Tensor) -> Tensor:
    """Float32 on the CPU, without a gradient: how tensors travel on the wires."""
    return tensor.detach().float().cpu()


def _image(value: Any) -> Any:
    if not _is_tensor(value):
        return value
    pixels = _settled(value)
    return Image(pixels[None] if pixels.ndim == 3 else pixels)


def _mask(value: Any) -> Any:
    if not _is_tensor(value):
        return value
    values = _settled(value)
    if values.ndim == 2:
        values = values[None]
    elif values.ndim == 4:
        values = values.reshape(-1, *values.shape[-2:])
    return Mask(values)


def _latent(value: Any) -> Any:
    if not isinstance(value, Mapping) or not _is_tensor(value.get("samples")):
        return value
    rest = {
        name: item for name, item in value.items() if name not in ("samples", "noise_mask", "batch_index")
    }
    mask, index = value.get("noise_mask"), value.get("batch_index")
    plain = Latent(
        _settled(value["samples"]),
        noise_mask=None if mask is None else _mask(mask).values,
        batch_index=None if index is None else tuple(int(place) for place in index),
    )
    if not rest:
        return plain
    return PackLatent(plain.samples, plain.noise_mask, plain.batch_index, tuple(rest.items()))


def _latent_dict(latent: Latent) -> dict[str, Any]:
    found: dict[str, Any] = {"samples": latent.samples}
    if latent.noise_mask is not None:
        found["noise_mask"] = latent.noise_mask
    if latent.batch_index is not None:
        found["batch_index"] = list(latent.batch_index)
    if isinstance(latent, PackLatent):
        found.update(latent.beside)
    return found


def _sigmas(value: Any) -> Any:
    return Sigmas(_settled(value)) if _is_tensor(value) else value


def _conditioning(value: Any) -> Any:
    return to_conditioning(value) if isinstance(value, (list, tuple)) else value


def with_latent(value: Any, samples: Tensor) -> dict[str, Any]:
    """A pack's latent with other samples."""
    latent = _latent(value)
    return _latent_dict(replace(latent, samples=samples))


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "IMAGE": _image,
    "MASK": _mask,
    "LATENT": _latent,
    "CONDITIONING": _conditioning,
    "SIGMAS": _sigmas,
    "AUDIO": to_audio,
    "VIDEO": to_video,
}
