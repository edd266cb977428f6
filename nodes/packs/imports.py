"""Lets node packs import ComfyUI's modules: thin ones of ours, made on demand and only once a pack is loaded.

What each offers is listed in `nodes.packs.shims`. A name that is not offered raises an error that says which, and for
which pack; so does a module. `nodes` and `server` are packages of this project, and offer their names themselves.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, MappingProxyType, ModuleType
from typing import Final

from nodes.packs.absent import absent
from nodes.packs.host import PackHost, current_host, pack_at_work
from nodes.packs.shims import ABSENT, ROOTS, SHIMS

_SERVER: Final = "comfyui_server_names"
_EXTRAS: Final = "comfy_extras.nodes_"
_NODE_CLASSES: Final = MappingProxyType({"*": "nodes"})
_IMPORT_FROM: Final = dis.opmap["IMPORT_FROM"]


class ShimModule(ModuleType):
    """A module of ComfyUI's: its names come from modules of ours, when they are asked for."""

    def __init__(self, name: str, sources: Mapping[str, str]) -> None:
        super().__init__(name, f"What this project offers node packs of ComfyUI's `{name}`.")
        self.__sources = sources

    def __getattr__(self, name: str) -> object:
        if name == "__file__":
            return str(current_host().base.joinpath(*self.__name__.split(".")).with_suffix(".py"))
        if name == "__all__":
            return self.__names()
        inner = f"{self.__name__}.{name}"
        source = self.__sources.get(name)
        if source is None and "*" in self.__sources:
            source = f"{self.__sources['*']}:{name}"
        if source is None and inner in SHIMS:
            return import_module(inner)
        if source is None or (name.startswith("__") and name not in self.__sources):
            raise not_offered(self.__name__, name, sys._getframe(1))
        if source == ABSENT:
            self.__dict__[name] = absent(self.__name__, name)
            return self.__dict__[name]
        place, _, attribute = source.partition(":")
        module = import_module(place)
        if not attribute:
            return module
        try:
            return getattr(module, attribute)
        except AttributeError:
            raise not_offered(self.__name__, name, sys._getframe(1)) from None

    def __names(self) -> list[str]:
        if "*" in self.__sources:
            names = vars(import_module(self.__sources["*"])).get("__all__", ())
        else:
            names = self.__sources
        return sorted(name for name in names if not name.startswith("_"))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__names()})


def not_offered(module: str, name: str, frame: FrameType | None) -> Exception:
    """The error for a name that a module does not offer.

    It is an AttributeError, so that `hasattr` and `getattr` with a default work; an import statement, which would
    replace its text, gets an ImportError.
    """
    sentence = (
        f"ComfyUI's '{module}.{name}' is not offered to node packs here, and {pack_at_work()} asks for it; "
        "use the pack's other nodes, or a pack that does without it."
    )
    if name.startswith("__"):
        return AttributeError(f"module '{module}' has no attribute '{name}'")
    if frame is not None and frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _IMPORT_FROM:
        return ImportError(sentence, name=module)
    return AttributeError(sentence, name=name)


class _ShimLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return ShimModule(spec.name, SHIMS.get(spec.name, _NODE_CLASSES))

    def exec_module(self, module: ModuleType) -> None:
        del module


class ShimFinder(MetaPathFinder):
    """Finds the modules that are listed in `nodes.packs.shims`; `pack_host` is what they work for."""

    def __init__(self, host: PackHost) -> None:
        self.pack_host = host

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname in SHIMS or fullname.startswith(_EXTRAS):
            return ModuleSpec(fullname, _ShimLoader(), is_package=_is_package(fullname))
        if fullname.partition(".")[0] in ROOTS:
            raise ModuleNotFoundError(
                f"ComfyUI's module '{fullname}' is not offered to node packs here, and {pack_at_work()} imports it; "
                "use a pack that does without it.",
                name=fullname,
            )
        return None


def _is_package(name: str) -> bool:
    return any(other.startswith(f"{name}.") for other in SHIMS) or name in ROOTS


def of_nodes(name: str, frame: FrameType | None) -> object:
    """What the package `nodes` offers packs under a name, once one is loaded; raises AttributeError otherwise."""
    if not any(isinstance(finder, ShimFinder) for finder in sys.meta_path):
        raise AttributeError(f"module 'nodes' has no attribute '{name}'")
    from nodes.packs.classic import offered

    try:
        return offered(name)
    except AttributeError:
        raise not_offered("nodes", name, frame) from None


def install_shims(host: PackHost) -> None:
    """Make ComfyUI's modules importable, for `host`; a second call puts the new host in the place of the old."""
    for finder in sys.meta_path:
        if isinstance(finder, ShimFinder):
            finder.pack_host = host
            return
    sys.meta_path.insert(0, ShimFinder(host))
    import_module(_SERVER)


def remove_shims() -> None:
    """Take ComfyUI's modules away again: for tests, and for what embeds an engine for a while."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, ShimFinder)]
    for name, module in list(sys.modules.items()):
        if isinstance(module, ShimModule):
            del sys.modules[name]
