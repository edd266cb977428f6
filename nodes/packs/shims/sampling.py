"""`comfy.samplers` and `comfy.sample`: names, sigmas, noise, and sampling as our own nodes do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

from nodes.choices import SamplerName, ScheduleName
from nodes.packs.faces import run_context
from nodes.packs.network_face import ModelSamplingFace
from nodes.packs.sampler_faces import (
    Callback,
    CfgGuiderFace,
    PackSampling,
    SamplerFace,
    as_conditioning,
    as_model,
    sampled,
)
from nodes.values import Guider, Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.diffusion.parameterization import Parameterization

SAMPLER_NAMES: Final[list[str]] = list(get_args(SamplerName))
SCHEDULER_NAMES: Final[list[str]] = list(get_args(ScheduleName))
KSAMPLER_NAMES: Final[list[str]] = [
    name for name in SAMPLER_NAMES if name not in ("ddim", "uni_pc", "uni_pc_bh2")
]
SCHEDULER_HANDLERS: Final[dict[str, None]] = dict.fromkeys(SCHEDULER_NAMES)
_SHORTENED: Final = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})

CFGGuider = CfgGuiderFace


def _parameterization(model_sampling: Any) -> Parameterization:
    if isinstance(model_sampling, ModelSamplingFace):
        return model_sampling.value
    raise TypeError(f"A {type(model_sampling).__name__} is no model_sampling; take it from a model.")


def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> Tensor:
    """The sigmas of a schedule, shape (steps + 1,)."""
    from nodes.diffusion.schedules import scheduled_sigmas

    return scheduled_sigmas(scheduler_name, _parameterization(model_sampling), steps)


def simple_scheduler(model_sampling: Any, steps: int) -> Tensor:
    """The schedule "simple"."""
    return calculate_sigmas(model_sampling, "simple", steps)


def ddim_scheduler(model_sampling: Any, steps: int) -> Tensor:
    """The schedule "ddim_uniform"."""
    return calculate_sigmas(model_sampling, "ddim_uniform", steps)


def normal_scheduler(model_sampling: Any, steps: int, sgm: bool = False, floor: bool = False) -> Tensor:
    """The schedule "normal", or "sgm_uniform"."""
    del floor
    return calculate_sigmas(model_sampling, "sgm_uniform" if sgm else "normal", steps)


def beta_scheduler(model_sampling: Any, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """The schedule "beta"."""
    from nodes.diffusion.schedules import beta as beta_sigmas

    return beta_sigmas(_parameterization(model_sampling), steps, alpha=alpha, beta=beta)


def linear_quadratic_schedule(
    model_sampling: Any, steps: int, threshold_noise: float = 0.025, linear_steps: int | None = None
) -> Tensor:
    """The schedule "linear_quadratic"."""
    from nodes.diffusion.schedules import linear_quadratic

    return linear_quadratic(
        _parameterization(model_sampling), steps, threshold_noise=threshold_noise, linear_steps=linear_steps
    )


def get_sigmas_karras(
    n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: Any = "cpu"
) -> Tensor:
    """The schedule of Karras et al. (2022), shape (n + 1,)."""
    from nodes.diffusion.schedules import karras

    return karras(n, float(sigma_min), float(sigma_max), rho=rho).to(device)


def get_sigmas_exponential(n: int, sigma_min: float, sigma_max: float, device: Any = "cpu") -> Tensor:
    """Linear in log sigma, shape (n + 1,)."""
    from nodes.diffusion.schedules import exponential

    return exponential(n, float(sigma_min), float(sigma_max)).to(device)


def sampler_object(name: str) -> SamplerFace:
    """The sampler of this name."""
    return SamplerFace(Sampler(name=name))


def ksampler(
    sampler_name: str,
    extra_options: dict[str, Any] | None = None,
    inpaint_options: dict[str, Any] | None = None,
) -> SamplerFace:
    """The sampler of this name, with options (eta, s_noise ...)."""
    del inpaint_options
    return SamplerFace(Sampler(name=sampler_name, options=tuple((extra_options or {}).items())))


class KSampler:
    """A model with a sampler and a schedule; `SAMPLERS` and `SCHEDULERS` are the names that there are."""

    SAMPLERS = SAMPLER_NAMES
    SCHEDULERS = SCHEDULER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS = _SHORTENED

    def __init__(
        self,
        model: Any,
        steps: int,
        device: Any = None,
        sampler: str = "euler",
        scheduler: str = "normal",
        denoise: float | None = None,
        model_options: dict[str, Any] | None = None,
    ) -> None:
        del device, model_options
        self.model = model
        self.steps = steps
        self.sampler = sampler if sampler in self.SAMPLERS else self.SAMPLERS[0]
        self.scheduler = scheduler if scheduler in self.SCHEDULERS else self.SCHEDULERS[0]
        self.denoise = 1.0 if denoise is None else denoise
        self.sigmas = self.calculate_sigmas(steps, self.denoise)

    def calculate_sigmas(self, steps: int, denoise: float = 1.0) -> Tensor:
        """The sigmas of a run of so many steps."""
        from nodes.diffusion.ksampling import parameterization_of
        from nodes.diffusion.schedules import scheduled_sigmas

        return scheduled_sigmas(
            self.scheduler,
            parameterization_of(run_context(), as_model(self.model)),
            steps,
            denoise=denoise,
            drop_penultimate=self.sampler in _SHORTENED,
        )

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        """Take so many steps."""
        self.steps, self.denoise = steps, 1.0 if denoise is None else denoise
        self.sigmas = self.calculate_sigmas(steps, self.denoise)

    def sample(
        self,
        noise: Tensor,
        positive: Any,
        negative: Any,
        cfg: float,
        latent_image: Tensor | None = None,
        start_step: int | None = None,
        last_step: int | None = None,
        force_full_denoise: bool = False,
        denoise_mask: Tensor | None = None,
        sigmas: Tensor | None = None,
        callback: Callback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """Sample latents (batch, channels, height, width) from noise of the same shape."""
        import torch

        from nodes.diffusion.guidance import Cfg
        from nodes.diffusion.schedules import window

        del disable_pbar
        whole = self.sigmas if sigmas is None else sigmas
        part = window(whole, start=start_step, end=last_step, finish=force_full_denoise)
        guider = Guider(
            model=as_model(self.model),
            conditionings=(as_conditioning(positive), as_conditioning(negative)),
            guidance=Cfg(scale=float(cfg)),
        )
        return sampled(
            PackSampling(
                guider=guider,
                sampler=Sampler(name=self.sampler),
                sigmas=part,
                latent=torch.zeros_like(noise) if latent_image is None else latent_image,
                noise=noise if bool(torch.count_nonzero(noise)) else None,
                noise_mask=denoise_mask,
                seed=seed,
                callback=callback,
            )
        )


def prepare_noise(latent_image: Tensor, seed: int, noise_inds: Sequence[int] | None = None) -> Tensor:
    """Noise of a latent's shape from a seed; with `noise_inds`, that of these places of a larger batch."""
    from nodes.diffusion.noise import starting_noise

    index = None if noise_inds is None else tuple(int(place) for place in noise_inds)
    noise = starting_noise(tuple(latent_image.shape), seed, batch_index=index)
    return noise.to(dtype=latent_image.dtype)


def fix_empty_latent_channels(model: Any, latent_image: Tensor, *args: object) -> Tensor:
    """The latent with the channels of the model, if it is empty."""
    from nodes.diffusion.sampling import fitted_latent
    from nodes.diffusion.store import ModelStore

    del args
    found = run_context().service(ModelStore).checkpoint(as_model(model).file).latent_format
    return latent_image if found is None else fitted_latent(latent_image, found)


def sample(
    model: Any,
    noise: Tensor,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent_image: Tensor,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    noise_mask: Tensor | None = None,
    sigmas: Tensor | None = None,
    callback: Callback | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Sample latents (batch, channels, height, width) from noise of the same shape."""
    del disable_noise
    return KSampler(model, steps, None, sampler_name, scheduler, denoise).sample(
        noise,
        positive,
        negative,
        cfg,
        latent_image,
        start_step,
        last_step,
        force_full_denoise,
        noise_mask,
        sigmas,
        callback,
        disable_pbar,
        seed,
    )


def sample_custom(
    model: Any,
    noise: Tensor,
    cfg: float,
    sampler: SamplerFace,
    sigmas: Tensor,
    positive: Any,
    negative: Any,
    latent_image: Tensor,
    noise_mask: Tensor | None = None,
    callback: Callback | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """As `sample`, with a sampler and sigmas of one's own."""
    guider = CfgGuiderFace(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider.sample(noise, latent_image, sampler, sigmas, noise_mask, callback, disable_pbar, seed)


def cleanup_additional_models(models: object) -> None:
    """Nothing to do: weights are leased."""
    del models


def prepare_mask(noise_mask: Tensor, shape: Sequence[int], device: Any = "cpu") -> Tensor:
    """A mask resized to a latent's shape."""
    from nodes.packs.shims.resizing import reshape_mask

    return reshape_mask(noise_mask, shape).to(device)


def prepare_callback(model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None) -> Callback:
    """A callback for `sample` that reports progress; it keeps the last prediction in `x0_output_dict`."""
    from nodes.packs.shims.progress import ProgressBar

    del model
    bar = ProgressBar(steps)

    def report(step: int, x0: Any, x: Any, total_steps: int) -> None:
        del x
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        bar.update_absolute(step + 1, total_steps)

    return report
