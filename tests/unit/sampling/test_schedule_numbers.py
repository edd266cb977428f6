"""Schedules have the numbers of pictures made elsewhere; here they are derived anew from Stable Diffusion's betas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray

from graphcore.errors import InputError
from nodes.diffusion import schedules
from nodes.diffusion.parameterization import DiscreteDiffusion, RectifiedFlow
from nodes.diffusion.schedules import SCHEDULES, align_your_steps, scheduled_sigmas, window

Numbers = NDArray[np.float64]

SD = DiscreteDiffusion()
FLOW = RectifiedFlow(shift=3.0)


def table() -> Numbers:
    """Stable Diffusion's thousand sigmas, from its betas."""
    betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2
    signal = np.cumprod(1 - betas)
    return np.asarray(np.sqrt((1 - signal) / signal))


def at(timesteps: Numbers) -> Numbers:
    """Sigmas between those of the table: linear in their logarithms."""
    return np.exp(np.interp(timesteps, np.arange(1000), np.log(table())))


def assert_equal(sigmas: torch.Tensor, expected: Numbers | list[float]) -> None:
    assert sigmas.dtype == torch.float32
    np.testing.assert_allclose(sigmas.numpy(), np.asarray(expected), rtol=3e-5, atol=1e-7)


def test_the_known_ends_of_stable_diffusion() -> None:
    assert float(SD.sigmas[-1]) == pytest.approx(14.614642, abs=1e-5)
    assert float(SD.sigmas[0]) == pytest.approx(0.0291675, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_normal(steps: int) -> None:
    assert_equal(SCHEDULES["normal"](SD, steps), [*at(np.linspace(999, 0, steps)), 0.0])


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_sgm_uniform(steps: int) -> None:
    assert_equal(SCHEDULES["sgm_uniform"](SD, steps), [*at(np.linspace(999, 0, steps + 1)[:-1]), 0.0])


@pytest.mark.parametrize("steps", [1, 4, 20, 30])
def test_simple(steps: int) -> None:
    picked = [table()[999 - int(step * 1000 / steps)] for step in range(steps)]
    assert_equal(SCHEDULES["simple"](SD, steps), [*picked, 0.0])


def test_ddim_uniform() -> None:
    picked = [table()[index] for index in range(951, 0, -50)]
    assert_equal(SCHEDULES["ddim_uniform"](SD, 20), [*picked, 0.0])
    assert len(SCHEDULES["ddim_uniform"](SD, 30)) == 32


@pytest.mark.parametrize("steps", [2, 10])
def test_karras(steps: int) -> None:
    low, high = table()[0] ** (1 / 7), table()[-1] ** (1 / 7)
    expected = [(high + step / (steps - 1) * (low - high)) ** 7 for step in range(steps)]
    assert_equal(SCHEDULES["karras"](SD, steps), [*expected, 0.0])


def test_exponential() -> None:
    expected = np.geomspace(table()[-1], table()[0], 10)
    assert_equal(SCHEDULES["exponential"](SD, 10), [*expected, 0.0])


def test_polyexponential_with_exponent_one_is_exponential() -> None:
    assert torch.allclose(
        schedules.polyexponential(10, 0.03, 14.6), schedules.exponential(10, 0.03, 14.6), rtol=1e-5
    )


def test_beta() -> None:
    quantiles = [scipy.stats.beta.ppf(1 - step / 20, 0.6, 0.6) for step in range(20)]
    picked = [table()[round(999 * quantile)] for quantile in quantiles]
    assert_equal(SCHEDULES["beta"](SD, 20), [*picked, 0.0])


def test_beta_leaves_out_repeats() -> None:
    sigmas = SCHEDULES["beta"](SD, 1500)
    assert len(sigmas) < 1501
    assert (sigmas.diff() < 0).all()


def test_linear_quadratic() -> None:
    sigmas = SCHEDULES["linear_quadratic"](SD, 10)
    shares = 1 - sigmas.double().numpy() / table()[-1]
    np.testing.assert_allclose(shares[:6], [0.005 * step for step in range(6)], atol=1e-6)
    second = np.diff(shares[5:], n=2)
    np.testing.assert_allclose(second, second[0], rtol=1e-4)
    assert float(sigmas[-1]) == pytest.approx(0.0, abs=1e-6)
    assert_equal(SCHEDULES["linear_quadratic"](SD, 1), [table()[-1], 0.0])


def test_kl_optimal() -> None:
    angles = np.linspace(math.atan(table()[-1]), math.atan(table()[0]), 12)
    assert_equal(SCHEDULES["kl_optimal"](SD, 12), [*np.tan(angles), 0.0])
    assert torch.isfinite(SCHEDULES["kl_optimal"](SD, 1)).all()


def test_vp() -> None:
    t = np.linspace(1, 1e-3, 8)
    assert_equal(schedules.vp(8), [*np.sqrt(np.exp(19.9 * t**2 / 2 + 0.1 * t) - 1), 0.0])


def test_laplace_is_symmetric_about_its_middle() -> None:
    sigmas = schedules.laplace(9, 0.03, 14.6)
    assert float(sigmas[4]) == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose((sigmas * sigmas.flip(0)).numpy(), 1.0, rtol=0.6)
    assert (sigmas.diff() <= 0).all()


def test_sd_turbo() -> None:
    assert_equal(schedules.sd_turbo(SD, 4), [*at(np.array([999.0, 899.0, 799.0, 699.0])), 0.0])
    assert_equal(schedules.sd_turbo(SD, 1, denoise=0.5), [*at(np.array([499.0])), 0.0])


def test_align_your_steps() -> None:
    sigmas = align_your_steps("SD1", 10)
    assert float(sigmas[1]) == pytest.approx(6.475)
    assert float(sigmas[-1]) == 0.0
    doubled = align_your_steps("SD1", 20)
    assert len(doubled) == 21
    assert float(doubled[1]) == pytest.approx(math.sqrt(14.615 * 6.475), rel=1e-5)
    assert len(align_your_steps("SDXL", 10, denoise=0.5)) == 6
    with pytest.raises(InputError, match="no table"):
        align_your_steps("SD9", 10)


def test_simple_on_a_flow_is_shifted_time() -> None:
    time = np.array([1 - step / 8 for step in range(9)])
    assert_equal(SCHEDULES["simple"](FLOW, 8), 3 * time / (1 + 2 * time))


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("model", [SD, FLOW, DiscreteDiffusion(zero_snr=True)])
@pytest.mark.parametrize("steps", [1, 2, 3, 25])
def test_every_schedule_falls_to_zero(
    name: str, model: DiscreteDiffusion | RectifiedFlow, steps: int
) -> None:
    sigmas = SCHEDULES[name](model, steps)
    assert torch.isfinite(sigmas).all()
    assert (sigmas.diff() < 0).all()
    assert float(sigmas[-1]) == pytest.approx(0.0, abs=1e-3)


def test_part_of_a_schedule_for_denoise_below_one() -> None:
    whole = SCHEDULES["karras"](SD, 40)
    assert torch.equal(scheduled_sigmas("karras", SD, 20, denoise=0.5), whole[-21:])
    assert torch.equal(scheduled_sigmas("normal", SD, 20, denoise=0.3), SCHEDULES["normal"](SD, 66)[-21:])
    assert len(scheduled_sigmas("karras", SD, 20, denoise=0.0)) == 0


def test_the_last_but_one_sigma_is_dropped_on_demand() -> None:
    whole = SCHEDULES["normal"](SD, 21)
    dropped = scheduled_sigmas("normal", SD, 20, drop_penultimate=True)
    assert torch.equal(dropped, torch.cat([whole[:-2], whole[-1:]]))
    assert len(dropped) == 21


def test_window_of_steps() -> None:
    sigmas = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])
    assert window(sigmas, start=1).tolist() == [4, 2, 1, 0]
    assert window(sigmas, end=2).tolist() == [8, 4, 2]
    assert window(sigmas, end=2, finish=True).tolist() == [8, 4, 0]
    assert window(sigmas, start=1, end=3).tolist() == [4, 2, 1]
    assert window(sigmas, start=9).tolist() == []
    assert window(sigmas, start=0, end=10000).tolist() == sigmas.tolist()
    assert sigmas.tolist() == [8, 4, 2, 1, 0]


def test_unknown_names_and_step_numbers_are_told() -> None:
    with pytest.raises(InputError, match="did you mean karras"):
        scheduled_sigmas("karas", SD, 20)
    with pytest.raises(InputError, match="at least 1 step"):
        scheduled_sigmas("karras", SD, 0)
