"""Lists of pictures are shuffled by a seed, with their texts, and without pictures that are there already."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch

from graphcore import InputError
from nodes.training.list_order import image_deduplication, shuffle_dataset, shuffle_image_text_dataset
from nodes.values import Image


def picture(seed: int, side: int = 32) -> Image:
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Image(torch.nn.functional.interpolate(coarse, (side, side)).movedim(1, -1))


def items(found: Any) -> list[Any]:
    return list(found)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 2, 2**64 - 1])
def test_the_order_is_the_seeds(seed: int) -> None:
    pictures = [picture(number) for number in range(6)]
    order = numpy.random.RandomState(seed % (2**32 - 1)).permutation(6)
    assert items(shuffle_dataset(pictures, seed)) == [pictures[place] for place in order]
    texts = [f"text {number}" for number in range(6)]
    both = shuffle_image_text_dataset(pictures, texts, seed)
    assert items(both.images) == [pictures[place] for place in order]
    assert items(both.texts) == [texts[place] for place in order]


def test_a_text_for_each_picture() -> None:
    with pytest.raises(InputError, match="2 pictures and 1 texts"):
        shuffle_image_text_dataset([picture(0), picture(1)], ["one"])


def test_duplicates_are_left_out_at_any_size_and_brightness() -> None:
    first, second = picture(1), picture(2)
    larger, darker = picture(1, side=48), Image(first.pixels * 0.7)
    batch = Image(torch.cat([second.pixels, first.pixels]))
    found = items(image_deduplication([first, larger, second, darker, batch]))
    assert len(found) == 2
    assert torch.equal(found[0].pixels, first.pixels)
    assert torch.equal(found[1].pixels, second.pixels)


def test_the_threshold() -> None:
    first = picture(1)
    changed = Image(first.pixels.clone())
    changed.pixels[:, :8, :8] = 1 - changed.pixels[:, :8, :8].round()
    assert len(items(image_deduplication([first, changed], 0.99))) == 2
    assert len(items(image_deduplication([first, changed], 0.8))) == 1
    assert len(items(image_deduplication([first, picture(2), picture(3)], 0.0))) == 1
    assert items(image_deduplication([])) == []
