"""Sound as files: WAV always, FLAC, MP3 and Opus where PyAV is installed, which also reads what FFmpeg knows."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphcore.errors import InputError
from nodes.values import Audio

if TYPE_CHECKING:
    from torch import Tensor

_CODECS: Final = {"flac": ("flac", "flac"), "mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus")}
_OPUS_RATE: Final = 48000
_OPUS_BITS: Final = 256_000
"""Opus takes at most so many bits a second for each channel."""


def sound_bytes(
    sound: Tensor, rate: int, format: str, *, quality: str = "128k", texts: Mapping[str, str] | None = None
) -> bytes:
    """Sound (channels, samples) in [-1, 1], at `rate` samples a second, as a file of a format, with texts in it.

    `quality` is a bit rate ("128k"), or "V0" for MP3's best. Raises InputError for an unknown format or more than two
    channels, ResourceError if PyAV is wanted and not there.
    """
    if format == "wav":
        return _wav(sound, rate)
    if format not in _CODECS:
        raise InputError(
            f"Sound cannot be written as '{format}'; choose wav, {', '.join(_CODECS)}.",
            code="unsupported-choice",
        )
    if sound.shape[0] not in (1, 2):
        raise InputError(f"The sound has {sound.shape[0]} channels; give it one or two.", code="bad-audio")
    return _encoded(sound, rate, format, quality, texts or {})


def _encoded(sound: Tensor, rate: int, format: str, quality: str, texts: Mapping[str, str]) -> bytes:
    from nodes.diffusion.animations import require_pyav

    av = require_pyav()
    if not sound.shape[-1]:
        raise InputError(
            "The sound has no samples, so there is nothing to save; give a longer one.", code="bad-audio"
        )
    try:
        return _written(av, sound, rate, format, quality, texts)
    except av.FFmpegError as error:
        raise InputError(
            f"A sound of {rate} samples a second cannot be saved as {format} in the quality {quality}; choose another "
            "format or quality.",
            code="bad-audio",
        ) from error


def _written(av: Any, sound: Tensor, rate: int, format: str, quality: str, texts: Mapping[str, str]) -> bytes:
    import numpy

    kind, codec = _CODECS[format]
    layout = "mono" if sound.shape[0] == 1 else "stereo"
    stream = io.BytesIO()
    with av.open(stream, "w", format=kind) as container:
        for name, text in texts.items():
            container.metadata[name] = text
        track = container.add_stream(codec, rate=_OPUS_RATE if format == "opus" else rate, layout=layout)
        if quality == "V0" and format == "mp3":
            track.options = {"flags": "+qscale", "global_quality": "0"}
        elif format != "flac":
            wanted = 320_000 if quality == "V0" else int(quality.removesuffix("k")) * 1000
            most = _OPUS_BITS * sound.shape[0] if format == "opus" else wanted
            track.bit_rate = min(wanted, most)
        samples = numpy.ascontiguousarray(sound.detach().float().cpu().numpy())
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        resampler = av.AudioResampler(
            format=track.format.name, layout=layout, rate=track.rate, frame_size=track.frame_size or None
        )
        for ready in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(track.encode(ready))
        container.mux(track.encode(None))
    return stream.getvalue()


def _wav(sound: Any, rate: int) -> bytes:
    """16 bits a sample."""
    import wave

    import numpy

    values = sound.detach().float().cpu().clamp(-1, 1).mul(32767).round().numpy().astype(numpy.int16)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as written:
        written.setnchannels(values.shape[0])
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(values.T.tobytes())
    return stream.getvalue()


def read_sound(path: Path) -> Audio:
    """The sound of an audio or video file; raises InputError if it holds none, is damaged, or is too long."""
    from nodes.diffusion.animations import require_pyav, sound_of

    av = require_pyav()
    try:
        with av.open(str(path)) as container:
            found = sound_of(av, container, path)
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if found is None:
        raise _unreadable(path, "it holds no sound")
    return found


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        f"'{path.name}' cannot be read as sound ({why[:160]}); use a whole WAV, FLAC, MP3, OGG or M4A, or a video.",
        code="bad-audio",
        location=path.name,
    )
