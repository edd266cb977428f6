"""Samplers by name: what each is called, how it is run, and what it asks of the schedule."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from graphcore.errors import InputError
from nodes.diffusion.samplers import (
    cfgpp,
    dpm,
    dpm_solver,
    dpmpp,
    euler,
    growing,
    heun,
    multistep,
    res,
    sa_solver,
    sde,
    unipc,
)

SamplerFunction = Callable[..., Any]
"""A sampler: `(x, sigmas, run, **options) -> Steps` or, for CFG++, `-> PairSteps`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSpec:
    """A sampler as users know it.

    `calls` is how many evaluations of the model a step takes (the last may take fewer). `drops_penultimate`:
    it is given the schedule of one more step without its last but one sigma. `needs_uncond`: it is sent a
    DenoisedPair. `fresh_mask_noise`: the kept part of an inpainted latent gets noise of its own stream.
    """

    name: str
    function: SamplerFunction
    calls: int = 1
    drops_penultimate: bool = False
    needs_uncond: bool = False
    fresh_mask_noise: bool = False
    options: Mapping[str, object] = field(init=False)

    def __post_init__(self) -> None:
        parameters = list(inspect.signature(self.function).parameters.values())[3:]
        defaults = {parameter.name: parameter.default for parameter in parameters}
        object.__setattr__(self, "options", MappingProxyType(defaults))

    def checked(self, options: Iterable[tuple[str, float | int | str | bool]]) -> dict[str, Any]:
        """The options as keyword arguments.

        Raises InputError for one that this sampler does not have.
        """
        chosen = dict(options)
        for name in chosen:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise InputError(
                    f"The sampler {self.name} has no option {name}; its options are: {known}.",
                    code="unknown-sampler-option",
                )
        return chosen


def _specs() -> tuple[SamplerSpec, ...]:
    plain = SamplerSpec
    return (
        plain(name="euler", function=euler.euler),
        plain(name="euler_cfg_pp", function=cfgpp.euler_cfg_pp, needs_uncond=True),
        plain(name="euler_ancestral", function=euler.euler_ancestral),
        plain(name="euler_ancestral_cfg_pp", function=cfgpp.euler_ancestral_cfg_pp, needs_uncond=True),
        plain(name="heun", function=heun.heun, calls=2),
        plain(name="heunpp2", function=heun.heunpp2, calls=3),
        plain(name="exp_heun_2_x0", function=sde.exp_heun_2_x0, calls=2),
        plain(name="exp_heun_2_x0_sde", function=sde.exp_heun_2_x0_sde, calls=2),
        plain(name="dpm_2", function=dpm.dpm_2, calls=2, drops_penultimate=True),
        plain(name="dpm_2_ancestral", function=dpm.dpm_2_ancestral, calls=2, drops_penultimate=True),
        plain(name="lms", function=multistep.lms),
        plain(name="dpm_fast", function=dpm_solver.dpm_fast),
        plain(name="dpm_adaptive", function=dpm_solver.dpm_adaptive, calls=3),
        plain(name="dpmpp_2s_ancestral", function=dpmpp.dpmpp_2s_ancestral, calls=2),
        plain(
            name="dpmpp_2s_ancestral_cfg_pp",
            function=cfgpp.dpmpp_2s_ancestral_cfg_pp,
            calls=2,
            needs_uncond=True,
        ),
        plain(name="dpmpp_sde", function=dpmpp.dpmpp_sde, calls=2),
        plain(name="dpmpp_sde_gpu", function=dpmpp.dpmpp_sde, calls=2),
        plain(name="dpmpp_2m", function=dpmpp.dpmpp_2m),
        plain(name="dpmpp_2m_cfg_pp", function=cfgpp.dpmpp_2m_cfg_pp, needs_uncond=True),
        plain(name="dpmpp_2m_sde", function=dpmpp.dpmpp_2m_sde),
        plain(name="dpmpp_2m_sde_gpu", function=dpmpp.dpmpp_2m_sde),
        plain(name="dpmpp_2m_sde_heun", function=dpmpp.dpmpp_2m_sde_heun),
        plain(name="dpmpp_2m_sde_heun_gpu", function=dpmpp.dpmpp_2m_sde_heun),
        plain(name="dpmpp_3m_sde", function=dpmpp.dpmpp_3m_sde),
        plain(name="dpmpp_3m_sde_gpu", function=dpmpp.dpmpp_3m_sde),
        plain(name="ddpm", function=euler.ddpm),
        plain(name="lcm", function=euler.lcm),
        plain(name="ipndm", function=multistep.ipndm),
        plain(name="ipndm_v", function=multistep.ipndm_v),
        plain(name="deis", function=multistep.deis),
        plain(name="res_multistep", function=res.res_multistep),
        plain(name="res_multistep_cfg_pp", function=res.res_multistep_cfg_pp, needs_uncond=True),
        plain(name="res_multistep_ancestral", function=res.res_multistep_ancestral),
        plain(
            name="res_multistep_ancestral_cfg_pp",
            function=res.res_multistep_ancestral_cfg_pp,
            needs_uncond=True,
        ),
        plain(name="gradient_estimation", function=res.gradient_estimation),
        plain(name="gradient_estimation_cfg_pp", function=res.gradient_estimation_cfg_pp, needs_uncond=True),
        plain(name="er_sde", function=sde.er_sde),
        plain(name="seeds_2", function=sde.seeds_2, calls=2),
        plain(name="seeds_3", function=sde.seeds_3, calls=3),
        plain(name="sa_solver", function=sa_solver.sa_solver),
        plain(name="sa_solver_pece", function=sa_solver.sa_solver_pece, calls=2),
        plain(name="ddim", function=euler.euler, fresh_mask_noise=True),
        plain(name="uni_pc", function=unipc.uni_pc, drops_penultimate=True),
        plain(name="uni_pc_bh2", function=unipc.uni_pc_bh2, drops_penultimate=True),
    )


SAMPLERS: Mapping[str, SamplerSpec] = MappingProxyType({spec.name: spec for spec in _specs()})
"""Every sampler by name, in ComfyUI's order; `_gpu` names are twins, since noise is always drawn on the CPU.
"""

UNLISTED: Mapping[str, SamplerSpec] = MappingProxyType(
    {"lcm_upscale": SamplerSpec(name="lcm_upscale", function=growing.lcm_upscale)}
)
"""Samplers that only nodes of their own choose."""


def sampler_spec(name: str) -> SamplerSpec:
    """The sampler of this name; raises InputError with the nearest known one."""
    spec = SAMPLERS.get(name) or UNLISTED.get(name)
    if spec is None:
        near = difflib.get_close_matches(name, SAMPLERS, n=1)
        hint = f"did you mean {near[0]}?" if near else "see the list of samplers in the node reference."
        raise InputError(f"There is no sampler called {name!r}; {hint}", code="unknown-sampler")
    return spec
