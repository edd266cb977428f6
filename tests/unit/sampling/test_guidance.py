"""Each guidance follows its paper's formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.diffusion.guidance import (
    EMPTY,
    MIDDLE,
    NEGATIVE,
    POSITIVE,
    UNSAFE,
    Branch,
    Cfg,
    DualCfg,
    FrameCfg,
    PerpNeg,
    Predictions,
    RescaledCfg,
    Unguided,
    started,
)
from nodes.diffusion.guidance_formulas import ThresholdedCfg
from nodes.diffusion.safe_latent import SAFETY_PRESETS, SafeLatentDiffusion
from nodes.values import Guidance
from tests.unit.sampling.toys import randn

X = randn(2, 4, 6, 6, seed=1)
POS, NEG, MID, EMP = (randn(2, 4, 6, 6, seed=seed) for seed in (2, 3, 4, 5))
SIGMA = torch.tensor(1.5, dtype=torch.float64)


def predictions(step: int = 0, **more: Tensor) -> Predictions:
    known = {POSITIVE: POS, NEGATIVE: NEG, MIDDLE: MID, EMPTY: EMP}
    known |= {Branch(name): value for name, value in more.items()}
    return Predictions(x=X, sigma=SIGMA, step=step, share=0.5, denoised=known)


def guided(guidance: Guidance) -> Tensor:
    guide = started(guidance)
    assert guide.branches(0.5)[0] == POSITIVE
    return guide(predictions())


def test_unguided() -> None:
    assert torch.equal(guided(Unguided()), POS)


def test_classifier_free() -> None:
    assert torch.allclose(guided(Cfg(scale=7.5)), NEG + 7.5 * (POS - NEG))
    assert started(Cfg(scale=1.0)).branches(0.0) == (POSITIVE,)


def test_rescaled_in_terms_of_v() -> None:
    span = (1 + SIGMA**2) ** 0.5

    def velocity(x0: Tensor) -> Tensor:
        noise = (X - x0) / SIGMA
        return (noise - SIGMA * x0) / span

    wanted = velocity(NEG) + 7 * (velocity(POS) - velocity(NEG))
    contrast = velocity(POS).std(dim=(1, 2, 3), keepdim=True) / wanted.std(dim=(1, 2, 3), keepdim=True)
    mixed = 0.7 * wanted * contrast + 0.3 * wanted
    assert torch.allclose(velocity(guided(RescaledCfg(scale=7.0, multiplier=0.7))), mixed)
    assert torch.allclose(guided(RescaledCfg(scale=7.0, multiplier=0.0)), NEG + 7 * (POS - NEG))


def test_scale_over_the_frames_of_a_batch() -> None:
    linear = guided(FrameCfg(scale=5.0, min_scale=2.0))
    assert torch.allclose(linear[0], NEG[0] + 2 * (POS - NEG)[0])
    assert torch.allclose(linear[1], NEG[1] + 5 * (POS - NEG)[1])
    frames = {POSITIVE: torch.ones(5, 4, 1, 1), NEGATIVE: torch.zeros(5, 4, 1, 1)}
    asked = Predictions(x=frames[POSITIVE], sigma=SIGMA, step=0, share=0.0, denoised=frames)
    triangle = started(FrameCfg(scale=3.0, min_scale=1.0, shape="triangle"))(asked)
    assert triangle[:, 0, 0, 0].tolist() == [1, 2, 3, 2, 1]


def test_two_positives() -> None:
    regular = guided(DualCfg(scale=4.0, middle_scale=1.5))
    assert torch.allclose(regular, NEG + 1.5 * (MID - NEG) + 4 * (POS - MID))
    nested = guided(DualCfg(scale=4.0, middle_scale=1.5, nested=True))
    inner = MID + 4 * (POS - MID)
    assert torch.allclose(nested, NEG + 1.5 * (inner - NEG))


def test_perpendicular_negative() -> None:
    result = guided(PerpNeg(scale=6.0, neg_scale=0.8))
    move = (result - EMP) / 6.0
    positive, negative = POS - EMP, NEG - EMP
    across = (positive - move) / 0.8
    for sample in range(2):
        assert float((across[sample] * positive[sample]).sum()) == pytest.approx(0.0, abs=1e-9)
        along = negative[sample] - across[sample]
        cosine = (along * positive[sample]).sum() / (along.norm() * positive[sample].norm())
        assert abs(float(cosine)) == pytest.approx(1.0)


def test_a_negative_along_the_positive_has_no_effect() -> None:
    known = {POSITIVE: POS, NEGATIVE: EMP + 0.3 * (POS - EMP), EMPTY: EMP}
    asked = Predictions(x=X, sigma=SIGMA, step=0, share=0.0, denoised=known)
    assert torch.allclose(started(PerpNeg(scale=6.0))(asked), EMP + 6 * (POS - EMP))


@pytest.mark.parametrize("percentile", [1.0, 0.95])
def test_dynamic_threshold_has_the_reach_of_the_smaller_scale(percentile: float) -> None:
    result = guided(ThresholdedCfg(scale=15.0, mimic_scale=5.0, percentile=percentile))
    mimic = NEG + 5 * (POS - NEG)

    def reach(latent: Tensor) -> Tensor:
        flat = latent.flatten(2)
        return (flat - flat.mean(dim=2, keepdim=True)).abs().amax(dim=2)

    plain = (NEG + 15 * (POS - NEG)).flatten(2).mean(dim=2, keepdim=True)
    centred = result.flatten(2) - plain
    assert (centred.abs().amax(dim=2) <= reach(mimic) + 1e-9).all()
    if percentile == 1.0:
        assert torch.allclose(centred.abs().amax(dim=2), reach(mimic))


def test_dynamic_threshold_by_deviation() -> None:
    result = guided(ThresholdedCfg(scale=15.0, mimic_scale=5.0, deviation=True))
    mimic = NEG + 5 * (POS - NEG)
    assert torch.allclose(result.flatten(2).std(dim=2), mimic.flatten(2).std(dim=2))


def test_equal_scales_threshold_nothing() -> None:
    assert torch.allclose(guided(ThresholdedCfg(scale=7.0, mimic_scale=7.0)), NEG + 7 * (POS - NEG))


def safe_by_the_paper(rules: dict[str, float], scale: float, steps: int) -> Tensor:
    """Safe latent diffusion in noise, step by step on constant predictions (the paper's equations 3 to 8)."""
    empty, prompt, unsafe = ((X - x0) / SIGMA for x0 in (NEG, POS, EMP))
    momentum = torch.zeros_like(X)
    result = torch.zeros_like(X)
    for step in range(steps):
        weight = torch.clamp((prompt - unsafe).abs() * rules["safety_scale"], max=1.0)
        weight[(prompt - unsafe) >= rules["threshold"]] = 0.0
        turn = weight * (unsafe - empty) + rules["momentum_scale"] * momentum
        momentum = rules["momentum_beta"] * momentum + (1 - rules["momentum_beta"]) * turn
        direction = prompt - empty
        if step >= rules["warmup"]:
            direction = direction - turn
        result = empty + scale * direction
    return X - SIGMA * result


@pytest.mark.parametrize("name", ["weak", "medium", "strong", "max"])
@pytest.mark.parametrize("steps", [1, 12, 18])
def test_safe_latent_diffusion(name: str, steps: int) -> None:
    guide = started(SafeLatentDiffusion.preset(name, scale=7.5))
    assert UNSAFE in guide.branches(0.0)
    result = X
    for step in range(steps):
        result = guide(predictions(step, unsafe=EMP))
        guide(predictions(step, unsafe=EMP))
    assert torch.allclose(result, safe_by_the_paper(dict(SAFETY_PRESETS[name]), 7.5, steps))


def test_safety_does_nothing_where_the_prompt_is_safe() -> None:
    guide = started(SafeLatentDiffusion(scale=7.5, warmup=0, threshold=-1e9, momentum_scale=0.0))
    assert torch.allclose(guide(predictions(0, unsafe=EMP)), NEG + 7.5 * (POS - NEG))


def test_each_run_starts_without_momentum() -> None:
    value = SafeLatentDiffusion.preset("strong", scale=7.5)
    first = [started(value)(predictions(step, unsafe=EMP)) for step in (0, 8)]
    assert value.start() is not value.start()
    again = started(value)
    assert torch.equal(again(predictions(0, unsafe=EMP)), first[0])


def test_a_value_that_cannot_guide_is_refused() -> None:
    with pytest.raises(TypeError, match="Guidance"):
        started(Guidance())
