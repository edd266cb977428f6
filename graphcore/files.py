"""Model folders, and the input and output folders: names to paths, safely, and fingerprints of what is there.

Model folders have ComfyUI's layout (checkpoints/, loras/, vae/ ...). Names are relative, use either slash, and
never leave their folder. Pickled weights are never listed: they are refused, with the way to convert them.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from graphcore.digests import DigestMemory, FileStamp
from graphcore.errors import ModelFileError, ResourceError
from graphcore.nearest import nearest_name
from graphcore.settings import Settings

MODEL_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "checkpoints": ("checkpoints",),
    "diffusion_models": ("diffusion_models", "unet"),
    "text_encoders": ("text_encoders", "clip"),
    "vae": ("vae",),
    "loras": ("loras",),
    "embeddings": ("embeddings",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "clip_vision": ("clip_vision",),
    "style_models": ("style_models",),
    "diffusers": ("diffusers",),
    "vae_approx": ("vae_approx",),
    "gligen": ("gligen",),
    "upscale_models": ("upscale_models",),
    "latent_upscale_models": ("latent_upscale_models",),
    "hypernetworks": ("hypernetworks",),
    "photomaker": ("photomaker",),
    "classifiers": ("classifiers",),
    "model_patches": ("model_patches",),
    "audio_encoders": ("audio_encoders",),
    "configs": ("configs",),
    "safety": ("safety", "safety_checker"),
    "ipadapter": ("ipadapter",),
    "motion_modules": ("motion_modules", "animatediff_models"),
    "tokenizers": ("tokenizers",),
}
WEIGHT_SUFFIXES: Final = (".safetensors", ".sft")
LONGEST_NAME: Final = 255
"""Bytes in the longest name that common file systems allow."""
PICKLE_SUFFIXES: Final = (".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl")
IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES: Final = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
AUDIO_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")
_WHOLE_DIGEST_BYTES: Final = 64 * 2**20
_SAMPLE_BYTES: Final = 2**20
_SETTLED_NS: Final = 50_000_000
_MEDIA_KINDS: Final = ("input", "output", "temp")
_MARKERS: Final = ("model_index.json", "config.json")
_PAIRS: Final = {"vae": "vae_approx"}
"""Kinds whose names also stand for pairs of files of another kind: `taesd` for its encoder and its decoder."""
_ENCODER, _DECODER = "_encoder.safetensors", "_decoder.safetensors"


class Files:
    """The folders of one engine.

    `folders` maps a kind to the folders that hold its files, searched in order.
    """

    def __init__(
        self,
        *,
        folders: Mapping[str, tuple[Path, ...]],
        input_dir: Path,
        output_dir: Path,
        temp_dir: Path,
        digests: DigestMemory | None = None,
    ) -> None:
        self.folders = {kind: tuple(paths) for kind, paths in folders.items()}
        self.input_dir = input_dir
        self.output_dir = output_dir
        self.temp_dir = temp_dir
        self._digests = digests or DigestMemory()
        self._listings: dict[str, tuple[tuple[tuple[str, int], ...], tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_settings(
        cls, settings: Settings, packaged: Mapping[str, tuple[Path, ...]] | None = None
    ) -> Files:
        """The folders that the settings name, followed by those that node packs bring along."""
        folders: dict[str, tuple[Path, ...]] = {}
        for kind, names in MODEL_KINDS.items():
            folders[kind] = tuple(root / name for root in settings.models_dirs for name in names)
        for source in (settings.extra_folders, packaged or {}):
            for kind, paths in source.items():
                folders[kind] = (*folders.get(kind, ()), *paths)
        temp = settings.temp_dir or settings.output_dir / ".temp"
        memory = DigestMemory(
            settings.data_dir / "digests.sqlite3" if settings.data_dir is not None else None
        )
        return cls(
            folders=folders,
            input_dir=settings.input_dir,
            output_dir=settings.output_dir,
            temp_dir=temp,
            digests=memory,
        )

    def base(self, kind: str) -> tuple[Path, ...]:
        """The folders of a kind; "input", "output" and "temp" are kinds too."""
        single = {"input": self.input_dir, "output": self.output_dir, "temp": self.temp_dir}.get(kind)
        return (single,) if single is not None else self.folders.get(kind, ())

    def names(self, kind: str, *, suffixes: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """The files of a kind, sorted, as names relative to their folder with '/' between parts.

        Folders are read again only when one of them has changed. A folder holding a diffusers model is one name, and so
        are an encoder and a decoder that stand for a VAE (`taesd`).
        """
        wanted = suffixes or _suffixes(kind)
        found: dict[str, None] = {}
        for folder in self.base(kind):
            for name in self._listing(folder):
                if name.endswith("/") or name.lower().endswith(wanted):
                    found.setdefault(name.rstrip("/"))
        if kind in _PAIRS:
            others = self.names(_PAIRS[kind])
            stems = (name.removesuffix(_DECODER) for name in others if name.endswith(_DECODER))
            found.update((stem, None) for stem in stems if stem + _ENCODER in others)
        return tuple(sorted(found, key=lambda name: (name.lower(), name)))

    def _listing(self, folder: Path) -> tuple[str, ...]:
        key = str(folder)
        with self._lock:
            known = self._listings.get(key)
        if known is not None and all(_mtime(path) == seen for path, seen in known[0]):
            return known[1]
        stamps: list[tuple[str, int]] = [(key, _mtime(key))]
        visited = {os.path.realpath(folder)}
        names: list[str] = []
        for root, dirs, files in os.walk(folder, followlinks=True):
            relative = os.path.relpath(root, folder).replace(os.sep, "/")
            prefix = "" if relative == "." else f"{relative}/"
            if prefix and any(marker in files for marker in _MARKERS):
                names.append(prefix)
                dirs.clear()
                continue
            dirs[:] = _unvisited(root, dirs, visited)
            stamps.extend((os.path.join(root, name), _mtime(os.path.join(root, name))) for name in dirs)
            names.extend(prefix + name for name in files if not name.startswith("."))
        listing = (tuple(stamps), tuple(names))
        newest = max(stamp for _, stamp in stamps)
        if time.time_ns() - newest > _SETTLED_NS:
            with self._lock:
                self._listings[key] = listing
        return listing[1]

    def find(self, kind: str, name: str) -> Path | None:
        """The path of a file by its name, or None. The name never leads out of its folder."""
        parts = safe_parts(name)
        if parts is None:
            return None
        for folder in self.base(kind):
            path = folder.joinpath(*parts)
            if kind in ("input", "output", "temp"):
                if os.path.isfile(path) and _inside(path, folder):
                    return path
            elif os.path.isfile(path) or any(os.path.isfile(path / marker) for marker in _MARKERS):
                return path
        return self._decoder(kind, name)

    def _decoder(self, kind: str, name: str) -> Path | None:
        """The decoder of a pair that a name stands for."""
        path = self.find(_PAIRS[kind], name + _DECODER) if kind in _PAIRS else None
        return path if path is not None and beside_decoder(path) is not None else None

    def resolve(self, kind: str, name: str) -> Path:
        """The path of a file by its name.

        Raises ModelFileError for pickled weights, ResourceError if there is no such file.
        """
        path = self.find(kind, name)
        if path is None:
            near = nearest_name(name, self.names(kind))
            hint = f"; did you mean '{near}'?" if near else f"; put it into a '{kind}' folder."
            raise ResourceError(
                f"There is no file '{name[:80]}' among the {kind}{hint}",
                code="file-not-found",
                location=name[:80],
            )
        if path.suffix.lower() in PICKLE_SUFFIXES and kind in MODEL_KINDS:
            raise pickle_refusal(name)
        return path

    def resolve_media(self, name: str) -> Path:
        """The path of an input picture; accepts `sub/name`, `name [output]`, `name [temp]`, `name [input]`."""
        kind, plain = split_annotation(name)
        return self.resolve(kind, plain)

    def fingerprint(self, path: Path) -> str:
        """Text that changes when the file does: cheap, memoised by size, time and inode.

        Files up to 64 MiB are digested whole. Of larger ones the first and last MiB, size and time are. What a side-car
        (`x.safetensors.json`) says of weights counts with them.
        """
        own = self._memoised(path, whole=False)
        side_car = path.with_name(f"{path.name}.json")
        if path.suffix.lower() not in WEIGHT_SUFFIXES or not side_car.is_file():
            return own
        both = f"{own}\0{self._memoised(side_car, whole=False)}"
        return f"sha256:{hashlib.sha256(both.encode()).hexdigest()}"

    def digest(self, path: Path) -> str:
        """The SHA-256 of a file's content as `sha256:<hex>`; of a folder, of its files' names and digests.

        Of a decoder with its encoder beside it, that of both digests.
        """
        return self._memoised(path, whole=True)

    def _memoised(self, path: Path, *, whole: bool) -> str:
        if path.is_dir():
            inner = sorted(entry for entry in path.rglob("*") if entry.is_file())
            digest = hashlib.sha256()
            for entry in inner:
                name = entry.relative_to(path).as_posix()
                digest.update(f"{name}\0{self._memoised(entry, whole=whole)}\0".encode())
            return f"sha256:{digest.hexdigest()}"
        own, encoder = self._of_file(path, whole=whole), beside_decoder(path)
        if encoder is None:
            return own
        both = f"{own}\0{self._of_file(encoder, whole=whole)}"
        return f"sha256:{hashlib.sha256(both.encode()).hexdigest()}"

    def _of_file(self, path: Path, *, whole: bool) -> str:
        try:
            status = path.stat()
        except OSError as error:
            raise ResourceError(
                f"The file '{path.name}' cannot be read: {error.strerror}.", location=path.name
            ) from error
        full = whole or status.st_size <= _WHOLE_DIGEST_BYTES
        stamp = FileStamp(str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        known = self._digests.get(stamp, whole=full)
        if known is None:
            known = _content_digest(path) if full else _sample_digest(path, status)
            self._digests.put(stamp, known, whole=full)
        return known


def beside_decoder(path: Path) -> Path | None:
    """The encoder that belongs to a decoder's file, `x_encoder` beside `x_decoder`; None if there is none."""
    if not path.name.endswith(_DECODER):
        return None
    encoder = path.with_name(path.name.removesuffix(_DECODER) + _ENCODER)
    return encoder if encoder.is_file() else None


def safe_parts(name: str) -> tuple[str, ...] | None:
    """The parts of a relative file name, or None if it could lead out of its folder or is too long for any file."""
    if not name or "\0" in name or len(name) > 4096:
        return None
    parts = name.replace("\\", "/").split("/")
    if any(part in ("", ".", "..") or ":" in part for part in parts):
        return None
    if any(len(part.encode("utf-8", "surrogatepass")) > LONGEST_NAME for part in parts):
        return None
    return tuple(parts)


def split_annotation(name: str, kind: str = "input") -> tuple[str, str]:
    """Split ComfyUI's `name [output]` into the kind of folder and the plain name.

    `kind` is that of names without such a note; model files have none, and keep theirs.
    """
    if kind not in _MEDIA_KINDS:
        return kind, name
    for noted in _MEDIA_KINDS:
        suffix = f"[{noted}]"
        if name.endswith(suffix):
            return noted, name[: -len(suffix)].rstrip()
    return kind, name


def pickle_refusal(name: str) -> ModelFileError:
    """The error for pickled weights."""
    return ModelFileError(
        f"'{name}' is a pickle, which can run any code when it is opened; convert it once with "
        f"`graphcore convert-checkpoint {name} {Path(name).stem}.safetensors` and use the result.",
        code="pickle-refused",
        location=name,
    )


def _suffixes(kind: str) -> tuple[str, ...]:
    if kind in ("input", "output", "temp"):
        return IMAGE_SUFFIXES + VIDEO_SUFFIXES + AUDIO_SUFFIXES + (".latent", ".safetensors", ".json", ".txt")
    if kind == "configs":
        return (".yaml", ".yml", ".json")
    if kind == "tokenizers":
        return (".json", ".model", ".gz")
    return WEIGHT_SUFFIXES


def _unvisited(root: str, dirs: list[str], visited: set[str]) -> list[str]:
    """The folders to walk into: not the hidden ones, and none twice, wherever links lead."""
    fresh = []
    for name in sorted(dirs):
        real = os.path.realpath(os.path.join(root, name))
        if not name.startswith(".") and real not in visited:
            visited.add(real)
            fresh.append(name)
    return fresh


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _content_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _sample_digest(path: Path, status: os.stat_result) -> str:
    with path.open("rb") as stream:
        head = stream.read(_SAMPLE_BYTES)
        stream.seek(-_SAMPLE_BYTES, os.SEEK_END)
        tail = stream.read()
    stamp = f"{status.st_size}:{status.st_mtime_ns}:".encode()
    return f"sample:{hashlib.sha256(stamp + head + tail).hexdigest()}"
