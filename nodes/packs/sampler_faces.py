"""Samplers and guiders as node packs use them: called by a pack's own code, they sample as our nodes do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nodes.packs.conditioning import to_conditioning
from nodes.packs.faces import Face, run_context
from nodes.packs.model_face import ModelFace
from nodes.values import Conditioning, Guider, Model, Sampler

if TYPE_CHECKING:
    from torch import Tensor

Callback = Callable[[int, Any, Any, int], object]


class SamplerFace(Face[Sampler]):
    """A sampling algorithm, as ComfyUI's SAMPLER objects are passed around."""

    comfy_name = "SAMPLER"

    def __init__(self, value: Sampler) -> None:
        self.value = value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackSampling:
    """What a pack asks for when it samples by itself: ComfyUI's tensors, with noise that it has drawn."""

    guider: Guider
    sampler: Sampler
    sigmas: Tensor
    latent: Tensor
    noise: Tensor | None = None
    noise_mask: Tensor | None = None
    seed: int | None = None
    callback: Callback | None = None


def sampled(request: PackSampling) -> Tensor:
    """Run it in the run of the caller; the latents, unscaled, on the CPU."""
    from nodes.diffusion.ksampling import conditioning_names, encoded_preview, guidance_of
    from nodes.diffusion.preview import LatentPreview
    from nodes.diffusion.sampling import SamplingRequest, sample
    from nodes.diffusion.store import ModelStore

    ctx, guider = run_context(), request.guider
    named = dict(zip(conditioning_names(guider.guidance), guider.conditionings, strict=True))
    with ctx.service(ModelStore).network(guider.model) as network:

        def report(done: int, total: int, preview: LatentPreview) -> None:
            shown = encoded_preview(preview, network.latent_format.downscale) if ctx.previews else None
            ctx.progress(done, total, shown)
            if request.callback is not None:
                request.callback(done - 1, preview.denoised, preview.denoised, total)

        return sample(
            SamplingRequest(
                network=network,
                latent=request.latent,
                sigmas=request.sigmas,
                sampler=request.sampler,
                guidance=guidance_of(guider),
                positive=named.pop("positive"),
                negative=named.pop("negative", None),
                others=named,
                seed=request.seed or 0,
                add_noise=request.noise is not None,
                noise=request.noise,
                noise_mask=_mask(request.noise_mask),
                progress=report,
                check_cancelled=ctx.check_cancelled,
            )
        )


def _mask(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.float().cpu().reshape(-1, *mask.shape[-2:])


class GuiderFace(Face[Guider]):
    """A model with its conditionings and guidance, as ComfyUI's GUIDER objects are used."""

    comfy_name = "GUIDER"

    def __init__(self, value: Guider) -> None:
        self.value = value

    @property
    def model_patcher(self) -> ModelFace:
        """The model."""
        return ModelFace(self.value.model)

    @property
    def model_options(self) -> dict[str, Any]:
        """The options of the model."""
        return self.model_patcher.model_options

    def set_cfg(self, cfg: float) -> None:
        """Guide by this scale."""
        from nodes.diffusion.guidance import Cfg

        self.value = replace(self.value, guidance=Cfg(scale=float(cfg)))

    def set_conds(self, positive: Any, negative: Any) -> None:
        """Guide towards one conditioning and away from the other."""
        self.value = replace(self.value, conditionings=(as_conditioning(positive), as_conditioning(negative)))

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: SamplerFace,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Callback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """Sample latents (batch, channels, height, width) from noise of the same shape."""
        del disable_pbar
        return sampled(
            PackSampling(
                guider=self.value,
                sampler=sampler.value,
                sigmas=sigmas,
                latent=latent_image,
                noise=noise,
                noise_mask=denoise_mask,
                seed=seed,
                callback=callback,
            )
        )


class CfgGuiderFace(GuiderFace):
    """`comfy.samplers.CFGGuider`: made from a model alone, then given conditionings and a scale."""

    def __init__(self, model_patcher: ModelFace) -> None:
        from nodes.diffusion.guidance import Cfg

        empty = Conditioning(())
        model = as_model(model_patcher)
        super().__init__(Guider(model=model, conditionings=(empty, empty), guidance=Cfg(scale=1.0)))


def as_model(model: Any) -> Model:
    """The reference behind a model, whoever holds it."""
    found: Model = model.value if isinstance(model, Face) else model
    return found


def as_conditioning(conditioning: Any) -> Conditioning:
    """A conditioning from ComfyUI's list of pairs."""
    return conditioning if isinstance(conditioning, Conditioning) else to_conditioning(conditioning)
