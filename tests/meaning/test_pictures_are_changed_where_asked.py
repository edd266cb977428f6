"""Image to image, inpainting, outpainting and regions change what they should and keep the rest."""

from __future__ import annotations

import pytest
from torch import Tensor

from graphcore import Graph
from graphcore.builder import NodeHandle
from tests.meaning.colours import difference, left, right, share
from tests.meaning.conftest import Studio

pytestmark = pytest.mark.embedded
HOUSE = "a red house on the left on the grass by day"


def test_image_to_image_at_a_little_noise_keeps_the_layout(studio: Studio) -> None:
    kept, redone = (_redrawn(studio, "a red house on the left on the grass at night", d) for d in (0.3, 1.0))
    original = studio.draw(HOUSE)
    assert difference(kept, original) < 0.08
    assert difference(redone, original) > 2 * difference(kept, original)
    assert share(left(kept), "red") > 0.03


def test_image_to_image_at_more_noise_takes_the_new_prompt(studio: Studio) -> None:
    changed = _redrawn(studio, "a blue house on the left on the grass by day", 0.8)
    assert share(left(changed), "blue") > share(left(studio.draw(HOUSE)), "blue")


def _redrawn(studio: Studio, prompt: str, denoise: float) -> Tensor:
    graph, checkpoint = studio.graph()
    empty = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    words = [studio.text(graph, checkpoint, text) for text in (HOUSE, prompt, "")]
    first = studio.sampled(graph, checkpoint, words[0], words[2], empty)
    second = studio.sampled(graph, checkpoint, words[1], words[2], first, denoise=denoise, seed=5)
    return studio.show(graph, checkpoint, second)[0]


def test_inpainting_changes_only_the_mask(studio: Studio) -> None:
    graph, checkpoint = studio.graph()
    empty = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    house, star, nothing = (
        studio.text(graph, checkpoint, text)
        for text in (
            "a red circle on the left on a white background",
            "a blue circle on the right on a white background",
            "",
        )
    )
    first = studio.sampled(graph, checkpoint, house, nothing, empty)
    mask = _half(graph, 64)
    masked = graph.SetLatentNoiseMask(samples=first, mask=mask)
    second = studio.sampled(graph, checkpoint, star, nothing, masked, seed=4)
    painted = studio.show(graph, checkpoint, second)[0]
    before = studio.draw("a red circle on the left on a white background")
    assert difference(left(painted)[:, :48], left(before)[:, :48]) < 0.02
    assert share(right(painted), "blue") > 0.08 > share(right(before), "blue")


def test_outpainting_continues_the_ground_and_the_sky(studio: Studio) -> None:
    graph, checkpoint = studio.graph()
    empty = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    words, nothing = (
        studio.text(graph, checkpoint, text) for text in ("a red house in the middle on the grass by day", "")
    )
    first = graph.VAEDecode(
        samples=studio.sampled(graph, checkpoint, words, nothing, empty), vae=checkpoint.vae
    )
    padded = graph.ImagePadForOutpaint(image=first, left=0, top=0, right=64, bottom=0, feathering=16)
    latent = graph.VAEEncodeForInpaint(
        pixels=padded.image, vae=checkpoint.vae, mask=padded.mask, grow_mask_by=6
    )
    scenery = studio.text(graph, checkpoint, "on the grass by day")
    outside = studio.sampled(graph, checkpoint, scenery, nothing, latent, seed=8)
    wide = studio.show(graph, checkpoint, outside)[0]
    assert wide.shape == (128, 192, 3)
    for rows in (slice(0, 30), slice(112, 128)):
        old, new = wide[rows, 8:40].mean((0, 1)), wide[rows, 144:184].mean((0, 1))
        assert difference(old, new) < 0.2


def test_regional_prompts_land_in_their_region(studio: Studio) -> None:
    graph, checkpoint = studio.graph()
    latent = graph.EmptyLatentImage(width=128, height=128, batch_size=1)
    regions = [
        graph.ConditioningSetMask(
            conditioning=studio.text(graph, checkpoint, text),
            mask=_half(graph, x),
            strength=1.0,
            set_cond_area="default",
        )
        for text, x in (
            ("a red balloon on the left on a white background", 0),
            ("a blue balloon on the right on a white background", 64),
        )
    ]
    both = graph.ConditioningCombine(conditioning_1=regions[0], conditioning_2=regions[1])
    nothing = studio.text(graph, checkpoint, "")
    picture = studio.show(graph, checkpoint, studio.sampled(graph, checkpoint, both, nothing, latent))[0]
    assert share(left(picture), "red") > 0.05 > 4 * share(right(picture), "red")
    assert share(right(picture), "blue") > 0.05 > 4 * share(left(picture), "blue")


def _half(graph: Graph, x: int) -> NodeHandle:
    return graph.MaskComposite(
        destination=graph.SolidMask(value=0.0, width=128, height=128),
        source=graph.SolidMask(value=1.0, width=64, height=128),
        x=x,
        y=0,
        operation="add",
    )
