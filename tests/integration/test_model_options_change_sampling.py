"""What a model predicts and how it is guided can be told by nodes: the same as if its file or a guider said so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from graphcore import Context, InputError, detached_context
from nodes.conditioning.text import clip_encode
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.guidance import Cfg, Perturbed, RescaledCfg
from nodes.diffusion.ksampling import parameterization_of
from nodes.diffusion.latents import empty_latent
from nodes.diffusion.parameterization import DiscreteDiffusion, LatentConsistency
from nodes.guidance.model_sampling import (
    model_sampling_discrete,
    model_sampling_sd3,
    perturbed_attention_guidance,
    rescale_cfg,
)
from nodes.models.loaders import LoadedCheckpoint, load_checkpoint
from nodes.sampling.ksamplers import k_sampler, k_sampler_select, random_noise, sampler_custom_advanced
from nodes.sampling.schedules import basic_scheduler
from nodes.values import Conditioning, Guidance, Guider, Model, RescaleOption
from tests.models import TinyModels

Run = Callable[..., torch.Tensor]


@pytest.fixture(scope="module")
def ctx(tiny_models: TinyModels) -> Context:
    return detached_context(models_dirs=(tiny_models.folder,), device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def loaded(ctx: Context, tiny_models: TinyModels) -> LoadedCheckpoint:
    return load_checkpoint(ctx, tiny_models.sd1().name)


@pytest.fixture(scope="module")
def texts(ctx: Context, loaded: LoadedCheckpoint) -> tuple[Conditioning, Conditioning]:
    return clip_encode(ctx, "a red cat", loaded.clip), clip_encode(ctx, "a dog", loaded.clip)


@pytest.fixture
def sampled(ctx: Context, texts: tuple[Conditioning, Conditioning]) -> Run:
    def run(model: Model, **changes: Any) -> torch.Tensor:
        inputs: dict[str, Any] = {
            "seed": 3,
            "steps": 3,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "normal",
        }
        positive, negative = texts
        return k_sampler(
            ctx,
            model=model,
            positive=positive,
            negative=negative,
            latent_image=empty_latent(32, 32, 2),
            **{**inputs, **changes},
        ).samples

    return run


@pytest.fixture
def guided(ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]) -> Run:
    def run(guidance: Guidance) -> torch.Tensor:
        guider = Guider(model=loaded.model, conditionings=texts, guidance=guidance)
        sigmas = basic_scheduler(ctx, model=loaded.model, scheduler="normal", steps=3)
        sampler, latent = k_sampler_select("euler"), empty_latent(32, 32, 2)
        return sampler_custom_advanced(ctx, random_noise(3), guider, sampler, sigmas, latent).output.samples

    return run


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize(
    ("sampling", "said"), [("v_prediction", "v_prediction"), ("x0", "sample"), ("eps", "epsilon")]
)
def test_as_if_the_file_said_so(
    ctx: Context,
    loaded: LoadedCheckpoint,
    tiny_models: TinyModels,
    sampled: Run,
    sampling: Any,
    said: str,
    zero_snr: bool,
) -> None:
    scheduler = {"prediction_type": said, "rescale_betas_zero_snr": zero_snr}
    file = tiny_models.sd1(metadata={"graphcore.config": {"scheduler": scheduler}})
    told = model_sampling_discrete(ctx, loaded.model, sampling, zero_snr)
    assert torch.equal(sampled(told), sampled(load_checkpoint(ctx, file.name).model))


def test_consistency_models(ctx: Context, loaded: LoadedCheckpoint, sampled: Run) -> None:
    told = model_sampling_discrete(ctx, loaded.model, "lcm")
    assert isinstance(parameterization_of(ctx, told), LatentConsistency)
    assert sampled(told, sampler_name="lcm", scheduler="sgm_uniform", cfg=1.0).isfinite().all()
    back = model_sampling_discrete(ctx, told, "eps")
    assert isinstance(parameterization_of(ctx, back), DiscreteDiffusion)
    assert torch.equal(sampled(back), sampled(loaded.model))


def test_schedules_follow(ctx: Context, loaded: LoadedCheckpoint) -> None:
    told = model_sampling_discrete(ctx, loaded.model, "v_prediction", True)
    sigmas = basic_scheduler(ctx, model=told, scheduler="normal", steps=4).values
    assert float(sigmas[0]) > 4000, "without any signal the first sigma is far above 14.6"


def test_contrast_is_brought_back(loaded: LoadedCheckpoint, sampled: Run, guided: Run) -> None:
    model = rescale_cfg(loaded.model, 0.6)
    assert torch.equal(sampled(model), guided(RescaledCfg(scale=4.0, multiplier=0.6)))
    assert not torch.allclose(sampled(model), sampled(loaded.model))


def test_away_from_perturbed_attention(loaded: LoadedCheckpoint, sampled: Run, guided: Run) -> None:
    model = perturbed_attention_guidance(loaded.model, 2.0)
    assert torch.equal(sampled(model), guided(Perturbed(base=Cfg(scale=4.0), scale=2.0)))
    assert not torch.allclose(sampled(model), sampled(loaded.model))
    assert torch.equal(sampled(perturbed_attention_guidance(loaded.model, 0.0)), sampled(loaded.model))


def test_both_in_either_order_and_the_later_of_a_kind(
    loaded: LoadedCheckpoint, sampled: Run, guided: Run
) -> None:
    one = rescale_cfg(perturbed_attention_guidance(loaded.model, 2.0), 0.6)
    other = perturbed_attention_guidance(rescale_cfg(loaded.model, 0.6), 2.0)
    assert torch.equal(sampled(one), sampled(other))
    assert rescale_cfg(rescale_cfg(loaded.model, 0.1), 0.6).options == (RescaleOption(multiplier=0.6),)


def test_the_time_of_a_flow_is_moved(ctx: Context, tiny_models: TinyModels) -> None:
    flow = load_checkpoint(ctx, tiny_models.sd3().name)

    def first(model: Model) -> list[float]:
        sigmas: list[float] = basic_scheduler(ctx, model=model, scheduler="simple", steps=4).values.tolist()
        return sigmas

    assert first(model_sampling_sd3(ctx, flow.model)) == first(flow.model)
    moved = first(model_sampling_sd3(ctx, flow.model, 6.0))
    assert moved[2] > first(flow.model)[2]
    assert moved[2] == pytest.approx(6 * 0.5 / (1 + 5 * 0.5))


def test_what_does_not_fit_is_told(ctx: Context, loaded: LoadedCheckpoint, tiny_models: TinyModels) -> None:
    flow = load_checkpoint(ctx, tiny_models.sd3().name)
    with pytest.raises(InputError, match="discrete timesteps"):
        model_sampling_discrete(ctx, flow.model, "eps")
    with pytest.raises(InputError, match="rectified flows"):
        model_sampling_sd3(ctx, loaded.model)
    with pytest.raises(InputError, match="above 0"):
        model_sampling_sd3(ctx, flow.model, 0.0)
    with pytest.raises(InputError, match="img_to_img"):
        model_sampling_discrete(ctx, loaded.model, "img_to_img")


def test_options_survive_the_store(ctx: Context, loaded: LoadedCheckpoint) -> None:
    model = rescale_cfg(model_sampling_discrete(ctx, loaded.model, "v_prediction", True))
    codec = ValueCodec()
    assert codec.accepts(model)
    assert codec.decode(codec.encode(model)) == model
