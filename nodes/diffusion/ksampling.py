"""What sampling nodes share: from values on wires to one run of the driver, and back to a latent."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graphcore.context import Context, Preview
from graphcore.errors import InputError
from nodes.diffusion.guidance import Cfg, DualCfg, PerpNeg, Unguided
from nodes.diffusion.hint_fit import require_hints_fit
from nodes.diffusion.hints import HintResolver, with_shared_hints
from nodes.diffusion.hooked_networks import HookedNetworks, require_hooks_fit
from nodes.diffusion.latents import require_finite
from nodes.diffusion.model_options import (
    context_windows,
    further_conditionings,
    mask_strength,
    reguided,
    reparameterized,
    step_reuse,
)
from nodes.diffusion.network import Network
from nodes.diffusion.parameterization import Parameterization
from nodes.diffusion.pictures import to_pillow
from nodes.diffusion.preview import LatentPreview
from nodes.diffusion.preview_decoder import PreviewDecoder, preview_decoder
from nodes.diffusion.safe_latent import SafeLatentDiffusion
from nodes.diffusion.samplers.registry import sampler_spec
from nodes.diffusion.sampling import Sampled, SamplingRequest, sample_with_denoised
from nodes.diffusion.schedules import scheduled_sigmas, window
from nodes.diffusion.store import ModelStore
from nodes.values import Conditioning, Guidance, Guider, Latent, Model, Noise, Sampler

PREVIEW_SIDE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChoice:
    """Which part of which schedule a run goes through.

    `start` and `end` are steps; with `finish` the last step goes to 0 even if the run ends early.
    """

    name: str
    steps: int
    denoise: float = 1.0
    start: int | None = None
    end: int | None = None
    finish: bool = True

    def sigmas(self, parameterization: Parameterization, sampler: str) -> Tensor:
        """The sigmas for a model and a sampler."""
        whole = scheduled_sigmas(
            self.name,
            parameterization,
            self.steps,
            denoise=self.denoise,
            drop_penultimate=sampler_spec(sampler).drops_penultimate,
        )
        return window(whole, start=self.start, end=self.end, finish=self.finish)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentPair:
    """The latent at the end of a run, and the last prediction of the clean one."""

    latent: Latent
    denoised: Latent


def run_sampler(
    ctx: Context,
    *,
    guider: Guider,
    sampler: Sampler,
    schedule: ScheduleChoice | Tensor,
    noise: Noise,
    sampling_seed: int | None = None,
    latent: Latent,
) -> LatentPair:
    """Sample `latent` with a model and its conditionings.

    `schedule` holds sigmas, or says how to make them for the model. `noise` is the starting noise; samplers that
    add noise on their way draw it from `sampling_seed`, which is the same seed unless it is given.
    """
    require_finite(latent.samples, "The latent to sample from")
    conditionings = with_shared_hints({**further_conditionings(guider.model.options), **_named(guider)})
    seed = noise.seed if sampling_seed is None else sampling_seed
    store = ctx.service(ModelStore)
    require_hints_fit(store, guider.model, conditionings.values())
    require_hooks_fit(ctx, guider.model, conditionings.values())
    with ExitStack() as stack:
        streaming = store.told_streaming(guider.model)
        if streaming is not None:
            ctx.show("warning", {"text": streaming})
        network = stack.enter_context(store.network(guider.model))
        sigmas = (
            schedule
            if isinstance(schedule, Tensor)
            else schedule.sigmas(network.parameterization, sampler.name)
        )
        ctx.note(seed=seed, dtype=str(network.dtype).removeprefix("torch."), device=str(network.device))
        sampled = sample_with_denoised(
            SamplingRequest(
                network=network,
                latent=latent.samples,
                sigmas=sigmas,
                sampler=sampler,
                guidance=guidance_of(guider),
                positive=conditionings.pop("positive"),
                negative=conditionings.pop("negative", None),
                others=conditionings,
                seed=seed or 0,
                add_noise=noise.seed is not None,
                batch_index=latent.batch_index,
                noise_mask=latent.noise_mask,
                mask_strength=mask_strength(guider.model.options),
                windows=context_windows(guider.model.options),
                reuse=step_reuse(guider.model.options),
                hooked=HookedNetworks(store=store, stack=stack, model=guider.model),
                resolve_hint=HintResolver(
                    store=store, stack=stack, network=network, model=guider.model, latent=latent.samples
                ),
                progress=_progress(ctx, network, stack),
                check_cancelled=ctx.check_cancelled,
            )
        )
    return _checked(sampled, latent)


def guidance_of(guider: Guider) -> Guidance:
    """The guidance of a guider, with what the options of its model make of it."""
    return reguided(guider.guidance, guider.model.options)


def _checked(sampled: Sampled, latent: Latent) -> LatentPair:
    require_finite(sampled.samples, "The sampled latent")
    return LatentPair(
        latent=replace(latent, samples=sampled.samples), denoised=replace(latent, samples=sampled.denoised)
    )


def _named(guider: Guider) -> dict[str, Conditioning]:
    names = conditioning_names(guider.guidance)
    if len(names) != len(guider.conditionings):
        raise InputError(
            f"This guider holds {len(guider.conditionings)} conditionings and its guidance wants {len(names)} "
            f"({', '.join(names)}); connect each.",
            code="missing-conditioning",
        )
    return dict(zip(names, guider.conditionings, strict=True))


def conditioning_names(guidance: Guidance) -> tuple[str, ...]:
    """What the conditionings of a guider are called, in their order."""
    match guidance:
        case Unguided():
            return ("positive",)
        case DualCfg():
            return ("positive", "middle", "negative")
        case PerpNeg():
            return ("positive", "negative", "empty")
        case SafeLatentDiffusion():
            return ("positive", "negative", "unsafe")
        case _:
            base = getattr(guidance, "base", None)
            return ("positive", "negative") if base is None else conditioning_names(base)


def cfg_guider(model: Model, positive: Conditioning, negative: Conditioning, scale: float) -> Guider:
    """A model under classifier-free guidance."""
    return Guider(model=model, conditionings=(positive, negative), guidance=Cfg(scale=scale))


def parameterization_of(ctx: Context, model: Model) -> Parameterization:
    """What a model's sigmas mean, from its file's header and its options: no weights are read."""
    checkpoint = ctx.service(ModelStore).checkpoint(model.file)
    if checkpoint.parameterization is None:
        raise InputError(
            f"{model.file.name} holds no diffusion network; choose another file.", code="no-network"
        )
    return reparameterized(checkpoint.parameterization, model.options)


def _progress(ctx: Context, network: Network, stack: ExitStack) -> Callable[[int, int, LatentPreview], None]:
    latent = network.latent_format
    decoder = preview_decoder(ctx, latent, stack)

    def report(done: int, total: int, preview: LatentPreview) -> None:
        shown = encoded_preview(preview, latent.downscale, decoder) if ctx.previews else None
        ctx.progress(done, total, shown)

    return report


def encoded_preview(preview: LatentPreview, downscale: int, decoder: PreviewDecoder | None = None) -> Preview:
    """The first sample of a preview as a JPEG of the picture's size, or 512 pixels a side at most."""
    if decoder is None:
        small, enlarged = to_pillow(preview.pixels().float() / 255), downscale
    else:
        small, enlarged = to_pillow(decoder(preview.denoised[0])), 1
    factor = min(enlarged, PREVIEW_SIDE / max(small.size))
    size = (max(1, round(small.width * factor)), max(1, round(small.height * factor)))
    stream = io.BytesIO()
    small.resize(size).save(stream, format="JPEG", quality=85)
    return Preview(media_type="image/jpeg", data=stream.getvalue(), width=size[0], height=size[1])


def noisy_latent(ctx: Context, model: Model, noise: Noise, sigmas: Tensor, latent: Latent) -> Latent:
    """A latent with the noise that it has at the first of `sigmas`, less what it has at the last."""
    from nodes.diffusion.noise import starting_noise

    checkpoint = ctx.service(ModelStore).checkpoint(model.file)
    parameterization, latent_format = parameterization_of(ctx, model), checkpoint.latent_format
    if len(sigmas) == 0 or latent_format is None:
        return latent
    samples = latent.samples
    drawn = (
        torch.zeros_like(samples)
        if noise.seed is None
        else starting_noise(tuple(samples.shape), noise.seed, batch_index=latent.batch_index)
    )
    level = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
    scaled = latent_format.scaled(samples) if torch.count_nonzero(samples) else samples
    noisy = latent_format.unscaled(parameterization.add_noise(scaled, drawn, level))
    return replace(latent, samples=noisy.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
