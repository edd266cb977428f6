"""One seed gives one noise: on every run, for every batch, whatever the global generator does."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from nodes.diffusion.noise import SeededNoise, starting_noise
from nodes.diffusion.samplers.registry import SAMPLERS
from tests.unit.sampling.toys import Mixture, karras_sigmas, randn, walk

SHAPE = (4, 4, 8, 8)


@pytest.mark.parametrize("seed", [0, 42, 2**63, 2**64 - 1])
def test_starting_noise_is_torch_randn_of_the_seed(seed: int) -> None:
    state = torch.get_rng_state()
    noise = starting_noise(SHAPE, seed)
    assert torch.equal(noise, torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(seed)))
    assert noise.dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), state)


def test_batch_index_picks_samples_of_a_larger_batch() -> None:
    whole = starting_noise(SHAPE, 7)
    assert torch.equal(starting_noise((2, 4, 8, 8), 7, batch_index=(3, 1)), whole[[3, 1]])
    assert torch.equal(starting_noise((3, 4, 8, 8), 7, batch_index=(2, 2, 0)), whole[[2, 2, 0]])


def test_ancestral_noise_is_the_stream_of_the_next_seed() -> None:
    like = torch.zeros(SHAPE)
    draw = SeededNoise(seed=2**64 - 1, like=like).gaussian()
    stream = torch.Generator("cpu").manual_seed(0)
    one = torch.tensor(1.0)
    assert torch.equal(draw(one, one), torch.randn(SHAPE, generator=stream))
    assert torch.equal(draw(one, one), torch.randn(SHAPE, generator=stream))


def test_brownian_noise_is_one_path_for_any_steps() -> None:
    """The increment over a long step is the sum of the increments over its parts."""
    sigmas = torch.tensor([10.0, 6.0, 3.0, 0.5, 0.0])
    source = SeededNoise(seed=5, like=torch.zeros(2, 3))
    draw, again = source.brownian(sigmas), source.brownian(sigmas)
    parts = sum(again(high, low) * (high - low) ** 0.5 for high, low in pairwise(sigmas[:4]))
    assert torch.allclose(draw(sigmas[0], sigmas[3]) * 9.5**0.5, torch.as_tensor(parts), atol=1e-4)


def test_brownian_noise_has_unit_variance_and_its_own_seed() -> None:
    sigmas = torch.tensor([10.0, 6.0, 3.0, 0.5, 0.0])
    draw = SeededNoise(seed=5, like=torch.zeros(20000)).brownian(sigmas)
    other = SeededNoise(seed=6, like=torch.zeros(20000)).brownian(sigmas)
    first, second = draw(sigmas[1], sigmas[2]), draw(sigmas[0], sigmas[1])
    assert float(first.std()) == pytest.approx(1.0, abs=0.02)
    assert abs(float((first * second).mean())) < 0.03
    assert abs(float((first * other(sigmas[1], sigmas[2])).mean())) < 0.03


def test_brownian_noise_equals_that_of_the_torchsde_tree() -> None:
    import torchsde

    high, low = torch.tensor(8.0), torch.tensor(0.5)
    tree = torchsde.BrownianTree(low, torch.zeros(3, 4), high, entropy=123)
    expected = -tree(torch.tensor(2.0), torch.tensor(4.0)) / 2.0**0.5
    draw = SeededNoise(seed=123, like=torch.zeros(3, 4)).brownian(torch.tensor([8.0, 4.0, 2.0, 0.5, 0.0]))
    assert torch.equal(draw(torch.tensor(4.0), torch.tensor(2.0)), expected)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_samplers_repeat_themselves_and_leave_the_global_generator_alone(name: str) -> None:
    sigmas = karras_sigmas(6)
    x = randn(2, 16, seed=1) * sigmas[0]
    state = torch.get_rng_state()
    first = walk(name, Mixture(), x, sigmas, noise=SeededNoise(seed=9, like=x)).end
    second = walk(name, Mixture(), x, sigmas, noise=SeededNoise(seed=9, like=x)).end
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
