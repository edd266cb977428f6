"""The network behind a model as node packs look at it: its sigmas, its latents, its family."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from graphcore.errors import InputError
from nodes.packs.faces import Face, run_context
from nodes.values import Model

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.diffusion.network import LatentFormat
    from nodes.diffusion.parameterization import Parameterization


class ModelType(Enum):
    """What networks predict, as `comfy.model_base.ModelType` lists it."""

    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    STABLE_CASCADE = 4
    EDM = 5
    FLOW = 6
    V_PREDICTION_CONTINUOUS = 7
    FLUX = 8
    IMG_TO_IMG = 9
    FLOW_COSMOS = 10


class _OfFamily(type):
    """A class whose instances are the networks of one family (of all of them, where it names none)."""

    family: str | None = None

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, NetworkFace) and cls.family in (None, instance.family)


class BaseModel(metaclass=_OfFamily):
    """Any network."""


class SDXL(BaseModel):
    """Networks of Stable Diffusion XL."""

    family = "sdxl"


class SDXLRefiner(BaseModel):
    """Networks of the refiner of Stable Diffusion XL."""

    family = "sdxl-refiner"


class SD3(BaseModel):
    """Networks of Stable Diffusion 3."""

    family = "sd3"


class ModelSamplingFace(Face["Parameterization"]):
    """What a network's sigmas and timesteps are, as ComfyUI's `model_sampling` is used."""

    comfy_name = "model_sampling"

    def __init__(self, value: Parameterization) -> None:
        self.value = value

    @property
    def sigmas(self) -> Tensor:
        """The sigmas that the network was trained on, rising."""
        return self.value.sigmas

    @property
    def sigma_min(self) -> Tensor:
        """The least of them."""
        return self.value.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """The greatest of them."""
        return self.value.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """The network's timestep for a sigma."""
        return self.value.timestep(sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The sigma of a timestep."""
        return self.value.sigma(timestep)

    def percent_to_sigma(self, percent: float) -> float:
        """The sigma at a share of the schedule: 0 is its noisy beginning, 1 its end."""
        return 0.0 if percent >= 1.0 else float(self.value.sigma_at(percent))

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """A clean latent at a noise level."""
        return self.value.add_noise(latent_image, noise, sigma, full=max_denoise)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """A latent of the size that it has without noise."""
        return self.value.finish(latent, sigma)


class LatentFormatFace(Face["LatentFormat"]):
    """How a network takes latents, as `comfy.latent_formats` objects are used."""

    comfy_name = "latent_format"

    def __init__(self, value: LatentFormat) -> None:
        self.value = value
        self.latent_channels = value.channels
        self.scale_factor = value.scale_factor
        self.latent_dimensions = 2
        self.spacial_downscale_ratio = value.downscale
        self.latent_rgb_factors = None if value.rgb is None else [list(row) for row in value.rgb.factors]
        self.latent_rgb_factors_bias = None if value.rgb is None else list(value.rgb.bias)
        self.taesd_decoder_name = None

    def process_in(self, latent: Tensor) -> Tensor:
        """From what the VAE gives to what the network takes."""
        return self.value.scaled(latent)

    def process_out(self, latent: Tensor) -> Tensor:
        """From what the network takes to what the VAE gives."""
        return self.value.unscaled(latent)


class NetworkFace(Face[Model]):
    """The network behind a model: what can be known of it without reading weights."""

    comfy_name = "model.model"

    def __init__(self, value: Model) -> None:
        self.value = value

    @property
    def model_sampling(self) -> ModelSamplingFace:
        """Its sigmas and timesteps."""
        from nodes.diffusion.ksampling import parameterization_of

        return ModelSamplingFace(parameterization_of(run_context(), self.value))

    @property
    def latent_format(self) -> LatentFormatFace:
        """How it takes latents."""
        from nodes.diffusion.store import ModelStore

        found = run_context().service(ModelStore).checkpoint(self.value.file).latent_format
        if found is None:
            raise InputError(f"{self.value.file.name} holds no diffusion network; choose another file.")
        return LatentFormatFace(found)

    @property
    def model_type(self) -> ModelType:
        """What it predicts."""
        sampling = self.model_sampling.value
        if sampling.process.flow:
            return ModelType.FLOW
        return (
            ModelType.V_PREDICTION if getattr(sampling, "prediction", "") == "v_prediction" else ModelType.EPS
        )

    @property
    def family(self) -> str:
        """The family of models that it is of: "sd1", "sdxl" ..."""
        from nodes.diffusion.store import ModelStore

        found = run_context().service(ModelStore).checkpoint(self.value.file).family
        return "" if found is None else found.name

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """From what the VAE gives to what the network takes."""
        return self.latent_format.process_in(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """From what the network takes to what the VAE gives."""
        return self.latent_format.process_out(latent)
