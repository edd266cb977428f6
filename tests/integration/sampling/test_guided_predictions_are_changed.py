"""RenormCFG, temporal score rescaling and the old Perp-Neg node do what their papers say, with values known exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore import Context, detached_context
from nodes.conditioning.text import clip_encode
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.guidance import NEGATIVE, POSITIVE, Cfg, PerpNeg, Predictions, Unguided, started
from nodes.diffusion.guidance_formulas import LengthLimitedCfg
from nodes.diffusion.guidance_wrappers import ScoreRescaled
from nodes.diffusion.latents import empty_latent
from nodes.diffusion.model_options import reguided
from nodes.guidance.prediction_guidance import perp_neg, renorm_cfg, temporal_score_rescaling
from nodes.models.loaders import load_checkpoint
from nodes.sampling.ksamplers import (
    k_sampler,
    k_sampler_select,
    perp_neg_guider,
    random_noise,
    sampler_custom_advanced,
)
from nodes.sampling.schedules import basic_scheduler
from nodes.values import Model
from tests.models import TinyModels
from tests.unit.sampling.toys import randn

X, POS, NEG = (randn(2, 4, 6, 6, seed=seed) for seed in (1, 2, 3))


def asked(sigma: float = 1.5, **more: Any) -> Predictions:
    given: dict[str, Any] = {
        "x": X,
        "sigma": torch.tensor(sigma, dtype=torch.float64),
        "step": 2,
        "share": 0.5,
        "denoised": {POSITIVE: POS, NEGATIVE: NEG},
    }
    return Predictions(**{**given, **more})


@pytest.mark.parametrize("limit", [0.3, 1.0, 2.5, 1000.0])
def test_the_guided_prediction_is_no_longer_than_the_limit(limit: float) -> None:
    result = started(LengthLimitedCfg(scale=6.0, below=100.0, limit=limit))(asked())
    plain = NEG + 6 * (POS - NEG)
    for sample, guided, positive in zip(result, plain, POS, strict=True):
        length = min(float(guided.norm()), limit * float(positive.norm()))
        torch.testing.assert_close(sample, guided / guided.norm() * length)


def test_without_a_limit_it_is_plain_and_above_the_sigma_the_positive() -> None:
    guide = started(LengthLimitedCfg(scale=6.0, below=2.0, limit=0.0))
    torch.testing.assert_close(guide(asked(sigma=1.99)), NEG + 6 * (POS - NEG))
    assert torch.equal(guide(asked(sigma=2.0)), POS)


def gaussian(x: Tensor, sigma: float, deviation: float, *, flow: bool) -> Tensor:
    """The posterior mean of x0 for data of normal distribution around 0."""
    signal = 1 - sigma if flow else 1.0
    return signal * deviation**2 / (signal**2 * deviation**2 + sigma**2) * x


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("k", [0.5, 0.95, 1.0, 4.0])
def test_rescaled_scores_are_those_of_narrower_or_wider_data(k: float, flow: bool) -> None:
    for sigma in (0.05, 0.4, 0.9):
        seen = gaussian(X, sigma, 1.3, flow=flow)
        predictions = asked(sigma=sigma, denoised={POSITIVE: seen}, flow=flow)
        result = started(ScoreRescaled(base=Unguided(), k=k, sigma=1.3))(predictions)
        torch.testing.assert_close(result, gaussian(X, sigma, 1.3 / k**0.5, flow=flow))


def test_pure_noise_of_a_flow_is_left_alone() -> None:
    guide = started(ScoreRescaled(base=Unguided(), k=0.5, sigma=1.0))
    assert torch.equal(guide(asked(sigma=1.0, flow=True)), POS)


@pytest.fixture(scope="module")
def ctx(tiny_models: TinyModels) -> Context:
    return detached_context(models_dirs=(tiny_models.folder,), device="cpu", dtype="fp32")


def sampled(ctx: Context, model: Model, clip: Any, **changes: Any) -> Tensor:
    inputs: dict[str, Any] = {
        "seed": 3,
        "steps": 3,
        "cfg": 4.0,
        "sampler_name": "euler",
        "scheduler": "normal",
    }
    return k_sampler(
        ctx,
        model=model,
        positive=clip_encode(ctx, "a red cat", clip),
        negative=clip_encode(ctx, "a dog", clip),
        latent_image=empty_latent(32, 32, 2),
        **{**inputs, **changes},
    ).samples


@pytest.mark.parametrize("family", ["sd1", "sd3"])
def test_the_old_perp_neg_node_equals_the_guider(ctx: Context, tiny_models: TinyModels, family: str) -> None:
    loaded = load_checkpoint(ctx, getattr(tiny_models, family)().name)
    texts = [clip_encode(ctx, text, loaded.clip) for text in ("a red cat", "a dog", "")]
    guider = perp_neg_guider(loaded.model, *texts, cfg=4.0, neg_scale=0.7)
    sigmas = basic_scheduler(ctx, model=loaded.model, scheduler="normal", steps=3)
    by_guider = sampler_custom_advanced(
        ctx, random_noise(3), guider, k_sampler_select("euler"), sigmas, empty_latent(32, 32, 2)
    ).output.samples
    patched = perp_neg(loaded.model, texts[2], 0.7)
    assert torch.equal(sampled(ctx, patched, loaded.clip), by_guider)
    assert not torch.allclose(sampled(ctx, loaded.model, loaded.clip), by_guider)


def test_at_rest_the_nodes_change_nothing(ctx: Context, tiny_models: TinyModels) -> None:
    for file in (tiny_models.sd1(), tiny_models.sd3()):
        loaded = load_checkpoint(ctx, file.name)
        plain = sampled(ctx, loaded.model, loaded.clip)
        for model in (
            temporal_score_rescaling(loaded.model, 1.0, 1.0),
            renorm_cfg(loaded.model, 100.0, 0.0),
        ):
            torch.testing.assert_close(sampled(ctx, model, loaded.clip), plain, rtol=1e-4, atol=1e-4)
        changed = sampled(ctx, temporal_score_rescaling(loaded.model, 0.5, 1.0), loaded.clip)
        assert not torch.allclose(changed, plain, rtol=1e-2)


def test_options_become_their_guidance_and_survive_the_store(ctx: Context, tiny_models: TinyModels) -> None:
    loaded = load_checkpoint(ctx, tiny_models.sd1().name)
    model = temporal_score_rescaling(renorm_cfg(loaded.model, 50.0, 1.5), 0.9, 2.0)
    found = reguided(Cfg(scale=6.0), model.options)
    assert found == ScoreRescaled(base=LengthLimitedCfg(scale=6.0, below=50.0, limit=1.5), k=0.9, sigma=2.0)
    negative = perp_neg(loaded.model, clip_encode(ctx, "", loaded.clip), 0.5)
    assert reguided(Cfg(scale=6.0), negative.options) == PerpNeg(scale=6.0, neg_scale=0.5)
    codec = ValueCodec()
    for value in (model, found):
        assert codec.decode(codec.encode(value)) == value
    kept = codec.decode(codec.encode(negative))
    assert isinstance(kept, Model)
    again = sampled(ctx, kept, loaded.clip)
    assert torch.equal(again, sampled(ctx, negative, loaded.clip))
