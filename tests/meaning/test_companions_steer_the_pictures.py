"""The models beside the checkpoint do what they are for: follow outlines, take on a style, tell likeness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.meaning.colours import difference, left, right, share
from tests.meaning.conftest import Studio

pytestmark = pytest.mark.embedded


def test_the_controlnet_puts_things_where_the_map_has_them(studio: Studio) -> None:
    """The prompt names no place; the outlines of a picture of one side or the other do."""
    for place, here, there in (("left", left, right), ("right", right, left)):
        followed = _followed(studio, f"a red balloon on the {place} on a white background", 1.0)
        assert share(here(followed), "blue") > 5 * share(there(followed), "blue")
        assert share(here(followed), "blue") > 0.04


def test_a_controlnet_without_strength_changes_nothing(studio: Studio) -> None:
    prompt = "a red balloon on the left on a white background"
    assert (
        difference(_followed(studio, prompt, 0.0), studio.draw("a blue balloon on a white background")) < 1e-3
    )


def _followed(studio: Studio, drawn: str, strength: float) -> Tensor:
    graph, checkpoint = studio.graph()
    latent = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    words, nothing = (
        studio.text(graph, checkpoint, text) for text in ("a blue balloon on a white background", "")
    )
    first = studio.sampled(graph, checkpoint, studio.text(graph, checkpoint, drawn), nothing, latent)
    outlines = graph.Canny(
        image=graph.VAEDecode(samples=first, vae=checkpoint.vae), low_threshold=0.2, high_threshold=0.4
    )
    steered = graph.ControlNetApplyAdvanced(
        positive=words,
        negative=nothing,
        control_net=graph.ControlNetLoader(control_net_name="scenes-outlines.safetensors"),
        image=outlines,
        strength=strength,
        start_percent=0.0,
        end_percent=1.0,
    )
    samples = studio.sampled(graph, checkpoint, steered[0], steered[1], latent)
    return studio.show(graph, checkpoint, samples)[0]


def test_a_lora_changes_the_style_and_at_strength_nothing_changes_nothing(studio: Studio) -> None:
    prompt = "a red house on the left on the grass by day, teal print"
    plain, without, with_lora = studio.draw(prompt), *(_styled(studio, prompt, s) for s in (0.0, 1.0))
    assert torch.equal(plain, without)
    assert difference(plain, with_lora) > 0.05
    assert share(left(plain), "red") > 0.03 > 5 * share(left(with_lora), "red")


def _styled(studio: Studio, prompt: str, strength: float) -> Tensor:
    graph, checkpoint = studio.graph()
    model = graph.LoraLoaderModelOnly(
        model=checkpoint.model, lora_name="scenes-teal.safetensors", strength_model=strength
    )
    latent = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    words, nothing = (studio.text(graph, checkpoint, text) for text in (prompt, ""))
    samples = studio.sampled(graph, checkpoint, words, nothing, latent, model=model)
    return studio.show(graph, checkpoint, samples)[0]


def test_clip_scores_tell_which_prompt_a_picture_is_of(studio: Studio) -> None:
    prompts = (
        "a red boat on the left on the sea at sunset",
        "a blue house on the right on the grass by day",
        "a yellow star in the middle on a black background",
    )
    for own in prompts:
        scores = {told: _score(studio, own, told) for told in prompts}
        assert max(scores, key=lambda told: scores[told]) == own


def _score(studio: Studio, drawn: str, told: str) -> float:
    graph, checkpoint = studio.graph()
    latent = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    words, nothing = (studio.text(graph, checkpoint, text) for text in (drawn, ""))
    image = graph.VAEDecode(
        samples=studio.sampled(graph, checkpoint, words, nothing, latent), vae=checkpoint.vae
    )
    tower = graph.CLIPVisionLoader(clip_name="scenes-vision.safetensors")
    graph.output("score", graph.CLIPScore(clip_vision=tower, clip=checkpoint.clip, image=image, text=told)[0])
    return float(str(studio.engine.run(graph.workflow())["score"]))


def test_an_embedding_stands_for_its_motif(studio: Studio) -> None:
    """The prompt names neither boat nor sea nor sunset; the embedding does."""
    for seed in (1, 2, 3):
        motif = studio.draw("a picture of embedding:scenes-harbour", seed=seed)
        assert share(motif, "purple") > 0.02
        sea, sky = motif[-12:].mean((0, 1)), motif[4:20].mean((0, 1))
        assert sea[2] > sea[0] + 0.2
        assert sky[0] > sky[2]


def test_nine_channels_fill_a_hole_with_what_belongs_there(studio: Studio) -> None:
    """The prompt names the thing alone; ground and sky of the hole follow what is shown around it."""
    before = studio.draw("a red house on the left on the grass by day")
    graph, checkpoint = studio.graph()
    words, nothing = (
        studio.text(graph, checkpoint, t) for t in ("a red house on the left on the grass by day", "")
    )
    latent = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    first = studio.sampled(graph, checkpoint, words, nothing, latent)
    wanted = studio.text(graph, checkpoint, "a purple mushroom on the right")
    hole = graph.MaskComposite(
        destination=graph.SolidMask(value=0.0, width=128, height=128),
        source=graph.SolidMask(value=1.0, width=56, height=72),
        x=68,
        y=44,
        operation="add",
    )
    shown = graph.InpaintModelConditioning(
        positive=wanted,
        negative=nothing,
        vae=checkpoint.vae,
        pixels=graph.VAEDecode(samples=first, vae=checkpoint.vae),
        mask=hole,
        noise_mask=True,
    )
    filled = studio.show(
        graph,
        checkpoint,
        studio.sampled(
            graph,
            checkpoint,
            shown[0],
            shown[1],
            shown[2],
            model=graph.UNETLoader(unet_name="scenes-inpainting.safetensors", weight_dtype="default"),
        ),
    )[0]
    assert difference(left(filled)[:, :56], left(before)[:, :56]) < 0.03
    assert share(right(filled), "purple") > 0.04 > 4 * share(right(before), "purple")
    for rows in (slice(46, 54), slice(106, 115)):
        assert difference(filled[rows, 70:74].mean((0, 1)), before[rows, 70:74].mean((0, 1))) < 0.15
