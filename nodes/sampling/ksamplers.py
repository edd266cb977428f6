"""Nodes that sample: from noise and conditioning to latents."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graphcore import Context, Range, node
from nodes.choices import GuidanceScale, SamplerName, ScheduleName, SeedInt, Share, StepCount
from nodes.values import Conditioning, Guider, Latent, Model, Noise, Sampler, Sigmas

Step = Annotated[int, Range(0, 10000)]
Enabled = Literal["enable", "disable"]
Disabled = Literal["disable", "enable"]


class SampledLatents(NamedTuple):
    """The latent at the end of the run, and the last prediction of the clean one."""

    output: Latent
    denoised_output: Latent


@node("KSampler", category="sampling", title="KSampler")
def k_sampler(
    ctx: Context,
    *,
    model: Model,
    seed: SeedInt = 0,
    steps: StepCount = 20,
    cfg: GuidanceScale = 8.0,
    sampler_name: SamplerName,
    scheduler: ScheduleName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Share = 1.0,
) -> Latent:
    """Make a picture: take the noise out of a latent step by step, as the prompts say (classifier-free guidance).

    The same seed gives the same picture on every device. With `denoise` below 1 the latent is noised only so far,
    and `steps` steps are taken from there; 0 returns it as it is.
    """
    from nodes.diffusion.ksampling import ScheduleChoice, cfg_guider, run_sampler

    return run_sampler(
        ctx,
        guider=cfg_guider(model, positive, negative, cfg),
        sampler=Sampler(name=sampler_name),
        schedule=ScheduleChoice(name=scheduler, steps=steps, denoise=denoise),
        noise=Noise(seed=seed),
        latent=latent_image,
    ).latent


@node("KSamplerAdvanced", category="sampling", title="KSampler (Advanced)")
def k_sampler_advanced(
    ctx: Context,
    *,
    model: Model,
    add_noise: Enabled,
    noise_seed: SeedInt = 0,
    steps: StepCount = 20,
    cfg: GuidanceScale = 8.0,
    sampler_name: SamplerName,
    scheduler: ScheduleName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Step = 0,
    end_at_step: Step = 10000,
    return_with_leftover_noise: Disabled,
) -> Latent:
    """Sample a latent through a part of a schedule, so that another model or sampler can begin or finish it.

    A run that ends early finishes in its last step, unless `return_with_leftover_noise` keeps the noise that is
    left for the next run, which then adds none.
    """
    from nodes.diffusion.ksampling import ScheduleChoice, cfg_guider, run_sampler

    return run_sampler(
        ctx,
        guider=cfg_guider(model, positive, negative, cfg),
        sampler=Sampler(name=sampler_name),
        schedule=ScheduleChoice(
            name=scheduler,
            steps=steps,
            start=start_at_step,
            end=end_at_step,
            finish=return_with_leftover_noise == "disable",
        ),
        noise=Noise(seed=noise_seed if add_noise == "enable" else None),
        sampling_seed=noise_seed,
        latent=latent_image,
    ).latent


@node("SamplerCustom", category="sampling/custom", title="Sampler (Custom)")
def sampler_custom(
    ctx: Context,
    *,
    model: Model,
    add_noise: bool = True,
    noise_seed: SeedInt = 0,
    cfg: GuidanceScale = 8.0,
    positive: Conditioning,
    negative: Conditioning,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
) -> SampledLatents:
    """Sample a latent with a sampler and sigmas from other nodes, under classifier-free guidance."""
    from nodes.diffusion.ksampling import cfg_guider, run_sampler

    pair = run_sampler(
        ctx,
        guider=cfg_guider(model, positive, negative, cfg),
        sampler=sampler,
        schedule=sigmas.values,
        noise=Noise(seed=noise_seed if add_noise else None),
        sampling_seed=noise_seed,
        latent=latent_image,
    )
    return SampledLatents(pair.latent, pair.denoised)


@node("SamplerCustomAdvanced", category="sampling/custom", title="Sampler (Custom, Advanced)")
def sampler_custom_advanced(
    ctx: Context, noise: Noise, guider: Guider, sampler: Sampler, sigmas: Sigmas, latent_image: Latent
) -> SampledLatents:
    """Sample a latent with noise, guider, sampler and sigmas from other nodes."""
    from nodes.diffusion.ksampling import run_sampler

    pair = run_sampler(
        ctx, guider=guider, sampler=sampler, schedule=sigmas.values, noise=noise, latent=latent_image
    )
    return SampledLatents(pair.latent, pair.denoised)


@node("RandomNoise", category="sampling/custom/noise", title="Random Noise")
def random_noise(noise_seed: SeedInt = 0) -> Noise:
    """Starting noise from a seed, for the custom-sampling nodes."""
    return Noise(seed=noise_seed)


@node("DisableNoise", category="sampling/custom/noise", title="Disable Noise")
def disable_noise() -> Noise:
    """No starting noise: the latent has its noise already."""
    return Noise(seed=None)


@node("AddNoise", category="sampling/custom/noise", title="Add Noise")
def add_noise(ctx: Context, model: Model, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """Add noise to a latent: as much as lies between the first and the last of the sigmas."""
    from nodes.diffusion.ksampling import noisy_latent

    return noisy_latent(ctx, model, noise, sigmas.values, latent_image)


@node("BasicGuider", category="sampling/custom/guiders", title="Basic Guider")
def basic_guider(model: Model, conditioning: Conditioning) -> Guider:
    """Guide by one conditioning alone, as models without classifier-free guidance are used."""
    from nodes.diffusion.guidance import Unguided

    return Guider(model=model, conditionings=(conditioning,), guidance=Unguided())


@node("CFGGuider", category="sampling/custom/guiders", title="CFG Guider")
def cfg_guider(
    model: Model, positive: Conditioning, negative: Conditioning, cfg: GuidanceScale = 8.0
) -> Guider:
    """Classifier-free guidance: away from the negative, towards the positive, `cfg` times as far."""
    from nodes.diffusion.guidance import Cfg

    return Guider(model=model, conditionings=(positive, negative), guidance=Cfg(scale=cfg))


@node("DualCFGGuider", category="sampling/custom/guiders", title="Dual CFG Guider")
def dual_cfg_guider(
    *,
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: GuidanceScale = 8.0,
    cfg_cond2_negative: GuidanceScale = 8.0,
    style: Literal["regular", "nested"],
) -> Guider:
    """Guidance with two positives.

    `cfg_conds` is the scale from the second to the first, `cfg_cond2_negative` that from the negative.
    """
    from nodes.diffusion.guidance import DualCfg

    guidance = DualCfg(scale=cfg_conds, middle_scale=cfg_cond2_negative, nested=style == "nested")
    return Guider(model=model, conditionings=(cond1, cond2, negative), guidance=guidance)


@node("PerpNegGuider", category="sampling/custom/guiders", title="Perp-Neg Guider")
def perp_neg_guider(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Conditioning,
    cfg: GuidanceScale = 8.0,
    neg_scale: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.0,
) -> Guider:
    """Guidance under which the negative acts only where it is perpendicular to the positive (Armandpour et al. 2023).

    `empty_conditioning` is an empty prompt, from which both are measured.
    """
    from nodes.diffusion.guidance import PerpNeg

    guidance = PerpNeg(scale=cfg, neg_scale=neg_scale)
    return Guider(model=model, conditionings=(positive, negative, empty_conditioning), guidance=guidance)


@node("KSamplerSelect", category="sampling/custom/samplers", title="KSampler Select")
def k_sampler_select(sampler_name: SamplerName) -> Sampler:
    """A sampler by name, with its own defaults, for the custom-sampling nodes."""
    return Sampler(name=sampler_name)
