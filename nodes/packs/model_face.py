"""A diffusion network as node packs use it: cloned, given options, asked about its sigmas."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, overload

from graphcore.errors import InputError
from nodes.packs.faces import Face, run_context
from nodes.packs.host import running, running_in
from nodes.values import GuidanceFunctions, Model, Patch

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.diffusion.network import LatentFormat
    from nodes.diffusion.parameterization import Parameterization


_FOREIGN: Final = ("model_function_wrapper", "denoise_mask_function", "sampler_calc_cond_batch_function")
_FOREIGN_PATCHES: Final = (
    "patches",
    "patches_replace",
    "wrappers",
    "callbacks",
    "optimized_attention_override",
)


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

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """From what the VAE gives to what the network takes."""
        return self.latent_format.process_in(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """From what the network takes to what the VAE gives."""
        return self.latent_format.process_out(latent)


class ModelFace(Face[Model]):
    """A diffusion network, as ComfyUI's `ModelPatcher` is used.

    `model_options` is a dictionary that clones copy; packs keep things in it. Functions of guidance change the
    sampling; what patches the network itself is not offered.
    """

    comfy_name = "MODEL"

    def __init__(self, value: Model, model_options: dict[str, Any] | None = None) -> None:
        kept = [option.options for option in value.options if isinstance(option, GuidanceFunctions)]
        self._model = value
        self.model_options: dict[str, Any] = (
            _copied(dict(kept[-1]) if kept else {"transformer_options": {}})
            if model_options is None
            else model_options
        )

    @property
    def value(self) -> Model:  # type: ignore[override]
        """The reference behind the face, with the functions that packs have set.

        Raises InputError if a pack has set functions that sampling here could not call.
        """
        options = self.model_options
        _require_known(options)
        functions = GuidanceFunctions(
            combine=_in_this_run(options.get("sampler_cfg_function")),
            before=tuple(_in_this_run(each) for each in options.get("sampler_pre_cfg_function", ())),
            after=tuple(_in_this_run(each) for each in options.get("sampler_post_cfg_function", ())),
            always_both=bool(options.get("disable_cfg1_optimization", False)),
            options={**options, "model": NetworkFace(self._model)},
        )
        others = tuple(option for option in self._model.options if not isinstance(option, GuidanceFunctions))
        if options == {"transformer_options": {}}:
            return replace(self._model, options=others)
        return replace(self._model, options=(*others, functions))

    def clone(self, *args: object, **kwargs: object) -> ModelFace:
        """The same network; options set on one leave the other as it is."""
        del args, kwargs
        return ModelFace(self._model, _copied(self.model_options))

    def with_patch(self, patch: Patch) -> ModelFace:
        """The same network with one more patch."""
        patched = replace(self._model, patches=(*self._model.patches, patch))
        return ModelFace(patched, _copied(self.model_options))

    def is_clone(self, other: object) -> bool:
        """True if both are of one file's network."""
        return isinstance(other, ModelFace) and other._model.file == self._model.file

    @property
    def model(self) -> NetworkFace:
        """The network itself."""
        return NetworkFace(self.value)

    def get_model_object(self, name: str) -> Any:
        """A part of the network by name: "model_sampling" and "latent_format" are there."""
        return getattr(self.model, name)

    @property
    def load_device(self) -> Any:
        """Where it computes."""
        from nodes.diffusion.store import ModelStore

        return run_context().service(ModelStore).device

    @property
    def offload_device(self) -> Any:
        """Where it waits: on the CPU."""
        import torch

        return torch.device("cpu")

    def model_dtype(self) -> Any:
        """What it computes in."""
        from nodes.diffusion.store import ModelStore

        return run_context().service(ModelStore).precision.dtype

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Let a function combine the predictions.

        It is given a dictionary with `cond` and `uncond` (noise: x less the prediction), `cond_denoised`,
        `uncond_denoised`, `cond_scale`, `timestep`, `sigma`, `input`, `model_options`; x less what it returns is taken.
        """
        self.model_options["sampler_cfg_function"] = sampler_cfg_function
        self._both(disable_cfg1_optimization)

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Let a function change the combined prediction, which it is given as `denoised`, and return another."""
        chain = [*self.model_options.get("sampler_post_cfg_function", ()), post_cfg_function]
        self.model_options["sampler_post_cfg_function"] = chain
        self._both(disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Let a function change the list of predictions (`conds_out`) before they are combined."""
        chain = [*self.model_options.get("sampler_pre_cfg_function", ()), pre_cfg_function]
        self.model_options["sampler_pre_cfg_function"] = chain
        self._both(disable_cfg1_optimization)

    def _both(self, wanted: bool) -> None:
        if wanted:
            self.model_options["disable_cfg1_optimization"] = True


def _require_known(options: dict[str, Any]) -> None:
    patches = options.get("transformer_options", {})
    foreign = [name for name in _FOREIGN if options.get(name)]
    foreign += [name for name in _FOREIGN_PATCHES if patches.get(name)]
    if foreign:
        raise InputError(
            f"A node pack has given the model its own '{foreign[0]}', which sampling here cannot call; use a pack that "
            "does without it.",
            code="unsupported-model-option",
        )


@overload
def _in_this_run(function: None) -> None: ...
@overload
def _in_this_run(function: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]: ...
def _in_this_run(function: Callable[..., Any] | None) -> Callable[[dict[str, Any]], Any] | None:
    """The function, which will be called by a sampler, with the run that it was set in."""
    run = running()
    if function is None or run is None:
        return function
    context = run.context

    def call(arguments: dict[str, Any]) -> Any:
        with running_in(context):
            return function(arguments)

    return call


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    """A copy in which lists and dictionaries are new, and what they hold is not."""
    return {
        name: _copied(value)
        if isinstance(value, dict)
        else copy.copy(value)
        if isinstance(value, list)
        else value
        for name, value in options.items()
    }
