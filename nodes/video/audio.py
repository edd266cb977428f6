"""Nodes that read, write and change sound, which goes with videos."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from graphcore import Context, FileChoice, Range, Text, node
from nodes.output_files import OutputNames
from nodes.values import Audio

Prefix = Annotated[str, Text(multiline=False)]
Start = Annotated[float, Range(-float(2**64 - 1), float(2**64 - 1), step=0.01)]
Seconds = Annotated[float, Range(0.0, None, step=0.01)]


class Channels(NamedTuple):
    """The two channels of a sound."""

    left: Audio
    right: Audio


@node("LoadAudio", category="audio", title="Load Audio")
def load_audio(ctx: Context, audio: Annotated[str, FileChoice("input", upload="audio")]) -> Audio:
    """Read a sound, or that of a video, from the input folder (`name [output]` reads from the output folder)."""
    from nodes.diffusion.sound_files import read_sound

    return read_sound(ctx.files.resolve_media(audio))


@node("SaveAudio", category="audio", title="Save Audio (FLAC)", output=True)
def save_audio(ctx: Context, audio: Audio, filename_prefix: Prefix = "audio/ComfyUI") -> None:
    """Write a sound without loss into the output folder, with the workflow in it."""
    _save(ctx, audio, filename_prefix, "flac", "128k")


@node("SaveAudioMP3", category="audio", title="Save Audio (MP3)", output=True)
def save_audio_mp3(
    ctx: Context,
    audio: Audio,
    filename_prefix: Prefix = "audio/ComfyUI",
    quality: Literal["V0", "128k", "320k"] = "V0",
) -> None:
    """Write a sound as MP3 into the output folder, with the workflow in it; "V0" varies the bit rate."""
    _save(ctx, audio, filename_prefix, "mp3", quality)


@node("SaveAudioOpus", category="audio", title="Save Audio (Opus)", output=True)
def save_audio_opus(
    ctx: Context,
    audio: Audio,
    filename_prefix: Prefix = "audio/ComfyUI",
    quality: Literal["64k", "96k", "128k", "192k", "320k"] = "128k",
) -> None:
    """Write a sound as Opus into the output folder, with the workflow in it."""
    _save(ctx, audio, filename_prefix, "opus", quality)


@node("PreviewAudio", category="audio", title="Preview Audio", output=True)
def preview_audio(ctx: Context, audio: Audio) -> None:
    """Let a sound be heard without keeping it: it is written into the temporary folder."""
    from nodes.diffusion.sound_files import sound_bytes

    names = OutputNames(folder=ctx.files.temp_dir, prefix=f"preview_{secrets.token_hex(4)}", suffix=".flac")
    saved = names.write(sound_bytes(audio.waveform, audio.sample_rate, "flac"), {})
    ctx.show("audio", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "temp"})


@node("EmptyAudio", category="audio", title="Empty Audio")
def empty_audio(
    duration: Seconds = 60.0,
    sample_rate: Annotated[int, Range(1, 192000)] = 44100,
    channels: Annotated[int, Range(1, 2)] = 2,
) -> Audio:
    """So many seconds of silence."""
    from nodes.diffusion.sounds import silence

    return silence(duration, sample_rate, channels)


@node("TrimAudioDuration", category="audio", title="Trim Audio Duration")
def trim_audio_duration(audio: Audio, start_index: Start = 0.0, duration: Seconds = 60.0) -> Audio:
    """Cut so many seconds out of a sound; a negative start counts from its end."""
    from nodes.diffusion.sounds import cut

    return cut(audio, start_index, duration)


@node("SplitAudioChannels", category="audio", title="Split Audio Channels")
def split_audio_channels(audio: Audio) -> Channels:
    """The left and the right channel of a sound, as a sound each."""
    from nodes.diffusion.sounds import halves

    return Channels(*halves(audio))


@node("AudioConcat", category="audio", title="Concatenate Audio")
def audio_concat(audio1: Audio, audio2: Audio, direction: Literal["after", "before"] = "after") -> Audio:
    """Put the second sound after the first, or before it; both get the higher of their rates."""
    from nodes.diffusion.sounds import appended

    return appended(audio1, audio2) if direction == "after" else appended(audio2, audio1)


@node("AudioMerge", category="audio", title="Mix Audio")
def audio_merge(
    audio1: Audio, audio2: Audio, *, merge_method: Literal["add", "mean", "subtract", "multiply"]
) -> Audio:
    """Play two sounds at once, for as long as the first; made quieter where that would be too loud."""
    from nodes.diffusion.sounds import mixed

    return mixed(audio1, audio2, merge_method)


@node("AudioAdjustVolume", category="audio", title="Adjust Volume")
def audio_adjust_volume(audio: Audio, volume: Annotated[int, Range(-100, 100)] = 1) -> Audio:
    """Make a sound louder by so many decibels, or quieter if the number is negative."""
    return replace(audio, waveform=audio.waveform * 10 ** (volume / 20))


def _save(ctx: Context, audio: Audio, prefix: str, format: str, quality: str) -> None:
    from nodes.diffusion.sound_files import sound_bytes

    texts = dict(ctx.picture_texts())
    data = sound_bytes(audio.waveform, audio.sample_rate, format, quality=quality, texts=texts)
    saved = OutputNames(folder=ctx.files.output_dir, prefix=prefix, suffix=f".{format}").write(data, {})
    ctx.show("audio", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})
