"""Nodes that change the captions and pictures of data sets, and two that part schedules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from graphcore import detached_context
from nodes.models.loaders import load_checkpoint
from nodes.sampling.schedules import extend_intermediate_sigmas, sampling_percent_to_sigma
from nodes.training import list_edits as edits
from nodes.values import Image, Sigmas
from tests.models import TinyModels
from tests.random_tensors import seeded_pixels

IMAGE = Image(seeded_pixels(2, 6, 10, 3, seed=3))


def test_texts() -> None:
    assert edits.add_text_prefix("fox", "a ") == "a fox"
    assert edits.add_text_suffix("fox", "!") == "fox!"
    assert edits.replace_text("a fox", "fox", "hen") == "a hen"
    assert edits.replace_text("a fox", "", "hen") == "a fox"
    assert edits.strip_whitespace(" fox\t") == "fox"
    assert edits.text_to_uppercase(edits.text_to_lowercase("Fox")) == "FOX"
    assert edits.truncate_text("a long caption", 6) == "a long"
    assert list(edits.merge_text_lists(["a", "b"])) == ["a", "b"]


def test_values() -> None:
    pixels = IMAGE.pixels
    assert torch.equal(edits.adjust_brightness(IMAGE, 0.5).pixels, pixels * 0.5)
    assert edits.adjust_contrast(IMAGE, 0.0).pixels.unique().tolist() == [0.5]
    assert torch.allclose(edits.normalize_images(IMAGE, 0.5, 0.25).pixels, (pixels - 0.5) / 0.25)


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (edits.resize_images_by_shorter_edge(IMAGE, 12), (20, 12)),
        (edits.resize_images_by_longer_edge(IMAGE, 20), (20, 12)),
        (edits.center_crop_images(IMAGE, 4, 2), (4, 2)),
        (edits.center_crop_images(IMAGE, 99, 2), (10, 2)),
        (edits.random_crop_images(IMAGE, 4, 2, 5), (4, 2)),
        (edits.image_grid([IMAGE, IMAGE], 3, 32, 40, 4), (104, 84)),
    ],
)
def test_sizes(made: Image, size: tuple[int, int]) -> None:
    assert (made.pixels.shape[2], made.pixels.shape[1]) == size


def test_crops() -> None:
    assert torch.equal(edits.center_crop_images(IMAGE, 4, 2).pixels, IMAGE.pixels[:, 2:4, 3:7])
    one, other = (edits.random_crop_images(IMAGE, 4, 2, 5).pixels for _ in range(2))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("spacing", "between"), [("linear", [8.0, 6.0]), ("cosine", [7.0, 5.0]), ("sine", [9.2, 7.0])]
)
def test_steps_are_parted(spacing: Any, between: list[float]) -> None:
    sigmas = Sigmas(torch.tensor([10.0, 4.0, 0.0]))
    made = extend_intermediate_sigmas(sigmas, 3, -1.0, 5.0, spacing=spacing).values
    assert made[[0, 3, 4]].tolist() == [10.0, 4.0, 0.0]
    assert made[1:3].tolist() == pytest.approx(between, abs=0.25)
    assert len(extend_intermediate_sigmas(sigmas, 3, 5.0, 1.0, spacing="linear").values) == 5


def test_a_share_of_the_schedule_is_a_sigma(tiny_models: TinyModels) -> None:
    ctx = detached_context(models_dirs=(tiny_models.folder,))
    model = load_checkpoint(ctx, tiny_models.sd1().name).model
    sigmas = [sampling_percent_to_sigma(ctx, model, share) for share in (0.0, 0.25, 0.5, 1.0)]
    ends = [sampling_percent_to_sigma(ctx, model, share, True) for share in (0.0, 1.0)]
    assert sigmas[0] > 1000
    assert sigmas[1] > sigmas[2] > sigmas[3] == 0.0
    assert ends == pytest.approx([14.6146, 0.02917], rel=1e-3)
