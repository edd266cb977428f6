"""Samplers without another's to compare with: they converge at their order, and their noise leaves the right spread."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from nodes.diffusion.parameterization import RectifiedFlow
from nodes.diffusion.samplers.registry import SAMPLERS
from tests.unit.sampling.toys import Mixture, karras_sigmas, randn, walk

DETERMINISTIC = [
    "euler",
    "heun",
    "heunpp2",
    "exp_heun_2_x0",
    "dpm_2",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2m",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "gradient_estimation",
    "uni_pc",
    "uni_pc_bh2",
    "ddim",
]


def geometric(steps: int, high: float, low: float) -> Tensor:
    """Sigmas with equal ratios, and no 0: the error of the last jump to 0 would hide a solver's own."""
    return torch.logspace(math.log10(high), math.log10(low), steps + 1, dtype=torch.float64)


SMOOTH = Mixture(spread=1.0)


@cache
def smooth_solution() -> Tensor:
    """The end of the exact path from 8 to 0.1, near enough."""
    return walk("heun", SMOOTH, randn(3, 16, seed=2) * 8, geometric(1500, 8.0, 0.1)).end


@cache
def mixture_solution() -> Tensor:
    """The end of the exact path from 14.6 to 0, near enough."""
    return walk("heun", Mixture(), randn(4, 16, seed=1) * 14.6, karras_sigmas(400, low=1e-3)).end


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("euler", 1),
        ("heun", 2),
        ("dpm_2", 2),
        ("exp_heun_2_x0", 2),
        ("dpmpp_2m", 2),
        ("res_multistep", 2),
        ("uni_pc", 2.5),
        ("uni_pc_bh2", 2.3),
        ("lms", 2.5),
        ("deis", 2),
    ],
)
def test_error_falls_with_the_order_of_the_method(name: str, order: float) -> None:
    x = randn(3, 16, seed=2) * 8
    coarse, fine = (
        float((walk(name, SMOOTH, x, geometric(steps, 8.0, 0.1)).end - smooth_solution()).norm())
        for steps in (40, 80)
    )
    assert coarse / fine > 2**order * 0.8


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_twenty_steps_come_near_the_exact_solution(name: str) -> None:
    x = randn(4, 16, seed=1) * 14.6
    exact = mixture_solution()
    error = float((walk(name, Mixture(), x, karras_sigmas(20)).end - exact).norm() / exact.norm())
    assert error < 0.03


STOCHASTIC = [
    "euler_ancestral",
    "dpm_2_ancestral",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde",
    "ddpm",
    "lcm",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "exp_heun_2_x0_sde",
    "sa_solver",
    "sa_solver_pece",
    "res_multistep_ancestral",
]


GAUSSIAN = torch.full((1, 16), 2.0, dtype=torch.float64)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_fresh_noise_leaves_the_spread_of_the_data(name: str) -> None:
    """On data that is one Gaussian of mean 2 and spread 0.5, many samples end with that spread.

    Samplers of first order fall a little short of it; LCM, whose noise is never removed slowly, a good deal.
    """
    sigmas = karras_sigmas(60, low=0.01)
    x = 2.0 + randn(400, 16, seed=3) * sigmas[0]
    data = Mixture(centres=GAUSSIAN, spread=0.5)
    end = walk(name, data, x, sigmas, sigma_at=lambda share: 14.6 * (1 - share) ** 3).end
    assert float(end.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(end.std()) == pytest.approx(0.5, abs=0.2 if name == "lcm" else 0.04)


FLOWING = [name for name in STOCHASTIC if name not in ("ddpm", "res_multistep_ancestral")]


@pytest.mark.parametrize("name", FLOWING)
def test_fresh_noise_on_a_rectified_flow(name: str) -> None:
    data = Mixture(centres=GAUSSIAN, spread=0.5, flow=True)
    model = RectifiedFlow(shift=3.0)
    sigmas = torch.cat([model.sigma(torch.linspace(1000, 5, 60)), torch.zeros(1)]).double()
    x = randn(400, 16, seed=3)
    end = walk(name, data, x, sigmas, flow=True, sigma_at=model.sigma_at).end
    assert float(end.mean()) == pytest.approx(2.0, abs=0.03)
    assert float(end.std()) == pytest.approx(0.5, abs=0.2 if name == "lcm" else 0.12)


CFG_PP = [spec.name for spec in SAMPLERS.values() if spec.needs_uncond and "2s" not in spec.name]


@pytest.mark.parametrize("name", CFG_PP)
def test_cfg_plus_plus_without_guidance_is_the_plain_sampler(name: str) -> None:
    sigmas = karras_sigmas(12)
    x = randn(3, 16, seed=1) * sigmas[0]
    plain = name.replace("_cfg_pp", "")
    assert torch.allclose(walk(name, Mixture(), x, sigmas).end, walk(plain, Mixture(), x, sigmas).end)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in ("dpm_fast", "dpm_adaptive")])
def test_each_step_asks_for_the_calls_that_the_registry_says(name: str) -> None:
    spec = SAMPLERS[name]
    sigmas = karras_sigmas(9)
    asked = walk(name, Mixture(), randn(2, 16) * 14.6, sigmas).asked
    steps = [step for _, step in asked]
    assert steps == sorted(steps)
    assert set(steps) == set(range(9))
    assert steps.count(4) == spec.calls


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_one_step_is_finite(name: str) -> None:
    sigmas = torch.tensor([14.6, 0.0], dtype=torch.float64)
    end = walk(name, Mixture(), randn(2, 16) * 14.6, sigmas).end
    assert torch.isfinite(end).all()


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_run_that_ends_early_is_finite(name: str) -> None:
    end = walk(name, Mixture(), randn(2, 16) * 14.6, karras_sigmas(10)[:6]).end
    assert torch.isfinite(end).all()
