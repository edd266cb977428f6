"""`comfy_api.input` and `comfy_api.util`: pictures, sound and video, as nodes hand them on."""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, TypedDict

ImageInput = Any
MaskInput = Any
LatentInput = dict[str, Any]


class AudioInput(TypedDict):
    """Sound: `waveform` (batch, channels, samples), and how many samples a second has."""

    waveform: Any
    sample_rate: int


class _Choice(str, Enum):  # noqa: UP042 (its members compare as ComfyUI's do)
    __str__ = str.__str__

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices, as an input lists them."""
        return [member.value for member in cls]


class VideoContainer(_Choice):
    """Formats of video files."""

    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def get_extension(cls, value: Any) -> str:
        """The suffix of such files."""
        return "mp4" if str(value) in ("mp4", "auto") else ""


class VideoCodec(_Choice):
    """How video is encoded."""

    AUTO = "auto"
    H264 = "h264"


@dataclass
class VideoComponents:
    """What a video is made of: frames (count, height, width, 3), their rate, and sound."""

    images: Any
    frame_rate: Fraction
    audio: AudioInput | None = None
    metadata: dict[str, Any] | None = None


class VideoInput(ABC):
    """A video."""

    @abstractmethod
    def get_components(self) -> VideoComponents:
        """Its frames, their rate, and its sound."""

    def save_to(
        self,
        path: Any,
        format: Any = VideoContainer.AUTO,
        codec: Any = VideoCodec.AUTO,
        metadata: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Write it as an MP4 file, or into a stream; raises ResourceError without the library that does so (PyAV)."""
        from nodes.diffusion.animations import video_bytes
        from nodes.packs.media import to_video

        del format, codec, rest
        texts = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in (metadata or {}).items()
        }
        data = video_bytes(to_video(self), "h264", texts)
        if hasattr(path, "write"):
            path.write(data)
        else:
            Path(path).write_bytes(data)

    def get_dimensions(self) -> tuple[int, int]:
        """Its width and height."""
        images = self.get_components().images
        return int(images.shape[2]), int(images.shape[1])

    def get_frame_count(self) -> int:
        """How many frames it has."""
        return len(self.get_components().images)

    def get_frame_rate(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.get_components().frame_rate)

    def get_duration(self) -> float:
        """Its length in seconds."""
        return float(self.get_frame_count() / self.get_frame_rate())


class VideoFromComponents(VideoInput):
    """A video made of frames."""

    def __init__(self, components: VideoComponents) -> None:
        self._components = components

    def get_components(self) -> VideoComponents:
        return VideoComponents(
            self._components.images,
            Fraction(self._components.frame_rate),
            self._components.audio,
            self._components.metadata,
        )


class VideoFromFile(VideoInput):
    """A video in a file, or in a stream; it is decoded when it is looked at."""

    def __init__(self, file: Any, **rest: Any) -> None:
        del rest
        self.file = file

    def get_stream_source(self) -> Any:
        """The file."""
        return self.file

    def get_components(self) -> VideoComponents:
        """Its frames, their rate, and its sound; raises ResourceError without the library that decodes (PyAV)."""
        from nodes.diffusion.animations import read_video
        from nodes.packs.media import from_video

        if hasattr(self.file, "read"):
            self.file.seek(0)
            with tempfile.NamedTemporaryFile(suffix=".mp4") as copy:
                copy.write(self.file.read())
                copy.flush()
                return from_video(read_video(Path(copy.name))).get_components()
        return from_video(read_video(Path(self.file))).get_components()
