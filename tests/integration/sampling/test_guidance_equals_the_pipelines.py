"""Self-attention and skip-layer guidance end in the latents of diffusers' pipelines that have them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusion3Pipeline,
    StableDiffusionSAGPipeline,
)
from diffusers.configuration_utils import FrozenDict
from torch import Tensor

from graphcore import Context, InputError, detached_context
from nodes.conditioning.text import clip_encode
from nodes.diffusion.noise import starting_noise
from nodes.guidance.model_guidance import (
    differential_diffusion,
    self_attention_guidance,
    skip_layer_guidance,
    skip_layer_guidance_sd3,
    skip_layer_guidance_simple,
)
from nodes.models.loaders import LoadedCheckpoint, load_checkpoint
from nodes.sampling.ksamplers import (
    cfg_guider,
    disable_noise,
    k_sampler_select,
    random_noise,
    sampler_custom_advanced,
)
from nodes.values import Conditioning, Latent, Model, Sigmas
from tests import models
from tests.models import TinyModels

STEPS = 5
SCALE = 0.18215
BETAS: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": True,
}


@pytest.fixture(scope="module")
def ctx(tiny_models: TinyModels) -> Context:
    return detached_context(models_dirs=(tiny_models.folder,), device="cpu", dtype="fp32")


def texts(ctx: Context, loaded: LoadedCheckpoint) -> tuple[Conditioning, Conditioning]:
    return clip_encode(ctx, "a red cat", loaded.clip), clip_encode(ctx, "a dog", loaded.clip)


def sampled(
    ctx: Context,
    loaded: LoadedCheckpoint,
    model: Model,
    latent: Tensor,
    sigmas: Tensor,
    sampler: str,
    cfg: float,
) -> Tensor:
    guider = cfg_guider(model, *texts(ctx, loaded), cfg)
    drawn = disable_noise() if latent.any() else random_noise(5)
    done = sampler_custom_advanced(
        ctx, drawn, guider, k_sampler_select(sampler), Sigmas(sigmas), Latent(latent)
    )
    return done.output.samples


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def assert_alike(one: Tensor, other: Tensor) -> None:
    assert float((one - other).norm() / other.norm()) < 1e-4


@pytest.mark.parametrize(("scale", "cfg"), [(0.75, 5.0), (1.0, 3.0)])
def test_self_attention_guidance(
    ctx: Context, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch, scale: float, cfg: float
) -> None:
    unet = models.sd1_parts().unet
    monkeypatch.setattr(unet, "_internal_dict", FrozenDict({**unet.config, "sample_size": 64}))
    made = DDIMScheduler(**BETAS)
    pipeline = StableDiffusionSAGPipeline(
        vae=models.sd1_parts().vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=made,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    loaded = load_checkpoint(ctx, tiny_models.sd1().name)
    positive, negative = texts(ctx, loaded)
    start = noise(1, 4, 16, 16)
    processors = unet.attn_processors
    expected = pipeline(
        prompt_embeds=positive.entries[0].embeddings,
        negative_prompt_embeds=negative.entries[0].embeddings,
        latents=start,
        height=128,
        width=128,
        guidance_scale=cfg,
        sag_scale=scale,
        num_inference_steps=STEPS,
        output_type="latent",
    ).images
    unet.set_attn_processor(processors)
    made.set_timesteps(STEPS)
    signal = made.alphas_cumprod[made.timesteps]
    sigmas = torch.cat([((1 - signal) / signal).sqrt(), torch.zeros(1)])
    guided = self_attention_guidance(loaded.model, scale, 1.0)
    begin = start * (1 + sigmas[0] ** 2) ** 0.5 / SCALE
    found = sampled(ctx, loaded, guided, begin, sigmas, "ddim", cfg) * SCALE
    assert_alike(found, expected)


def test_skip_layer_guidance(ctx: Context, tiny_models: TinyModels) -> None:
    """Theirs counts steps; over all of them, and over none, it is the same."""
    loaded = load_checkpoint(ctx, tiny_models.sd3().name)
    parts = models.sd3_parts()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipeline = StableDiffusion3Pipeline(
        transformer=parts.unet,
        scheduler=scheduler,
        vae=parts.vae,
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    positive, negative = (side.entries[0] for side in texts(ctx, loaded))
    start = starting_noise((1, 16, 8, 8), 5)
    expected = pipeline(
        prompt_embeds=positive.embeddings,
        negative_prompt_embeds=negative.embeddings,
        pooled_prompt_embeds=positive.pooled,
        negative_pooled_prompt_embeds=negative.pooled,
        latents=start,
        height=64,
        width=64,
        guidance_scale=4.0,
        num_inference_steps=STEPS,
        skip_guidance_layers=[1],
        skip_layer_guidance_scale=2.5,
        skip_layer_guidance_start=-1.0,
        skip_layer_guidance_stop=2.0,
        output_type="latent",
    ).images
    sigmas = scheduler.sigmas
    model = skip_layer_guidance_sd3(loaded.model, "1", 2.5, 0.0, 1.0)
    config = parts.vae.config
    begin = torch.zeros_like(start)
    found = sampled(ctx, loaded, model, begin, sigmas, "euler", 4.0)
    assert_alike((found - config.shift_factor) * config.scaling_factor, expected)
    plain = sampled(ctx, loaded, loaded.model, begin, sigmas, "euler", 4.0)
    late = skip_layer_guidance_sd3(loaded.model, "1", 2.5, 1.0, 1.0)
    assert torch.equal(sampled(ctx, loaded, late, begin, sigmas, "euler", 4.0), plain)
    for other in (
        skip_layer_guidance(loaded.model, "1", "", 2.5, 0.0, 1.0, 0.7),
        skip_layer_guidance_simple(loaded.model, "1", ""),
    ):
        assert not torch.allclose(sampled(ctx, loaded, other, begin, sigmas, "euler", 4.0), plain, atol=1e-3)


@pytest.mark.parametrize(("layers", "message"), [("7, x", "no list of layers"), ("99", "layers 0 to 2")])
def test_layers_that_are_none(ctx: Context, tiny_models: TinyModels, layers: str, message: str) -> None:
    loaded = load_checkpoint(ctx, tiny_models.sd3().name)

    def run() -> None:
        model = skip_layer_guidance_sd3(loaded.model, layers, 2.5, 0.0, 1.0)
        sampled(ctx, loaded, model, noise(1, 16, 8, 8), torch.tensor([1.0, 0.5, 0.0]), "euler", 4.0)

    with pytest.raises(InputError, match=message):
        run()
    assert skip_layer_guidance_sd3(loaded.model, " , ", 2.5, 0.0, 1.0) == loaded.model


def test_a_unet_has_no_layers_to_skip(ctx: Context, tiny_models: TinyModels) -> None:
    loaded = load_checkpoint(ctx, tiny_models.sd1().name)
    model = skip_layer_guidance_sd3(loaded.model, "1", 2.5, 0.0, 1.0)
    with pytest.raises(InputError, match="no perturbation 'skip:1'"):
        sampled(ctx, loaded, model, noise(1, 4, 8, 8), torch.tensor([3.0, 1.0, 0.0]), "euler", 4.0)


def test_grey_places_begin_to_change_later(ctx: Context, tiny_models: TinyModels) -> None:
    """Differential diffusion: what the mask holds at m changes in the last share m of the run only."""
    loaded = load_checkpoint(ctx, tiny_models.sd1().name)
    model = differential_diffusion(loaded.model, 1.0)
    mask = torch.linspace(0, 1, 8).expand(1, 8, 8).contiguous()
    picture = noise(1, 4, 8, 8)
    sigmas = torch.tensor([10.0, 6.0, 3.0, 1.0, 0.3, 0.0])
    guider = cfg_guider(model, *texts(ctx, loaded), 4.0)
    done = sampler_custom_advanced(
        ctx,
        disable_noise(),
        guider,
        k_sampler_select("euler"),
        Sigmas(sigmas),
        Latent(picture, noise_mask=mask),
    ).output.samples
    changed = (done - picture).abs().mean(dim=(0, 1, 2))
    assert changed[0] < 1e-4
    assert changed[-1] > 0.1
    assert changed[-3:].mean() > changed[1:4].mean()
