"""A whole run on a tiny Stable Diffusion network ends in the latents of diffusers' own pipeline."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
)
from diffusers.configuration_utils import FrozenDict
from torch import Tensor

from nodes.diffusion.guidance import Cfg
from nodes.diffusion.network import LatentFormat
from nodes.diffusion.noise import starting_noise
from nodes.diffusion.parameterization import DiscreteDiffusion, Prediction
from nodes.diffusion.precision import Precision
from nodes.diffusion.sampling import SamplingRequest, sample
from nodes.diffusion.unet_network import UNetNetwork
from nodes.values import Conditioning, ConditioningEntry, Guidance, Sampler
from tests.models import sd1_parts

SD: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
}
STEPS = 6
SCALE = 0.18215
SHAPE = (2, 4, 8, 8)


def network(prediction: Prediction = "epsilon") -> UNetNetwork:
    return UNetNetwork(
        copy.deepcopy(sd1_parts().unet),
        rule="text",
        parameterization=DiscreteDiffusion(prediction=prediction),
        latent_format=LatentFormat(channels=4, scale_factor=SCALE),
        precision=Precision(dtype=torch.float32),
    )


def pipeline(scheduler: Any, kind: Any = StableDiffusionPipeline) -> Any:
    made = kind(
        vae=sd1_parts().vae,
        text_encoder=None,
        tokenizer=None,
        unet=sd1_parts().unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def texts(tokens: int = 7) -> tuple[Tensor, Tensor]:
    width = sd1_parts().unet.config.cross_attention_dim
    stream = torch.Generator().manual_seed(1)
    return (
        torch.randn((1, tokens, width), generator=stream),
        torch.randn((1, tokens, width), generator=stream),
    )


def ours(sigmas: Tensor, sampler: str, guidance: Guidance, **changes: Any) -> Tensor:
    positive, negative = (Conditioning((ConditioningEntry(embeddings=embeddings),)) for embeddings in texts())
    fields: dict[str, Any] = {
        "network": network(),
        "latent": torch.zeros(SHAPE),
        "sigmas": sigmas.cpu(),
        "sampler": Sampler(name=sampler),
        "guidance": guidance,
        "positive": positive,
        "negative": negative,
        "seed": 5,
    }
    return sample(SamplingRequest(**(fields | changes))) * SCALE


def theirs(made: Any, **arguments: Any) -> Tensor:
    positive, negative = texts()
    result: Tensor = made(
        prompt_embeds=positive.repeat(2, 1, 1),
        negative_prompt_embeds=negative.repeat(2, 1, 1),
        num_inference_steps=STEPS,
        output_type="latent",
        height=64,
        width=64,
        **arguments,
    ).images
    return result


def assert_alike(one: Tensor, other: Tensor) -> None:
    assert float((one - other).norm() / other.norm()) < 1e-4


@pytest.mark.parametrize("scale", [1.0, 7.5])
@pytest.mark.parametrize(
    ("sampler", "scheduler"), [("euler", EulerDiscreteScheduler), ("heun", HeunDiscreteScheduler)]
)
def test_schedulers_in_sigmas(sampler: str, scheduler: Any, scale: float) -> None:
    """Their noise is scaled for the model's largest sigma, ours for the first of the schedule, which is lower here."""
    made = scheduler(**SD, timestep_spacing="leading")
    made.set_timesteps(STEPS)
    sigmas = torch.cat([made.sigmas[:1], made.sigmas[1::2]]) if sampler == "heun" else made.sigmas
    noise = starting_noise(SHAPE, 5)
    scaled = noise * made.init_noise_sigma / sigmas[0]
    expected = theirs(pipeline(made), latents=noise, guidance_scale=scale)
    assert_alike(ours(sigmas, sampler, Cfg(scale=scale), noise=scaled), expected)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ddim_for_each_prediction(prediction: Prediction) -> None:
    made = DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=True, prediction_type=prediction)
    made.set_timesteps(STEPS)
    signal = made.alphas_cumprod[made.timesteps]
    sigmas = torch.cat([((1 - signal) / signal).sqrt(), torch.zeros(1)])
    noise = starting_noise(SHAPE, 5)
    expected = theirs(pipeline(made), latents=noise, guidance_scale=4.0)
    given = noise * (1 + sigmas[0] ** 2) ** 0.5 / sigmas[0]
    found = ours(sigmas, "ddim", Cfg(scale=4.0), noise=given, network=network(prediction))
    assert_alike(found, expected)


def test_picture_to_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a latent with noise of a lower sigma, over the last half of the steps."""
    unet = sd1_parts().unet
    monkeypatch.setattr(unet, "_internal_dict", FrozenDict({**unet.config, "sample_size": 64}))
    made = EulerDiscreteScheduler(**SD, timestep_spacing="leading")
    made.set_timesteps(STEPS)
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(9))
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(10))
    positive, negative = texts()
    expected = pipeline(made, StableDiffusionImg2ImgPipeline)(
        image=picture * SCALE,
        strength=0.5,
        prompt_embeds=positive.repeat(2, 1, 1),
        negative_prompt_embeds=negative.repeat(2, 1, 1),
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(10),
        guidance_scale=4.0,
        output_type="latent",
    ).images
    sigmas = made.sigmas[-4:]
    assert_alike(ours(sigmas, "euler", Cfg(scale=4.0), latent=picture, noise=noise), expected)
