"""Sound and video as ComfyUI's nodes hold them: a dictionary of a waveform, and objects of `comfy_api`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from nodes.packs.v3_media import AudioInput, VideoComponents, VideoFromComponents, VideoInput
from nodes.values import Audio, Image, Video


def from_audio(audio: Audio) -> AudioInput:
    """Sound as a batch of one: waveform (1, channels, samples)."""
    return {"waveform": audio.waveform[None], "sample_rate": audio.sample_rate}


def to_audio(value: Any) -> Any:
    """Sound from a dictionary; a batch of several sounds stays what it is, as our nodes hold one."""
    if not isinstance(value, Mapping) or "waveform" not in value:
        return value
    waveform = value["waveform"].detach().float().cpu()
    if waveform.ndim == 3:
        if len(waveform) != 1:
            return value
        waveform = waveform[0]
    return Audio(waveform=waveform, sample_rate=int(value["sample_rate"]))


def from_video(video: Video) -> VideoFromComponents:
    """A video as `comfy_api` has them."""
    audio = None if video.audio is None else from_audio(video.audio)
    rate = Fraction(video.fps).limit_denominator(1001)
    return VideoFromComponents(VideoComponents(images=video.frames.pixels, frame_rate=rate, audio=audio))


def to_video(value: Any) -> Any:
    """A video from one of `comfy_api`'s; it is decoded if it is a file."""
    if not isinstance(value, VideoInput):
        return value
    parts = value.get_components()
    sound = None if parts.audio is None else to_audio(parts.audio)
    return Video(
        frames=Image(parts.images.detach().float().cpu()),
        fps=float(parts.frame_rate),
        audio=sound if isinstance(sound, Audio) else None,
    )
