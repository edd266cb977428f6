"""Every sampler takes the same way on a CUDA device as on the CPU, since its noise is drawn on the CPU."""

from __future__ import annotations

import pytest
import torch

from nodes.diffusion.guidance import Cfg
from nodes.diffusion.samplers.registry import SAMPLERS
from nodes.diffusion.sampling import SamplingRequest, sample
from nodes.diffusion.schedules import scheduled_sigmas
from nodes.values import Sampler
from tests.unit.sampling.toys import MeanNetwork, text


@pytest.mark.gpu
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_the_device_does_not_matter(name: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        network = MeanNetwork(leak=0.1, device=torch.device(device))
        found.append(
            sample(
                SamplingRequest(
                    network=network,
                    latent=torch.zeros(2, 4, 8, 8),
                    sigmas=scheduled_sigmas("karras", network.parameterization, 6),
                    sampler=Sampler(name=name),
                    guidance=Cfg(scale=3.0),
                    positive=text(0.4),
                    negative=text(0.1),
                    noise_mask=torch.ones(1, 8, 8),
                    seed=3,
                )
            )
        )
    assert torch.allclose(found[0], found[1], atol=1e-4)
