"""Nodes that put lists of pictures and captions in another order, and leave out pictures that are there already."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from graphcore import Each, InputError, OutputName, Range, node
from nodes.choices import SeedInt
from nodes.values import Image

CATEGORY = "dataset/image"
Images = Annotated[Each[Image], OutputName("images")]


class ShuffledPairs(NamedTuple):
    """Pictures in a new order, and their texts in the same."""

    images: Each[Image]
    texts: Each[str]


@node("ShuffleDataset", category=CATEGORY, title="Shuffle Images", experimental=True)
def shuffle_dataset(images: list[Image], seed: SeedInt = 0) -> Images:
    """Pictures in an order that the seed chooses."""
    return Each(images[place] for place in _order(len(images), seed))


@node("ShuffleImageTextDataset", category=CATEGORY, title="Shuffle Images and Texts", experimental=True)
def shuffle_image_text_dataset(images: list[Image], texts: list[str], seed: SeedInt = 0) -> ShuffledPairs:
    """Pictures and their texts in an order that the seed chooses, the same for both."""
    if len(images) != len(texts):
        raise InputError(
            f"There are {len(images)} pictures and {len(texts)} texts; give one text for each picture.",
            code="unequal-lists",
        )
    order = _order(len(images), seed)
    return ShuffledPairs(Each(images[place] for place in order), Each(texts[place] for place in order))


@node("ImageDeduplication", category=CATEGORY, title="Leave Out Duplicates", experimental=True)
def image_deduplication(
    images: list[Image], similarity_threshold: Annotated[float, Range(0.0, 1.0)] = 0.95
) -> Images:
    """Leave out pictures that look like an earlier one.

    Two are as similar as the share of the 64 bits in which their average hashes agree: which places of the picture,
    shrunk to 8 x 8 and grey, are lighter than its mean (Krawetz 2011, "Looks Like It").
    """
    from nodes.diffusion.picture_batches import average_hash, singles

    kept: list[Image] = []
    hashes: list[int] = []
    for image in singles(images):
        own = average_hash(image)
        if all(1 - (own ^ other).bit_count() / 64 < similarity_threshold for other in hashes):
            kept.append(image)
            hashes.append(own)
    return Each(kept)


def _order(count: int, seed: int) -> list[int]:
    """An order of so many; the same as numpy's generator gives for the seed in ComfyUI."""
    from numpy.random import RandomState

    order: list[int] = RandomState(seed % (2**32 - 1)).permutation(count).tolist()
    return order
