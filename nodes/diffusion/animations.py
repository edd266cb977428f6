"""Batches of pictures as one moving file: animated WebP and PNG by Pillow, MP4 and WebM by PyAV."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from graphcore.errors import InputError, ResourceError
from nodes.diffusion.picture_formats import exif_bytes
from nodes.diffusion.pictures import MADE_BY_ALGORITHM, MAX_FRAMES, MAX_PIXELS, to_pillow
from nodes.diffusion.sounds import MAX_SAMPLES
from nodes.values import Audio, Image, Video

Codec = Literal["h264", "vp9", "av1"]
_WEBP_METHODS: Final = {"default": 4, "fastest": 0, "slowest": 6}
_ENCODERS: Final = {"h264": "libx264", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
_CONTAINERS: Final = {"h264": "mp4", "vp9": "webm", "av1": "webm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebpOptions:
    """How an animated WebP is encoded: `quality` 0 to 100, `method` how much time is taken for small files."""

    lossless: bool = True
    quality: int = 80
    method: Literal["default", "fastest", "slowest"] = "default"


def webp_bytes(pixels: Tensor, fps: float, texts: Mapping[str, str], options: WebpOptions) -> bytes:
    """Frames (count, height, width, 3) as an animated WebP with these texts in EXIF; it repeats for ever."""
    return _encoded(
        pixels,
        fps,
        "WEBP",
        lossless=options.lossless,
        quality=options.quality,
        method=_WEBP_METHODS[options.method],
        exif=exif_bytes(texts),
        xmp=MADE_BY_ALGORITHM.encode() if texts else b"",
    )


def apng_bytes(pixels: Tensor, fps: float, texts: Mapping[str, str], *, compress_level: int = 4) -> bytes:
    """Frames (count, height, width, 3) as an animated PNG with these text chunks; it repeats for ever."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    if texts:
        info.add_itxt("XML:com.adobe.xmp", MADE_BY_ALGORITHM)
    return _encoded(pixels, fps, "PNG", pnginfo=info, compress_level=compress_level)


def _encoded(pixels: Tensor, fps: float, kind: str, **options: Any) -> bytes:
    """Frames as a file that repeats for ever; `options` are those of Pillow's writer of this kind."""
    stream = io.BytesIO()
    first, *rest = (to_pillow(frame) for frame in pixels)
    duration = max(1, round(1000 / fps))
    first.save(stream, kind, save_all=True, append_images=rest, duration=duration, loop=0, **options)
    return stream.getvalue()


def require_pyav() -> Any:
    """The module av; raises ResourceError with the way to install it."""
    try:
        import av
    except ImportError as error:
        raise ResourceError(
            "Videos need the library PyAV; install it with `pip install graphcore[video]`.",
            code="library-missing",
        ) from error
    return av


def video_bytes(video: Video, codec: Codec, texts: Mapping[str, str], *, crf: float | None = None) -> bytes:
    """A video as MP4 (h264) or WebM (vp9, av1), with its sound, and the texts in the container's metadata.

    `crf` is the encoder's quality, lower is better. Odd sides are filled up by repeating the last row or column.
    """
    av = require_pyav()
    rate = Fraction(video.fps).limit_denominator(1001)
    frames = even_sides(video.frames.pixels)
    stream = io.BytesIO()
    options = {"movflags": "use_metadata_tags"} if codec == "h264" else {}
    try:
        with av.open(stream, "w", format=_CONTAINERS[codec], options=options) as container:
            for name, text in texts.items():
                container.metadata[name] = text
            track = container.add_stream(_ENCODERS[codec], rate=rate)
            track.height, track.width = frames.shape[1:3]
            track.pix_fmt = "yuv420p"
            track.options = _encoder_options(codec, crf)
            sound = _sound_track(container, video.audio, codec)
            for frame in frames:
                made = av.VideoFrame.from_ndarray(np.asarray(to_pillow(frame)), format="rgb24")
                container.mux(track.encode(made))
            container.mux(track.encode(None))
            if sound is not None and video.audio is not None:
                _write_sound(av, container, sound, video.audio)
    except av.FFmpegError as error:
        raise InputError(
            f"The video cannot be encoded as {codec} ({error}); try another size or codec.",
            code="cannot-encode",
        ) from error
    return stream.getvalue()


def even_sides(pixels: Tensor) -> Tensor:
    """Frames with even sides, which video colours need: the last row and column are repeated."""
    if pixels.shape[1] % 2:
        pixels = torch.cat([pixels, pixels[:, -1:]], dim=1)
    if pixels.shape[2] % 2:
        pixels = torch.cat([pixels, pixels[:, :, -1:]], dim=2)
    return pixels


def read_video(path: Path) -> Video:
    """All frames of a video file and its sound; raises InputError if it is damaged or too large."""
    av = require_pyav()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise _unreadable(path, "it holds no pictures")
            track = container.streams.video[0]
            fps = float(track.average_rate or track.guessed_rate or 0)
            frames = list(_frames(container, track, path))
        with av.open(str(path)) as container:
            audio = sound_of(av, container, path)
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not frames or not math.isfinite(fps) or fps <= 0:
        raise _unreadable(path, "it holds no frames")
    return Video(frames=Image(torch.stack(frames)), fps=fps, audio=audio)


def _frames(container: Any, track: Any, path: Path) -> Iterator[Tensor]:
    room = MAX_PIXELS
    for count, frame in enumerate(container.decode(track)):
        room -= frame.width * frame.height
        if room < 0 or count >= MAX_FRAMES:
            raise InputError(
                f"'{path.name}' has more than {MAX_FRAMES} frames or {MAX_PIXELS} pixels in all; cut or shrink it.",
                code="over-budget",
                location=path.name,
            )
        yield torch.from_numpy(frame.to_ndarray(format="rgb24")).float() / 255


def sound_of(av: Any, container: Any, path: Path) -> Audio | None:
    """The sound of an opened file, as float32; None if it has none."""
    if not container.streams.audio:
        return None
    track = container.streams.audio[0]
    resampler = av.AudioResampler(format="fltp")
    parts: list[np.ndarray] = []
    total = 0
    for frame in container.decode(track):
        for ready in resampler.resample(frame):
            part = ready.to_ndarray()
            total += part.size
            if total > MAX_SAMPLES:
                raise InputError(
                    f"The sound of '{path.name}' is too long; cut it shorter.", code="over-budget"
                )
            parts.append(part)
    if not parts:
        return None
    return Audio(waveform=torch.from_numpy(np.concatenate(parts, axis=1)), sample_rate=int(track.rate))


def _encoder_options(codec: Codec, crf: float | None) -> dict[str, str]:
    if codec == "h264":
        return {"crf": str(18 if crf is None else round(crf))}
    if codec == "vp9":
        return {"crf": str(32 if crf is None else round(crf)), "b": "0"}
    return {"crf": str(32 if crf is None else round(crf)), "preset": "8"}


def _sound_track(container: Any, audio: Audio | None, codec: Codec) -> Any:
    if audio is None or not audio.waveform.shape[-1]:
        return None
    layout = {1: "mono", 2: "stereo"}.get(audio.waveform.shape[0])
    if layout is None:
        raise InputError(
            f"The sound has {audio.waveform.shape[0]} channels; give it one or two.", code="bad-audio"
        )
    if codec == "h264":
        return container.add_stream("aac", rate=audio.sample_rate, layout=layout)
    return container.add_stream("libopus", rate=48000, layout=layout)


def _write_sound(av: Any, container: Any, track: Any, audio: Audio) -> None:
    samples = np.ascontiguousarray(audio.waveform.float().numpy())
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=track.layout.name)
    frame.sample_rate = audio.sample_rate
    frame.time_base = Fraction(1, audio.sample_rate)
    frame.pts = 0
    resampler = av.AudioResampler(
        format=track.format.name,
        layout=track.layout.name,
        rate=track.rate,
        frame_size=track.frame_size or None,
    )
    for ready in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(track.encode(ready))
    container.mux(track.encode(None))


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        f"'{path.name}' cannot be read as a video ({why[:160]}); use a whole MP4, WebM, MKV, MOV or AVI.",
        code="bad-video",
        location=path.name,
    )
