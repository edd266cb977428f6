"""The nodes that choose a sampler give options that the sampler has, with ComfyUI's defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import pytest

from graphcore.node import spec_of
from nodes.diffusion.samplers.registry import sampler_spec
from nodes.sampling import samplers
from nodes.values import Sampler

NODES = [
    member for _, member in inspect.getmembers(samplers, inspect.isfunction) if spec_of(member) is not None
]


def chosen(function: Callable[..., Any]) -> Sampler:
    """The node's sampler, with the first choice where there is no default."""
    spec = spec_of(function)
    assert spec is not None
    given: dict[str, Any] = {
        name: None for name in ("ctx", "model") if name in inspect.signature(function).parameters
    }
    given |= {declared.name: declared.choices[0] for declared in spec.inputs if declared.choices}
    return cast("Sampler", function(**given))


@pytest.mark.parametrize("function", NODES, ids=lambda function: function.__name__)
def test_the_sampler_has_these_options(function: Callable[..., Any]) -> None:
    sampler = chosen(function)
    assert sampler_spec(sampler.name).checked(sampler.options) == dict(sampler.options)


@pytest.mark.parametrize("function", NODES, ids=lambda function: function.__name__)
def test_defaults_are_those_of_the_sampler_by_name(function: Callable[..., Any]) -> None:
    sampler = chosen(function)
    assert dict(sampler.options).items() <= dict(sampler_spec(sampler.name).options).items()


def test_there_are_as_many_as_in_comfyui() -> None:
    assert len(NODES) == 13
