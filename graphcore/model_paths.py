"""Reads ComfyUI's `extra_model_paths.yaml`: model folders that lie elsewhere.

    webui:
      base_path: ~/stable-diffusion-webui
      is_default: true
      checkpoints: models/Stable-diffusion
      loras: |
        models/Lora
        models/LyCORIS

Each section may have a `base_path`; paths are relative to it, and it to the file. A kind may list several folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from graphcore.errors import ResourceError
from graphcore.files import MODEL_KINDS

_KINDS: Final = {name: kind for kind, names in MODEL_KINDS.items() for name in names}
_OTHER_KEYS: Final = frozenset({"base_path", "is_default", "custom_nodes", "download_model_base"})


def read_model_paths(files: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """The folders that these files name, by kind of model; sections with `is_default` come first.

    Raises ResourceError if a file cannot be read or has another shape.
    """
    first: dict[str, list[Path]] = {}
    later: dict[str, list[Path]] = {}
    for file in files:
        for name, section in _sections(file).items():
            found = later if not section.get("is_default") else first
            base = _expanded(section.get("base_path") or ".", file.parent)
            for key, value in section.items():
                if key not in _OTHER_KEYS:
                    found.setdefault(_KINDS.get(key, key), []).extend(
                        _folders(file, f"{name}.{key}", value, base)
                    )
    return {kind: (*first.get(kind, ()), *later.get(kind, ())) for kind in (*first, *later)}


def _sections(file: Path) -> Mapping[str, Mapping[str, object]]:
    import yaml

    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResourceError(
            f"The file '{file}' cannot be read: {error.strerror}.", code="bad-model-paths", location=str(file)
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ResourceError(
            f"'{file}' is not YAML: {' '.join(str(error).split())}.",
            code="bad-model-paths",
            location=str(file),
        ) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _misshapen(file, "the top of the file must hold named sections")
    for name, section in document.items():
        if section is not None and not isinstance(section, dict):
            raise _misshapen(file, f"'{name}' must hold a folder for each kind of model")
    return {str(name): section for name, section in document.items() if section}


def _folders(file: Path, where: str, value: object, base: Path) -> list[Path]:
    if value is None:
        return []
    if isinstance(value, str):
        parts = [line.strip() for line in value.splitlines()]
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        parts = [item.strip() for item in value]
    else:
        raise _misshapen(file, f"'{where}' must be a path, or one path a line")
    return [_expanded(part, base) for part in parts if part]


def _expanded(path: object, base: Path) -> Path:
    return base / Path(os.path.expandvars(str(path))).expanduser()


def _misshapen(file: Path, sentence: str) -> ResourceError:
    return ResourceError(
        f"'{file}' does not list model folders: {sentence}.", code="bad-model-paths", location=str(file)
    )
