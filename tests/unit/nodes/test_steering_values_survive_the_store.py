"""Pictures to follow, prompts of pictures and boxes come back from the persistent store as they were."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.control.steering import (
    ClipVision,
    ClipVisionOutput,
    ControlNet,
    ControlNetHint,
    Gligen,
    GligenBox,
    GligenHint,
    IpAdapter,
    IpAdapterHint,
    StyleModel,
    UnclipPicture,
)
from nodes.diffusion.codecs import ValueCodec
from nodes.values import Conditioning, ConditioningEntry, ControlHint, Model, Vae
from tests.unit.nodes.test_values_survive_the_store import FILE, noise, same

SEEN = ClipVisionOutput(
    embeds=noise(2, 8),
    last_hidden=noise(2, 5, 8),
    penultimate_hidden=noise(2, 5, 8),
    vision=ClipVision(file=FILE),
)


def conditioned(*hints: ControlHint, **changes: Any) -> Conditioning:
    return Conditioning((ConditioningEntry(embeddings=noise(1, 7, 8), hints=hints, **changes),))


VALUES = {
    "controlnet": ControlNet(file=FILE, union_type=3, base=Model(file=FILE)),
    "what CLIP saw": SEEN,
    "style model": StyleModel(file=FILE),
    "followed picture": conditioned(
        ControlNetHint(
            control=ControlNet(file=FILE),
            pixels=noise(1, 8, 8, 3),
            strength=0.5,
            end=0.8,
            vae=Vae(file=FILE),
            mask=noise(1, 8, 8),
        )
    ),
    "picture as a prompt": conditioned(
        IpAdapterHint(adapter=IpAdapter(file=FILE), output=SEEN, mask=noise(1, 4, 4), blank=True)
    ),
    "boxes": conditioned(
        GligenHint(gligen=Gligen(file=FILE), boxes=(GligenBox(text=noise(8), x=0, y=8, width=16, height=24),))
    ),
    "unCLIP": conditioned(extra=(("unclip", (UnclipPicture(output=SEEN, strength=0.5, noise=0.1),)),)),
}


@pytest.mark.parametrize("name", VALUES)
def test_it_comes_back(name: str) -> None:
    codec, value = ValueCodec(), VALUES[name]
    assert codec.accepts(value)
    assert same(value, codec.decode(codec.encode(value)))
