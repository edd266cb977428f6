"""Formulas and wrappers of guidance: each follows its paper, and with its numbers at rest it is plain guidance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer
from diffusers.guiders.adaptive_projected_guidance import normalized_guidance as their_apg
from diffusers.guiders.classifier_free_zero_star_guidance import cfg_zero_star_scale
from diffusers.guiders.tangential_classifier_free_guidance import normalized_guidance as their_tcfg
from torch import Tensor

from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.guidance import (
    NEGATIVE,
    POSITIVE,
    Branch,
    Cfg,
    Perturbed,
    Predictions,
    Unguided,
    started,
)
from nodes.diffusion.guidance_formulas import MahiroCfg, ProjectedCfg, ThresholdedCfg, ZeroStarCfg, scale_at
from nodes.diffusion.guidance_wrappers import (
    ContrastKept,
    FrequencyScaled,
    NegativeSkipping,
    NoiseScaled,
    NormLimited,
    Operated,
    TangentiallyDamped,
)
from nodes.diffusion.latent_operations import blurred, sharpened, tonemapped
from nodes.diffusion.model_options import reguided
from nodes.diffusion.self_attention_guidance import MAPPED, SelfAttentionGuided, degrade, map_size
from nodes.guidance.guidance_options import (
    LatentOperation,
    MahiroOption,
    NormLimitOption,
    ProjectedOption,
    ScaleCurve,
    SelfAttentionOption,
    SkipLayersOption,
    ThresholdOption,
    ZeroStarOption,
)
from nodes.values import Guidance, RescaleOption
from tests.unit.sampling.toys import randn

X, POS, NEG, OTHER = (randn(2, 4, 6, 6, seed=seed) for seed in (1, 2, 3, 4))
SIGMA = torch.tensor(1.5, dtype=torch.float64)
PLAIN = NEG + 6 * (POS - NEG)


def asked(share: float = 0.5, **more: Any) -> Predictions:
    known = {POSITIVE: POS, NEGATIVE: NEG, MAPPED: NEG, Branch("negative", "skip:1"): OTHER}
    return Predictions(**{"x": X, "sigma": SIGMA, "step": 0, "share": share, "denoised": known, **more})


def guided(guidance: Guidance, share: float = 0.5) -> Tensor:
    return started(guidance)(asked(share))


@pytest.mark.parametrize(
    "guidance",
    [
        ProjectedCfg(scale=6.0),
        ThresholdedCfg(scale=6.0, mimic_scale=6.0),
        ThresholdedCfg(scale=6.0, mimic_scale=2.0, mix=0.0),
        NoiseScaled(base=Cfg(scale=6.0)),
        SelfAttentionGuided(base=Cfg(scale=6.0), scale=0.0, blur_sigma=0.0),
        ContrastKept(base=Cfg(scale=6.0), share=0.0),
        NegativeSkipping(base=Cfg(scale=6.0), perturbation="skip:1", start_share=0.8),
        Operated(
            base=Cfg(scale=6.0),
            operation=LatentOperation(name="sharpen", numbers=(1.0, 1.0, 0.0)),
        ),
    ],
    ids=lambda guidance: type(guidance).__name__,
)
def test_at_rest_it_is_plain_guidance(guidance: Guidance) -> None:
    full = torch.ones(2, 36)
    predictions = asked(attention={MAPPED: full}, again=lambda x, branches: {NEGATIVE: NEG})
    assert torch.allclose(started(guidance)(predictions), PLAIN)


def test_zero_star_is_that_of_diffusers() -> None:
    """In noise, where their scale is of the flattened sides."""
    positive, negative = (X - POS) / SIGMA, (X - NEG) / SIGMA
    alpha = cfg_zero_star_scale(positive.flatten(1), negative.flatten(1)).view(-1, 1, 1, 1)
    noise = alpha * negative + 6 * (positive - alpha * negative)
    assert torch.allclose(guided(ZeroStarCfg(scale=6.0)), X - SIGMA * noise, atol=1e-6)


def test_tangential_damping_is_that_of_diffusers() -> None:
    """Their sum starts from the damped negative, ours too."""
    noise = their_tcfg((X - POS) / SIGMA, (X - NEG) / SIGMA, 6.0)
    ours = (X - guided(TangentiallyDamped(base=Cfg(scale=6.0)))) / SIGMA
    assert torch.allclose(ours, noise, atol=1e-4)


def test_adaptive_projection_is_that_of_diffusers_over_steps() -> None:
    guide = started(ProjectedCfg(scale=6.0, eta=0.3, norm_threshold=4.0, momentum=-0.5))
    momentum = MomentumBuffer(-0.5)
    for step in range(3):
        positive, negative = POS + 0.1 * step * OTHER, NEG - 0.2 * step * OTHER
        found = guide(replace(asked(), denoised={POSITIVE: positive, NEGATIVE: negative}))
        expected = their_apg(positive, negative, 5.0, momentum, 0.3, 4.0, use_original_formulation=True)
        assert torch.allclose(found, expected)


def test_each_run_starts_without_momentum() -> None:
    guidance = ProjectedCfg(scale=6.0, momentum=0.9)
    guide = started(guidance)
    first = guide(asked())
    assert not torch.allclose(guide(asked()), first)
    assert torch.allclose(started(guidance)(asked()), first)


def test_mahiro_of_equal_sides_is_between_both_scalings() -> None:
    known = {POSITIVE: POS, NEGATIVE: POS}
    found = started(MahiroCfg(scale=6.0))(replace(asked(), denoised=known))
    assert torch.allclose(found, POS, atol=1e-6)


def test_norms_are_held_to_those_of_the_positive() -> None:
    found = guided(NormLimited(base=Cfg(scale=6.0), strength=1.0))
    assert (found.norm(dim=1) <= POS.norm(dim=1) + 1e-6).all()
    direction = torch.nn.functional.cosine_similarity(found, PLAIN, dim=1)
    assert torch.allclose(direction, torch.ones_like(direction))


def test_coarse_and_fine_parts_of_what_guidance_adds() -> None:
    """All frequencies within the cutoff: one factor for all; a constant difference has no fine part."""
    found = guided(FrequencyScaled(base=Cfg(scale=6.0), low=0.5, high=9.0, cutoff=20))
    assert torch.allclose(found, NEG + 6 * 0.5 * (POS - NEG), atol=1e-4)
    known = {POSITIVE: NEG + 2.0, NEGATIVE: NEG}
    guide = started(FrequencyScaled(base=Cfg(scale=6.0), low=1.0, high=9.0, cutoff=1))
    assert torch.allclose(guide(replace(asked(), denoised=known)), NEG + 12.0, atol=1e-4)
    fine = guided(FrequencyScaled(base=Cfg(scale=6.0), low=1.0, high=0.0, cutoff=1))
    assert (fine - NEG).diff(dim=-1).abs().mean() < (PLAIN - NEG).diff(dim=-1).abs().mean()


def test_scaled_noise() -> None:
    found = guided(NoiseScaled(base=Cfg(scale=6.0), factor=1.25))
    assert torch.allclose((X - found) * 1.25, X - PLAIN)


def test_kept_contrast() -> None:
    found = guided(ContrastKept(base=Cfg(scale=6.0), share=1.0))
    assert float(found.std()) == pytest.approx(float(POS.std()))


def test_the_negative_may_skip_layers_for_a_while() -> None:
    guidance = NegativeSkipping(base=Cfg(scale=6.0), perturbation="skip:1", start_share=0.2, end_share=0.6)
    assert started(guidance).branches(0.5) == (POSITIVE, Branch("negative", "skip:1"))
    assert started(guidance).branches(0.7) == (POSITIVE, NEGATIVE)
    assert torch.allclose(guided(guidance), OTHER + 6 * (POS - OTHER))


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("around_mean", [True, False])
def test_thresholds_in_each_channel_or_over_all(per_channel: bool, around_mean: bool) -> None:
    guidance = ThresholdedCfg(scale=15.0, mimic_scale=4.0, per_channel=per_channel, around_mean=around_mean)
    dims = (2, 3) if per_channel else (1, 2, 3)
    found, mimic, plain = guided(guidance), NEG + 4 * (POS - NEG), NEG + 15 * (POS - NEG)
    centre = plain.mean(dims, keepdim=True) if around_mean else torch.zeros(())
    mimic_centre = mimic.mean(dims, keepdim=True) if around_mean else torch.zeros(())
    assert torch.allclose((found - centre).abs().amax(dims), (mimic - mimic_centre).abs().amax(dims))


def test_scales_follow_their_curves() -> None:
    curve = ScaleCurve(mode="Cosine Up", lowest=2.0)
    assert scale_at(8.0, curve, 0.0) == pytest.approx(2.0)
    assert scale_at(8.0, curve, 1.0) == pytest.approx(8.0)
    assert scale_at(8.0, replace(curve, mode="Power Down", value=2.0), 0.5) == pytest.approx(2 + 6 * 0.75)
    assert scale_at(8.0, replace(curve, mode="Linear Repeating", value=2.0), 0.25) == pytest.approx(2.0)
    assert scale_at(8.0, ScaleCurve(), 0.3) == 8.0


def test_self_attention_guidance_leads_away_from_the_blurred_view() -> None:
    attention = torch.cat([torch.full((2, 18), 2.0), torch.zeros(2, 18)], dim=1)
    seen: list[Tensor] = []

    def again(x: Tensor, branches: Any) -> dict[Branch, Tensor]:
        assert tuple(branches) == (NEGATIVE,)
        seen.append(x)
        return {NEGATIVE: OTHER}

    guidance = SelfAttentionGuided(base=Cfg(scale=6.0), scale=0.7, blur_sigma=2.0)
    assert started(guidance).branches(0.5) == (POSITIVE, MAPPED)
    found = started(guidance)(asked(attention={MAPPED: attention}, again=again))
    degraded = torch.cat([blurred(NEG, 9, 2.0)[:, :, :3], NEG[:, :, 3:]], dim=2)
    assert torch.allclose(seen[0], degraded + X - NEG)
    assert torch.allclose(found, PLAIN + 0.7 * (degraded - OTHER))
    assert torch.allclose(degrade(NEG, torch.zeros(2, 36), 2.0), NEG)


@pytest.mark.parametrize(
    ("size", "tokens", "found"), [((64, 64), 64, (8, 8)), ((9, 13), 12, (3, 4)), ((8, 8), 64, (8, 8))]
)
def test_the_size_of_the_map(size: tuple[int, int], tokens: int, found: tuple[int, int]) -> None:
    assert map_size(*size, tokens) == found


def test_tonemapping_presses_lengths_and_keeps_directions() -> None:
    latent = X * torch.linspace(0.1, 9, 36, dtype=X.dtype).reshape(6, 6)
    found = tonemapped(latent, 1.0)
    length, before = found.norm(dim=1), latent.norm(dim=1)
    assert (length < before).all()
    assert torch.equal(length[0].flatten().argsort(), before[0].flatten().argsort())
    assert torch.allclose(found / length[:, None], latent / before[:, None])


def test_sharpening_keeps_lengths_and_even_areas() -> None:
    even = torch.ones(1, 4, 9, 9)
    assert torch.allclose(sharpened(even, 2, 1.0, 0.5), even, atol=1e-5)
    assert not torch.allclose(sharpened(X, 2, 1.0, 0.5), X)
    assert sharpened(torch.randn(1, 4, 3, 3), 9, 1.0, 0.5).shape == (1, 4, 3, 3)


def test_the_last_formula_holds_and_the_others_go_around_it() -> None:
    options = (
        ZeroStarOption(),
        RescaleOption(multiplier=0.7),
        NormLimitOption(strength=0.9),
        ProjectedOption(eta=1.0, norm_threshold=0.0, momentum=0.0),
        SkipLayersOption(layers=(7, 8), scale=3.0, start=0.0, end=1.0),
    )
    found = reguided(Cfg(scale=6.0), options)
    assert isinstance(found, Perturbed)
    assert found.perturbation == "skip:7,8"
    assert isinstance(found.base, NormLimited)
    assert found.base.base == ProjectedCfg(scale=6.0, eta=1.0, norm_threshold=0.0, momentum=0.0)


def test_a_guider_without_a_scale_keeps_its_own_formula() -> None:
    assert reguided(Unguided(), (MahiroOption(),)) == Unguided()


def test_options_and_guidance_survive_the_store() -> None:
    options = (
        ThresholdOption(mimic_scale=7.0, percentile=0.99, scale_curve=ScaleCurve(mode="Sawtooth")),
        SelfAttentionOption(scale=0.5, blur_sigma=2.0),
    )
    codec = ValueCodec()
    for value in (options, reguided(Cfg(scale=6.0), options)):
        assert codec.accepts(value)
        assert codec.decode(codec.encode(value)) == value


def test_curves_are_all_there() -> None:
    for mode in (
        "Linear Down",
        "Half Cosine Down",
        "Linear Up",
        "Half Cosine Up",
        "Power Up",
        "Cosine Repeating",
    ):
        assert math.isfinite(scale_at(8.0, ScaleCurve(mode=mode), 0.4))
