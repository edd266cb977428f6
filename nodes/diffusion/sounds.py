"""What is done to sound (channels, samples): cut, joined, mixed, made louder, brought to another rate."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.values import Audio

MAX_SAMPLES = 2**28
"""The most numbers that a sound may hold."""


def silence(duration: float, sample_rate: int, channels: int) -> Audio:
    """So many seconds of nothing; raises InputError for more than 2^28 samples in all."""
    count = round(duration * sample_rate) if duration * sample_rate <= MAX_SAMPLES else MAX_SAMPLES + 1
    if count * channels > MAX_SAMPLES:
        raise InputError(
            f"{duration:g} seconds at {sample_rate} samples a second are too many; ask for fewer.",
            code="over-budget",
        )
    return Audio(waveform=torch.zeros(channels, count), sample_rate=sample_rate)


def cut(audio: Audio, start: float, duration: float) -> Audio:
    """`duration` seconds from `start` on, which counts from the end where it is negative, held within the sound.

    Raises InputError if nothing is left.
    """
    length = audio.waveform.shape[-1]
    place = _samples(start, audio.sample_rate, length)
    first = max(0, min(length + place if start < 0 else place, length - 1))
    last = min(first + _samples(duration, audio.sample_rate, length), length)
    if first >= last:
        raise InputError(
            f"Nothing is left of {length / audio.sample_rate:g} seconds of sound from {start:g} on, for {duration:g} "
            "seconds; take a part that is in it.",
            code="empty-audio",
        )
    return Audio(waveform=audio.waveform[:, first:last].clone(), sample_rate=audio.sample_rate)


def _samples(seconds: float, rate: int, most: int) -> int:
    return round(max(-most, min(seconds * rate, most)))


def halves(audio: Audio) -> tuple[Audio, Audio]:
    """The left and the right channel; raises InputError unless there are two."""
    if audio.waveform.shape[0] != 2:
        raise InputError(
            f"The sound has {audio.waveform.shape[0]} channels; only one with two has a left and a right.",
            code="bad-audio",
        )
    left, right = (
        Audio(waveform=channel[None].clone(), sample_rate=audio.sample_rate) for channel in audio.waveform
    )
    return left, right


def appended(first: Audio, second: Audio) -> Audio:
    """One sound after the other, at the higher of their rates."""
    one, other, rate = _alike(first, second)
    return Audio(waveform=torch.cat([one, other], dim=-1), sample_rate=rate)


def mixed(first: Audio, second: Audio, method: Literal["add", "mean", "subtract", "multiply"]) -> Audio:
    """Two sounds at once, as long as the first; made quieter where their sum would be beyond 1."""
    one, other, rate = _alike(first, second)
    length = one.shape[-1]
    other = torch.nn.functional.pad(other[:, :length], (0, max(0, length - other.shape[-1])))
    match method:
        case "add":
            result = one + other
        case "subtract":
            result = one - other
        case "multiply":
            result = one * other
        case "mean":
            result = (one + other) / 2
    loudest = float(result.abs().max()) if result.numel() else 0.0
    return Audio(waveform=result / max(loudest, 1.0), sample_rate=rate)


def _alike(first: Audio, second: Audio) -> tuple[Tensor, Tensor, int]:
    """Both with the same channels, at the higher of their rates."""
    rate = max(first.sample_rate, second.sample_rate)
    one, other = resampled(first, rate), resampled(second, rate)
    channels = max(len(one), len(other))
    for waveform in (one, other):
        if len(waveform) not in (1, channels):
            raise InputError(
                f"One sound has {len(one)} channels and the other {len(other)}; give both as many, or one of them one.",
                code="bad-audio",
            )
    return one.expand(channels, -1), other.expand(channels, -1), rate


def resampled(audio: Audio, rate: int) -> Tensor:
    """The waveform at another rate, by FFmpeg."""
    if audio.sample_rate == rate or not audio.waveform.shape[-1]:
        return audio.waveform
    from nodes.diffusion.animations import require_pyav

    av = require_pyav()
    rows = []
    for channel in audio.waveform.float():
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(channel[None].numpy()), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.time_base, frame.pts = audio.sample_rate, Fraction(1, audio.sample_rate), 0
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        parts = [ready.to_ndarray() for ready in (*resampler.resample(frame), *resampler.resample(None))]
        rows.append(torch.from_numpy(np.concatenate(parts, axis=1))[0] if parts else torch.zeros(0))
    return torch.stack(rows)
