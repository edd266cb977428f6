"""Nodes that cut batches of pictures and latents anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from graphcore import Each, Range, node
from nodes.values import Image, Latent

Count = Annotated[int, Range(1, 4096)]


@node("RebatchImages", category="image/batch", title="Rebatch Images")
def rebatch_images(images: list[Image], batch_size: Count = 1) -> Each[Image]:
    """Pictures of a list of batches in batches of another size; pictures of other sizes begin a new one."""
    from nodes.diffusion.picture_batches import joined, singles

    groups: list[list[Image]] = []
    for single in singles(images):
        last = groups[-1] if groups else []
        if not last or len(last) >= batch_size or last[0].pixels.shape != single.pixels.shape:
            groups.append([])
        groups[-1].append(single)
    return Each([joined(group) for group in groups])


@node("RebatchLatents", category="latent/batch", title="Rebatch Latents")
def rebatch_latents(latents: list[Latent], batch_size: Count = 1) -> Each[Latent]:
    """Latents of a list of batches in batches of another size; latents of other sizes begin a new one.

    They are numbered through for their noise, where they have no numbers yet.
    """
    from nodes.diffusion.latents import cut_out, joined

    groups: list[list[Latent]] = []
    done = 0
    for latent in latents:
        count = latent.samples.shape[0]
        latent = replace(latent, batch_index=latent.batch_index or tuple(range(done, done + count)))
        done += count
        for number in range(latent.samples.shape[0]):
            single = cut_out(latent, number, 1)
            last = groups[-1] if groups else []
            if not last or len(last) >= batch_size or last[0].samples.shape != single.samples.shape:
                groups.append([])
            groups[-1].append(single)
    return Each([joined(group) for group in groups])
