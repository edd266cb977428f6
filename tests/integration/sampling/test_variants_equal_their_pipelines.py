"""Networks with more input channels end in the latents of diffusers' pipelines, from a single file and from a folder.

Inpainting (SD 1.x, SDXL), InstructPix2Pix and depth-to-image, each through the nodes that people use.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from diffusers.configuration_utils import FrozenDict
from torch import Tensor

from graphcore import Context, InputError, detached_context
from nodes.conditioning.combining import (
    depth_conditioning,
    inpaint_model_conditioning,
    instruct_pix_to_pix_conditioning,
)
from nodes.conditioning.text import clip_encode
from nodes.diffusion.noise import starting_noise
from nodes.models.loaders import LoadedCheckpoint, load_checkpoint, load_diffusers_folder
from nodes.sampling.ksamplers import (
    cfg_guider,
    disable_noise,
    dual_cfg_guider,
    k_sampler_select,
    sampler_custom_advanced,
)
from nodes.values import Conditioning, Guider, Image, Latent, Mask, Sigmas
from tests import models

SIDE = 64
STEPS = 4
BETAS: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
VARIANTS: dict[str, tuple[int, Callable[[int], models.TinyParts], Callable[..., models.State]]] = {
    "sd1-inpaint": (9, models.sd1_parts, models.sd1_state),
    "sdxl-inpaint": (9, models.sdxl_parts, models.sdxl_state),
    "instruct-pix2pix": (8, models.sd1_parts, models.sd1_state),
    "sdxl-pix2pix": (8, models.sdxl_parts, models.sdxl_state),
    "sd2-depth": (5, models.sd2_parts, models.sd2_state),
}


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A variant, loaded by our node, beside diffusers' own modules."""

    ctx: Context
    checkpoint: LoadedCheckpoint
    parts: models.TinyParts

    def texts(self) -> tuple[Conditioning, Conditioning]:
        return (
            clip_encode(self.ctx, "a red cat", self.checkpoint.clip),
            clip_encode(self.ctx, "a dog", self.checkpoint.clip),
        )

    def pipeline(self, name: str, **more: Any) -> Any:
        fixed: dict[str, Any] = {
            "vae": self.parts.vae,
            "text_encoder": None,
            "tokenizer": None,
            "unet": self.parts.unet,
            "scheduler": schedule(),
            "feature_extractor": None,
        }
        kind = getattr(diffusers, name)
        wanted = inspect.signature(kind.__init__).parameters
        made = kind(**{key: part for key, part in {**fixed, **more}.items() if key in wanted})
        made.set_progress_bar_config(disable=True)
        return made

    def sampled(self, guider: Guider, latent: Tensor, sigmas: Tensor | None = None) -> Tensor:
        """Our sampling of a latent that has its noise already."""
        scale = self.parts.vae.config.scaling_factor
        given = Latent(latent / scale)
        steps = Sigmas(schedule().sigmas if sigmas is None else sigmas)
        done = sampler_custom_advanced(
            self.ctx, disable_noise(), guider, k_sampler_select("euler"), steps, given
        )
        return done.output.samples * scale


def schedule() -> Any:
    made = EulerDiscreteScheduler(**BETAS)
    made.set_timesteps(STEPS)
    return made


@pytest.fixture(autouse=True)
def sizes_that_pipelines_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some compare the configured size with 64, and tiny networks have none."""
    for channels, parts, _ in VARIANTS.values():
        unet = parts(channels).unet
        monkeypatch.setattr(unet, "_internal_dict", FrozenDict({**unet.config, "sample_size": 64}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("variants")


@pytest.fixture(params=["file", "folder"])
def load(request: pytest.FixtureRequest, folders: Path) -> Callable[[str], Loaded]:
    def loaded(name: str) -> Loaded:
        channels, parts, state = VARIANTS[name]
        made = parts(channels)
        tokenizer = {"graphcore.tokenizer": models.byte_tokenizer()}
        file = folders / "checkpoints" / f"{name}.safetensors"
        folder = folders / "diffusers" / name
        if not file.exists():
            models.write(file, state(in_channels=channels), metadata=tokenizer)
        if not folder.exists():
            models.write_folder(folder, made)
            (folder / "model_index.json").write_text("{}")
        ctx = detached_context(models_dirs=(folders,), device="cpu", dtype="fp32")
        found = load_checkpoint(ctx, file.name)
        if request.param == "folder":
            network = load_diffusers_folder(ctx, name)
            found = LoadedCheckpoint(network.model, found.clip, network.vae)
        return Loaded(ctx=ctx, checkpoint=found, parts=made)

    return loaded


@pytest.fixture
def picture() -> Tensor:
    """A picture of one row, (1, height, width, 3)."""
    return torch.rand((1, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(1))


def noise() -> Tensor:
    return starting_noise((1, 4, SIDE // 8, SIDE // 8), 5)


def in_their_range(picture: Tensor) -> Tensor:
    return picture.movedim(-1, 1) * 2 - 1


def embeddings(positive: Conditioning, negative: Conditioning) -> dict[str, Any]:
    (one,), (other,) = positive.entries, negative.entries
    return {"prompt_embeds": one.embeddings, "negative_prompt_embeds": other.embeddings}


def assert_alike(ours: Tensor, theirs: Tensor) -> None:
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


@pytest.mark.parametrize("name", ["sd1-inpaint", "sdxl-inpaint"])
def test_inpainting(name: str, load: Callable[[str], Loaded], picture: Tensor) -> None:
    loaded = load(name)
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 16:48, 24:64] = 1
    scaling = loaded.parts.vae.config.scaling_factor
    masked = in_their_range(picture) * (mask[:, None] < 0.5)
    shown = loaded.parts.vae.encode(masked).latent_dist.mean * scaling
    positive, negative = loaded.texts()
    arguments: dict[str, Any] = {
        **embeddings(positive, negative),
        "image": picture.movedim(-1, 1),
        "mask_image": mask[:, None],
        "masked_image_latents": shown,
        "latents": noise(),
        "height": SIDE,
        "width": SIDE,
        "strength": 1.0,
        "guidance_scale": 5.0,
        "num_inference_steps": STEPS,
        "output_type": "latent",
    }
    if name == "sdxl-inpaint":
        pooled = {
            "pooled_prompt_embeds": positive.entries[0].pooled,
            "negative_pooled_prompt_embeds": negative.entries[0].pooled,
        }
        made = loaded.pipeline(
            "StableDiffusionXLInpaintPipeline", text_encoder_2=None, tokenizer_2=None, image_encoder=None
        )
        expected = made(**arguments, **pooled).images
    else:
        made = loaded.pipeline(
            "StableDiffusionInpaintPipeline", safety_checker=None, requires_safety_checker=False
        )
        expected = made(**arguments).images
    positive, negative, _ = inpaint_model_conditioning(
        loaded.ctx,
        positive=positive,
        negative=negative,
        vae=loaded.checkpoint.vae,
        pixels=Image(picture),
        mask=Mask(mask),
    )
    guider = cfg_guider(loaded.checkpoint.model, positive, negative, 5.0)
    assert_alike(loaded.sampled(guider, noise() * schedule().init_noise_sigma), expected)


@pytest.mark.parametrize("name", ["instruct-pix2pix", "sdxl-pix2pix"])
def test_instructions_that_change_a_picture(
    name: str, load: Callable[[str], Loaded], picture: Tensor
) -> None:
    loaded = load(name)
    text, nothing = loaded.texts()
    arguments: dict[str, Any] = {
        **embeddings(text, nothing),
        "image": picture.movedim(-1, 1),
        "latents": noise(),
        "guidance_scale": 6.0,
        "image_guidance_scale": 1.5,
        "num_inference_steps": STEPS,
        "output_type": "latent",
    }
    if name == "sdxl-pix2pix":
        made = loaded.pipeline(
            "StableDiffusionXLInstructPix2PixPipeline", text_encoder_2=None, tokenizer_2=None
        )
        arguments |= {
            "pooled_prompt_embeds": text.entries[0].pooled,
            "negative_pooled_prompt_embeds": nothing.entries[0].pooled,
            "height": SIDE,
            "width": SIDE,
        }
    else:
        made = loaded.pipeline(
            "StableDiffusionInstructPix2PixPipeline",
            safety_checker=None,
            requires_safety_checker=False,
            image_encoder=None,
        )
    expected = made(**arguments).images
    positive, middle, latent = instruct_pix_to_pix_conditioning(
        loaded.ctx, text, nothing, loaded.checkpoint.vae, Image(picture)
    )
    assert latent.samples.shape == (1, 4, SIDE // 8, SIDE // 8)
    guider = dual_cfg_guider(
        model=loaded.checkpoint.model,
        cond1=positive,
        cond2=middle,
        negative=nothing,
        cfg_conds=6.0,
        cfg_cond2_negative=1.5,
        style="regular",
    )
    assert_alike(loaded.sampled(guider, noise() * schedule().init_noise_sigma), expected)


def test_depth_to_image(load: Callable[[str], Loaded]) -> None:
    loaded = load("sd2-depth")
    text, nothing = loaded.texts()
    depth = torch.rand((1, 40, 40), generator=torch.Generator().manual_seed(2))
    stream = torch.Generator().manual_seed(3)
    start = torch.randn((1, 4, SIDE // 8, SIDE // 8), generator=stream)
    made = loaded.pipeline("StableDiffusionDepth2ImgPipeline", depth_estimator=None)
    made.prepare_depth_map = _their_depth_map(made, SIDE)
    expected = made(
        **embeddings(text, nothing),
        image=start,
        depth_map=depth,
        strength=0.5,
        guidance_scale=4.0,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(4),
        output_type="latent",
    ).images
    positive, negative = depth_conditioning(text, nothing, Image(depth[..., None].expand(-1, -1, -1, 3)))
    sigmas = schedule().sigmas[-STEPS // 2 - 1 :]
    drawn = torch.randn(start.shape, generator=torch.Generator().manual_seed(4))
    guider = cfg_guider(loaded.checkpoint.model, positive, negative, 4.0)
    assert_alike(loaded.sampled(guider, start + drawn * sigmas[0], sigmas), expected)


def _their_depth_map(pipeline: Any, side: int) -> Callable[..., Tensor]:
    """Their preparation for a picture of `side` pixels, told from the picture and not from its latent."""
    prepare = type(pipeline).prepare_depth_map

    def prepared(image: Any, *rest: Any, **named: Any) -> Tensor:
        made: Tensor = prepare(pipeline, torch.zeros(1, 3, side, side), *rest, **named)
        return made

    return prepared


def test_a_depth_model_without_a_depth_map_says_what_it_wants(load: Callable[[str], Loaded]) -> None:
    loaded = load("sd2-depth")
    text, nothing = loaded.texts()
    with pytest.raises(InputError, match="DepthConditioning"):
        loaded.sampled(cfg_guider(loaded.checkpoint.model, text, nothing, 4.0), noise())


def test_a_picture_encoded_by_the_vae_of_another_family_is_told(load: Callable[[str], Loaded]) -> None:
    loaded = load("sd1-inpaint")
    text, nothing = (
        Conditioning(
            tuple(
                replace(entry, concat_latent=torch.zeros(1, 16, 8, 8), concat_mask=torch.ones(1, 8, 8))
                for entry in given.entries
            )
        )
        for given in loaded.texts()
    )
    with pytest.raises(
        InputError, match=r"latents of 16 channels, and this model's have 4; encode it with the VAE"
    ):
        loaded.sampled(cfg_guider(loaded.checkpoint.model, text, nothing, 4.0), noise())
