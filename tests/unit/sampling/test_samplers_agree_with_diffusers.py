"""Samplers that diffusers also has take the same way, given the same sigmas and the same noise.

The denoiser is the exact posterior mean of a mixture of Gaussians in 16 dimensions, in double precision. diffusers
keeps its sigmas in single precision, and so are ours rounded before either is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from tests.unit.sampling.toys import GivenNoise, Mixture, karras_sigmas, randn, walk

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")

STEPS = 12
SD: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TOLERANCE = 1e-5


def start(sigmas: Tensor) -> Tensor:
    return randn(3, 16, seed=1) * sigmas[0]


def distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def draws(seed: int, dtype: torch.dtype) -> list[Tensor]:
    """What a generator with this seed gives a scheduler, step by step."""
    stream = torch.Generator().manual_seed(seed)
    return [torch.randn((3, 16), generator=stream, dtype=dtype).double() for _ in range(STEPS + 2)]


def with_sigmas(scheduler: Any, sigmas: Tensor) -> Any:
    """A scheduler that will visit exactly these sigmas."""
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = sigmas.float()
    scheduler.timesteps = torch.arange(len(sigmas) - 1, 0, -1).float()
    scheduler.num_inference_steps = len(sigmas) - 1
    scheduler._step_index = 0
    return scheduler


def rounded(sigmas: Tensor) -> Tensor:
    return sigmas.float().double()


def run_theirs(
    scheduler: Any, x: Tensor, asked: Iterator[Tensor], *, preserving: bool, **step: Any
) -> Tensor:
    """Drive a scheduler over the sigmas that it asks for.

    `preserving` schedulers hold x / sqrt(1 + sigma^2).
    """
    mixture = Mixture()
    first = True
    for timestep, sigma in zip(scheduler.timesteps, asked, strict=True):
        scale = (1 + sigma**2) ** 0.5 if preserving else 1.0
        if first:
            x, first = x / scale, False
        noise = (x * scale - mixture(x * scale, sigma)) / sigma
        x = scheduler.step(noise, timestep, x, return_dict=False, **step)[0]
    return x


@pytest.mark.parametrize("name", ["euler", "ddim"])
def test_euler(name: str) -> None:
    sigmas = rounded(karras_sigmas(STEPS))
    theirs = run_theirs(
        with_sigmas(EulerDiscreteScheduler(**SD), sigmas), start(sigmas), iter(sigmas[:-1]), preserving=False
    )
    assert distance(walk(name, Mixture(), start(sigmas), sigmas).end, theirs) < TOLERANCE


def test_euler_on_the_grid_of_ddim() -> None:
    scheduler = DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=True, steps_offset=1)
    scheduler.set_timesteps(STEPS)
    signal = scheduler.alphas_cumprod[scheduler.timesteps].double()
    sigmas = torch.cat([((1 - signal) / signal).sqrt(), torch.zeros(1, dtype=torch.float64)])
    theirs = run_theirs(scheduler, start(sigmas), iter(sigmas[:-1]), preserving=True)
    assert distance(walk("ddim", Mixture(), start(sigmas), sigmas).end, theirs) < TOLERANCE


def test_euler_ancestral() -> None:
    sigmas = rounded(karras_sigmas(STEPS))
    theirs = run_theirs(
        with_sigmas(EulerAncestralDiscreteScheduler(**SD), sigmas),
        start(sigmas),
        iter(sigmas[:-1]),
        preserving=False,
        generator=torch.Generator().manual_seed(3),
    )
    noise = GivenNoise(draws(3, torch.float64))
    assert (
        distance(walk("euler_ancestral", Mixture(), start(sigmas), sigmas, noise=noise).end, theirs)
        < TOLERANCE
    )


def test_heun() -> None:
    scheduler = HeunDiscreteScheduler(**SD, use_karras_sigmas=True)
    scheduler.set_timesteps(STEPS)
    asked = scheduler.sigmas[:-1].double()
    sigmas = torch.cat([asked[:1], asked[1::2], torch.zeros(1, dtype=torch.float64)])
    theirs = run_theirs(scheduler, start(sigmas), iter(asked), preserving=False)
    assert distance(walk("heun", Mixture(), start(sigmas), sigmas).end, theirs) < TOLERANCE


def interleaved(scheduler: Any) -> tuple[Tensor, Tensor]:
    """The schedule of a two-stage scheduler, and the sigmas at which it asks."""
    scheduler.set_timesteps(STEPS)
    count = len(scheduler.timesteps)
    both = scheduler.sigmas[:count].double()
    sigmas = torch.cat([both[:1], both[1::2], torch.zeros(1, dtype=torch.float64)])
    asked = both.clone()
    asked[1::2] = scheduler.sigmas_interpol[:count][1::2].double()
    return sigmas, asked


def test_dpm_2() -> None:
    scheduler = KDPM2DiscreteScheduler(**SD, use_karras_sigmas=True)
    sigmas, _ = interleaved(scheduler)
    asked = torch.tensor([sigma for sigma, _ in walk("dpm_2", Mixture(), start(sigmas), sigmas).asked])
    theirs = run_theirs(scheduler, start(sigmas), iter(asked.double()), preserving=False)
    assert distance(walk("dpm_2", Mixture(), start(sigmas), sigmas).end, theirs) < TOLERANCE


def test_dpm_2_ancestral() -> None:
    scheduler = KDPM2AncestralDiscreteScheduler(**SD, use_karras_sigmas=True)
    sigmas, _ = interleaved(scheduler)
    noise = draws(4, torch.float64)
    ours = walk("dpm_2_ancestral", Mixture(), start(sigmas), sigmas, noise=GivenNoise(noise))
    asked = torch.tensor([sigma for sigma, _ in ours.asked]).double()
    theirs = run_theirs(
        scheduler, start(sigmas), iter(asked), preserving=False, generator=torch.Generator().manual_seed(4)
    )
    assert distance(ours.end, theirs) < TOLERANCE


def test_dpmpp_2m() -> None:
    sigmas = rounded(karras_sigmas(STEPS))
    scheduler = DPMSolverMultistepScheduler(**SD, solver_order=2, final_sigmas_type="zero")
    theirs = run_theirs(with_sigmas(scheduler, sigmas), start(sigmas), iter(sigmas[:-1]), preserving=True)
    assert distance(walk("dpmpp_2m", Mixture(), start(sigmas), sigmas).end, theirs) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dpmpp_2m_sde", "midpoint"),
        ("dpmpp_2m_sde_gpu", "midpoint"),
        ("dpmpp_2m_sde_heun", "heun"),
        ("dpmpp_2m_sde_heun_gpu", "heun"),
    ],
)
def test_dpmpp_2m_sde(name: str, kind: str) -> None:
    sigmas = rounded(karras_sigmas(STEPS))
    scheduler = DPMSolverMultistepScheduler(
        **SD, algorithm_type="sde-dpmsolver++", solver_order=2, solver_type=kind, final_sigmas_type="zero"
    )
    theirs = run_theirs(
        with_sigmas(scheduler, sigmas),
        start(sigmas),
        iter(sigmas[:-1]),
        preserving=True,
        generator=torch.Generator().manual_seed(5),
    )
    noise = GivenNoise(draws(5, torch.float32))
    assert distance(walk(name, Mixture(), start(sigmas), sigmas, noise=noise).end, theirs) < TOLERANCE


@pytest.mark.parametrize(("name", "kind"), [("uni_pc", "bh1"), ("uni_pc_bh2", "bh2")])
def test_uni_pc(name: str, kind: str) -> None:
    sigmas = karras_sigmas(STEPS)
    sigmas[-1] = 0.001
    sigmas = rounded(sigmas)
    scheduler = UniPCMultistepScheduler(**SD, solver_order=3, solver_type=kind)
    theirs = run_theirs(with_sigmas(scheduler, sigmas), start(sigmas), iter(sigmas[:-1]), preserving=True)
    theirs = theirs * (1 + sigmas[-1] ** 2) ** 0.5
    assert distance(walk(name, Mixture(), start(sigmas), sigmas).end, theirs) < TOLERANCE


def test_ddpm() -> None:
    scheduler = DDPMScheduler(**SD, clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(timesteps=[999, 900, 750, 600, 450, 300, 150, 60, 20, 1])
    signal = scheduler.alphas_cumprod[scheduler.timesteps].double()
    sigmas = torch.cat([((1 - signal) / signal).sqrt(), torch.zeros(1, dtype=torch.float64)])
    theirs = run_theirs(
        scheduler,
        start(sigmas),
        iter(sigmas[:-1]),
        preserving=True,
        generator=torch.Generator().manual_seed(6),
    )
    noise = GivenNoise(draws(6, torch.float64))
    assert distance(walk("ddpm", Mixture(), start(sigmas), sigmas, noise=noise).end, theirs) < TOLERANCE


def test_lcm() -> None:
    scheduler = LCMScheduler(**SD, clip_sample=False)
    scheduler.set_timesteps(4, original_inference_steps=50)
    signal = scheduler.alphas_cumprod[scheduler.timesteps].double()
    sigmas = torch.cat([((1 - signal) / signal).sqrt(), torch.zeros(1, dtype=torch.float64)])
    theirs = run_theirs(
        scheduler,
        start(sigmas),
        iter(sigmas[:-1]),
        preserving=True,
        generator=torch.Generator().manual_seed(7),
    )
    noise = GivenNoise(draws(7, torch.float64))
    assert distance(walk("lcm", Mixture(), start(sigmas), sigmas, noise=noise).end, theirs) < TOLERANCE


def test_euler_on_a_rectified_flow() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.double()
    mixture = Mixture(flow=True)
    x = theirs = start(sigmas)
    for timestep, sigma in zip(scheduler.timesteps, sigmas[:-1], strict=True):
        velocity = (theirs - mixture(theirs, sigma)) / sigma
        theirs = scheduler.step(velocity, timestep, theirs, return_dict=False)[0].double()
    assert distance(walk("euler", mixture, x, sigmas, flow=True).end, theirs) < TOLERANCE
