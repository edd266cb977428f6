"""The functions of ComfyUI's module `nodes` that packs call."""

from __future__ import annotations

from typing import Any

from nodes.packs.exchange import from_comfy, to_comfy
from nodes.packs.faces import run_context
from nodes.packs.shims.devices import interrupt_current_processing


def common_ksampler(
    model: Any,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent: dict[str, Any],
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
) -> tuple[dict[str, Any]]:
    """Sample a latent, from step `start_step` to `last_step`; a tuple of the latent."""
    from nodes.diffusion.ksampling import ScheduleChoice, cfg_guider, run_sampler
    from nodes.packs.sampler_faces import as_conditioning, as_model
    from nodes.values import Noise, Sampler

    pair = run_sampler(
        run_context(),
        guider=cfg_guider(as_model(model), as_conditioning(positive), as_conditioning(negative), float(cfg)),
        sampler=Sampler(name=sampler_name),
        schedule=ScheduleChoice(
            name=scheduler,
            steps=steps,
            denoise=denoise,
            start=start_step,
            end=last_step,
            finish=force_full_denoise or last_step is None,
        ),
        noise=Noise(seed=None if disable_noise else seed),
        sampling_seed=seed,
        latent=from_comfy("LATENT", latent),
    )
    return (to_comfy("LATENT", pair.latent),)


def interrupt_processing(value: bool = True) -> None:
    """Cancel the run that the caller is part of."""
    interrupt_current_processing(value)


def before_node_execution() -> None:
    """Raise if the run that the caller is part of was cancelled."""
    run_context().check_cancelled()
