"""EasyCache: steps whose prediction would hardly change are not computed; the rest is as ever."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.guidance import Cfg
from nodes.diffusion.model_options import step_reuse
from nodes.diffusion.sampling import SamplingRequest, sample
from nodes.diffusion.step_reuse import StepReuse
from nodes.guidance.step_caching import easy_cache
from nodes.values import FileRef, Model, Sampler
from tests.unit.sampling.toys import MeanNetwork, text

SIGMAS = torch.cat([torch.linspace(14.6, 0.3, 20), torch.zeros(1)])
MODEL = Model(file=FileRef(kind="checkpoints", name="sd1", fingerprint="x"))


def run(reuse: StepReuse | None, sampler: str = "euler") -> tuple[Tensor, int]:
    network = MeanNetwork(leak=0.3)
    fields: dict[str, Any] = {
        "network": network,
        "latent": torch.zeros(1, 4, 8, 8),
        "sigmas": SIGMAS,
        "sampler": Sampler(name=sampler),
        "guidance": Cfg(scale=3.0),
        "positive": text(1.0),
        "negative": text(-0.5),
        "seed": 3,
        "reuse": reuse,
    }
    return sample(SamplingRequest(**fields)), len(network.calls)


def memory(threshold: float, start: float = 0.0, end: float = 1.0) -> StepReuse:
    return StepReuse(threshold=threshold, start=start, end=end)


def by_hand(threshold: float) -> tuple[Tensor, int]:
    """Euler steps that follow the paper's rule."""
    network, x = MeanNetwork(leak=0.3), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    x = x * SIGMAS[0]
    before = after = None
    rate, expected, computed = None, 0.0, 0
    for sigma, following in pairwise(SIGMAS):
        skip = False
        if rate is not None and before is not None and after is not None:
            expected += rate * float((x - before).abs().mean()) / float(after.abs().mean())
            skip = expected < threshold
            expected = expected if skip else 0.0
        if skip and before is not None and after is not None:
            denoised = x + after - before
        else:
            scaled = network.parameterization.scale_input(x, sigma)
            denoised = -0.5 + 3 * 1.5 + 0.3 * scaled
            if before is not None and after is not None:
                rate = float((denoised - after).abs().mean()) / float((x - before).abs().mean())
            before, after, computed = x, denoised, computed + 1
        x = x + (x - denoised) / sigma * (following - sigma)
    return x, computed


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.5])
def test_the_rule_of_the_paper(threshold: float) -> None:
    found, calls = run(memory(threshold))
    expected, computed = by_hand(threshold)
    assert calls == computed < 20
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_no_threshold_changes_nothing() -> None:
    plain, calls = run(None)
    found, same = run(memory(0.0))
    assert torch.equal(found, plain)
    assert calls == same == 20
    more, fewer = (run(memory(threshold))[1] for threshold in (0.05, 1.0))
    assert fewer < more


def test_only_in_a_part_of_the_run() -> None:
    everywhere, late, never = (run(memory(3.0, start, 1.0))[1] for start in (0.0, 0.5, 1.0))
    assert everywhere < late < never == 20


@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m", "euler_ancestral_cfg_pp", "dpmpp_sde"])
def test_with_other_samplers(sampler: str) -> None:
    found, calls = run(memory(0.3), sampler)
    assert found.isfinite().all()
    assert calls < run(None, sampler)[1]


def test_each_run_has_a_memory_of_its_own() -> None:
    told = easy_cache(MODEL, 0.3, 0.1, 0.9)
    one, other = step_reuse(told.options), step_reuse(told.options)
    assert one is not None
    assert one is not other
    assert (one.threshold, one.start, one.end) == (0.3, 0.1, 0.9)
    assert step_reuse(MODEL.options) is None
    codec = ValueCodec()
    assert codec.decode(codec.encode(told)) == told
