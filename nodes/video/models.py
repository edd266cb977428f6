"""Nodes for models that see a picture and no text: Stable Video Diffusion, and Zero123's views of a thing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, NamedTuple

from graphcore import Context, FileChoice, Range, node
from nodes.choices import MAX_SIDE
from nodes.control.steering import ClipVision
from nodes.models.loaders import file_ref
from nodes.values import Conditioning, ConditioningEntry, Image, Latent, Model, Vae

if TYPE_CHECKING:
    from torch import Tensor

VideoWidth = Annotated[int, Range(16, MAX_SIDE, step=8, role="width")]
VideoHeight = Annotated[int, Range(16, MAX_SIDE, step=8, role="height")]
Degrees = Annotated[float, Range(-180.0, 180.0, step=0.1)]


class ImageOnlyCheckpoint(NamedTuple):
    """A model that sees pictures, its image encoder, and its VAE."""

    model: Model
    clip_vision: ClipVision
    vae: Vae


class PictureConditioning(NamedTuple):
    """The conditionings made of a picture, and an empty latent of the right size."""

    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node(
    "ImageOnlyCheckpointLoader",
    category="loaders/video_models",
    title="Load Image-Only Checkpoint (img2vid Model)",
)
def image_only_checkpoint_loader(
    ctx: Context, ckpt_name: Annotated[str, FileChoice("checkpoints")]
) -> ImageOnlyCheckpoint:
    """Load a model that makes videos or views of a picture: Stable Video Diffusion, Stable Zero123."""
    from nodes.diffusion.clip_vision import open_vision
    from nodes.diffusion.store import ModelStore

    file = file_ref(ctx, "checkpoints", ckpt_name)
    ctx.service(ModelStore).opened(file, open_vision)
    return ImageOnlyCheckpoint(Model(file=file), ClipVision(file=file), Vae(file=file))


@node(
    "SVD_img2vid_Conditioning",
    category="conditioning/video_models",
    title="Stable Video Diffusion Conditioning",
)
def svd_img2vid_conditioning(
    ctx: Context,
    *,
    clip_vision: ClipVision,
    init_image: Image,
    vae: Vae,
    width: VideoWidth = 1024,
    height: VideoHeight = 576,
    video_frames: Annotated[int, Range(1, 4096, role="batch")] = 14,
    motion_bucket_id: Annotated[int, Range(1, 1023)] = 127,
    fps: Annotated[int, Range(1, 1024)] = 6,
    augmentation_level: Annotated[float, Range(0.0, 10.0, step=0.01)] = 0.0,
) -> PictureConditioning:
    """Condition a video model on the picture that it moves.

    A higher `motion_bucket_id` moves more; `augmentation_level` is noise on the picture, which lets the video leave it.
    """
    from nodes.diffusion.picture_conditioning import Sized, encoded_picture, seen_picture

    seen = seen_picture(ctx, clip_vision, init_image)
    size = Sized(width=width, height=height)
    latent = encoded_picture(ctx, vae, init_image, size, augmentation=augmentation_level)
    numbers = (float(fps - 1), float(motion_bucket_id), augmentation_level)
    return _conditioned(seen[:1, None], latent[:1], video_frames, numbers)


@node("StableZero123_Conditioning", category="conditioning/3d_models", title="Stable Zero123 Conditioning")
def stable_zero123_conditioning(
    ctx: Context,
    *,
    clip_vision: ClipVision,
    init_image: Image,
    vae: Vae,
    width: VideoWidth = 256,
    height: VideoHeight = 256,
    batch_size: Annotated[int, Range(1, 4096, role="batch")] = 1,
    elevation: Degrees = 0.0,
    azimuth: Degrees = 0.0,
) -> PictureConditioning:
    """Condition Zero123 on a picture of a thing, to see it from `elevation` degrees higher and `azimuth` around it."""
    return _views(
        ctx, (clip_vision, init_image, vae), (width, height), [(elevation, azimuth)], batch_size=batch_size
    )


@node(
    "StableZero123_Conditioning_Batched",
    category="conditioning/3d_models",
    title="Stable Zero123 Conditioning (Batched)",
)
def stable_zero123_conditioning_batched(
    ctx: Context,
    *,
    clip_vision: ClipVision,
    init_image: Image,
    vae: Vae,
    width: VideoWidth = 256,
    height: VideoHeight = 256,
    batch_size: Annotated[int, Range(1, 4096, role="batch")] = 1,
    elevation: Degrees = 0.0,
    azimuth: Degrees = 0.0,
    elevation_batch_increment: Degrees = 0.0,
    azimuth_batch_increment: Degrees = 0.0,
) -> PictureConditioning:
    """Condition Zero123 on a picture of a thing, to see it from a row of places: each one further by the increments."""
    views = [
        (elevation + place * elevation_batch_increment, azimuth + place * azimuth_batch_increment)
        for place in range(batch_size)
    ]
    return _views(ctx, (clip_vision, init_image, vae), (width, height), views, batch_size=batch_size)


def _views(
    ctx: Context,
    sources: tuple[ClipVision, Image, Vae],
    sides: tuple[int, int],
    views: list[tuple[float, float]],
    *,
    batch_size: int,
) -> PictureConditioning:
    import torch

    from nodes.diffusion.picture_conditioning import (
        Sized,
        encoded_picture,
        projected_view,
        seen_picture,
    )

    clip_vision, picture, vae = sources
    seen = seen_picture(ctx, clip_vision, picture)[:1]
    latent = encoded_picture(ctx, vae, picture, Sized(width=sides[0], height=sides[1]), augmentation=0.0)
    camera = torch.tensor(
        [
            (
                math.radians(-elevation),
                math.sin(math.radians(azimuth)),
                math.cos(math.radians(azimuth)),
                math.radians(90),
            )
            for elevation, azimuth in views
        ]
    )
    context = projected_view(ctx, clip_vision, torch.cat([seen.expand(len(camera), -1), camera], dim=-1))
    return _conditioned(context[:, None], latent[:1], batch_size, None)


def _conditioned(
    context: Tensor, latent: Tensor, count: int, numbers: tuple[float, ...] | None
) -> PictureConditioning:
    import torch

    positive = ConditioningEntry(embeddings=context, concat_latent=latent, size=numbers)
    negative = ConditioningEntry(
        embeddings=torch.zeros_like(context), concat_latent=torch.zeros_like(latent), size=numbers
    )
    empty = torch.zeros(count, *latent.shape[1:])
    return PictureConditioning(Conditioning((positive,)), Conditioning((negative,)), Latent(empty))
