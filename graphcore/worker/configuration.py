"""What a worker is told when it starts: settings, node packs, the kind of cache."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from graphcore.cache.entry import Cache, NoCache
from graphcore.cache.lru import LruCache
from graphcore.errors import InputError
from graphcore.registry import Registry
from graphcore.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfiguration:
    """A worker's settings.

    `cache` is "classic", "lru:N" or "none". `packs` limits the installed node packs to these distributions (None: all);
    `node_modules` are importable modules whose nodes are added, `node_packs` folders of ComfyUI packs. `pages`
    is the module that answers the routes that packs ask for, in bodies of at most `page_bytes`.
    """

    settings: Settings
    cache: str = "classic"
    packs: tuple[str, ...] | None = None
    node_modules: tuple[str, ...] = ()
    node_packs: tuple[Path, ...] = ()
    pages: str = ""
    page_bytes: int = 2**26

    def as_json(self) -> dict[str, object]:
        """The configuration as plain JSON."""
        values = {entry.name: getattr(self.settings, entry.name) for entry in fields(Settings)}
        return {
            "settings": {name: _written(value) for name, value in values.items()},
            "cache": self.cache,
            "packs": None if self.packs is None else list(self.packs),
            "node_modules": list(self.node_modules),
            "pages": self.pages,
            "page_bytes": self.page_bytes,
            "node_packs": [str(folder) for folder in self.node_packs],
        }

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> WorkerConfiguration:
        """The configuration that `as_json` wrote."""
        packs = message["packs"]
        return cls(
            settings=_read_settings(message["settings"]),
            cache=message["cache"],
            packs=None if packs is None else tuple(packs),
            node_modules=tuple(message["node_modules"]),
            pages=message["pages"],
            page_bytes=message["page_bytes"],
            node_packs=tuple(Path(folder) for folder in message["node_packs"]),
        )


def build_registry(packs: Iterable[str] | None, node_modules: Iterable[str]) -> Registry:
    """The nodes of the installed packs and of the modules named; raises InputError for a module that is not there."""
    registry = Registry.installed(allow=packs)
    for name in node_modules:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise InputError(
                f"The node module '{name}' cannot be imported: {error}.", code="node-module"
            ) from error
        registry.add_module(module)
    return registry


def build_cache(kind: str) -> Cache | None:
    """The cache that a flag names, None for the engine's own; raises InputError for an unknown one."""
    name, _, count = kind.partition(":")
    if kind == "none":
        return NoCache()
    if kind == "classic":
        return None
    if name == "lru" and count.isdecimal() and int(count) > 0:
        return LruCache(int(count))
    raise InputError(f"There is no cache '{kind}'; use classic, lru:N or none.", code="unknown-cache")


def _written(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _written(item) for name, item in value.items()}
    return value


def _read_settings(values: Mapping[str, Any]) -> Settings:
    read = dict(values)
    for name in ("input_dir", "output_dir", "temp_dir", "data_dir"):
        if read.get(name) is not None:
            read[name] = Path(read[name])
    read["models_dirs"] = tuple(Path(path) for path in read["models_dirs"])
    read["extra_folders"] = {
        kind: tuple(Path(path) for path in paths) for kind, paths in read["extra_folders"].items()
    }
    return Settings(**read)
