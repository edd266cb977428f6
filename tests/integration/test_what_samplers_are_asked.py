"""Sampling nodes on odd but legal requests, and the one sentence that each impossible one gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphcore import Cancelled, Context, InputError, Preview, detached_context
from nodes.conditioning.text import (
    clip_encode,
    clip_encode_sdxl,
    clip_encode_sdxl_refiner,
    clip_set_last_layer,
)
from nodes.diffusion.latents import empty_latent
from nodes.latents.making import set_latent_noise_mask
from nodes.latents.vae import (
    vae_decode,
    vae_decode_tiled,
    vae_encode,
    vae_encode_for_inpaint,
    vae_encode_tiled,
)
from nodes.models.loaders import LoadedCheckpoint, load_checkpoint, load_vae
from nodes.sampling.ksamplers import (
    add_noise,
    basic_guider,
    cfg_guider,
    disable_noise,
    dual_cfg_guider,
    k_sampler,
    k_sampler_advanced,
    k_sampler_select,
    random_noise,
    sampler_custom,
    sampler_custom_advanced,
)
from nodes.sampling.schedules import basic_scheduler, flip_sigmas, split_sigmas
from nodes.values import Conditioning, Image, Latent, Mask, Sigmas
from tests.models import TinyModels
from tests.random_tensors import seeded, seeded_pixels


@pytest.fixture(scope="module")
def ctx(tiny_models: TinyModels) -> Context:
    return detached_context(models_dirs=(tiny_models.folder,), device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def loaded(ctx: Context, tiny_models: TinyModels) -> LoadedCheckpoint:
    return load_checkpoint(ctx, tiny_models.sd1().name)


@pytest.fixture(scope="module")
def text(ctx: Context, loaded: LoadedCheckpoint) -> Conditioning:
    return clip_encode(ctx, "a red cat", loaded.clip)


@pytest.fixture
def sampled(ctx: Context, loaded: LoadedCheckpoint, text: Conditioning) -> Callable[..., torch.Tensor]:
    def run(latent: Latent | None = None, **changes: Any) -> torch.Tensor:
        inputs: dict[str, Any] = {
            "model": loaded.model,
            "seed": 3,
            "steps": 4,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "positive": text,
            "negative": clip_encode(ctx, "", loaded.clip),
            "latent_image": latent or empty_latent(64, 64, 1),
            **changes,
        }
        return k_sampler(ctx, **inputs).samples

    return run


def test_the_same_seed_gives_the_same_bytes(sampled: Callable[..., torch.Tensor]) -> None:
    for sampler in ("euler", "euler_ancestral", "dpmpp_sde", "uni_pc"):
        assert torch.equal(sampled(sampler_name=sampler), sampled(sampler_name=sampler))
    assert not torch.equal(sampled(), sampled(seed=4))


def test_the_global_generator_is_left_alone(sampled: Callable[..., torch.Tensor]) -> None:
    before = torch.get_rng_state()
    sampled(sampler_name="dpmpp_2m_sde")
    assert torch.equal(torch.get_rng_state(), before)


def test_denoise_of_zero_gives_the_latent_back(sampled: Callable[..., torch.Tensor]) -> None:
    latent = Latent(seeded(1, 4, 8, 8))
    assert torch.equal(sampled(latent, denoise=0.0), latent.samples)


def test_less_denoise_stays_nearer(sampled: Callable[..., torch.Tensor]) -> None:
    latent = Latent(seeded(1, 4, 8, 8))
    far, near = (sampled(latent, denoise=share).sub(latent.samples).norm() for share in (0.9, 0.2))
    assert near < far


def test_an_empty_prompt_is_a_prompt(
    sampled: Callable[..., torch.Tensor], ctx: Context, loaded: LoadedCheckpoint
) -> None:
    assert sampled(positive=clip_encode(ctx, "", loaded.clip)).isfinite().all()


def test_two_halves_make_a_whole(ctx: Context, loaded: LoadedCheckpoint, text: Conditioning) -> None:
    common: dict[str, Any] = {
        "model": loaded.model,
        "noise_seed": 3,
        "steps": 6,
        "cfg": 4.0,
        "sampler_name": "euler",
        "scheduler": "karras",
        "positive": text,
        "negative": text,
    }
    start = empty_latent(64, 64, 1)
    whole = k_sampler_advanced(
        ctx, add_noise="enable", latent_image=start, return_with_leftover_noise="disable", **common
    )
    first = k_sampler_advanced(
        ctx,
        add_noise="enable",
        latent_image=start,
        end_at_step=3,
        return_with_leftover_noise="enable",
        **common,
    )
    second = k_sampler_advanced(
        ctx,
        add_noise="disable",
        latent_image=first,
        start_at_step=3,
        return_with_leftover_noise="disable",
        **common,
    )
    torch.testing.assert_close(second.samples, whole.samples, atol=1e-4, rtol=1e-4)


def test_custom_sampling_is_the_same_thing(
    ctx: Context, loaded: LoadedCheckpoint, text: Conditioning, sampled: Callable[..., torch.Tensor]
) -> None:
    negative = clip_encode(ctx, "", loaded.clip)
    start = empty_latent(64, 64, 1)
    sigmas = basic_scheduler(ctx, model=loaded.model, scheduler="normal", steps=4)
    sampler = k_sampler_select("euler")
    simple = sampler_custom(
        ctx,
        model=loaded.model,
        noise_seed=3,
        cfg=4.0,
        positive=text,
        negative=negative,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=start,
    )
    guider = cfg_guider(loaded.model, text, negative, 4.0)
    advanced = sampler_custom_advanced(ctx, random_noise(3), guider, sampler, sigmas, start)
    assert torch.equal(simple.output.samples, sampled())
    assert torch.equal(advanced.output.samples, sampled())
    torch.testing.assert_close(
        advanced.denoised_output.samples, advanced.output.samples, atol=1e-4, rtol=1e-4
    )


def test_a_run_that_ends_early_says_what_it_saw(
    ctx: Context, loaded: LoadedCheckpoint, text: Conditioning
) -> None:
    high, _ = split_sigmas(basic_scheduler(ctx, model=loaded.model, scheduler="normal", steps=4), 2)
    guider = basic_guider(loaded.model, text)
    start = empty_latent(64, 64, 1)
    pair = sampler_custom_advanced(ctx, random_noise(1), guider, k_sampler_select("euler"), high, start)
    assert not torch.allclose(pair.output.samples, pair.denoised_output.samples)


def test_guidance_with_two_positives(ctx: Context, loaded: LoadedCheckpoint, text: Conditioning) -> None:
    other = clip_encode(ctx, "a dog", loaded.clip)
    sigmas = basic_scheduler(ctx, model=loaded.model, scheduler="normal", steps=3)
    results = [
        sampler_custom_advanced(
            ctx,
            random_noise(1),
            dual_cfg_guider(
                model=loaded.model, cond1=text, cond2=other, negative=other, cfg_conds=3.0, style=style
            ),
            k_sampler_select("euler"),
            sigmas,
            empty_latent(64, 64, 1),
        ).output.samples
        for style in ("regular", "nested")
    ]
    assert not torch.allclose(*results)


def test_back_to_noise_and_forth(ctx: Context, loaded: LoadedCheckpoint, text: Conditioning) -> None:
    """Unsampling: a schedule turned around leads to the noise that leads back to the picture."""
    guider, sampler = basic_guider(loaded.model, text), k_sampler_select("euler")
    sigmas = Sigmas(torch.linspace(0.6, 0.0, 41))
    start = Latent(seeded(1, 4, 8, 8))
    noisy = sampler_custom_advanced(ctx, disable_noise(), guider, sampler, flip_sigmas(sigmas), start).output
    again = sampler_custom_advanced(ctx, disable_noise(), guider, sampler, sigmas, noisy).output
    travelled = (noisy.samples - start.samples).norm()
    assert travelled > 1
    assert (again.samples - start.samples).norm() < 0.1 * travelled


def test_noise_can_be_added_by_hand(ctx: Context, loaded: LoadedCheckpoint) -> None:
    start = Latent(seeded(1, 4, 8, 8))
    noisy = add_noise(ctx, loaded.model, random_noise(5), Sigmas(torch.tensor([2.0, 0.0])), start).samples
    drawn = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(noisy, start.samples + 2 * drawn / 0.18215)
    assert add_noise(ctx, loaded.model, random_noise(5), Sigmas(torch.zeros(0)), start) is start


def test_a_mask_keeps_the_rest(sampled: Callable[..., torch.Tensor]) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    latent = set_latent_noise_mask(Latent(seeded(1, 4, 8, 8)), Mask(mask))
    result = sampled(latent)
    torch.testing.assert_close(result[..., :4], latent.samples[..., :4], atol=1e-5, rtol=0)
    assert not torch.allclose(result[..., 4:], latent.samples[..., 4:], atol=0.1)


def test_progress_previews_and_cancelling(ctx: Context, loaded: LoadedCheckpoint, text: Conditioning) -> None:
    told: list[tuple[int, int, Preview | None]] = []
    watched = detached_context(models_dirs=ctx.settings.models_dirs, device="cpu", dtype="fp32")
    watched.previews = True
    watched.listener = lambda done, total, preview: told.append((done, total, preview))

    def run() -> None:
        k_sampler(
            watched,
            model=loaded.model,
            steps=5,
            sampler_name="euler",
            scheduler="normal",
            positive=text,
            negative=text,
            latent_image=empty_latent(64, 48, 1),
        )

    run()
    assert [(done, total) for done, total, _ in told] == [(step, 5) for step in range(1, 6)]
    preview = told[-1][2]
    assert preview is not None
    assert (preview.width, preview.height, preview.media_type) == (64, 48, "image/jpeg")
    assert preview.data.startswith(b"\xff\xd8")
    told.clear()
    watched.listener = lambda done, total, preview: watched.token.cancel("enough") if done == 2 else None
    with pytest.raises(Cancelled, match="enough"):
        run()


def test_what_cannot_be_sampled_is_told(
    sampled: Callable[..., torch.Tensor], ctx: Context, loaded: LoadedCheckpoint, tiny_models: TinyModels
) -> None:
    with pytest.raises(InputError, match="not finite"):
        sampled(Latent(torch.full((1, 4, 8, 8), float("nan"))))
    with pytest.raises(InputError, match="16 channels and the model wants 4"):
        sampled(Latent(seeded(1, 16, 8, 8)))
    with pytest.raises(InputError, match="four dimensions"):
        sampled(Latent(seeded(4, 8, 8)))
    for shape in ((0, 4, 8, 8), (1, 4, 0, 8)):
        with pytest.raises(InputError, match="latent is empty"):
            sampled(Latent(torch.zeros(shape)))
    for mask in (torch.ones(0, 8, 8), torch.full((1, 8, 8), float("nan"))):
        with pytest.raises(InputError, match="noise mask"):
            sampled(Latent(seeded(1, 4, 8, 8), noise_mask=mask))
    with pytest.raises(InputError, match="at least 1 step"):
        sampled(steps=0)
    other = load_checkpoint(ctx, tiny_models.sd2().name)
    with pytest.raises(InputError, match="same model"):
        sampled(positive=clip_encode(ctx, "a cat", other.clip))


def test_an_empty_latent_of_other_channels_is_empty(sampled: Callable[..., torch.Tensor]) -> None:
    assert torch.equal(sampled(empty_latent(64, 64, 1, channels=16)), sampled())


def test_pictures_to_latents_and_back(ctx: Context, loaded: LoadedCheckpoint) -> None:
    pixels = Image(seeded_pixels(2, 130, 133, 3))
    latent = vae_encode(ctx, pixels, loaded.vae)
    assert latent.samples.shape == (2, 4, 16, 16)
    picture = vae_decode(ctx, latent, loaded.vae).pixels
    assert picture.shape == (2, 128, 128, 3)
    assert 0 <= float(picture.min()) <= float(picture.max()) <= 1
    tiled = vae_decode_tiled(ctx, latent, loaded.vae, 64, 64).pixels
    assert tiled.shape == picture.shape
    assert vae_encode_tiled(ctx, pixels, loaded.vae, 64, 16).samples.shape == latent.samples.shape
    whole = vae_decode_tiled(ctx, latent, loaded.vae, 512, 64).pixels
    torch.testing.assert_close(whole, picture, atol=1e-5, rtol=0)


def test_the_masked_part_is_empty_for_inpainting(ctx: Context, loaded: LoadedCheckpoint) -> None:
    image = Image(seeded_pixels(1, 64, 64, 3))
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:16, 8:16] = 1
    latent = vae_encode_for_inpaint(ctx, image, loaded.vae, Mask(mask), 6)
    assert latent.noise_mask is not None
    assert latent.noise_mask.shape == (1, 64, 64)
    assert latent.noise_mask.sum() > 16 * 16
    other = vae_encode(ctx, image, loaded.vae)
    assert not torch.allclose(latent.samples, other.samples)


@pytest.mark.parametrize("masks", [1, 2, 3])
def test_masks_go_round_the_pictures(ctx: Context, loaded: LoadedCheckpoint, masks: int) -> None:
    values = seeded_pixels(masks, 24, 24)
    latent = vae_encode_for_inpaint(ctx, Image(seeded_pixels(2, 32, 32, 3)), loaded.vae, Mask(values), 0)
    assert latent.samples.shape == (2, 4, 4, 4)
    assert latent.noise_mask is not None
    assert len(latent.noise_mask) == 2


def test_what_a_vae_cannot_take_is_told(ctx: Context, loaded: LoadedCheckpoint) -> None:
    with pytest.raises(InputError, match="not finite"):
        vae_decode(ctx, Latent(torch.full((1, 4, 8, 8), float("inf"))), loaded.vae)
    with pytest.raises(InputError, match="decodes latents of 4 channels"):
        vae_decode(ctx, Latent(seeded(1, 16, 8, 8)), loaded.vae)
    with pytest.raises(InputError, match="at least 8"):
        vae_encode(ctx, Image(seeded_pixels(1, 7, 64, 3)), loaded.vae)
    for shape in ((1, 16, 16, 1), (0, 16, 16, 3), (16, 16, 3)):
        with pytest.raises(InputError, match="shape"):
            vae_encode(ctx, Image(torch.zeros(shape)), loaded.vae)
    with pytest.raises(InputError, match="decodes latents"):
        vae_decode(ctx, Latent(torch.zeros(0, 4, 8, 8)), loaded.vae)


def test_a_vae_of_its_own_file(ctx: Context, loaded: LoadedCheckpoint, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    checkpoint = ctx.files.resolve("checkpoints", loaded.vae.file.name)
    prefix = "first_stage_model."
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in load_file(checkpoint).items()
        if name.startswith(prefix)
    }
    (tmp_path / "vae").mkdir()
    save_file(state, tmp_path / "vae" / "alone.safetensors")
    other = detached_context(models_dirs=(tmp_path, *ctx.settings.models_dirs), device="cpu", dtype="fp32")
    latent = Latent(seeded(1, 4, 8, 8))
    alone = vae_decode(other, latent, load_vae(other, "alone.safetensors")).pixels
    assert torch.equal(alone, vae_decode(ctx, latent, loaded.vae).pixels)


def test_layers_of_the_text_encoder(ctx: Context, loaded: LoadedCheckpoint) -> None:
    last, before = (clip_encode(ctx, "a cat", clip_set_last_layer(loaded.clip, layer)) for layer in (-1, -2))
    plain = clip_encode(ctx, "a cat", loaded.clip)
    assert torch.equal(last.entries[0].embeddings, plain.entries[0].embeddings)
    assert not torch.allclose(before.entries[0].embeddings, plain.entries[0].embeddings)


def test_sdxl_takes_sizes(ctx: Context, tiny_models: TinyModels) -> None:
    xl = load_checkpoint(ctx, tiny_models.sdxl().name)
    encoded = clip_encode_sdxl(
        ctx,
        clip=xl.clip,
        width=800,
        height=600,
        crop_w=1,
        crop_h=2,
        target_width=64,
        target_height=32,
        text_g="a cat",
        text_l="a dog",
    ).entries[0]
    assert encoded.size == (600.0, 800.0, 2.0, 1.0, 32.0, 64.0)
    refiner = load_checkpoint(ctx, tiny_models.refiner().name)
    scored = clip_encode_sdxl_refiner(ctx, ascore=2.5, width=800, height=600, text="a cat", clip=refiner.clip)
    assert scored.entries[0].size == (600.0, 800.0, 0.0, 0.0, 2.5)


def test_the_refiner_scores_a_plain_negative_lower(ctx: Context, tiny_models: TinyModels) -> None:
    """As the pipelines of the refiner do: 6 for what is wanted, 2.5 for what is not."""
    refiner = load_checkpoint(ctx, tiny_models.refiner().name)

    def scored(text: str, score: float) -> Conditioning:
        return clip_encode_sdxl_refiner(ctx, ascore=score, width=64, height=64, text=text, clip=refiner.clip)

    def drawn(positive: Conditioning, negative: Conditioning) -> torch.Tensor:
        return k_sampler(
            ctx, model=refiner.model, seed=1, steps=2, cfg=4.0, sampler_name="euler", scheduler="normal",
            positive=positive, negative=negative, latent_image=empty_latent(64, 64, 1),
        ).samples  # fmt: skip

    plain = drawn(clip_encode(ctx, "a cat", refiner.clip), clip_encode(ctx, "a dog", refiner.clip))
    assert torch.equal(plain, drawn(scored("a cat", 6.0), scored("a dog", 2.5)))
    assert not torch.equal(plain, drawn(scored("a cat", 6.0), scored("a dog", 6.0)))
