"""Saves what nodes made: pictures and sound, with what says how they were made (`comfy_api.latest.ui`)."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphcore.errors import InputError
from nodes.diffusion.sound_files import sound_bytes
from nodes.output_files import OutputNames
from nodes.packs.faces import run_context
from nodes.packs.v3_inputs import FolderType

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class SavedResult(dict[str, str]):
    """A file that was saved: its name, its sub-folder, and the kind of folder."""

    def __init__(self, filename: str, subfolder: str, type: FolderType | str) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=str(type))

    @property
    def filename(self) -> str:
        """Its name."""
        return self["filename"]

    @property
    def subfolder(self) -> str:
        """Its folder, relative to that of its kind."""
        return self["subfolder"]

    @property
    def type(self) -> str:
        """The kind of folder that it is in."""
        return self["type"]


class UIOutput(ABC):
    """What a node shows."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """As clients read it."""


class SavedImages(UIOutput):
    """Pictures that were saved."""

    def __init__(self, results: Iterable[Mapping[str, str]], is_animated: bool = False) -> None:
        self.results = list(results)
        self.is_animated = is_animated

    def as_dict(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"images": self.results}
        return {**shown, "animated": (True,)} if self.is_animated else shown


class SavedAudios(UIOutput):
    """Sounds that were saved."""

    def __init__(self, results: Iterable[Mapping[str, str]]) -> None:
        self.results = list(results)

    def as_dict(self) -> dict[str, Any]:
        return {"audio": self.results}


def _picture(tensor: Any) -> Picture:
    import numpy
    from PIL import Image

    values = tensor.detach().float().cpu().clamp(0, 1).mul(255).numpy().astype(numpy.uint8)
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


def _texts(cls: Any, place: int) -> dict[str, str]:
    """What a saved picture says of how it was made."""
    context = run_context()
    if not context.settings.metadata:
        return {}
    texts = dict(context.picture_texts(place))
    hidden = getattr(cls, "hidden", None)
    if hidden is not None and getattr(hidden, "prompt", None) is not None:
        texts.setdefault("prompt", json.dumps(hidden.prompt))
    for name, value in (getattr(hidden, "extra_pnginfo", None) or {}).items():
        texts.setdefault(str(name), json.dumps(value))
    return texts


def _folder(kind: FolderType | str) -> Path:
    base = run_context().files.base(str(kind))
    if not base:
        raise InputError(f"'{kind}' is no folder of files; use input, output or temp.", code="bad-folder")
    return base[0]


def _write(
    data: bytes,
    prefix: str,
    suffix: str,
    kind: FolderType | str,
    size: tuple[int, int] | None = None,
    place: int = 0,
) -> SavedResult:
    values = {} if size is None else {"width": size[0], "height": size[1]}
    names = OutputNames(folder=_folder(kind), prefix=prefix, suffix=suffix)
    saved = names.write(data, values, batch_number=place)
    return SavedResult(saved.filename, saved.subfolder, kind)


class ImageSaveHelper:
    """Saves pictures (batch, height, width, channels) with what says how they were made."""

    @staticmethod
    def save_images(
        images: Any,
        filename_prefix: str,
        folder_type: FolderType | str = FolderType.output,
        cls: Any = None,
        compress_level: int = 4,
    ) -> list[SavedResult]:
        """Write each picture as a PNG file."""
        from PIL.PngImagePlugin import PngInfo

        saved = []
        for place, image in enumerate(images):
            picture, info, stream = _picture(image), PngInfo(), io.BytesIO()
            for name, text in _texts(cls, place).items():
                info.add_text(name, text)
            picture.save(stream, format="PNG", pnginfo=info, compress_level=compress_level)
            saved.append(_write(stream.getvalue(), filename_prefix, ".png", folder_type, picture.size, place))
        return saved

    @staticmethod
    def get_save_images_ui(
        images: Any, filename_prefix: str, cls: Any = None, compress_level: int = 4
    ) -> SavedImages:
        """Write each picture into the output folder, and show them."""
        return SavedImages(
            ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level)
        )

    @staticmethod
    def save_animated_png(
        images: Any,
        filename_prefix: str,
        folder_type: FolderType | str = FolderType.output,
        cls: Any = None,
        fps: float = 6.0,
        compress_level: int = 4,
    ) -> SavedResult:
        """Write the pictures as one animated PNG file."""
        from PIL.PngImagePlugin import PngInfo

        pictures, info, stream = [_picture(image) for image in images], PngInfo(), io.BytesIO()
        for name, text in _texts(cls, 0).items():
            info.add_text(name, text)
        pictures[0].save(
            stream,
            format="PNG",
            pnginfo=info,
            compress_level=compress_level,
            save_all=True,
            duration=int(1000 / fps),
            append_images=pictures[1:],
        )
        return _write(stream.getvalue(), filename_prefix, ".png", folder_type, pictures[0].size)

    @staticmethod
    def get_save_animated_png_ui(
        images: Any, filename_prefix: str, cls: Any = None, fps: float = 6.0, compress_level: int = 4
    ) -> SavedImages:
        """Write the pictures as one animated PNG file into the output folder, and show it."""
        saved = ImageSaveHelper.save_animated_png(
            images, filename_prefix, FolderType.output, cls, fps, compress_level
        )
        return SavedImages([saved], is_animated=len(images) > 1)

    @staticmethod
    def save_animated_webp(
        images: Any,
        filename_prefix: str,
        folder_type: FolderType | str = FolderType.output,
        cls: Any = None,
        fps: float = 6.0,
        lossless: bool = True,
        quality: int = 80,
        method: int = 4,
    ) -> SavedResult:
        """Write the pictures as one animated WebP file."""
        pictures, stream = [_picture(image) for image in images], io.BytesIO()
        exif = pictures[0].getexif()
        texts = _texts(cls, 0)
        if "prompt" in texts:
            exif[0x0110] = f"prompt:{texts['prompt']}"
        for tag, (name, text) in zip(
            range(0x010F, 0, -1),
            ((name, text) for name, text in texts.items() if name != "prompt"),
            strict=False,
        ):
            exif[tag] = f"{name}:{text}"
        pictures[0].save(
            stream,
            format="WEBP",
            save_all=True,
            append_images=pictures[1:],
            duration=int(1000 / fps),
            exif=exif,
            lossless=lossless,
            quality=quality,
            method=method,
        )
        return _write(stream.getvalue(), filename_prefix, ".webp", folder_type, pictures[0].size)

    @staticmethod
    def get_save_animated_webp_ui(
        images: Any,
        filename_prefix: str,
        cls: Any = None,
        fps: float = 6.0,
        lossless: bool = True,
        quality: int = 80,
        method: int = 4,
    ) -> SavedImages:
        """Write the pictures as one animated WebP file into the output folder, and show it."""
        saved = ImageSaveHelper.save_animated_webp(
            images, filename_prefix, FolderType.output, cls, fps, lossless, quality, method
        )
        return SavedImages([saved], is_animated=len(images) > 1)


class AudioSaveHelper:
    """Saves sound: {"waveform": (batch, channels, samples), "sample_rate": hertz}."""

    @staticmethod
    def save_audio(
        audio: Mapping[str, Any],
        filename_prefix: str,
        folder_type: FolderType | str = FolderType.output,
        cls: Any = None,
        format: str = "flac",
        quality: str = "128k",
    ) -> list[SavedResult]:
        """Write each sound of the batch as a WAV, FLAC, MP3 or Opus file; raises as `sound_bytes` does."""
        rate, saved = int(audio["sample_rate"]), []
        for place, sound in enumerate(audio["waveform"]):
            data = sound_bytes(sound, rate, format, quality=quality, texts=_texts(cls, place))
            saved.append(_write(data, filename_prefix, f".{format}", folder_type, place=place))
        return saved

    @staticmethod
    def get_save_audio_ui(
        audio: Mapping[str, Any],
        filename_prefix: str,
        cls: Any = None,
        format: str = "flac",
        quality: str = "128k",
    ) -> SavedAudios:
        """Write each sound into the output folder, and show them."""
        return SavedAudios(
            AudioSaveHelper.save_audio(audio, filename_prefix, FolderType.output, cls, format, quality)
        )
