"""The safety filter judges as diffusers' checker does, and lets nothing pass when it cannot judge."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessor

from graphcore import Context, Graph, ModelFileError, ValidationError, detached_context
from nodes.diffusion.pictures import to_pillow
from nodes.diffusion.safety import CONFIG_KEY
from nodes.safety.filtering import safety_filter
from nodes.values import Image
from tests.random_tensors import seeded, seeded_pixels
from tests.tiny_engine import all_nodes, tiny_engine

VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 30,
    "patch_size": 10,
    "intermediate_size": 64,
}
PLANTED = seeded_pixels(1, 30, 30, 3, seed=1)
OTHER = (seeded_pixels(1, 30, 30, 3, seed=2) * 0.2).round(decimals=2)


def processor() -> Any:
    return CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})


def seen(image: torch.Tensor) -> torch.Tensor:
    pictures = [to_pillow(picture) for picture in image]
    return torch.as_tensor(processor()(images=pictures, return_tensors="pt")["pixel_values"])


@pytest.fixture(scope="session")
def reference() -> Any:
    """A tiny checker of diffusers' own class; its first concept is PLANTED."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = StableDiffusionSafetyChecker(CLIPConfig(vision_config=VISION, projection_dim=64)).eval()
    with torch.no_grad():
        embedding = made.visual_projection(made.vision_model(seen(PLANTED))[1])[0]
        made.concept_embeds.copy_(seeded(17, 64))
        made.special_care_embeds.copy_(seeded(3, 64, seed=5))
        made.concept_embeds[0] = embedding
        made.concept_embeds_weights.fill_(0.95)
        made.special_care_embeds_weights.fill_(0.95)
    return made


@pytest.fixture
def ctx(tmp_path: Path, reference: Any) -> Context:
    reference.save_pretrained(tmp_path / "models" / "safety" / "checker")
    return detached_context(models_dirs=(tmp_path / "models",), output_dir=tmp_path / "out")


def folder(ctx: Context) -> Path:
    return ctx.files.resolve("safety", "checker")


def single_file(ctx: Context, **changes: torch.Tensor) -> Path:
    """The checker as one file with its configuration in the header."""
    state = load_file(folder(ctx) / "model.safetensors") | changes
    path = folder(ctx).with_name("single.safetensors")
    save_file(state, path, metadata={CONFIG_KEY: json.dumps({"vision_config": VISION})})
    return path


BATCH = Image(torch.cat([OTHER, PLANTED]))


def test_only_the_planted_picture_is_blocked(ctx: Context) -> None:
    images, verdicts, scores = safety_filter(ctx, BATCH, "checker")
    assert list(verdicts) == [False, True]
    assert torch.equal(images.pixels[0], OTHER[0])
    assert not images.pixels[1].any()
    assert scores.items[0] <= 0 < scores.items[1]
    assert [verdict.flagged for verdict in images.verdicts] == [False, True]


def test_scores_are_those_of_diffusers(ctx: Context, reference: Any) -> None:
    pictures = torch.cat([PLANTED, OTHER, seeded_pixels(3, 30, 30, 3, seed=7)])
    ours = safety_filter(ctx, Image(pictures), "checker", "flag").images.verdicts
    with torch.no_grad():
        embeddings = reference.visual_projection(reference.vision_model(seen(pictures))[1])
        cosines = (
            torch.nn.functional.normalize(embeddings)
            @ torch.nn.functional.normalize(reference.concept_embeds).T
        )
    for verdict, row in zip(ours, cosines - 0.95, strict=True):
        assert torch.allclose(torch.tensor(verdict.scores), row, atol=2e-3)
    _, flagged = reference(seen(pictures), [picture.numpy() for picture in pictures])
    assert [verdict.flagged for verdict in ours] == flagged


@pytest.mark.parametrize(("height", "width"), [(48, 90), (90, 48), (17, 33), (30, 31)])
def test_pictures_of_any_size_are_seen_as_diffusers_sees_them(ctx: Context, height: int, width: int) -> None:
    from nodes.diffusion.safety import _as_seen

    picture = seeded_pixels(1, height, width, 3)
    torch.testing.assert_close(_as_seen(picture[0], 30), seen(picture)[0], atol=0.02, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(1, 200_000), (200_000, 1), (1, 1)])
def test_a_line_of_pixels_is_judged_without_being_blown_up(ctx: Context, height: int, width: int) -> None:
    from nodes.diffusion.safety import _as_seen

    assert _as_seen(seeded_pixels(height, width, 3), 224).shape == (3, 224, 224)


def test_special_care_makes_it_stricter(ctx: Context, reference: Any) -> None:
    special = reference.special_care_embeds.detach().clone()
    special[1] = reference.concept_embeds[0]
    single_file(ctx, special_care_embeds=special)
    plain = safety_filter(ctx, Image(PLANTED), "checker", "flag").images.verdicts[0]
    strict = safety_filter(ctx, Image(PLANTED), "single.safetensors", "flag").images.verdicts[0]
    assert strict.scores[0] == pytest.approx(plain.scores[0] + 0.01, abs=1e-6)


def test_sensitivity(ctx: Context) -> None:
    assert list(safety_filter(ctx, BATCH, "checker", "flag", 1.0).verdicts) == [True, True]
    assert list(safety_filter(ctx, BATCH, "checker", "flag", -1.0).verdicts) == [False, False]


def test_actions(ctx: Context) -> None:
    flagged = safety_filter(ctx, BATCH, "checker", "flag").images
    assert torch.equal(flagged.pixels, BATCH.pixels)
    assert flagged.verdicts[1].flagged
    blurred = safety_filter(ctx, BATCH, "checker", "blur").images
    assert torch.equal(blurred.pixels[0], BATCH.pixels[0])
    assert blurred.pixels[1].std() < BATCH.pixels[1].std() / 2
    assert blurred.pixels[1].mean() == pytest.approx(float(BATCH.pixels[1].mean()), abs=0.02)


def test_the_input_is_left_as_it_was(ctx: Context) -> None:
    before = BATCH.pixels.clone()
    safety_filter(ctx, BATCH, "checker")
    assert torch.equal(BATCH.pixels, before)


def test_a_single_file_and_a_folder_agree(ctx: Context) -> None:
    single_file(ctx)
    one = safety_filter(ctx, BATCH, "checker").images.verdicts
    assert safety_filter(ctx, BATCH, "single.safetensors").images.verdicts == one


def test_without_a_model_nothing_runs(tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    safe = graph.SafetyFilter(
        images=graph.EmptyImage(width=32, height=32), safety_model="checker", action="flag"
    )
    graph.SaveImage(images=safe.images)
    with (
        tiny_engine(tmp_path, tmp_path / "models") as engine,
        pytest.raises(ValidationError, match="There is no file"),
    ):
        engine.run(graph.workflow())
    assert not list((tmp_path / "output").iterdir())


@pytest.mark.parametrize(
    "harm",
    [
        "no weights",
        "cut",
        "no concepts",
        "no projection",
        "missing layer",
        "nan",
        "wrong shape",
        "bad json",
        "other config",
    ],
)
def test_a_broken_model_passes_nothing(ctx: Context, harm: str) -> None:
    path = folder(ctx)
    weights = path / "model.safetensors"
    state = load_file(weights)
    dropped = {
        "no concepts": "concept_embeds",
        "no projection": "visual_projection.weight",
        "missing layer": "vision_model.encoder.layers.1.mlp.fc1.weight",
    }
    if harm == "no weights":
        weights.unlink()
    elif harm == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif harm == "bad json":
        (path / "config.json").write_text("{")
    elif harm == "other config":
        (path / "config.json").write_text(json.dumps({"vision_config": {**VISION, "patch_size": 5}}))
    else:
        if harm in dropped:
            state = {name: tensor for name, tensor in state.items() if not name.endswith(dropped[harm])}
        elif harm == "nan":
            state["concept_embeds"][3, 5] = float("nan")
        else:
            state["concept_embeds_weights"] = torch.zeros(16)
        save_file(state, weights)
    with pytest.raises(ModelFileError):
        safety_filter(ctx, BATCH, "checker")


def test_a_checkpoint_is_no_safety_model(ctx: Context, tiny_models: Any) -> None:
    shutil.copy(tiny_models.sd1(), folder(ctx).with_name("sd.safetensors"))
    with pytest.raises(ModelFileError, match="nothing is let through"):
        safety_filter(ctx, BATCH, "sd.safetensors")


def test_a_flagged_picture_from_the_cache_stays_flagged(ctx: Context, tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    colour = graph.EmptyImage(width=30, height=30, color=0x804020)
    safe = graph.SafetyFilter(images=colour, safety_model="checker", sensitivity=1.0)
    graph.output("image", safe.images)
    graph.output("flagged", safe.verdicts)
    with tiny_engine(tmp_path, ctx.settings.models_dirs[0]) as engine:
        results = [engine.run(graph.workflow()) for _ in range(2)]
    for result in results:
        image = result["image"]
        assert isinstance(image, Image)
        assert image.verdicts[0].flagged
        assert not image.pixels.any()
    assert {report.source for report in results[1].reports} == {"cache"}


def test_verdicts_stay_with_pictures(ctx: Context) -> None:
    from nodes.logic.flow import join_images, split_images
    from nodes.pictures.images import image_batch, image_from_batch, image_scale_by

    images = safety_filter(ctx, BATCH, "checker", "flag").images
    flags = [True, False]
    assert [verdict.flagged for verdict in image_scale_by(images, "bilinear", 2.0).verdicts] == flags[::-1]
    assert image_from_batch(images, 1, 1).verdicts[0].flagged
    assert [part.verdicts[0].flagged for part in split_images(images)] == flags[::-1]
    joined = join_images([replace(images, verdicts=()), images])
    assert [verdict.action for verdict in joined.verdicts] == ["unchecked", "unchecked", "flag", "flag"]
    assert image_batch(images, images).verdicts[3].flagged
