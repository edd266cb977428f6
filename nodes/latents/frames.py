"""Nodes for latents that are the frames of a video: the batch in its order."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from graphcore import Context, InputError, OutputName, Range, node
from nodes.choices import MAX_SIDE
from nodes.values import Latent

Frames = Annotated[int, Range(1, MAX_SIDE, step=1)]


@node("TrimVideoLatent", category="latent/video", title="Trim Video Latent", experimental=True)
def trim_video_latent(samples: Latent, trim_amount: Annotated[int, Range(0, 99999)] = 0) -> Latent:
    """Leave out so many frames at the beginning; the others keep the noise that they had."""
    from nodes.diffusion.latents import cut_out

    count = samples.samples.shape[0]
    if trim_amount >= count:
        raise InputError(
            f"The video has {count} frames and {trim_amount} are to be left out; leave at least one.",
            code="too-few-frames",
        )
    return cut_out(samples, trim_amount, count) if trim_amount else samples


@node("ReplaceVideoLatentFrames", category="latent/batch", title="Replace Video Latent Frames")
def replace_video_latent_frames(
    ctx: Context,
    destination: Latent,
    index: Annotated[int, Range(-MAX_SIDE, MAX_SIDE, step=1)] = 0,
    source: Latent | None = None,
) -> Latent:
    """Put the frames of one video in the place of another's, from number `index` on; negative ones count from the end.

    Without a source, or if it does not fit in whole, the destination stays as it is; the latter is told.
    """
    import torch

    from nodes.diffusion.latents import require_alike

    if source is None:
        return destination
    count, added = destination.samples.shape[0], source.samples.shape[0]
    start = index if index >= 0 else count + index
    if start < 0 or start + added > count:
        ctx.show(
            "warning",
            {
                "text": f"{added} frames from number {index} on do not fit in {count}, so nothing was replaced."
            },
        )
        return destination
    require_alike(destination.samples, source.samples)
    kept = destination.samples
    return replace(
        destination, samples=torch.cat([kept[:start], source.samples.to(kept), kept[start + added :]])
    )


@node("NormalizeVideoLatentStart", category="conditioning/video_models", title="Normalize Video Latent Start")
def normalize_video_latent_start(
    latent: Latent, start_frame_count: Frames = 4, reference_frame_count: Frames = 5
) -> Annotated[Latent, OutputName("latent")]:
    """Give the first frames nearly the mean and deviation of those that follow, so that a video does not jump there.

    Each frame's mean changes by 0.35 at most (down: 0.3), its deviation by 0.5 (down: 0.35).
    """
    from nodes.diffusion.latents import evened_start

    return evened_start(latent, start_frame_count, reference_frame_count)
