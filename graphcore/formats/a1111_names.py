"""A1111's and its relatives' names of samplers, schedules and upscalers, and ComfyUI's for the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphcore.errors import DocumentError
from graphcore.formats.a1111_text import Parameters

SAMPLERS: Final[Mapping[str, tuple[str, str]]] = {
    "euler a": ("euler_ancestral", "normal"),
    "euler": ("euler", "normal"),
    "lms": ("lms", "normal"),
    "heun": ("heun", "normal"),
    "heunpp2": ("heunpp2", "normal"),
    "dpm2": ("dpm_2", "karras"),
    "dpm2 a": ("dpm_2_ancestral", "karras"),
    "dpm++ 2s a": ("dpmpp_2s_ancestral", "karras"),
    "dpm++ 2m": ("dpmpp_2m", "karras"),
    "dpm++ sde": ("dpmpp_sde", "karras"),
    "dpm++ 2m sde": ("dpmpp_2m_sde", "exponential"),
    "dpm++ 2m sde heun": ("dpmpp_2m_sde_heun", "exponential"),
    "dpm++ 3m sde": ("dpmpp_3m_sde", "exponential"),
    "dpm fast": ("dpm_fast", "normal"),
    "dpm adaptive": ("dpm_adaptive", "normal"),
    "ddim": ("ddim", "ddim_uniform"),
    "ddim cfg++": ("euler_cfg_pp", "ddim_uniform"),
    "euler cfg++": ("euler_cfg_pp", "normal"),
    "euler a cfg++": ("euler_ancestral_cfg_pp", "normal"),
    "plms": ("ipndm", "normal"),
    "pndm": ("ipndm", "normal"),
    "ipndm": ("ipndm", "normal"),
    "ipndm_v": ("ipndm_v", "normal"),
    "deis": ("deis", "normal"),
    "ddpm": ("ddpm", "normal"),
    "unipc": ("uni_pc", "normal"),
    "lcm": ("lcm", "sgm_uniform"),
    "default": ("euler", "normal"),
    "automatic": ("euler", "normal"),
}
"""Each with the sampler and the schedule that "Automatic" means for it."""

SCHEDULES: Final[Mapping[str, str]] = {
    "uniform": "normal",
    "normal": "normal",
    "karras": "karras",
    "exponential": "exponential",
    "polyexponential": "exponential",
    "sgm uniform": "sgm_uniform",
    "sgmuniform": "sgm_uniform",
    "simple": "simple",
    "ddim": "ddim_uniform",
    "ddim uniform": "ddim_uniform",
    "beta": "beta",
    "kl optimal": "kl_optimal",
    "linear quadratic": "linear_quadratic",
}
FIXED_SCHEDULES: Final = ("ddim", "ddim cfg++", "lcm")
ENDINGS: Final = ("polyexponential", "exponential", "karras", "sgmuniform", "sgm uniform", "simple", "beta")
LATENT_UPSCALERS: Final[Mapping[str, str]] = {
    "latent": "bilinear",
    "latent (antialiased)": "bilinear",
    "latent (bicubic)": "bicubic",
    "latent (bicubic antialiased)": "bicubic",
    "latent (nearest)": "nearest-exact",
    "latent (nearest-exact)": "nearest-exact",
    "latent nearest": "nearest-exact",
    "latent bilinear": "bilinear",
    "latent bicubic": "bicubic",
}
PIXEL_UPSCALERS: Final[Mapping[str, str]] = {
    "none": "bilinear",
    "lanczos": "lanczos",
    "nearest": "nearest-exact",
}
_COMFY_SAMPLERS: Final = frozenset(
    {name for name, _ in SAMPLERS.values()}
    | {f"{name}_gpu" for name in ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "dpmpp_2m_sde_heun")}
    | {"er_sde", "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "uni_pc_bh2", "res_multistep"}
)


def sampling(parameters: Parameters, prefix: str = "") -> tuple[str, str]:
    """ComfyUI's sampler and schedule; old texts end the sampler's name with the schedule's.

    `prefix` is that of the hires pass, which takes what it does not name from the first. Raises DocumentError
    (`unknown-a1111-name`).
    """
    settings = parameters.settings
    own = settings.get(f"{prefix}sampler", "")
    given = own if own.lower() not in ("", "use same sampler") else settings.get("sampler", "Euler a")
    name = given.lower().strip()
    schedule = settings.get(f"{prefix}schedule type", "")
    if schedule.lower() in ("", "use same scheduler"):
        schedule = settings.get("schedule type", "")
    for ending in ENDINGS:
        if name.endswith(f" {ending}"):
            name, schedule = name.removesuffix(f" {ending}"), ending
            break
    if name in _COMFY_SAMPLERS and name not in SAMPLERS:
        sampler, automatic = name, "normal"
    elif name in SAMPLERS:
        sampler, automatic = SAMPLERS[name]
    else:
        raise _unknown("sampler", given)
    if not schedule:
        return sampler, automatic if name in FIXED_SCHEDULES else "normal"
    return sampler, _schedule(schedule, automatic)


def _schedule(given: str, automatic: str) -> str:
    name = given.lower().strip()
    if name in ("automatic", "default"):
        return automatic
    if name in SCHEDULES.values():
        return name
    if name not in SCHEDULES:
        raise _unknown("schedule", given)
    return SCHEDULES[name]


def _unknown(kind: str, name: str) -> DocumentError:
    known = ", ".join(SAMPLERS if kind == "sampler" else SCHEDULES)
    return DocumentError(
        f"The {kind} {name!r} has no counterpart here; known are: {known}.", code="unknown-a1111-name"
    )
