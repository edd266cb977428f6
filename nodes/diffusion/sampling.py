"""From a noisy latent to a clean one: the driver of all samplers.

    request -> scaled latent + noise -> [ sampler asks (x, sigma) -> mask -> denoise -> mask ]* -> unscaled
    latent

One progress call a step; cancellation is looked for before every forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.conditioning.hook_values import Hooks
from nodes.diffusion.context_windows import shuffled_noise
from nodes.diffusion.denoiser import Denoiser
from nodes.diffusion.entries import prepare_entries, rows_for
from nodes.diffusion.guidance import started
from nodes.diffusion.network import LatentFormat, LatentScene, Network, ReadyHint
from nodes.diffusion.noise import SeededNoise, starting_noise
from nodes.diffusion.parameterization import Parameterization
from nodes.diffusion.preview import LatentPreview
from nodes.diffusion.region import resized_mask
from nodes.diffusion.samplers.protocol import DenoisedPair, SamplerRun
from nodes.diffusion.samplers.registry import SamplerSpec, sampler_spec
from nodes.diffusion.step_reuse import StepReuse
from nodes.values import Conditioning, ControlHint, Guidance, Sampler
from nodes.video.context_options import ContextOption

Progress = Callable[[int, int, LatentPreview], None]
"""Told after each step: steps done, steps in all, and what it looks like. May raise Cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SamplingRequest:
    """All that one run needs.

    `latent` (batch, channels, height, width) is unscaled, as a VAE gives it; all zeros means "nothing yet".
    `sigmas` (steps + 1,) come from `schedules`. `noise` is drawn from `seed` and `batch_index` if it is None,
    and left out if `add_noise` is False. `noise_mask` (batch, height, width), of any size, is 1 where the
    latent may change; with `mask_strength`, grey says when a place begins to: one of value m is kept until the
    share m of the run is left (differential diffusion, Levin & Fried 2023). `others` holds conditionings that some
    guidances want: "middle", "empty", "unsafe". With `windows`, a longer batch is predicted in windows that overlap.
    `hooked` gives the network with the hooks of a conditioning, at a share of the schedule. `reuse` remembers
    predictions, where they are to be used again.
    """

    network: Network
    latent: Tensor
    sigmas: Tensor
    sampler: Sampler
    guidance: Guidance
    positive: Conditioning
    negative: Conditioning | None = None
    others: Mapping[str, Conditioning] = field(default_factory=dict)
    seed: int = 0
    add_noise: bool = True
    noise: Tensor | None = None
    batch_index: tuple[int, ...] | None = None
    noise_mask: Tensor | None = None
    mask_strength: float | None = None
    windows: ContextOption | None = None
    hooked: Callable[[Hooks, float], Network] | None = None
    reuse: StepReuse | None = None
    resolve_hint: Callable[[ControlHint], ReadyHint] | None = None
    progress: Progress = lambda done, total, preview: None
    check_cancelled: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """The latents at the end of a run, and the last prediction of the clean ones; unscaled, on the CPU."""

    samples: Tensor
    denoised: Tensor


def sample(request: SamplingRequest) -> Tensor:
    """Run a request; the latents (batch, channels, height, width), unscaled, float32, on the CPU.

    Raises InputError for a request that cannot be run, and whatever `progress` and `check_cancelled` raise.
    """
    return sample_with_denoised(request).samples


def sample_with_denoised(request: SamplingRequest) -> Sampled:
    """`sample`, with the last denoised prediction beside the result (they differ if a run ends early)."""
    sigmas = _checked_sigmas(request.sigmas)
    latent = fitted_latent(request.latent, request.network.latent_format)
    if len(sigmas) < 2:
        return Sampled(latent, latent)
    with torch.no_grad():
        return _Run(request, latent, sigmas).finish()


def fitted_latent(latent: Tensor, latent_format: LatentFormat) -> Tensor:
    """The latent as float32 with the channels of the network.

    An empty one (all zeros) may have any number; another with the wrong number raises InputError.
    """
    latent = latent.float().cpu()
    if latent.ndim != 4:
        raise InputError(
            f"A latent has four dimensions, and this one {latent.ndim}; give a batch of pictures' latents.",
            code="latent-shape",
        )
    if not len(latent) or 0 in latent.shape[2:]:
        raise InputError(
            f"The latent is empty (its shape is {list(latent.shape)}); give one with samples in it.",
            code="latent-shape",
        )
    if latent.shape[1] == latent_format.channels:
        return latent
    if torch.count_nonzero(latent):
        raise InputError(
            f"The latent has {latent.shape[1]} channels and the model wants {latent_format.channels}; "
            "encode it with the model's own VAE.",
            code="latent-channels",
        )
    return latent.new_zeros((len(latent), latent_format.channels, *latent.shape[2:]))


def _checked_sigmas(sigmas: Tensor) -> Tensor:
    sigmas = sigmas.detach().cpu()
    change = sigmas.diff()
    turns = bool((change > 0).any()) and bool((change < 0).any())
    if turns or not bool(torch.isfinite(sigmas).all()):
        raise InputError(
            "The sigmas must be finite and never rise (unless all do, back to noise); check the schedule.",
            code="bad-sigmas",
        )
    if len(sigmas) > 1 and bool((sigmas[:-1] <= 0).any()):
        raise InputError(
            "Only the last of the sigmas may be 0 and none below it; check the schedule.", code="bad-sigmas"
        )
    return sigmas if sigmas.dtype == torch.float64 else sigmas.float()


class _Run:
    """One run while it lasts."""

    def __init__(self, request: SamplingRequest, latent: Tensor, sigmas: Tensor) -> None:
        self._request = request
        self._spec = sampler_spec(request.sampler.name)
        self._options = self._spec.checked(request.sampler.options)
        self._sigmas = sigmas
        self._parameterization = request.network.parameterization
        self._latent = _scaled(latent, request.network)
        self._noise = _noise(request, latent).to(self._latent)
        self._mask = _mask(request.noise_mask, self._latent)
        self._kept_noise = self._noise
        if self._mask is not None and self._spec.fresh_mask_noise:
            self._kept_noise = starting_noise(tuple(latent.shape), request.seed + 1).to(self._latent)
        self._denoiser = _denoiser(
            request,
            self._spec,
            LatentScene(latent=self._latent, noise=self._noise, noise_mask=self._mask, seed=request.seed),
        )

    def finish(self) -> Sampled:
        """Ask the sampler until it has no more questions."""
        total = len(self._sigmas) - 1
        steps = self._start()
        query = next(steps)
        while True:
            x, sigma, step = query
            pair = self._denoise(x, sigma, step)
            sent = pair if self._spec.needs_uncond else pair.denoised
            try:
                query = steps.send(sent)
            except StopIteration as stopped:
                self._report(total, total, pair.denoised)
                return self._result(stopped.value, pair.denoised)
            if query[2] > step:
                self._report(min(query[2], total - 1), total, pair.denoised)

    def _start(self) -> Any:
        sigma = self._sigmas[0]
        x = self._parameterization.add_noise(
            self._latent, self._noise, sigma, full=_is_full_noise(self._parameterization, sigma)
        )
        run = SamplerRun(
            noise=SeededNoise(seed=self._request.seed, like=x),
            process=self._parameterization.process,
            sigma_at=self._parameterization.sigma_at,
        )
        return self._spec.function(x, self._sigmas, run, **self._options)

    def _denoise(self, x: Tensor, sigma: Tensor, step: int) -> DenoisedPair:
        """The denoiser, where the mask lets it; elsewhere x is the latent with noise, and x0 the latent."""
        if x.shape != self._latent.shape:
            self._require_plain()
        if self._mask is None:
            return self._denoiser(x, sigma, step)
        mask = self._mask_at(self._mask, sigma)
        kept = self._parameterization.add_noise(self._latent, self._kept_noise, sigma)
        pair = self._denoiser(x * mask + kept * (1 - mask), sigma, step)
        return DenoisedPair(pair.denoised * mask + self._latent * (1 - mask), pair.uncond_denoised)

    def _require_plain(self) -> None:
        """Raise InputError for what was made for the size that the latent had."""
        if self._mask is not None or not self._denoiser.fits_any_size:
            raise InputError(
                "This sampler changes the latent's size, and goes with whole prompts alone; take noise masks, areas, "
                "ControlNets and pictures away.",
                code="unsupported-choice",
            )

    def _mask_at(self, mask: Tensor, sigma: Tensor) -> Tensor:
        """The mask, or with a strength what of it is at work at sigma."""
        strength = self._request.mask_strength
        if strength is None:
            return mask
        share = self._parameterization.share
        last = self._sigmas[-1] if float(self._sigmas[-1]) > 0 else self._parameterization.sigmas[0]
        first, end = share(self._sigmas[0]), share(last)
        left = (end - share(sigma)) / (end - first) if end != first else 0.0
        return torch.lerp(mask, (mask >= left).to(mask.dtype), strength)

    def _report(self, done: int, total: int, denoised: Tensor) -> None:
        rgb = self._request.network.latent_format.rgb
        self._request.progress(done, total, LatentPreview(denoised, rgb))

    def _result(self, x: Tensor, denoised: Tensor) -> Sampled:
        latent_format = self._request.network.latent_format
        samples = self._parameterization.finish(x, self._sigmas[-1])
        return Sampled(
            latent_format.unscaled(samples).float().cpu(), latent_format.unscaled(denoised).float().cpu()
        )


def _scaled(latent: Tensor, network: Network) -> Tensor:
    """On the network's device, scaled; an empty latent stays 0, whatever the shift."""
    latent = latent.to(network.device)
    return network.latent_format.scaled(latent) if torch.count_nonzero(latent) else latent


def _noise(request: SamplingRequest, latent: Tensor) -> Tensor:
    shape = tuple(latent.shape)
    if not request.add_noise:
        return torch.zeros(shape)
    if request.noise is not None:
        if tuple(request.noise.shape) != shape:
            raise InputError(
                f"The noise has shape {tuple(request.noise.shape)} and the latent {shape}; make them equal.",
                code="noise-shape",
            )
        return request.noise
    index = request.batch_index
    if index is not None and len(index) != len(latent):
        raise InputError(
            f"The latent has {len(latent)} samples and {len(index)} batch indices.", code="batch-index"
        )
    noise = starting_noise(shape, request.seed, batch_index=index)
    windows = request.windows
    return (
        shuffled_noise(windows, noise, request.seed) if windows is not None and windows.free_noise else noise
    )


def _mask(mask: Tensor | None, latent: Tensor) -> Tensor | None:
    if mask is None:
        return None
    if not mask.numel() or not bool(torch.isfinite(mask).all()):
        raise InputError(
            "The noise mask is empty or holds values that are not finite; give a mask of values from 0 to 1.",
            code="bad-mask",
        )
    height, width = latent.shape[-2:]
    return rows_for(resized_mask(mask, height, width)[:, None], len(latent)).to(latent)


def _denoiser(request: SamplingRequest, spec: SamplerSpec, scene: LatentScene) -> Denoiser:
    conditionings = {"positive": request.positive, **request.others}
    if request.negative is not None:
        conditionings["negative"] = request.negative
    entries = prepare_entries(request.network, conditionings, scene, request.resolve_hint)
    return Denoiser(
        network=request.network,
        guide=started(request.guidance),
        entries=entries,
        needs_uncond=spec.needs_uncond,
        check_cancelled=request.check_cancelled,
        windows=request.windows,
        hooked=request.hooked,
        reuse=request.reuse,
    )


def _is_full_noise(parameterization: Parameterization, sigma: Tensor) -> bool:
    highest = float(parameterization.sigmas[-1])
    return float(sigma) > highest or math.isclose(float(sigma), highest, rel_tol=1e-5)
