"""SD 3 with only some of its text encoders: zeros stand for the others, as in diffusers' pipeline without a T5."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import StableDiffusion3Pipeline
from torch import Tensor

from graphcore import Context, InputError, ModelFileError, detached_context
from nodes.conditioning.text import clip_encode, clip_encode_sd3
from nodes.diffusion.latents import empty_latent
from nodes.models.loaders import load_checkpoint, load_clip, load_dual_clip, load_triple_clip
from nodes.sampling.ksamplers import k_sampler
from nodes.values import Clip, Conditioning, ConditioningEntry
from tests import models

METADATA = {"graphcore.tokenizer": models.byte_tokenizer(), "graphcore.tokenizer_t5": models.t5_tokenizer()}
PREFIXES = {"clip_l": "text_encoders.clip_l", "clip_g": "text_encoders.clip_g", "t5": "text_encoders.t5xxl"}
ALL = frozenset(PREFIXES)
SUBSETS = [{"clip_l", "clip_g"}, {"clip_l", "t5"}, {"clip_g", "t5"}, {"clip_l"}, {"clip_g"}, {"t5"}]
TEXT = "a red cat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sd3")


@pytest.fixture(scope="module")
def ctx(folder: Path) -> Context:
    return detached_context(models_dirs=(folder,), device="cpu", dtype="fp32")


def checkpoint(folder: Path, encoders: Iterable[str]) -> str:
    """A whole checkpoint with these text encoders alone."""
    name = "-".join(["sd3", *sorted(encoders)]) + ".safetensors"
    gone = tuple(prefix for part, prefix in PREFIXES.items() if part not in encoders)
    state = {key: tensor for key, tensor in models.sd3_state().items() if not key.startswith(gone or ("?",))}
    models.write(folder / "checkpoints" / name, state, metadata=METADATA)
    return name


def entry(conditioning: Conditioning) -> ConditioningEntry:
    (found,) = conditioning.entries
    return found


class Silent:
    """A text encoder of transformers whose answers are zeros."""

    def __init__(self, width: int, pooled: int) -> None:
        self.dtype, self.width, self.pooled = torch.float32, width, pooled

    def __call__(self, ids: Tensor, **named: Any) -> Any:
        hidden = torch.zeros(len(ids), 77, self.width)

        class Out(list[Tensor]):
            hidden_states = (hidden,) * 4

        return Out([torch.zeros(len(ids), self.pooled)])


class Known:
    """A text encoder of transformers that answers what ours said of each prompt."""

    def __init__(self, hidden: Tensor, pooled: Tensor) -> None:
        self.dtype, self.hidden, self.pooled = torch.float32, hidden, pooled

    def __call__(self, ids: Tensor, **named: Any) -> Any:
        known = self

        class Out(list[Tensor]):
            hidden_states = (known.hidden,) * 4

        return Out([self.pooled])


def theirs(encoders: set[str], whole: ConditioningEntry) -> tuple[Tensor, Tensor]:
    """What the pipeline's encode_prompt joins, of encoders that say what they do in the whole model."""
    assert whole.pooled is not None
    tokens = SimpleNamespace(input_ids=torch.zeros(1, 77, dtype=torch.long))
    tokenizer: Any = lambda *arguments, **named: tokens  # noqa: E731
    pipe = StableDiffusion3Pipeline.__new__(StableDiffusion3Pipeline)
    left, right = whole.embeddings[:, :77, :64], whole.embeddings[:, :77, 64:192]
    t5 = whole.embeddings[:, 77:]
    parts: dict[str, Any] = {
        "text_encoder": Known(left, whole.pooled[:, :64]) if "clip_l" in encoders else Silent(64, 64),
        "text_encoder_2": Known(right, whole.pooled[:, 64:]) if "clip_g" in encoders else Silent(128, 64),
        "text_encoder_3": None,
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
        "tokenizer_3": tokenizer,
        "tokenizer_max_length": 77,
        "transformer": SimpleNamespace(config=SimpleNamespace(joint_attention_dim=192)),
    }
    if "t5" in encoders:

        class T5Known(Known):
            def __call__(self, ids: Tensor, **named: Any) -> Any:
                return [self.hidden]

        parts["text_encoder_3"] = T5Known(t5, t5)
    for name, part in parts.items():
        object.__setattr__(pipe, name, part)
    embeddings, _, pooled, _ = pipe.encode_prompt(
        TEXT,
        None,
        None,
        device=torch.device("cpu"),
        do_classifier_free_guidance=False,
        max_sequence_length=77,
    )
    return embeddings, pooled


@pytest.mark.parametrize("encoders", SUBSETS, ids=lambda parts: "-".join(sorted(parts)))
def test_equal_to_the_pipelines_encode_prompt(ctx: Context, folder: Path, encoders: set[str]) -> None:
    whole = entry(clip_encode(ctx, TEXT, load_checkpoint(ctx, checkpoint(folder, ALL)).clip))
    found = entry(clip_encode(ctx, TEXT, load_checkpoint(ctx, checkpoint(folder, encoders)).clip))
    embeddings, pooled = theirs(encoders, whole)
    assert torch.equal(found.embeddings, embeddings)
    assert found.pooled is not None
    assert torch.equal(found.pooled, pooled)


@pytest.mark.parametrize("encoders", SUBSETS, ids=lambda parts: "-".join(sorted(parts)))
def test_the_model_draws_with_them(ctx: Context, folder: Path, encoders: set[str]) -> None:
    loaded = load_checkpoint(ctx, checkpoint(folder, encoders))
    samples = k_sampler(
        ctx,
        model=loaded.model,
        seed=1,
        steps=1,
        cfg=3.0,
        sampler_name="euler",
        scheduler="simple",
        positive=clip_encode(ctx, TEXT, loaded.clip),
        negative=clip_encode(ctx, "", loaded.clip),
        latent_image=empty_latent(32, 32, 1, channels=16),
    ).samples
    assert samples.isfinite().all()


def loose(folder: Path, part: str) -> str:
    """A text encoder of its own file, as wide as the published one, with one layer."""
    place = folder / "text_encoders" / f"{part}.safetensors"
    if not place.exists():
        from nodes.diffusion.clip_text import ClipText
        from nodes.diffusion.t5_text import T5Text

        if part == "t5":
            module: Any = models.seeded(lambda: T5Text({**models.T5, "d_model": 4096, "num_layers": 1}))
            state = module.state_dict()
        else:
            width, activation = {"clip_l": (768, "quick_gelu"), "clip_g": (1280, "gelu")}[part]
            config = {
                **models.text_config(width, projection=width, activation=activation),
                "num_hidden_layers": 1,
            }
            state = models.clip_state(models.seeded(lambda: ClipText(config)))
        models.write(place, state, metadata=METADATA)
    return place.name


def test_files_of_their_own_in_any_number(ctx: Context, folder: Path) -> None:
    left, right, t5 = (loose(folder, part) for part in ("clip_l", "clip_g", "t5"))
    whole = entry(clip_encode(ctx, TEXT, load_triple_clip(ctx, t5, right, left)))
    assert whole.pooled is not None
    assert whole.embeddings.shape == (1, 154, 4096)
    given: list[tuple[set[str], Clip]] = [
        ({"clip_l", "clip_g"}, load_dual_clip(ctx, right, left, "sd3")),
        ({"clip_l", "t5"}, load_dual_clip(ctx, left, t5, "sd3")),
        ({"clip_g", "t5"}, load_dual_clip(ctx, t5, right, "sd3")),
        ({"clip_l"}, load_clip(ctx, left, "sd3")),
        ({"clip_g"}, load_clip(ctx, right, "sd3")),
        ({"t5"}, load_clip(ctx, t5, "sd3")),
    ]
    for parts, clip in given:
        found = entry(clip_encode(ctx, TEXT, clip))
        expected, pooled = whole.embeddings.clone(), whole.pooled.clone()
        if "clip_l" not in parts:
            expected[:, :77, :768], pooled[:, :768] = 0, 0
        if "clip_g" not in parts:
            expected[:, :77, 768:2048], pooled[:, 768:] = 0, 0
        if "t5" not in parts:
            expected[:, 77:] = 0
        assert torch.equal(found.embeddings, expected), parts
        assert found.pooled is not None
        assert torch.equal(found.pooled, pooled), parts


def test_a_model_without_text_encoders_is_told(ctx: Context, folder: Path) -> None:
    loaded = load_checkpoint(ctx, checkpoint(folder, ()))
    with pytest.raises(ModelFileError, match="No text encoder of Stable Diffusion 3 is in"):
        clip_encode(ctx, TEXT, loaded.clip)


def encoded(ctx: Context, clip: Clip, *texts: str, padding: Any) -> ConditioningEntry:
    left, right, t5 = texts
    found = clip_encode_sd3(ctx, clip=clip, clip_l=left, clip_g=right, t5xxl=t5, empty_padding=padding)
    return entry(found)


def test_a_text_for_each(ctx: Context, folder: Path) -> None:
    clip = load_checkpoint(ctx, checkpoint(folder, ALL)).clip
    each = {text: entry(clip_encode(ctx, text, clip)) for text in ("a cat", "a dog", "a boat")}
    found = encoded(ctx, clip, "a cat", "a dog", "a boat", padding="none")
    assert torch.equal(found.embeddings[:, :77, :64], each["a cat"].embeddings[:, :77, :64])
    assert torch.equal(found.embeddings[:, :77, 64:], each["a dog"].embeddings[:, :77, 64:])
    assert torch.equal(found.embeddings[:, 77:], each["a boat"].embeddings[:, 77:])
    assert found.pooled is not None
    cat, dog = each["a cat"].pooled, each["a dog"].pooled
    assert cat is not None
    assert dog is not None
    assert torch.equal(found.pooled, torch.cat([cat[:, :64], dog[:, 64:]], dim=1))


def test_empty_texts(ctx: Context, folder: Path) -> None:
    clip = load_checkpoint(ctx, checkpoint(folder, ALL)).clip
    empty, cat = (entry(clip_encode(ctx, text, clip)) for text in ("", "a cat"))
    as_prompts = encoded(ctx, clip, "", "", "a cat", padding="empty_prompt")
    assert torch.equal(as_prompts.embeddings[:, :77], empty.embeddings[:, :77])
    only_t5 = encoded(ctx, clip, "", "", "a cat", padding="none")
    assert torch.equal(only_t5.embeddings, cat.embeddings[:, 77:])
    assert only_t5.pooled is not None
    assert not only_t5.pooled.any()
    only_clips = encoded(ctx, clip, "a cat", "a cat", "", padding="none")
    assert torch.equal(only_clips.embeddings, cat.embeddings[:, :77])
    one_clip = encoded(ctx, clip, "a cat", "", "", padding="none")
    assert torch.equal(one_clip.embeddings[..., :64], cat.embeddings[:, :77, :64])
    assert torch.equal(one_clip.embeddings[..., 64:], empty.embeddings[:, :77, 64:])
    nothing = encoded(ctx, clip, "", "", "", padding="none")
    assert nothing.embeddings.shape == (1, 77, 192)
    assert not nothing.embeddings.any()


def test_other_families_have_no_such_texts(tiny_models: models.TinyModels) -> None:
    ctx = detached_context(models_dirs=(tiny_models.folder,), device="cpu", dtype="fp32")
    with pytest.raises(InputError, match="those of SDXL, and this node is for SD 3's"):
        encoded(ctx, load_checkpoint(ctx, tiny_models.sdxl().name).clip, "a", "b", "", padding="none")
