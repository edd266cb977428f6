"""Nodes that choose a sampler with options of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from graphcore import Context, Range, node
from nodes.values import Model, Sampler

CATEGORY = "sampling/custom/samplers"
Rate = Annotated[float, Range(0.0, 100.0, step=0.01)]
NoiseDevice = Literal["gpu", "cpu"]
Percent = Annotated[float, Range(0.0, 1.0, step=0.001)]


def _sampler(name: str, **options: float | str | bool) -> Sampler:
    return Sampler(name=name, options=tuple(options.items()))


@node("SamplerEulerAncestral", category=CATEGORY, title="Sampler Euler Ancestral")
def sampler_euler_ancestral(eta: Rate = 1.0, s_noise: Rate = 1.0) -> Sampler:
    """Euler steps with fresh noise: `eta` is its share (0 adds none), `s_noise` its strength."""
    return _sampler("euler_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerEulerAncestralCFGPP", category=CATEGORY, title="Sampler Euler Ancestral CFG++")
def sampler_euler_ancestral_cfg_pp(
    eta: Annotated[float, Range(0.0, 1.0, step=0.01)] = 1.0,
    s_noise: Annotated[float, Range(0.0, 10.0, step=0.01)] = 1.0,
) -> Sampler:
    """Ancestral Euler steps along the unconditional prediction (Chung et al. 2024, "CFG++")."""
    return _sampler("euler_ancestral_cfg_pp", eta=eta, s_noise=s_noise)


@node("SamplerEulerCFGpp", category=CATEGORY, title="Sampler Euler CFG++")
def sampler_euler_cfg_pp(version: Literal["regular", "alternative"]) -> Sampler:
    """Euler steps along the unconditional prediction (Chung et al. 2024); both versions are that of the paper."""
    del version
    return _sampler("euler_cfg_pp")


@node("SamplerLMS", category=CATEGORY, title="Sampler LMS")
def sampler_lms(order: Annotated[int, Range(1, 100)] = 4) -> Sampler:
    """A linear multistep method that looks back over so many steps."""
    return _sampler("lms", order=order)


@node("SamplerDPMPP_2S_Ancestral", category=CATEGORY, title="Sampler DPM++ 2S Ancestral")
def sampler_dpmpp_2s_ancestral(eta: Rate = 1.0, s_noise: Rate = 1.0) -> Sampler:
    """DPM-Solver++ of order 2 in single steps, with fresh noise (Lu et al. 2022)."""
    return _sampler("dpmpp_2s_ancestral", eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_SDE", category=CATEGORY, title="Sampler DPM++ SDE")
def sampler_dpmpp_sde(
    *, eta: Rate = 1.0, s_noise: Rate = 1.0, r: Rate = 0.5, noise_device: NoiseDevice
) -> Sampler:
    """DPM-Solver++ as a stochastic equation; `r` is where in a step the second evaluation lies.

    Noise is drawn on the CPU whatever the device, so that a seed gives the same picture everywhere.
    """
    del noise_device
    return _sampler("dpmpp_sde", eta=eta, s_noise=s_noise, r=r)


@node("SamplerDPMPP_2M_SDE", category=CATEGORY, title="Sampler DPM++ 2M SDE")
def sampler_dpmpp_2m_sde(
    *,
    solver_type: Literal["midpoint", "heun"],
    eta: Rate = 1.0,
    s_noise: Rate = 1.0,
    noise_device: NoiseDevice,
) -> Sampler:
    """DPM-Solver++ of order 2 over several steps, as a stochastic equation."""
    del noise_device
    return _sampler("dpmpp_2m_sde", solver_type=solver_type, eta=eta, s_noise=s_noise)


@node("SamplerDPMPP_3M_SDE", category=CATEGORY, title="Sampler DPM++ 3M SDE")
def sampler_dpmpp_3m_sde(*, eta: Rate = 1.0, s_noise: Rate = 1.0, noise_device: NoiseDevice) -> Sampler:
    """DPM-Solver++ of order 3 over several steps, as a stochastic equation."""
    del noise_device
    return _sampler("dpmpp_3m_sde", eta=eta, s_noise=s_noise)


@node("SamplerDPMAdaptative", category=CATEGORY, title="Sampler DPM Adaptive")
def sampler_dpm_adaptive(
    *,
    order: Annotated[int, Range(2, 3)] = 3,
    rtol: Rate = 0.05,
    atol: Rate = 0.0078,
    h_init: Rate = 0.05,
    pcoeff: Rate = 0.0,
    icoeff: Rate = 1.0,
    dcoeff: Rate = 0.0,
    accept_safety: Rate = 0.81,
    eta: Rate = 0.0,
    s_noise: Rate = 1.0,
) -> Sampler:
    """DPM-Solver with steps as long as its error allows (Lu et al. 2022); of the sigmas only the ends count.

    `rtol` and `atol` bound the error, `h_init` is the first step, the coefficients are those of a PID controller.
    """
    return _sampler(
        "dpm_adaptive",
        order=order,
        rtol=rtol,
        atol=atol,
        h_init=h_init,
        pcoeff=pcoeff,
        icoeff=icoeff,
        dcoeff=dcoeff,
        accept_safety=accept_safety,
        eta=eta,
        s_noise=s_noise,
    )


@node("SamplerER_SDE", category=CATEGORY, title="Sampler ER-SDE")
def sampler_er_sde(
    *,
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"],
    max_stage: Annotated[int, Range(1, 3)] = 3,
    eta: Rate = 1.0,
    s_noise: Rate = 1.0,
) -> Sampler:
    """Extended reverse-time solvers (Cui et al. 2023) of up to three stages; "ODE" adds no noise."""
    return _sampler("er_sde", solver_type=solver_type, max_stage=max_stage, eta=eta, s_noise=s_noise)


@node("SamplerSEEDS2", category=CATEGORY, title="Sampler SEEDS-2")
def sampler_seeds_2(
    *,
    solver_type: Literal["phi_1", "phi_2"],
    eta: Rate = 1.0,
    s_noise: Rate = 1.0,
    r: Annotated[float, Range(0.01, 1.0, step=0.01)] = 0.5,
) -> Sampler:
    """SEEDS of two stages (Gonzalez et al. 2023); `r` is where in a step the second lies."""
    return _sampler("seeds_2", solver_type=solver_type, eta=eta, s_noise=s_noise, r=r)


@node("SamplerSASolver", category=CATEGORY, title="Sampler SA-Solver")
def sampler_sa_solver(
    ctx: Context,
    *,
    model: Model,
    eta: Annotated[float, Range(0.0, 10.0, step=0.01)] = 1.0,
    sde_start_percent: Percent = 0.2,
    sde_end_percent: Percent = 0.8,
    s_noise: Rate = 1.0,
    predictor_order: Annotated[int, Range(1, 6)] = 3,
    corrector_order: Annotated[int, Range(0, 6)] = 4,
    use_pece: bool = False,
    simple_order_2: bool = False,
) -> Sampler:
    """The stochastic Adams solver (Xue et al. 2023), with noise between two shares of the schedule."""
    del ctx, model
    return _sampler(
        "sa_solver",
        eta=eta,
        sde_start_percent=sde_start_percent,
        sde_end_percent=sde_end_percent,
        s_noise=s_noise,
        predictor_order=predictor_order,
        corrector_order=corrector_order,
        use_pece=use_pece,
        simple_order_2=simple_order_2,
    )


@node("SamplerLCMUpscale", category=CATEGORY, title="Sampler LCM Upscale")
def sampler_lcm_upscale(
    scale_ratio: Annotated[float, Range(0.1, 20.0, step=0.01)] = 1.0,
    scale_steps: Annotated[int, Range(-1, 1000, step=1)] = -1,
    *,
    upscale_method: Literal["bislerp", "nearest-exact", "bilinear", "area", "bicubic"],
) -> Sampler:
    """Consistency sampling that enlarges the latent on its way, over `scale_steps` steps (-1: about half of them).

    It goes with whole prompts alone: no areas, masks or ControlNets.
    """
    return _sampler(
        "lcm_upscale",
        total_upscale=scale_ratio,
        upscale_steps=scale_steps,
        upscale_method=upscale_method,
    )
