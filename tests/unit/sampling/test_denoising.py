"""One denoise call: few forward passes, each prediction weighed where, when and as strongly as its entry says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.denoiser import Denoiser, join_conditions
from nodes.diffusion.entries import prepare_entries
from nodes.diffusion.guidance import NEGATIVE, POSITIVE, Cfg, Perturbed, Unguided, started
from nodes.diffusion.network import ForwardPass, LatentScene, ReadyHint, Residuals
from nodes.values import Area, Conditioning, ControlHint, Guidance
from tests.unit.sampling.toys import MeanNetwork, randn, text

SIGMA = torch.tensor(2.0)


def denoiser(
    network: MeanNetwork,
    guidance: Guidance,
    x: Tensor,
    *,
    resolve_hint: Any = None,
    needs_uncond: bool = False,
    **conditionings: Conditioning,
) -> Denoiser:
    scene = LatentScene(latent=torch.zeros_like(x), noise=torch.zeros_like(x))
    return Denoiser(
        network=network,
        guide=started(guidance),
        entries=prepare_entries(network, conditionings, scene, resolve_hint),
        needs_uncond=needs_uncond,
    )


def latent(batch: int = 2, height: int = 32, width: int = 32) -> Tensor:
    return randn(batch, 4, height, width, dtype=torch.float32)


def both(*conditionings: Conditioning) -> Conditioning:
    return Conditioning(tuple(entry for one in conditionings for entry in one.entries))


def test_positive_and_negative_share_one_forward_pass() -> None:
    network, x = MeanNetwork(), latent()
    pair = denoiser(network, Cfg(scale=3.0), x, positive=text(2.0), negative=text(1.0))(x, SIGMA, 0)
    assert torch.allclose(pair.denoised, torch.full_like(x, 1 + 3 * (2 - 1)))
    assert torch.allclose(pair.uncond_denoised, torch.ones_like(x))
    assert [call[0] for call in network.calls] == [(4, 4, 32, 32)]


def test_scale_one_skips_the_negative() -> None:
    network, x = MeanNetwork(), latent()
    pair = denoiser(network, Cfg(scale=1.0), x, positive=text(2.0), negative=text(1.0))(x, SIGMA, 0)
    assert torch.allclose(pair.denoised, torch.full_like(x, 2.0))
    assert [call[0] for call in network.calls] == [(2, 4, 32, 32)]


def test_scale_one_still_asks_for_the_negative_when_the_sampler_needs_it() -> None:
    network, x = MeanNetwork(), latent()
    call = denoiser(network, Cfg(scale=1.0), x, positive=text(2.0), negative=text(1.0), needs_uncond=True)
    pair = call(x, SIGMA, 0)
    assert torch.allclose(pair.denoised, torch.full_like(x, 2.0))
    assert torch.allclose(pair.uncond_denoised, torch.ones_like(x))


def test_contexts_of_different_length_are_repeated_to_share_a_pass() -> None:
    network, x = MeanNetwork(), latent()
    call = denoiser(network, Cfg(scale=2.0), x, positive=text(3.0, 3.0, 3.0), negative=text(1.0, 1.0))
    assert torch.allclose(call(x, SIGMA, 0).denoised, torch.full_like(x, 5.0))
    assert network.calls[0][1] == (4, 6, 3)


def test_contexts_that_would_repeat_too_often_are_run_apart() -> None:
    network, x = MeanNetwork(), latent()
    call = denoiser(network, Cfg(scale=2.0), x, positive=text(*[3.0] * 7), negative=text(1.0, 1.0))
    assert torch.allclose(call(x, SIGMA, 0).denoised, torch.full_like(x, 5.0))
    assert len(network.calls) == 2


def test_other_tensors_must_have_equal_shapes_to_share_a_pass() -> None:
    network, x = MeanNetwork(), latent()
    call = denoiser(
        network,
        Cfg(scale=2.0),
        x,
        positive=text(3.0, pooled=torch.zeros(1, 8)),
        negative=text(1.0, pooled=torch.zeros(1, 6)),
    )
    call(x, SIGMA, 0)
    assert len(network.calls) == 2


def test_the_rows_of_a_batched_conditioning_go_to_their_samples() -> None:
    rows = {"context": torch.arange(3.0).reshape(3, 1, 1)}
    one = {"context": torch.full((1, 1, 1), 9.0)}
    assert join_conditions([rows, one], 3)["context"].flatten().tolist() == [0, 1, 2, 9, 9, 9]
    assert join_conditions([rows], 5)["context"].flatten().tolist() == [0, 1, 2, 0, 1]
    assert join_conditions([rows], 2)["context"].flatten().tolist() == [0, 1]


def test_several_texts_are_averaged_by_strength() -> None:
    network, x = MeanNetwork(), latent()
    positive = both(text(2.0, strength=1.0), text(8.0, strength=0.5))
    pair = denoiser(network, Unguided(), x, positive=positive)(x, SIGMA, 0)
    assert torch.allclose(pair.denoised, torch.full_like(x, (2 + 0.5 * 8) / 1.5))


def test_an_area_acts_in_its_rectangle_and_fades_at_inner_edges() -> None:
    network, x = MeanNetwork(), latent(1)
    area = Area(x=8, y=0, width=16, height=32)
    positive = both(text(0.0), text(1.0, area=area))
    found = denoiser(network, Unguided(), x, positive=positive)(x, SIGMA, 0).denoised[0, 0]
    assert found[:, :8].abs().max() == 0
    assert found[:, 24:].abs().max() == 0
    assert torch.allclose(found[:, 12:20], torch.full((32, 8), 0.5))
    ramp = torch.tensor([0.25, 0.5, 0.75, 1.0])
    assert torch.allclose(found[0, 8:12], ramp / (1 + ramp))
    assert torch.allclose(found[31, 20:24], (ramp / (1 + ramp)).flip(0))
    assert {call[0] for call in network.calls} == {(1, 4, 32, 32), (1, 4, 32, 16)}


def test_a_relative_area_is_the_same_as_its_cells() -> None:
    x = latent(1)
    areas = (Area(x=0.25, y=0.5, width=0.5, height=0.5, relative=True), Area(x=8, y=16, width=16, height=16))
    found = [
        denoiser(MeanNetwork(), Unguided(), x, positive=both(text(0.0), text(1.0, area=area)))(x, SIGMA, 0)
        for area in areas
    ]
    assert torch.equal(found[0].denoised, found[1].denoised)


def test_an_area_outside_the_latent_is_refused() -> None:
    with pytest.raises(InputError, match="move it inside"):
        denoiser(
            MeanNetwork(), Unguided(), latent(), positive=text(1.0, area=Area(x=40, y=0, width=8, height=8))
        )


def test_an_area_of_the_positive_gets_its_own_negative() -> None:
    x = latent(1)
    positive = both(text(4.0), text(6.0, area=Area(x=0, y=0, width=16, height=32)))
    call = denoiser(MeanNetwork(), Cfg(scale=2.0), x, positive=positive, negative=text(1.0))
    assert len(call.entries["negative"]) == 2
    assert call.entries["negative"][1].region == call.entries["positive"][1].region
    assert torch.allclose(call(x, SIGMA, 0).uncond_denoised, torch.ones_like(x))


def test_a_mask_weighs_cell_by_cell() -> None:
    x = latent(1, 16, 16)
    mask = torch.zeros(1, 128, 128)
    mask[:, :, 64:] = 1.0
    positive = both(text(0.0), text(1.0, mask=mask, mask_strength=3.0))
    found = denoiser(MeanNetwork(), Unguided(), x, positive=positive)(x, SIGMA, 0).denoised[0, 0]
    assert found[:, :7].abs().max() == 0
    assert torch.allclose(found[:, 9:], torch.full((16, 7), 0.75))


def test_mask_bounds_limit_what_the_network_sees() -> None:
    network, x = MeanNetwork(), latent(1)
    mask = torch.zeros(1, 32, 32)
    mask[:, 10:20, 4:24] = 1.0
    positive = both(text(0.0), text(1.0, mask=mask, mask_bounds=True))
    denoiser(network, Unguided(), x, positive=positive)(x, SIGMA, 0)
    assert (1, 4, 10, 20) in {call[0] for call in network.calls}


def test_a_text_acts_within_its_part_of_the_schedule() -> None:
    network, x = MeanNetwork(), latent()
    positive = both(text(1.0, end=0.5), text(5.0, start=0.5))
    call = denoiser(network, Unguided(), x, positive=positive)
    halfway = network.parameterization.sigma_at(0.5)
    assert torch.allclose(call(x, torch.tensor(halfway * 1.1), 0).denoised, torch.ones_like(x))
    assert torch.allclose(call(x, torch.tensor(halfway * 0.9), 0).denoised, torch.full_like(x, 5.0))
    assert torch.allclose(call(x, torch.tensor(20.0), 0).denoised, torch.ones_like(x))


def test_perturbed_predictions_run_in_a_pass_of_their_own() -> None:
    network, x = MeanNetwork(), latent()
    guidance = Perturbed(base=Cfg(scale=2.0), perturbation="pag:mid", scale=3.0, end_share=0.9)
    call = denoiser(network, guidance, x, positive=text(2.0), negative=text(1.0))
    assert torch.allclose(call(x, SIGMA, 0).denoised, torch.full_like(x, 3.0))
    assert [(call[0][0], call[2]) for call in network.calls] == [(4, None), (2, "pag:mid")]
    network.calls.clear()
    call(x, torch.tensor(0.03), 1)
    assert [(call[0][0], call[2]) for call in network.calls] == [(4, None)]


def test_the_network_sees_its_own_units() -> None:
    network, x = MeanNetwork(), latent()
    denoiser(network, Unguided(), x, positive=text(2.0))(x, network.parameterization.sigmas[700], 0)
    assert network.timesteps[0].tolist() == [700.0, 700.0]
    assert network.timesteps[0].dtype == torch.float32


class Brightness:
    """A hint network whose residual is its strength."""

    start, end = 0.0, 0.5

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, forward: ForwardPass) -> Residuals:
        assert len(forward.x) == len(forward.regions) * forward.batch
        return Residuals(down=(torch.full((1,), self.strength),), mid=torch.full((1,), 2 * self.strength))

    def of_rows(self, rows: Sequence[int], batch: int) -> Brightness:
        return self


def test_hints_add_up_and_end_in_time() -> None:
    network, x = MeanNetwork(), latent()
    hints = (ControlHint(), ControlHint())
    strengths = {id(hints[0]): Brightness(1.0), id(hints[1]): Brightness(0.5)}
    call = denoiser(
        network,
        Unguided(),
        x,
        positive=text(1.0, hints=hints),
        resolve_hint=lambda hint: ReadyHint(network=strengths[id(hint)]),
    )
    call(x, torch.tensor(10.0), 0)
    call(x, torch.tensor(0.1), 1)
    first, second = network.residuals
    assert first is not None
    assert first.mid is not None
    assert float(first.down[0]) == 1.5
    assert float(first.mid) == 3.0
    assert second is None


def test_a_hint_that_nobody_resolves_is_an_error() -> None:
    with pytest.raises(InputError, match="ControlHint"):
        denoiser(MeanNetwork(), Unguided(), latent(), positive=text(1.0, hints=(ControlHint(),)))


def test_a_missing_conditioning_is_named() -> None:
    x = latent()
    with pytest.raises(InputError, match="negative"):
        denoiser(MeanNetwork(), Cfg(scale=2.0), x, positive=text(1.0))(x, SIGMA, 0)
    with pytest.raises(InputError, match="empty"):
        denoiser(MeanNetwork(), Cfg(scale=2.0), x, positive=Conditioning(()))


def test_branches_can_be_asked_for_alone() -> None:
    x = latent()
    call = denoiser(MeanNetwork(), Cfg(scale=2.0), x, positive=text(2.0), negative=text(1.0))
    found = call.predict(x, SIGMA, [POSITIVE])
    assert list(found) == [POSITIVE]
    assert NEGATIVE not in found


def test_entries_are_made_in_the_dtype_of_the_network() -> None:
    network = MeanNetwork(dtype=torch.bfloat16)
    x = latent()
    call = denoiser(network, Unguided(), x, positive=text(1.0))
    assert call.entries["positive"][0].tensors["context"].dtype == torch.bfloat16
    assert call(x, SIGMA, 0).denoised.dtype == torch.float32
