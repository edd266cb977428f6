"""Mask blending and a UNet of nine channels fill the same holes, and what they fill in is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.embedded.annexe import INPAINTING
from tools.embedded.classifier import Eye, new_classifier
from tools.embedded.companions import Title, export_inpainting
from tools.embedded.drawing import SIDE, drawn
from tools.embedded.export import Parts
from tools.embedded.filling import cases, fill, judged, load_inpainting
from tools.embedded.inpainting_stage import CHANNELS, widened
from tools.embedded.models import TINY, new_text_encoder, new_unet, new_vae
from tools.embedded.tokenizer import vocabulary
from tools.embedded.words import COLOUR_WORDS


@pytest.fixture(scope="module")
def parts() -> Parts:
    torch.manual_seed(4)
    words = vocabulary()
    made = Parts(
        unet=new_unet(TINY).eval(),
        vae=new_vae(TINY).eval(),
        vocabulary=words,
        text_encoder=new_text_encoder(TINY, vocabulary=len(words.tokens)).eval(),
    )
    torch.nn.init.normal_(made.unet.conv_out.weight.data, std=0.1)
    return made


def test_a_case_replaces_one_thing_and_says_so() -> None:
    for case in cases(12):
        before, after = np.asarray(case.before), np.asarray(drawn(case.after, steady=True).picture)
        changed = (before != after).any(axis=2)
        inside = case.hole[0].numpy() > 0
        assert changed[inside].any()
        assert changed[~inside].mean() < 0.04, "more than the edge of a shadow changes outside"
        assert any(word in case.text for word in COLOUR_WORDS[case.after.things[0].colour])


def test_the_cases_are_the_same_every_time() -> None:
    assert [case.text for case in cases(5)] == [case.text for case in cases(9)[:5]]


def test_a_widened_unet_begins_as_the_one_it_came_from(parts: Parts) -> None:
    wide = widened(parts.unet, TINY).eval()
    latents = torch.randn(1, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(1))
    text = torch.zeros(1, 77, TINY.text_width)
    with torch.no_grad():
        assert torch.allclose(
            wide(latents, 500, text).sample, parts.unet(latents[:, :4], 500, text).sample, atol=1e-5
        )


def test_both_ways_keep_what_is_outside(parts: Parts) -> None:
    some = cases(2)
    for unet in (parts.unet, widened(parts.unet, TINY).eval()):
        for picture, case in zip(fill(parts, unet, some, steps=3), some, strict=True):
            far = torch.nn.functional.max_pool2d(case.hole, 41, stride=1, padding=20)[0].numpy() == 0
            assert picture.size == (SIDE, SIDE)
            if far.any():
                kept = fill(parts, unet, [case], steps=2)[0]
                off = np.abs(np.asarray(picture, dtype=int) - np.asarray(kept, dtype=int))[far]
                assert np.median(off) <= 8


def test_a_perfect_answer_has_no_scenery_error() -> None:
    some = cases(4)
    found = judged(
        [drawn(case.after, steady=True).picture for case in some], some, Eye(new_classifier().eval())
    )
    assert found.scenery_error == 0
    assert found.colours == 1


def test_the_exported_unet_is_read_back_the_same(parts: Parts, tmp_path: Path) -> None:
    wide = widened(parts.unet, TINY).half().float().eval()
    path = tmp_path / INPAINTING
    title = Title(title="tiny", description="tiny", date="2000-01-01", training={})
    export_inpainting(wide, path, title, scale=0.4)
    latents, text = torch.randn(1, CHANNELS, 16, 16), torch.randn(1, 77, TINY.text_width)
    with torch.no_grad():
        assert torch.equal(load_inpainting(path)(latents, 9, text).sample, wide(latents, 9, text).sample)
