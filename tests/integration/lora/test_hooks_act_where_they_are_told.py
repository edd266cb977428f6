"""Hooks: LoRAs and models that act under some conditionings alone, with strengths that change over the run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from graphcore import Context, ModelFileError, detached_context
from nodes.conditioning.combining import conditioning_combine, conditioning_set_mask
from nodes.conditioning.hook_values import Hooks
from nodes.conditioning.hooks import (
    combine_hooks_2,
    create_hook_keyframe,
    create_hook_keyframes_interpolated,
    create_hook_lora,
    create_hook_lora_model_only,
    create_hook_model_as_lora_model_only,
    set_clip_hooks,
    set_hook_keyframes,
)
from nodes.conditioning.properties import (
    conditioning_set_default_combine,
    conditioning_set_properties,
    conditioning_timesteps_range,
    pair_conditioning_combine,
    pair_conditioning_set_properties,
    pair_conditioning_set_properties_and_combine,
)
from nodes.conditioning.text import clip_encode
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.latents import empty_latent
from nodes.models.loaders import LoadedCheckpoint, load_checkpoint
from nodes.models.lora import lora, lora_model_only
from nodes.pictures.masks import invert_mask
from nodes.sampling.ksamplers import k_sampler, k_sampler_advanced
from nodes.values import Conditioning, Mask, Model
from tests import models
from tests.integration.lora.test_lora_nodes import write_lora
from tests.models import TinyModels

STEPS = 4


@pytest.fixture(scope="module")
def ctx(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Context:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "loras").mkdir()
    write_lora(folder / "loras" / "one.safetensors", seed=1)
    write_lora(folder / "loras" / "two.safetensors", seed=2)
    state = {
        name: tensor * 1.05 if tensor.is_floating_point() else tensor
        for name, tensor in models.sd1_state().items()
    }
    models.write(folder / "checkpoints" / "other.safetensors", state)
    return detached_context(models_dirs=(tiny_models.folder, folder), device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def loaded(ctx: Context, tiny_models: TinyModels) -> LoadedCheckpoint:
    return load_checkpoint(ctx, tiny_models.sd1().name)


@pytest.fixture(scope="module")
def texts(ctx: Context, loaded: LoadedCheckpoint) -> tuple[Conditioning, Conditioning]:
    return clip_encode(ctx, "a red cat", loaded.clip), clip_encode(ctx, "a dog", loaded.clip)


def sampled(
    ctx: Context, model: Model, positive: Conditioning, negative: Conditioning, **more: Any
) -> Tensor:
    inputs: dict[str, Any] = {
        "seed": 3, "steps": STEPS, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
    }  # fmt: skip
    return k_sampler(
        ctx,
        model=model,
        positive=positive,
        negative=negative,
        latent_image=empty_latent(64, 64, 1),
        **{**inputs, **more},
    ).samples


def hooked(conditioning: Conditioning, hooks: Hooks, **more: Any) -> Conditioning:
    return conditioning_set_properties(cond_NEW=conditioning, set_cond_area="default", hooks=hooks, **more)


def test_on_both_sides_a_hook_is_the_lora(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    hooks = create_hook_lora_model_only(ctx, "one.safetensors", 0.7)
    both = pair_conditioning_set_properties(
        positive_NEW=texts[0], negative_NEW=texts[1], set_cond_area="default", hooks=hooks
    )
    found = sampled(ctx, loaded.model, *both)
    assert torch.equal(
        found, sampled(ctx, lora_model_only(ctx, loaded.model, "one.safetensors", 0.7), *texts)
    )
    assert not torch.allclose(found, sampled(ctx, loaded.model, *texts))


def test_hooks_act_together(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    one = create_hook_lora_model_only(ctx, "one.safetensors", 0.7)
    two = create_hook_lora_model_only(ctx, "two.safetensors", -0.4)
    row = create_hook_lora_model_only(ctx, "two.safetensors", -0.4, one)
    assert combine_hooks_2(one, two) == row
    model = lora_model_only(
        ctx, lora_model_only(ctx, loaded.model, "one.safetensors", 0.7), "two.safetensors", -0.4
    )
    expected = sampled(ctx, model, *texts)
    assert torch.equal(sampled(ctx, loaded.model, *(hooked(text, row) for text in texts)), expected)
    in_turn = [hooked(hooked(text, one), two) for text in texts]
    assert torch.equal(sampled(ctx, loaded.model, *in_turn), expected)


def test_one_side_alone(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    """After one step the result is the guided sum of what both networks predict."""
    hooks = create_hook_lora_model_only(ctx, "one.safetensors", 1.0)
    positive, negative = texts
    found = sampled(ctx, loaded.model, hooked(positive, hooks), negative, steps=1)
    changed = lora_model_only(ctx, loaded.model, "one.safetensors", 1.0)
    high = sampled(ctx, changed, positive, negative, steps=1, cfg=1.0)
    low = sampled(ctx, loaded.model, negative, negative, steps=1, cfg=1.0)
    torch.testing.assert_close(found, low + 4 * (high - low), rtol=1e-3, atol=2e-3)


def test_strengths_change_over_the_run(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    keyframes = create_hook_keyframe(0.5, 0.5, create_hook_keyframe(0.0, 0.0))
    hooks = set_hook_keyframes(create_hook_lora_model_only(ctx, "one.safetensors", 1.0), keyframes)
    found = sampled(ctx, loaded.model, *(hooked(text, hooks) for text in texts))
    shared: dict[str, Any] = {
        "noise_seed": 3, "steps": STEPS, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": texts[0], "negative": texts[1],
    }  # fmt: skip
    half = k_sampler_advanced(
        ctx, model=loaded.model, add_noise="enable", latent_image=empty_latent(64, 64, 1), end_at_step=2,
        return_with_leftover_noise="enable", **shared,
    )  # fmt: skip
    rest = k_sampler_advanced(
        ctx, model=lora_model_only(ctx, loaded.model, "one.safetensors", 0.5), add_noise="disable",
        latent_image=half, start_at_step=2, return_with_leftover_noise="disable", **shared,
    )  # fmt: skip
    torch.testing.assert_close(found, rest.samples, rtol=1e-3, atol=2e-3)
    assert not torch.allclose(found, sampled(ctx, loaded.model, *texts), rtol=1e-2)


def test_each_region_has_its_lora(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    left = torch.zeros(1, 64, 64)
    left[..., :32] = 1
    one, two = (create_hook_lora_model_only(ctx, f"{name}.safetensors", 1.0) for name in ("one", "two"))
    base = pair_conditioning_set_properties(
        positive_NEW=texts[0], negative_NEW=texts[1], set_cond_area="default", mask=Mask(left), hooks=one
    )
    both = pair_conditioning_set_properties_and_combine(
        positive=base.positive, negative=base.negative, positive_NEW=texts[0], negative_NEW=texts[1],
        set_cond_area="default", mask=invert_mask(Mask(left)), hooks=two,
    )  # fmt: skip
    found = sampled(ctx, loaded.model, *both, steps=1)
    for name, part in (("one", slice(0, 4)), ("two", slice(4, 8))):
        alone = sampled(ctx, lora_model_only(ctx, loaded.model, f"{name}.safetensors", 1.0), *texts, steps=1)
        torch.testing.assert_close(found[..., part], alone[..., part], rtol=1e-3, atol=2e-3)


def test_a_default_acts_where_no_other_does(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    mask = Mask(torch.linspace(0, 1, 8).expand(1, 8, 8).clone())
    positive, other = texts
    masked = conditioning_set_mask(positive, mask, 1.0, set_cond_area="default")
    found = sampled(ctx, loaded.model, conditioning_set_default_combine(masked, other), other)
    rest = conditioning_set_mask(other, invert_mask(mask), 1.0, set_cond_area="default")
    expected = sampled(ctx, loaded.model, conditioning_combine(masked, rest), other)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3)
    whole = sampled(ctx, loaded.model, conditioning_set_default_combine(positive, other), other)
    torch.testing.assert_close(whole, sampled(ctx, loaded.model, positive, other), rtol=1e-3, atol=2e-3)


def test_another_model_as_a_lora(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    hooks = create_hook_model_as_lora_model_only(ctx, "other.safetensors", 1.0)
    found = sampled(ctx, loaded.model, *(hooked(text, hooks) for text in texts))
    expected = sampled(ctx, load_checkpoint(ctx, "other.safetensors").model, *texts)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3)


def test_prompts_are_encoded_with_hooks(ctx: Context, loaded: LoadedCheckpoint) -> None:
    hooks = create_hook_lora(ctx, "one.safetensors", 0.7, 0.6)
    clip = set_clip_hooks(loaded.clip, True, False, hooks)
    patched = lora(ctx, loaded.model, loaded.clip, "one.safetensors", 0.7, 0.6)
    found, expected = clip_encode(ctx, "a cat", clip), clip_encode(ctx, "a cat", patched.clip)
    assert torch.equal(found.entries[0].embeddings, expected.entries[0].embeddings)
    assert torch.equal(
        sampled(ctx, loaded.model, found, found), sampled(ctx, patched.model, expected, expected)
    )
    alone = clip_encode(ctx, "a cat", set_clip_hooks(loaded.clip, False, False, hooks))
    assert torch.equal(
        sampled(ctx, loaded.model, alone, alone), sampled(ctx, loaded.model, expected, expected)
    )


def test_a_lora_of_another_family_is_told(
    ctx: Context, tiny_models: TinyModels, texts: tuple[Conditioning, Conditioning]
) -> None:
    xl = load_checkpoint(ctx, tiny_models.sdxl().name)
    text = hooked(
        clip_encode(ctx, "a cat", xl.clip), create_hook_lora_model_only(ctx, "one.safetensors", 1.0)
    )
    with pytest.raises(ModelFileError, match="another family of models"):
        sampled(ctx, xl.model, text, text)


def test_keyframes_between_two_strengths() -> None:
    def made(interpolation: Any) -> list[tuple[float, float]]:
        found = create_hook_keyframes_interpolated(
            strength_start=0.0, strength_end=2.0, interpolation=interpolation, start_percent=0.2,
            end_percent=0.6, keyframes_count=5,
        )  # fmt: skip
        return [(frame.start, frame.strength) for frame in found.frames]

    expected = {
        "linear": [0.0, 0.5, 1.0, 1.5, 2.0],
        "ease_in": [0.0, 0.125, 0.5, 1.125, 2.0],
        "ease_out": [0.0, 0.875, 1.5, 1.875, 2.0],
        "ease_in_out": [0.0, 0.3125, 1.0, 1.6875, 2.0],
    }
    for name, strengths in expected.items():
        assert [start for start, _ in made(name)] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
        assert [strength for _, strength in made(name)] == pytest.approx(strengths)
    late = create_hook_keyframe(3.0, 0.9, create_hook_keyframe(2.0, 0.1))
    assert [late.strength_at(share) for share in (0.0, 0.1, 0.5, 0.9, 1.0)] == [2.0, 2.0, 2.0, 3.0, 3.0]


def test_parts_of_the_run_and_pairs(texts: tuple[Conditioning, Conditioning]) -> None:
    ranges = conditioning_timesteps_range(0.3, 0.6)
    placed = [
        conditioning_set_properties(cond_NEW=texts[0], set_cond_area="default", timesteps=each).entries[0]
        for each in ranges
    ]
    assert [(entry.start, entry.end) for entry in placed] == [(0.3, 0.6), (0.0, 0.3), (0.6, 1.0)]
    pair = pair_conditioning_combine(texts[0], texts[1], texts[1], texts[0])
    assert pair.positive.entries == texts[0].entries + texts[1].entries
    assert pair.negative.entries == texts[1].entries + texts[0].entries


def test_hooks_survive_the_store(
    ctx: Context, loaded: LoadedCheckpoint, texts: tuple[Conditioning, Conditioning]
) -> None:
    hooks = set_hook_keyframes(create_hook_lora(ctx, "one.safetensors"), create_hook_keyframe(0.5, 0.5))
    text, codec = hooked(texts[0], hooks), ValueCodec()
    kept = codec.decode(codec.encode(text))
    assert isinstance(kept, Conditioning)
    assert kept.entries[0].extra == text.entries[0].extra
    clip = set_clip_hooks(loaded.clip, True, False, hooks)
    assert codec.decode(codec.encode(clip)) == clip
