"""Consistency sampling that enlarges the latent: its steps by hand, and what does not go with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.guidance import Unguided
from nodes.diffusion.noise import generator
from nodes.diffusion.resizing import resize
from nodes.diffusion.sampling import SamplingRequest, sample
from nodes.sampling.samplers import sampler_lcm_upscale
from nodes.values import Area, Conditioning
from tests.unit.sampling.toys import MeanNetwork, text

SIGMAS = torch.tensor([14.6, 7.0, 3.0, 1.0, 0.0])


def run(ratio: float, steps: int, positive: Conditioning | None = None, **more: Any) -> Tensor:
    sampler = sampler_lcm_upscale(ratio, steps, upscale_method="bilinear")
    fields: dict[str, Any] = {
        "network": MeanNetwork(leak=0.5),
        "latent": torch.zeros(2, 4, 6, 8),
        "sigmas": SIGMAS,
        "sampler": sampler,
        "guidance": Unguided(),
        "positive": positive or text(1.0),
        "seed": 3,
        **more,
    }
    return sample(SamplingRequest(**fields))


def by_hand(sizes: list[tuple[int, int] | None]) -> Tensor:
    start = torch.randn(2, 4, 6, 8, generator=generator(3))
    x, stream = start * (1 + SIGMAS[0] ** 2) ** 0.5, generator(4)
    for sigma, sigma_next, size in zip(SIGMAS[:-1], SIGMAS[1:], sizes, strict=True):
        scaled = x / (sigma**2 + 1) ** 0.5
        x = 1.0 + 0.5 * scaled
        if size is not None:
            x = resize(x, *size, "bilinear")
        if sigma_next > 0:
            x = x + sigma_next * torch.randn(x.shape, generator=stream)
    return x


@pytest.mark.parametrize(
    ("ratio", "steps", "sizes"),
    [
        (2.0, 2, [(12, 9), (16, 12), None, None]),
        (2.0, -1, [(12, 9), (16, 12), None, None]),
        (1.5, 1, [(12, 9), None, None, None]),
        (2.0, 0, [None] * 4),
        (1.0, -1, [None] * 4),
        (2.0, 100, [(10, 7), (11, 8), (13, 10), (14, 11)]),
    ],
)
def test_the_steps(ratio: float, steps: int, sizes: list[tuple[int, int] | None]) -> None:
    found = run(ratio, steps)
    expected = by_hand(sizes)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_what_was_made_for_one_size_is_refused() -> None:
    area = Area(x=0, y=0, width=4, height=4)
    for more in (
        {"positive": text(1.0, area=area)},
        {"positive": text(1.0, mask=torch.ones(1, 6, 8))},
        {"noise_mask": torch.ones(1, 6, 8)},
    ):
        with pytest.raises(InputError, match="changes the latent's size"):
            run(2.0, 2, **more)
    assert run(1.0, 2, text(1.0, area=area)).shape == (2, 4, 6, 8)
