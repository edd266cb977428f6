"""Nodes that make and cut schedules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcore import Context, Graph, InputError, detached_context
from nodes.models.loaders import load_checkpoint
from nodes.sampling.schedules import (
    align_your_steps_scheduler,
    basic_scheduler,
    beta_sampling_scheduler,
    exponential_scheduler,
    flip_sigmas,
    karras_scheduler,
    laplace_scheduler,
    manual_sigmas,
    polyexponential_scheduler,
    sd_turbo_scheduler,
    set_first_sigma,
    split_sigmas,
    split_sigmas_denoise,
    vp_scheduler,
)
from nodes.values import Model, Sigmas
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, tiny_engine

FIVE = Sigmas(torch.tensor([10.0, 5.0, 2.0, 1.0, 0.0]))


def numbers(sigmas: Sigmas) -> list[float]:
    return [round(value, 4) for value in sigmas.values.tolist()]


@pytest.fixture
def ctx(tiny_models: TinyModels) -> Context:
    return detached_context(models_dirs=(tiny_models.folder,))


@pytest.fixture
def model(ctx: Context, tiny_models: TinyModels) -> Model:
    return load_checkpoint(ctx, tiny_models.sd1().name).model


def test_a_schedule_of_a_model(ctx: Context, model: Model) -> None:
    whole = basic_scheduler(ctx, model=model, scheduler="karras", steps=10)
    assert len(whole.values) == 11
    assert float(whole.values[0]) == pytest.approx(14.6146, abs=1e-3)
    longer = basic_scheduler(ctx, model=model, scheduler="karras", steps=20)
    part = basic_scheduler(ctx, model=model, scheduler="karras", steps=10, denoise=0.5)
    assert torch.equal(part.values, longer.values[-11:])
    assert not len(basic_scheduler(ctx, model=model, scheduler="karras", denoise=0.0).values)


def test_the_other_schedules_end_at_zero(ctx: Context, model: Model) -> None:
    made = [
        karras_scheduler(6),
        exponential_scheduler(6),
        polyexponential_scheduler(6),
        vp_scheduler(6),
        sd_turbo_scheduler(ctx, model, 6),
        beta_sampling_scheduler(ctx, model, 6),
        align_your_steps_scheduler("SD1", 6),
    ]
    for sigmas in made:
        assert len(sigmas.values) == 7
        assert sigmas.values[-1] == 0
        assert bool((sigmas.values.diff() < 0).all())
    assert len(laplace_scheduler(6).values) == 6


def test_cutting() -> None:
    high, low = split_sigmas(FIVE, 2)
    assert (numbers(high), numbers(low)) == ([10, 5, 2], [2, 1, 0])
    high, low = split_sigmas_denoise(FIVE, 0.25)
    assert (numbers(high), numbers(low)) == ([10, 5, 2, 1], [1, 0])
    high, low = split_sigmas_denoise(FIVE, 0.0)
    assert (numbers(high), numbers(low)) == ([10, 5, 2, 1, 0], [0])


def test_turning_and_changing() -> None:
    assert numbers(flip_sigmas(FIVE)) == [0.0001, 1, 2, 5, 10]
    assert numbers(set_first_sigma(FIVE, 7.0)) == [7, 5, 2, 1, 0]
    assert numbers(FIVE) == [10, 5, 2, 1, 0]
    assert numbers(flip_sigmas(Sigmas(torch.zeros(0)))) == []


def test_sigmas_from_a_text() -> None:
    assert numbers(manual_sigmas("14.6, 1e-1; .5 0")) == [14.6, 0.1, 0.5, 0]
    assert numbers(manual_sigmas("none")) == []
    with pytest.raises(InputError, match="too large"):
        manual_sigmas("1e999")


def test_bad_ends_are_told_before_running(tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    graph.output("sigmas", graph.KarrasScheduler(sigma_max=1.0, sigma_min=2.0))
    with tiny_engine(tmp_path, tmp_path) as engine:
        problems = engine.validate(graph.workflow())
    assert [problem.code for problem in problems] == ["bad-combination"]
    assert "sigma_min" in problems[0].message
