"""Nodes that read and write moving pictures."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graphcore import Context, FileChoice, Range, Text, node
from nodes.output_files import OutputNames
from nodes.values import Audio, Image, Video

Prefix = Annotated[str, Text(multiline=False)]
AnimationRate = Annotated[float, Range(0.01, 1000.0, step=0.01)]


class VideoComponents(NamedTuple):
    """The frames of a video, its sound if it has any, and frames a second."""

    images: Image
    audio: Audio | None
    fps: float


@node("SaveAnimatedWEBP", category="image/animation", title="Save Animated WebP", output=True)
def save_animated_webp(
    ctx: Context,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    fps: AnimationRate = 6.0,
    lossless: bool = True,
    quality: Annotated[int, Range(0, 100)] = 80,
    *,
    method: Literal["default", "fastest", "slowest"],
) -> None:
    """Write a batch of pictures as one animated WebP into the output folder, with the workflow in it."""
    from nodes.diffusion.animations import WebpOptions, webp_bytes

    options = WebpOptions(lossless=lossless, quality=quality, method=method)
    texts = _texts(ctx, images)
    _write(ctx, images, filename_prefix, ".webp", webp_bytes(images.pixels, fps, texts, options))


@node("SaveAnimatedPNG", category="image/animation", title="Save Animated PNG", output=True)
def save_animated_png(
    ctx: Context,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    fps: AnimationRate = 6.0,
    compress_level: Annotated[int, Range(0, 9)] = 4,
) -> None:
    """Write a batch of pictures as one animated PNG into the output folder, with the workflow in it."""
    from nodes.diffusion.animations import apng_bytes

    texts = _texts(ctx, images)
    data = apng_bytes(images.pixels, fps, texts, compress_level=compress_level)
    _write(ctx, images, filename_prefix, ".png", data)


@node("SaveWEBM", category="image/video", title="Save WebM", output=True)
def save_webm(
    ctx: Context,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    *,
    codec: Literal["vp9", "av1"],
    fps: AnimationRate = 24.0,
    crf: Annotated[float, Range(0, 63, step=1)] = 32.0,
) -> None:
    """Write a batch of pictures as a WebM video into the output folder; a lower `crf` is better and larger."""
    from nodes.diffusion.animations import video_bytes

    texts = _texts(ctx, images)
    data = video_bytes(Video(frames=images, fps=fps), codec, texts, crf=crf)
    _write(ctx, images, filename_prefix, ".webm", data)


@node("LoadVideo", category="image/video", title="Load Video")
def load_video(ctx: Context, file: Annotated[str, FileChoice("input", upload="video")]) -> Video:
    """Read a video from the input folder (`name [output]` reads from the output folder), with its sound."""
    from nodes.diffusion.animations import read_video

    return read_video(ctx.files.resolve_media(file))


@node("CreateVideo", category="image/video", title="Create Video")
def create_video(
    images: Image, fps: Annotated[float, Range(1.0, 120.0, step=1.0)] = 30.0, audio: Audio | None = None
) -> Video:
    """Make a video of a batch of pictures, with sound or without."""
    from nodes.diffusion.pictures import require_picture

    require_picture(images)
    return Video(frames=images, fps=fps, audio=audio)


@node("GetVideoComponents", category="image/video", title="Get Video Components")
def get_video_components(video: Video) -> VideoComponents:
    """The frames of a video, its sound, and how many frames it shows a second."""
    return VideoComponents(video.frames, video.audio, video.fps)


@node("SaveVideo", category="image/video", title="Save Video", output=True)
def save_video(
    ctx: Context,
    video: Video,
    filename_prefix: Prefix = "video/ComfyUI",
    format: Literal["auto", "mp4"] = "auto",
    codec: Literal["auto", "h264"] = "auto",
) -> None:
    """Write a video as MP4 (H.264) into the output folder, with the workflow in its metadata."""
    from nodes.diffusion.animations import video_bytes

    del format, codec
    texts = _texts(ctx, video.frames)
    _write(ctx, video.frames, filename_prefix, ".mp4", video_bytes(video, "h264", texts))


def _texts(ctx: Context, images: Image) -> dict[str, str]:
    from nodes.diffusion.pictures import require_picture

    require_picture(images)
    return dict(ctx.picture_texts())


def _write(ctx: Context, images: Image, prefix: str, suffix: str, data: bytes) -> None:
    height, width = images.pixels.shape[1:3]
    names = OutputNames(folder=ctx.files.output_dir, prefix=prefix, suffix=suffix)
    saved = names.write(data, {"width": width, "height": height})
    ctx.show("images", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})
