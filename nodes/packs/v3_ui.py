"""`comfy_api.latest.ui`: what a node shows beside its outputs, and files that it saves."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.packs.v3_inputs import FolderType
from nodes.packs.v3_saving import (
    AudioSaveHelper,
    ImageSaveHelper,
    SavedAudios,
    SavedImages,
    SavedResult,
    UIOutput,
)

_UIOutput = UIOutput


def _temporary() -> str:
    return f"ComfyUI_temp_{secrets.token_hex(4)}"


class PreviewImage(UIOutput):
    """Pictures to look at, in the temporary folder."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **kwargs: Any) -> None:
        del kwargs
        self.animated = animated
        self.values = ImageSaveHelper.save_images(image, _temporary(), FolderType.temp, cls, compress_level=1)

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (self.animated,)}


class PreviewMask(PreviewImage):
    """Masks (batch, height, width) to look at."""

    def __init__(self, mask: Any, animated: bool = False, cls: Any = None, **kwargs: Any) -> None:
        pictures = mask.reshape(-1, *mask.shape[-2:])[..., None].expand(-1, -1, -1, 3)
        super().__init__(pictures, animated, cls, **kwargs)


class PreviewAudio(UIOutput):
    """Sound to listen to, in the temporary folder."""

    def __init__(self, audio: Mapping[str, Any], cls: Any = None, **kwargs: Any) -> None:
        del kwargs
        self.values = AudioSaveHelper.save_audio(audio, _temporary(), FolderType.temp, cls, format="wav")

    def as_dict(self) -> dict[str, Any]:
        return {"audio": self.values}


class PreviewVideo(UIOutput):
    """Videos that were saved."""

    def __init__(self, values: Iterable[Mapping[str, str]], **kwargs: Any) -> None:
        del kwargs
        self.values = list(values)

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (True,)}


class PreviewText(UIOutput):
    """A text to read."""

    def __init__(self, value: str, **kwargs: Any) -> None:
        del kwargs
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}


class PreviewUI3D(UIOutput):
    """A 3D model to look at."""

    def __init__(self, model_file: str, camera_info: Any = None, **kwargs: Any) -> None:
        self.model_file = model_file
        self.camera_info = camera_info
        self.bg_image_path = kwargs.get("bg_image_path")

    def as_dict(self) -> dict[str, Any]:
        return {"result": [self.model_file, self.camera_info, self.bg_image_path]}


__all__ = [
    "AudioSaveHelper",
    "FolderType",
    "ImageSaveHelper",
    "PreviewAudio",
    "PreviewImage",
    "PreviewMask",
    "PreviewText",
    "PreviewUI3D",
    "PreviewVideo",
    "SavedAudios",
    "SavedImages",
    "SavedResult",
]
