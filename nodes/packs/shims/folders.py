"""`folder_paths`: where models, inputs and outputs are, over the folders of the engine.

The table of model folders belongs to the host, and packs add to it. Paths are text, as ComfyUI's are.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from graphcore.errors import InputError
from graphcore.files import MODEL_KINDS, split_annotation
from nodes.output_files import expanded
from nodes.packs.host import PackHost, current_host, running

supported_pt_extensions: Final = {
    ".ckpt",
    ".pt",
    ".pt2",
    ".bin",
    ".pth",
    ".safetensors",
    ".pkl",
    ".sft",
}
_MEDIA: Final = ("input", "output", "temp")
_LEGACY: Final = {"unet": "diffusion_models", "clip": "text_encoders"}
_EXTENSIONS: Final = {
    "configs": {".yaml"},
    "diffusers": {"folder"},
    "classifiers": {""},
    "custom_nodes": set[str](),
}


@dataclass(frozen=True, slots=True)
class FolderTable:
    """Folders and suffixes by kind of model: `folder_names_and_paths`."""

    names: dict[str, tuple[list[str], set[str]]]

    @classmethod
    def create(cls, host: PackHost) -> Self:
        files = host.files()
        kinds = [*MODEL_KINDS, *(kind for kind in files.folders if kind not in MODEL_KINDS)]
        names = {
            kind: (
                [str(path.absolute()) for path in files.base(kind)],
                _EXTENSIONS.get(kind, supported_pt_extensions),
            )
            for kind in kinds
        }
        names["custom_nodes"] = ([str(host.base / "custom_nodes")], set())
        return cls(names)


def _table() -> dict[str, tuple[list[str], set[str]]]:
    return current_host().part(FolderTable).names


def map_legacy(folder_name: str) -> str:
    """The name that a kind of model has today."""
    return _LEGACY.get(folder_name, folder_name)


def _media(kind: str) -> str:
    folder = current_host().files().base(kind)[0].absolute()
    if running() is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def get_input_directory() -> str:
    """The folder of inputs."""
    return _media("input")


def get_output_directory() -> str:
    """The folder of outputs."""
    return _media("output")


def get_temp_directory() -> str:
    """The folder of files that need not be kept."""
    return _media("temp")


def get_user_directory() -> str:
    """The folder of what users keep."""
    return str(current_host().base / "user")


def get_public_user_directory(user_id: str) -> str | None:
    """The folder of one user; None for a name that leads elsewhere."""
    if user_id.startswith("__") or Path(user_id).name != user_id:
        return None
    return str(Path(get_user_directory()) / user_id)


def get_system_user_directory(name: str = "system") -> str:
    """The folder of what the server itself keeps under a name."""
    if Path(name).name != name or name.startswith("__"):
        raise InputError(f"'{name[:80]}' is no name of a system folder; give a plain name.")
    return str(Path(get_user_directory()) / f"__{name}")


def get_directory_by_type(type_name: str) -> str | None:
    """The folder called "input", "output" or "temp"; None for another."""
    return _media(type_name) if type_name in _MEDIA else None


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """A name without its `[input]`, `[output]` or `[temp]`, and the folder that is meant; None without a note."""
    for kind in _MEDIA:
        if name.endswith(f"[{kind}]"):
            return split_annotation(name)[1], _media(kind)
    return name, None


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """The path of an input by its name, which may say that it is in another folder.

    Raises InputError for a name that leads out of its folder.
    """
    plain, folder = annotated_filepath(name)
    return _inside(folder or default_dir or get_input_directory(), plain)


def exists_annotated_filepath(name: str) -> bool:
    """True if there is such an input."""
    plain, folder = annotated_filepath(name)
    return Path(folder or get_input_directory(), plain).exists()


def _inside(folder: str, name: str) -> str:
    path = os.path.normpath(os.path.join(folder, name))
    if os.path.commonpath((os.path.abspath(folder), os.path.abspath(path))) != os.path.abspath(folder):
        raise InputError(
            f"The name '{name[:80]}' leads out of its folder; give one inside it.", code="bad-name"
        )
    return path


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """Look for a kind of model in one more folder, before the others with `is_default`."""
    kind, table = map_legacy(folder_name), _table()
    paths, _ = table.setdefault(kind, ([], set(supported_pt_extensions)))
    path = str(full_folder_path)
    if path in paths:
        if not is_default or paths[0] == path:
            return
        paths.remove(path)
    paths.insert(0 if is_default else len(paths), path)
    current_host().registry.add_folder(kind, Path(path))


def get_folder_paths(folder_name: str) -> list[str]:
    """The folders of a kind of model; raises KeyError for a kind that nobody has named."""
    kind = map_legacy(folder_name)
    known = _table()
    found = list(known[kind][0]) if kind in known else []
    run = running()
    if run is not None:
        found += [
            path for base in run.context.files.base(kind) if (path := str(base.absolute())) not in found
        ]
    if kind not in known and not found:
        raise KeyError(folder_name)
    return found


def _suffixes(kind: str) -> set[str]:
    found = _table().get(kind)
    return supported_pt_extensions if found is None else set(found[1])


def recursive_search(
    directory: str, excluded_dir_names: Iterable[str] | None = None
) -> tuple[list[str], dict[str, float]]:
    """The files below a folder, as relative names, and the times at which its folders were changed."""
    if not os.path.isdir(directory):
        return [], {}
    excluded = set(excluded_dir_names or ())
    names: list[str] = []
    times = {directory: os.path.getmtime(directory)}
    for root, folders, files in os.walk(directory, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in excluded)
        times.update(
            (path, os.path.getmtime(path))
            for name in folders
            if os.path.exists(path := os.path.join(root, name))
        )
        names.extend(os.path.relpath(os.path.join(root, name), directory) for name in files)
    return names, times


def filter_files_extensions(files: Iterable[str], extensions: Iterable[str]) -> list[str]:
    """The files with one of these suffixes, sorted; all of them if there are none, or "folder"."""
    wanted = set(extensions)
    if not wanted or "folder" in wanted:
        return sorted(files)
    return sorted(name for name in files if os.path.splitext(name)[-1].lower() in wanted)


def filter_files_content_types(files: Iterable[str], content_types: Sequence[str]) -> list[str]:
    """The files that are "image", "video", "audio" or "model" by their suffix."""
    return [name for name in files if _content_type(name) in content_types]


def _content_type(name: str) -> str:
    suffix = name.rsplit(".", 1)[-1].lower()
    if suffix in ("webp", "avif"):
        return "image"
    if suffix in ("fbx", "glb", "gltf", "obj", "ply", "splat", "ksplat", "spz", "stl"):
        return "model"
    return (mimetypes.guess_type(name, strict=False)[0] or "").split("/")[0]


def get_filename_list(folder_name: str) -> list[str]:
    """The files of a kind of model, sorted, as names relative to their folders; KeyError for an unknown kind."""
    kind = map_legacy(folder_name)
    found: dict[str, None] = {}
    for folder in get_folder_paths(folder_name):
        names, _ = recursive_search(folder, excluded_dir_names=(".git",))
        found.update(dict.fromkeys(filter_files_extensions(names, _suffixes(kind))))
    return sorted(found)


def get_full_path(folder_name: str, filename: str) -> str | None:
    """The path of a model file by its name, or None."""
    try:
        folders = get_folder_paths(folder_name)
    except KeyError:
        return None
    plain = os.path.relpath(os.path.join("/", filename), "/")
    paths = (os.path.join(folder, plain) for folder in folders)
    return next((path for path in paths if os.path.isfile(path)), None)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """The path of a model file by its name; raises FileNotFoundError if it is not there."""
    path = get_full_path(folder_name, filename)
    if path is None:
        raise FileNotFoundError(f"There is no file '{filename}' in the '{folder_name}' folders.")
    return path


def get_input_subfolders() -> list[str]:
    """The folders below the input folder, as relative names."""
    base = get_input_directory()
    _, times = recursive_search(base)
    return sorted(os.path.relpath(path, base).replace(os.sep, "/") for path in times if path != base)


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """Where to save: the folder, the name without its number, the next number, the sub-folder, the prefix.

    `%width%`, `%height%`, `%year%` and the like are filled in. Raises InputError for a prefix that leads out.
    """
    filled = expanded(filename_prefix, {"width": image_width, "height": image_height})
    subfolder, filename = os.path.split(os.path.normpath(filled))
    folder = _inside(output_dir, subfolder)
    os.makedirs(folder, exist_ok=True)
    counters = [number for name in os.listdir(folder) if (number := _number(name, filename)) is not None]
    return folder, filename, max(counters, default=0) + 1, subfolder, filled


def _number(name: str, stem: str) -> int | None:
    if os.path.normcase(name[: len(stem) + 1]) != os.path.normcase(f"{stem}_"):
        return None
    digits = name[len(stem) + 1 :].split("_", maxsplit=1)[0].split(".", maxsplit=1)[0]
    return int(digits) if digits.isdecimal() else 0


def set_output_directory(output_dir: str) -> None:
    """Refused: the folders are the engine's settings."""
    _refuse_change("output", output_dir)


def set_temp_directory(temp_dir: str) -> None:
    """Refused: the folders are the engine's settings."""
    _refuse_change("temp", temp_dir)


def set_input_directory(input_dir: str) -> None:
    """Refused: the folders are the engine's settings."""
    _refuse_change("input", input_dir)


def _refuse_change(kind: str, folder: str) -> None:
    if Path(folder).absolute() != Path(_media(kind)):
        raise InputError(f"A node pack may not move the {kind} folder; choose it when graphcore is started.")


def invalidate_cache(folder_name: str = "") -> None:
    """Nothing to do: folders are read when they are asked for."""
    del folder_name


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    host = current_host()
    models = host.settings.models_dirs
    values: dict[str, Any] = {
        "base_path": lambda: str(host.base),
        "models_dir": lambda: str(models[0].absolute() if models else host.base / "models"),
        "folder_names_and_paths": _table,
        "output_directory": get_output_directory,
        "input_directory": get_input_directory,
        "temp_directory": get_temp_directory,
        "user_directory": get_user_directory,
        "filename_list_cache": dict,
        "extension_mimetypes_cache": lambda: {"webp": "image", "fbx": "model"},
    }
    if name not in values:
        raise AttributeError(name)
    return values[name]()
