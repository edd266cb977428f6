"""A whole run: what it starts from, what a mask keeps, what progress and cancellation see, what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore.errors import Cancelled, InputError
from nodes.diffusion.guidance import Cfg, Unguided
from nodes.diffusion.network import LatentFormat
from nodes.diffusion.noise import starting_noise
from nodes.diffusion.parameterization import DiscreteDiffusion, RectifiedFlow
from nodes.diffusion.preview import LatentPreview
from nodes.diffusion.samplers.registry import SAMPLERS
from nodes.diffusion.sampling import SamplingRequest, sample, sample_with_denoised
from nodes.diffusion.schedules import scheduled_sigmas, window
from nodes.values import Sampler
from tests.unit.sampling.toys import MeanNetwork, randn, text

SHAPE = (2, 4, 8, 8)


def request(network: MeanNetwork | None = None, **changes: Any) -> SamplingRequest:
    network = network or MeanNetwork(leak=0.1)
    fields: dict[str, Any] = {
        "network": network,
        "latent": torch.zeros(SHAPE),
        "sigmas": scheduled_sigmas("karras", network.parameterization, 5),
        "sampler": Sampler(name="euler"),
        "guidance": Cfg(scale=2.0),
        "positive": text(0.5),
        "negative": text(0.2),
        "seed": 11,
    }
    return SamplingRequest(**(fields | changes))


def linear_network(**options: Any) -> MeanNetwork:
    return MeanNetwork(leak=0.1, **options)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_runs_and_repeats(name: str) -> None:
    first = sample(request(sampler=Sampler(name=name)))
    assert first.shape == SHAPE
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, sample(request(sampler=Sampler(name=name))))


def test_another_seed_is_another_picture() -> None:
    assert not torch.allclose(sample(request(seed=1)), sample(request(seed=2)))


def test_euler_by_hand() -> None:
    """x falls towards (level + leak * x / sqrt(1 + sigma^2)) as Euler's formula has it."""
    asked = request()
    sigmas = asked.sigmas
    x = starting_noise(SHAPE, 11) * (1 + sigmas[0] ** 2) ** 0.5
    level = 0.2 + 2 * (0.5 - 0.2)
    for sigma, sigma_next in pairwise(sigmas):
        denoised = level + 0.1 * x / (1 + sigma**2) ** 0.5
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    assert torch.allclose(sample(asked), x, rtol=1e-5, atol=1e-6)


def test_only_a_run_from_the_top_gets_the_variance_of_full_noise() -> None:
    seen: list[Tensor] = []

    class Watched(MeanNetwork):
        def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            seen.append(x)
            return super().__call__(x, *args, **kwargs)

    latent = randn(*SHAPE, dtype=torch.float32)
    sigmas = scheduled_sigmas("karras", DiscreteDiffusion(), 5)
    noise = starting_noise(SHAPE, 11)
    for part in (sigmas, sigmas[2:]):
        seen.clear()
        sample(request(Watched(), latent=latent, sigmas=part, guidance=Unguided()))
        level = (1 + part[0] ** 2) ** 0.5 if part is sigmas else part[0]
        assert torch.allclose(seen[0], (latent + level * noise) / (1 + part[0] ** 2) ** 0.5, atol=1e-5)


def test_latents_are_scaled_for_the_network_and_back() -> None:
    scaled = LatentFormat(channels=4, scale_factor=0.5, shift_factor=2.0)
    latent = randn(*SHAPE, dtype=torch.float32)
    plain = sample(request(latent=(latent - 2.0) * 0.5, sigmas=torch.tensor([0.7, 0.2])))
    converted = sample(
        request(linear_network(latent_format=scaled), latent=latent, sigmas=torch.tensor([0.7, 0.2]))
    )
    assert torch.allclose(converted, plain / 0.5 + 2.0, atol=1e-5)


def test_an_empty_latent_is_not_shifted() -> None:
    shifted = LatentFormat(channels=4, scale_factor=1.0, shift_factor=3.0)
    plain = sample(request())
    assert torch.allclose(sample(request(linear_network(latent_format=shifted))), plain + 3.0, atol=1e-5)


def test_an_empty_latent_takes_the_channels_of_the_network() -> None:
    sixteen = LatentFormat(channels=16, scale_factor=1.0)
    assert sample(request(linear_network(latent_format=sixteen))).shape == (2, 16, 8, 8)
    with pytest.raises(InputError, match="4 channels and the model wants 16"):
        sample(request(linear_network(latent_format=sixteen), latent=torch.ones(SHAPE)))


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m", "dpmpp_2m_sde", "uni_pc", "ddim"])
def test_a_noise_mask_keeps_the_latent(name: str) -> None:
    latent = randn(*SHAPE, dtype=torch.float32)
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1.0
    result = sample(request(latent=latent, noise_mask=mask, sampler=Sampler(name=name)))
    assert torch.allclose(result[..., :3], latent[..., :3], atol=5e-3 if name == "uni_pc" else 1e-5)
    assert not torch.allclose(result[..., 5:], latent[..., 5:], atol=0.1)


def test_the_network_sees_the_kept_part_with_the_noise_of_its_sigma() -> None:
    seen: list[Tensor] = []

    class Watched(MeanNetwork):
        def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            seen.append(x)
            return super().__call__(x, *args, **kwargs)

    latent = randn(*SHAPE, dtype=torch.float32)
    asked = request(Watched(), latent=latent, noise_mask=torch.zeros(8, 8), guidance=Unguided())
    assert torch.allclose(sample(asked), latent, atol=1e-6)
    noise = starting_noise(SHAPE, 11)
    for x, sigma in zip(seen, asked.sigmas, strict=False):
        assert torch.allclose(x, (latent + sigma * noise) / (1 + sigma**2) ** 0.5, atol=1e-5)


def test_two_halves_of_a_schedule_make_the_whole() -> None:
    whole = request()
    first = request(sigmas=window(whole.sigmas, end=2))
    rest = request(latent=sample(first), sigmas=window(whole.sigmas, start=2), add_noise=False)
    assert torch.allclose(sample(rest), sample(whole), atol=1e-5)


def test_two_halves_of_a_flow_make_the_whole() -> None:
    def flowing() -> MeanNetwork:
        return linear_network(parameterization=RectifiedFlow())

    sigmas = scheduled_sigmas("simple", RectifiedFlow(), 6)
    whole = sample(request(flowing(), sigmas=sigmas))
    first = sample(request(flowing(), sigmas=window(sigmas, end=3)))
    rest = request(flowing(), latent=first, sigmas=window(sigmas, start=3), add_noise=False)
    assert torch.allclose(sample(rest), whole, atol=1e-5)


def test_batch_index_gives_samples_the_noise_of_their_place() -> None:
    whole = sample(request(latent=torch.zeros(4, 4, 8, 8)))
    part = sample(request(batch_index=(3, 1)))
    assert torch.allclose(part, whole[[3, 1]], atol=1e-5)


def test_no_steps_change_nothing() -> None:
    latent = randn(*SHAPE, dtype=torch.float32)
    assert torch.equal(sample(request(latent=latent, sigmas=torch.zeros(0))), latent)
    assert torch.equal(sample(request(latent=latent, sigmas=torch.tensor([3.0]))), latent)


def test_the_denoised_latent_comes_along() -> None:
    early = sample_with_denoised(request(sigmas=torch.tensor([14.0, 9.0, 5.0])))
    assert not torch.allclose(early.samples, early.denoised)
    full = sample_with_denoised(request())
    assert torch.allclose(full.samples, full.denoised, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if not name.startswith("dpm_")])
def test_progress_is_told_once_a_step(name: str) -> None:
    told: list[tuple[int, int]] = []
    sample(
        request(sampler=Sampler(name=name), progress=lambda done, total, preview: told.append((done, total)))
    )
    assert told == [(step, 5) for step in range(1, 6)]


@pytest.mark.parametrize("name", ["dpm_2", "dpm_2_ancestral", "dpm_fast", "dpm_adaptive"])
def test_progress_rises_to_the_end_whatever_the_steps(name: str) -> None:
    told: list[int] = []
    sample(request(sampler=Sampler(name=name), progress=lambda done, total, preview: told.append(done)))
    assert told == sorted(set(told))
    assert told[-1] == 5


def test_previews_are_pictures_of_the_denoised_latent() -> None:
    previews: list[LatentPreview] = []
    sample(request(progress=lambda done, total, preview: previews.append(preview)))
    pixels = previews[-1].pixels()
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == torch.uint8


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_adaptive", "seeds_3"])
def test_cancellation_is_seen_before_the_next_forward_pass(name: str) -> None:
    network = linear_network()
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks > 3:
            raise Cancelled("a test")

    with pytest.raises(Cancelled):
        sample(request(network, sampler=Sampler(name=name), check_cancelled=check))
    assert len(network.calls) == 3


def test_progress_may_cancel() -> None:
    network = linear_network()

    def stop(done: int, total: int, preview: LatentPreview) -> None:
        raise Cancelled("a test")

    with pytest.raises(Cancelled):
        sample(request(network, progress=stop))
    assert len(network.calls) == 1


def test_options_reach_the_sampler() -> None:
    plain = sample(request(sampler=Sampler(name="euler")))
    still = sample(request(sampler=Sampler(name="euler_ancestral", options=(("eta", 0.0),))))
    assert torch.allclose(plain, still, atol=1e-5)


def test_what_cannot_run_is_told() -> None:
    with pytest.raises(InputError, match="did you mean euler"):
        sample(request(sampler=Sampler(name="eular")))
    with pytest.raises(InputError, match="no option etta"):
        sample(request(sampler=Sampler(name="euler_ancestral", options=(("etta", 1.0),))))
    with pytest.raises(InputError, match="never rise"):
        sample(request(sigmas=torch.tensor([1.0, 2.0, 0.0])))
    with pytest.raises(InputError, match="may be 0"):
        sample(request(sigmas=torch.tensor([1.0, 0.0, 0.0])))
    with pytest.raises(InputError, match="finite"):
        sample(request(sigmas=torch.tensor([float("nan"), 0.0])))
    with pytest.raises(InputError, match="make them equal"):
        sample(request(noise=torch.zeros(1, 4, 8, 8)))
    with pytest.raises(InputError, match="batch indices"):
        sample(request(batch_index=(1,)))
    with pytest.raises(InputError, match="four dimensions"):
        sample(request(latent=torch.zeros(4, 8, 8)))
