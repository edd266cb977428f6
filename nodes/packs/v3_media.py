"""`comfy_api.input` and `comfy_api.util`: pictures, sound and video, as nodes hand them on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, NoReturn, TypedDict

from graphcore.errors import InputError

ImageInput = Any
MaskInput = Any
LatentInput = dict[str, Any]


class AudioInput(TypedDict):
    """Sound: `waveform` (batch, channels, samples), and how many samples a second has."""

    waveform: Any
    sample_rate: int


class VideoContainer(str, Enum):  # noqa: UP042 (its members compare as ComfyUI's do)
    """Formats of video files."""

    AUTO = "auto"
    MP4 = "mp4"

    __str__ = str.__str__

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices, as an input lists them."""
        return [member.value for member in cls]

    @classmethod
    def get_extension(cls, value: Any) -> str:
        """The suffix of such files."""
        return "mp4" if str(value) in ("mp4", "auto") else ""


class VideoCodec(str, Enum):  # noqa: UP042
    """How video is encoded."""

    AUTO = "auto"
    H264 = "h264"

    __str__ = str.__str__

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices, as an input lists them."""
        return [member.value for member in cls]


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
        self, path: Any, format: Any = VideoContainer.AUTO, codec: Any = VideoCodec.AUTO, **rest: Any
    ) -> NoReturn:
        """Refused: there is no video encoder here. Raises InputError."""
        del path, format, codec, rest
        raise InputError("Video cannot be encoded here; save its frames as pictures.", code="no-video-codec")

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
    """A video in a file; it can be handed on, and not be opened here."""

    def __init__(self, file: Any, **rest: Any) -> None:
        del rest
        self.file = file

    def get_stream_source(self) -> Any:
        """The file."""
        return self.file

    def get_components(self) -> NoReturn:
        """Refused: there is no video decoder here. Raises InputError."""
        raise InputError("Video cannot be decoded here; give its frames as pictures.", code="no-video-codec")
