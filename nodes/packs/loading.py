"""Loads node packs: folders of ComfyUI's `custom_nodes` shape. One that cannot be loaded is reported, no more.

Packs are code, and run with all that this process may do. Only what is named is loaded.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from graphcore.errors import DeclarationError, InputError
from graphcore.pack_reports import PackReport
from graphcore.registry import Registry
from graphcore.settings import Settings
from nodes.packs.awaiting import settle
from nodes.packs.host import PackHost, Send, loading
from nodes.packs.imports import install_shims
from nodes.packs.v1 import PackClass, node_type

if TYPE_CHECKING:
    from nodes.packs.classic import NodeClasses

_log = logging.getLogger(__name__)
_DISABLED: Final = ".disabled"
_MODULE_PREFIX: Final = "graphcore_pack_"


def load_packs(
    registry: Registry, folders: Iterable[Path], settings: Settings, send: Send | None = None
) -> None:
    """Load the packs in these folders, each a pack or a folder of packs, and add their nodes to the registry.

    What became of each is added to `registry.pack_reports`. Raises InputError for a folder that does not exist.
    """
    found = [pack for folder in folders for pack in find_packs(folder)]
    if not found:
        return
    host = (
        PackHost(registry=registry, settings=settings)
        if send is None
        else PackHost(registry=registry, settings=settings, send=send)
    )
    install_shims(host)
    from nodes.packs.classic import NodeClasses
    from nodes.packs.prompt_server import PromptServer

    own = frozenset(registry.names())
    for path in found:
        registry.pack_reports.append(_Loading(registry, host.part(NodeClasses), own).load(path))
    registry.pack_routes = lambda: tuple(host.part(PromptServer).routes)


def find_packs(folder: Path) -> list[Path]:
    """The packs that a path names: itself, or the packs in it. Raises InputError if there is nothing at it."""
    folder = folder.expanduser().absolute()
    if _is_pack(folder):
        return [folder]
    if not folder.is_dir():
        raise InputError(
            f"There is no node pack at '{folder}'; --node-pack names a folder with an __init__.py, a .py file, or a "
            "folder of such.",
            code="node-pack",
            location=str(folder),
        )
    return sorted(path for path in folder.iterdir() if _is_pack(path) and _is_enabled(path))


def _is_pack(path: Path) -> bool:
    return (path.is_dir() and (path / "__init__.py").is_file()) or (path.is_file() and path.suffix == ".py")


def _is_enabled(path: Path) -> bool:
    return not path.name.endswith(_DISABLED) and not path.name.startswith((".", "__"))


@dataclass(frozen=True, slots=True)
class _Loading:
    """Loads packs into a registry; `own` are the names of this project's nodes."""

    registry: Registry
    classes: NodeClasses
    own: frozenset[str]

    def load(self, path: Path) -> PackReport:
        """Load one pack."""
        name = path.stem if path.is_file() else path.name
        before = dict(self.classes.classes)
        try:
            with loading(name):
                module = _import(name, path)
                offered = {each.name: each for each in self._added_by_hand(name, before)}
                offered |= {each.name: each for each in _classes(name, module, optional=bool(offered))}
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a pack's code
            _log.error("The node pack '%s' cannot be loaded.\n%s", name, traceback.format_exc())
            reason = str(error).strip().splitlines()
            text = f"{type(error).__name__}: {reason[0]}" if reason else type(error).__name__
            return PackReport(name=name, path=str(path), error=text)
        added, left_out = self._add(offered.values())
        web = _web_folder(path, module)
        return PackReport(name=name, path=str(path), nodes=tuple(added), left_out=left_out, web=web)

    def _added_by_hand(self, pack: str, before: Mapping[str, Any]) -> Iterator[PackClass]:
        """The classes that a pack has put into `nodes.NODE_CLASS_MAPPINGS` itself."""
        from nodes.packs.classic import ClassicNode

        for name, cls in self.classes.classes.items():
            if before.get(name) is not cls and not issubclass(cls, ClassicNode):
                yield PackClass(
                    name=name, cls=cls, pack=pack, display_name=self.classes.display_names.get(name)
                )

    def _add(self, classes: Iterable[PackClass]) -> tuple[list[str], dict[str, str]]:
        """Add the classes; those that have a name of this project's are left out, as in ComfyUI."""
        added: list[str] = []
        left_out: dict[str, str] = {}
        for offered in classes:
            if offered.name in self.own:
                left_out[offered.name] = "this project has a node of this name"
                continue
            try:
                self.registry.replace_spec(node_type(offered, self.registry))
            except DeclarationError as error:
                _log.error("%s\n%s", error.message, "".join(traceback.format_exception(error.__cause__)))
                left_out[offered.name] = error.message
                continue
            self.classes.note(offered.name, offered.cls, offered.display_name)
            added.append(offered.name)
        return added, left_out


def _import(name: str, path: Path) -> ModuleType:
    """Import a pack under a name that no other module has."""
    file = path / "__init__.py" if path.is_dir() else path
    module_name = _MODULE_PREFIX + str(path).replace(".", "_x_")
    found = importlib.util.spec_from_file_location(
        module_name, file, submodule_search_locations=[str(path)] if path.is_dir() else None
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _classes(pack: str, module: ModuleType, *, optional: bool) -> Iterator[PackClass]:
    """The classes that a pack's module offers, by the older way or the newer one."""
    mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
    entry = getattr(module, "comfy_entrypoint", None)
    if isinstance(mappings, Mapping):
        titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None)
        titles = titles if isinstance(titles, Mapping) else {}
        for name, cls in mappings.items():
            title = titles.get(name)
            yield PackClass(
                name=str(name), cls=cls, pack=pack, display_name=None if title is None else str(title)
            )
    elif callable(entry):
        from nodes.packs.v3 import nodes_of

        extension = settle(entry)
        for cls in settle(lambda: nodes_of(extension)):
            schema = cls.GET_SCHEMA()
            yield PackClass(name=schema.node_id, cls=cls, pack=pack, display_name=schema.display_name)
    elif not optional:
        raise InputError(
            f"The pack '{pack}' has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint; it offers no nodes.",
            code="node-pack",
        )


def _web_folder(path: Path, module: ModuleType) -> str | None:
    """The folder of a pack's files for the browser."""
    named: Any = getattr(module, "WEB_DIRECTORY", None)
    if not isinstance(named, str) or not path.is_dir():
        return None
    folder = (path / named).resolve()
    return str(folder) if folder.is_dir() else None


__all__ = ["find_packs", "load_packs"]
