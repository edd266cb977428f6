"""What node packs hold in the place of models, text encoders and VAEs: ComfyUI's methods over our references.

A face computes through the model store of the run that it is used in. What has no counterpart here is missing, and
asking for it raises an error that names it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from graphcore.context import Context
from graphcore.errors import InputError
from nodes.control.steering import ClipVision, ClipVisionOutput
from nodes.packs.host import pack_at_work, running
from nodes.pictures.upscaling import UpscaleModel
from nodes.values import Clip, Guider, Model, Noise, Sampler, Vae

if TYPE_CHECKING:
    from torch import Tensor


ValueT = TypeVar("ValueT")


class Face(Generic[ValueT]):
    """Stands for one of this project's values; `comfy_name` is what ComfyUI calls such an object."""

    comfy_name = "object"
    value: ValueT

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") or name == "value":
            raise AttributeError(name)
        raise AttributeError(
            f"The {self.comfy_name} that node packs get here has no '{name}', and {pack_at_work()} asks for it; use "
            "other nodes of the pack, or a pack that does without it.",
            name=name,
        )


_FACES: Final = (
    (Model, "nodes.packs.model_face:ModelFace"),
    (Clip, "nodes.packs.clip_face:ClipFace"),
    (Vae, "nodes.packs.faces:VaeFace"),
    (ClipVision, "nodes.packs.vision_faces:ClipVisionFace"),
    (ClipVisionOutput, "nodes.packs.vision_faces:ClipVisionOutputFace"),
    (UpscaleModel, "nodes.packs.vision_faces:UpscaleModelFace"),
    (Noise, "nodes.packs.faces:NoiseFace"),
    (Sampler, "nodes.packs.sampler_faces:SamplerFace"),
    (Guider, "nodes.packs.sampler_faces:GuiderFace"),
)


def face_of(value: Any) -> Any:
    """The face of a reference; raises TypeError for a value that has none."""
    for kind, place in _FACES:
        if isinstance(value, kind):
            module, _, name = place.partition(":")
            return getattr(import_module(module), name)(value)
    raise TypeError(f"a {type(value).__name__} has no face")


def run_context() -> Context:
    """The context of the run that the caller is part of; raises InputError outside any."""
    run = running()
    if run is None:
        raise InputError("A node pack computes with a model outside any run; do so in a node's function.")
    return run.context


class VaeFace(Face[Vae]):
    """A VAE, as `comfy.sd.VAE` is used."""

    comfy_name = "VAE"

    def __init__(self, value: Vae) -> None:
        self.value = value

    def decode(self, samples_in: Tensor, vae_options: object = None) -> Tensor:
        """Pictures (batch, height, width, 3) in [0, 1] of latents (batch, channels, height, width)."""
        from nodes.latents.vae import vae_decode
        from nodes.values import Latent

        del vae_options
        return vae_decode(run_context(), Latent(samples_in.float().cpu()), self.value).pixels

    def decode_tiled(
        self,
        samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """As `decode`, tile by tile; `tile_x` and `overlap` are in latent cells."""
        from nodes.diffusion.store import ModelStore
        from nodes.diffusion.vae import Tiling

        del tile_y, tile_t, overlap_t
        size = 64 if tile_x is None else int(tile_x)
        tiling = Tiling(size=size, overlap=size // 4 if overlap is None else int(overlap))
        with run_context().service(ModelStore).vae(self.value) as codec:
            return codec.decode(samples.float().cpu(), tiling=tiling)

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Latents of pictures (batch, height, width, channels) in [0, 1]; channels after the third are left out."""
        from nodes.latents.vae import vae_encode
        from nodes.values import Image

        return vae_encode(run_context(), Image(pixel_samples.float().cpu()), self.value).samples

    def encode_tiled(
        self,
        pixel_samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """As `encode`, tile by tile; `tile_x` and `overlap` are in pixels."""
        from nodes.diffusion.store import ModelStore
        from nodes.diffusion.vae import Tiling

        del tile_y, tile_t, overlap_t
        size = 512 if tile_x is None else int(tile_x)
        with run_context().service(ModelStore).vae(self.value) as codec:
            across = codec.downscale
            tiling = Tiling(size=size // across, overlap=(64 if overlap is None else int(overlap)) // across)
            return codec.encode(pixel_samples.float().cpu(), tiling=tiling)

    def throw_exception_if_invalid(self) -> None:
        """The file was found when it was named; this checks nothing more."""

    def is_dynamic(self) -> bool:
        """No: weights are leased whole."""
        return False

    @property
    def downscale_ratio(self) -> int:
        """Pixels a side of a latent cell."""
        from nodes.diffusion.store import ModelStore

        with run_context().service(ModelStore).vae(self.value) as codec:
            return int(codec.downscale)

    @property
    def upscale_ratio(self) -> int:
        """As `downscale_ratio`."""
        return self.downscale_ratio

    def spacial_compression_decode(self) -> int:
        """As `downscale_ratio`; the spelling is ComfyUI's."""
        return self.downscale_ratio

    def spacial_compression_encode(self) -> int:
        """As `downscale_ratio`."""
        return self.downscale_ratio

    def temporal_compression_decode(self) -> None:
        """None: it is no video VAE."""

    @property
    def latent_channels(self) -> int:
        """Channels of its latents."""
        from nodes.diffusion.store import ModelStore

        with run_context().service(ModelStore).vae(self.value) as codec:
            return int(codec.channels)

    @property
    def latent_dim(self) -> int:
        """2: its latents are pictures."""
        return 2

    @property
    def device(self) -> Any:
        """Where it computes."""
        from nodes.diffusion.store import ModelStore

        return run_context().service(ModelStore).device

    @property
    def output_device(self) -> Any:
        """Where its results are: on the CPU."""
        import torch

        return torch.device("cpu")

    @property
    def vae_dtype(self) -> Any:
        """What it computes in."""
        from nodes.diffusion.store import ModelStore

        return run_context().service(ModelStore).vae_precision.dtype


class NoiseFace(Face[Noise]):
    """Starting noise, as ComfyUI's NOISE objects are used."""

    comfy_name = "NOISE"

    def __init__(self, value: Noise) -> None:
        self.value = value

    @property
    def seed(self) -> int:
        """The seed; 0 where there is no noise."""
        return self.value.seed or 0

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Noise of the shape of a latent's samples, or zeros where there is none."""
        import torch

        from nodes.diffusion.noise import starting_noise

        samples = input_latent["samples"]
        if self.value.seed is None:
            return torch.zeros(samples.shape, dtype=samples.dtype, device="cpu")
        index = input_latent.get("batch_index")
        places = None if index is None else tuple(int(place) for place in index)
        return starting_noise(tuple(samples.shape), self.value.seed, batch_index=places)
