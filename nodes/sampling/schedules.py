"""Nodes that make noise schedules and take them apart."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, NamedTuple

from graphcore import Context, InputError, OutputName, Range, node
from nodes.choices import ScheduleName, Share, StepCount
from nodes.values import Model, Sigmas

Sigma = Annotated[float, Range(0.0, 5000.0, step=0.01)]
AnySigma = Annotated[float, Range(0.0, 20000.0, step=0.001)]
Rho = Annotated[float, Range(0.0, 100.0, step=0.01)]
BetaShape = Annotated[float, Range(0.0, 50.0, step=0.01)]
SIGMA_MAX = 14.614642
SIGMA_MIN = 0.0291675


class SigmaParts(NamedTuple):
    """The noisy part of a schedule, and the part that goes on from there."""

    high_sigmas: Sigmas
    low_sigmas: Sigmas


def _check_ends(sigma_max: float, sigma_min: float) -> str | None:
    if not 0 < sigma_min <= sigma_max:
        return f"sigma_min ({sigma_min}) must be above 0 and not above sigma_max ({sigma_max})."
    return None


def _check_ends_and_rho(sigma_max: float, sigma_min: float, rho: float) -> str | None:
    return _check_ends(sigma_max, sigma_min) or (None if rho > 0 else "rho must be above 0.")


@node("BasicScheduler", category="sampling/custom/schedulers", title="Basic Scheduler")
def basic_scheduler(
    ctx: Context, *, model: Model, scheduler: ScheduleName, steps: StepCount = 20, denoise: Share = 1.0
) -> Sigmas:
    """A schedule for a model by name; with `denoise` below 1, the last `steps` steps of a longer one."""
    from nodes.diffusion.ksampling import parameterization_of
    from nodes.diffusion.schedules import scheduled_sigmas

    return Sigmas(scheduled_sigmas(scheduler, parameterization_of(ctx, model), steps, denoise=denoise))


@node(
    "KarrasScheduler",
    category="sampling/custom/schedulers",
    title="Karras Scheduler",
    check=_check_ends_and_rho,
)
def karras_scheduler(
    steps: StepCount = 20, sigma_max: Sigma = SIGMA_MAX, sigma_min: Sigma = SIGMA_MIN, rho: Rho = 7.0
) -> Sigmas:
    """A schedule with more steps where there is little noise: linear in sigma^(1/rho) (Karras et al. 2022, eq. 5)."""
    from nodes.diffusion.schedules import karras

    return Sigmas(karras(steps, sigma_min, sigma_max, rho=rho))


@node(
    "ExponentialScheduler",
    category="sampling/custom/schedulers",
    title="Exponential Scheduler",
    check=_check_ends,
)
def exponential_scheduler(
    steps: StepCount = 20, sigma_max: Sigma = SIGMA_MAX, sigma_min: Sigma = SIGMA_MIN
) -> Sigmas:
    """A schedule whose sigmas fall by the same factor each step: linear in log sigma."""
    from nodes.diffusion.schedules import exponential

    return Sigmas(exponential(steps, sigma_min, sigma_max))


@node(
    "PolyexponentialScheduler",
    category="sampling/custom/schedulers",
    title="Polyexponential Scheduler",
    check=_check_ends_and_rho,
)
def polyexponential_scheduler(
    steps: StepCount = 20, sigma_max: Sigma = SIGMA_MAX, sigma_min: Sigma = SIGMA_MIN, rho: Rho = 1.0
) -> Sigmas:
    """A schedule in which log sigma falls with a power `rho` of the share of steps left."""
    from nodes.diffusion.schedules import polyexponential

    return Sigmas(polyexponential(steps, sigma_min, sigma_max, rho=rho))


@node("LaplaceScheduler", category="sampling/custom/schedulers", title="Laplace Scheduler", check=_check_ends)
def laplace_scheduler(
    steps: StepCount = 20,
    sigma_max: Sigma = SIGMA_MAX,
    sigma_min: Sigma = SIGMA_MIN,
    mu: Annotated[float, Range(-10.0, 10.0, step=0.1)] = 0.0,
    beta: Annotated[float, Range(0.0, 10.0, step=0.1)] = 0.5,
) -> Sigmas:
    """A schedule of the quantiles of a Laplace distribution of log sigma (Hang et al. 2024)."""
    from nodes.diffusion.schedules import laplace

    return Sigmas(laplace(steps, sigma_min, sigma_max, mu=mu, beta=beta))


@node("VPScheduler", category="sampling/custom/schedulers", title="VP Scheduler")
def vp_scheduler(
    steps: StepCount = 20,
    beta_d: Sigma = 19.9,
    beta_min: Sigma = 0.1,
    eps_s: Annotated[float, Range(0.0, 1.0, step=0.0001)] = 0.001,
) -> Sigmas:
    """A schedule that is linear in the time of the variance-preserving diffusion (Song et al. 2021)."""
    from nodes.diffusion.schedules import vp

    return Sigmas(vp(steps, beta_d=beta_d, beta_min=beta_min, eps_s=eps_s))


@node("SDTurboScheduler", category="sampling/custom/schedulers", title="SD Turbo Scheduler")
def sd_turbo_scheduler(
    ctx: Context, model: Model, steps: Annotated[int, Range(1, 10, role="steps")] = 1, denoise: Share = 1.0
) -> Sigmas:
    """The ten timesteps that turbo models were trained on, from `denoise` down (Sauer et al. 2023)."""
    from nodes.diffusion.ksampling import parameterization_of
    from nodes.diffusion.schedules import sd_turbo

    return Sigmas(sd_turbo(parameterization_of(ctx, model), steps, denoise=denoise))


@node("BetaSamplingScheduler", category="sampling/custom/schedulers", title="Beta Scheduler")
def beta_sampling_scheduler(
    ctx: Context, model: Model, steps: StepCount = 20, alpha: BetaShape = 0.6, beta: BetaShape = 0.6
) -> Sigmas:
    """A schedule of the quantiles of a beta distribution over timesteps (Lee et al. 2024)."""
    from nodes.diffusion.ksampling import parameterization_of
    from nodes.diffusion.schedules import beta as beta_quantiles

    if not alpha or not beta:
        raise InputError("alpha and beta of a beta schedule must be above 0.", code="bad-schedule")
    return Sigmas(beta_quantiles(parameterization_of(ctx, model), steps, alpha=alpha, beta=beta))


@node("AlignYourStepsScheduler", category="sampling/custom/schedulers", title="Align Your Steps Scheduler")
def align_your_steps_scheduler(
    model_type: Literal["SD1", "SDXL", "SVD"], steps: StepCount = 10, denoise: Share = 1.0
) -> Sigmas:
    """Steps that were optimised for a model family (Sabour et al. 2024)."""
    from nodes.diffusion.schedules import align_your_steps, window

    sigmas = align_your_steps(model_type, steps, denoise=denoise)
    return Sigmas(sigmas if denoise else window(sigmas, end=0))


@node("ManualSigmas", category="sampling/custom/sigmas", title="Manual Sigmas")
def manual_sigmas(sigmas: str = "1, 0.5") -> Sigmas:
    """Sigmas as numbers in a text."""
    from nodes.diffusion.sigmas import from_numbers

    numbers = [float(found) for found in re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", sigmas)]
    if not all(math.isfinite(number) for number in numbers):
        raise InputError(
            "A sigma in the text is too large for a number; write smaller ones.", code="bad-sigmas"
        )
    return Sigmas(from_numbers(numbers))


@node("SplitSigmas", category="sampling/custom/sigmas", title="Split Sigmas")
def split_sigmas(sigmas: Sigmas, step: Annotated[int, Range(0, 10000)] = 0) -> SigmaParts:
    """Cut a schedule at a step; both parts hold the sigma there."""
    return SigmaParts(Sigmas(sigmas.values[: step + 1]), Sigmas(sigmas.values[step:]))


@node("SplitSigmasDenoise", category="sampling/custom/sigmas", title="Split Sigmas by Denoise")
def split_sigmas_denoise(sigmas: Sigmas, denoise: Share = 1.0) -> SigmaParts:
    """Cut a schedule so that the second part holds the share `denoise` of its steps."""
    values = sigmas.values
    steps = max(len(values) - 1, 0)
    first = steps - round(steps * denoise)
    return SigmaParts(Sigmas(values[: first + 1]), Sigmas(values[first:]))


@node("FlipSigmas", category="sampling/custom/sigmas", title="Flip Sigmas")
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """Turn a schedule around, to go from a picture back to its noise; a first sigma of 0 becomes 0.0001."""
    values = sigmas.values.flip(0)
    if len(values) and values[0] == 0:
        values[0] = 0.0001
    return Sigmas(values)


@node("SetFirstSigma", category="sampling/custom/sigmas", title="Set First Sigma")
def set_first_sigma(sigmas: Sigmas, sigma: AnySigma = 136.0) -> Sigmas:
    """Begin a schedule with another sigma."""
    values = sigmas.values.clone()
    if len(values):
        values[0] = sigma
    return Sigmas(values)


@node("ExtendIntermediateSigmas", category="sampling/custom/sigmas", title="Extend Intermediate Sigmas")
def extend_intermediate_sigmas(
    sigmas: Sigmas,
    steps: Annotated[int, Range(1, 100)] = 2,
    start_at_sigma: Annotated[float, Range(-1.0, 20000.0, step=0.01)] = -1.0,
    end_at_sigma: Annotated[float, Range(0.0, 20000.0, step=0.01)] = 12.0,
    *,
    spacing: Literal["linear", "cosine", "sine"],
) -> Sigmas:
    """Part each step between two sigmas into so many; a start of -1 stands for the beginning.

    "cosine" puts the new sigmas closer to the end of a step, "sine" closer to its beginning.
    """
    from nodes.diffusion.sigmas import parted

    start = math.inf if start_at_sigma < 0 else start_at_sigma
    return Sigmas(parted(sigmas.values, steps, start, end_at_sigma, spacing))


@node("SamplingPercentToSigma", category="sampling/custom/sigmas", title="Sampling Share to Sigma")
def sampling_percent_to_sigma(
    ctx: Context,
    model: Model,
    sampling_percent: Annotated[float, Range(0.0, 1.0, step=0.0001)] = 0.0,
    return_actual_sigma: bool = False,
) -> Annotated[float, OutputName("sigma_value")]:
    """The sigma at a share of a model's schedule (0 is its noisy beginning).

    The ends are beyond every sigma, so that a comparison with them always holds; `return_actual_sigma` gives the
    model's largest and smallest instead.
    """
    from nodes.diffusion.ksampling import parameterization_of

    parameterization = parameterization_of(ctx, model)
    if return_actual_sigma and sampling_percent in (0.0, 1.0):
        return float(parameterization.sigmas[-1 if sampling_percent == 0.0 else 0])
    return parameterization.sigma_at(sampling_percent)
