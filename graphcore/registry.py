"""The node types that are known: an object, handed around. There is no global one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol

from graphcore.cache.codec import CodecSource
from graphcore.errors import DeclarationError, InputError
from graphcore.nearest import nearest_name
from graphcore.node import spec_of
from graphcore.pack_reports import PackReport
from graphcore.settings import Settings
from graphcore.spec import NodeSpec

Inspector = Callable[[str, Path], Mapping[str, str]]
Send = Callable[[str, object, str | None], None]
ENTRY_POINT_GROUP: Final = "graphcore.nodes"


class PackLoader(Protocol):
    """Loads the ComfyUI packs in some folders into a registry; see `nodes.packs.loading`."""

    def __call__(
        self, registry: Registry, folders: Iterable[Path], settings: Settings, send: Send | None
    ) -> None: ...


class Registry:
    """Node types by name and alias, and the model folders that packs bring along."""

    def __init__(self, nodes: Iterable[Callable[..., object]] = ()) -> None:
        self._specs: dict[str, NodeSpec] = {}
        self._aliases: dict[str, str] = {}
        self.folders: dict[str, tuple[Path, ...]] = {}
        self.examples: tuple[Path, ...] = ()
        self.codec_sources: list[CodecSource] = []
        self.pack_reports: list[PackReport] = []
        self._pack_loader: PackLoader | None = None
        self.pack_routes: Callable[[], Sequence[object]] = tuple
        self._inspectors: list[Inspector] = []
        self._environments: list[Callable[[Settings], Mapping[str, str]]] = []
        for function in nodes:
            self.add(function)

    @classmethod
    def installed(
        cls,
        *,
        allow: Iterable[str] | None = None,
        on_broken: Callable[[str, Exception], None] | None = None,
    ) -> Registry:
        """All node packs installed here, found by the entry-point group `graphcore.nodes`.

        `allow` limits them to these distributions' names. An entry point is a module with nodes in it, or a
        callable that is given the registry. A pack that cannot be loaded is told to `on_broken` and left out, or,
        without it, raises DeclarationError.
        """
        from importlib.metadata import entry_points

        registry = cls()
        allowed = None if allow is None else set(allow)
        for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
            if allowed is not None and (entry.dist is None or entry.dist.name not in allowed):
                continue
            try:
                registry._add_pack(entry.load())
            except Exception as error:
                if on_broken is None:
                    raise DeclarationError(
                        f"The node pack '{entry.name}' cannot be loaded: {error}."
                    ) from error
                on_broken(entry.name, error)
        return registry

    def _add_pack(self, pack: ModuleType | Callable[[Registry], None]) -> None:
        if isinstance(pack, ModuleType):
            self.add_module(pack)
        else:
            pack(self)

    def add(self, function: Callable[..., object]) -> None:
        """Add a function declared with `@node`; raises DeclarationError if it is none, or its name is taken."""
        spec = spec_of(function)
        if spec is None:
            raise DeclarationError(f"{function!r} is no node; decorate it with @node.")
        self.add_spec(spec)

    def add_spec(self, spec: NodeSpec) -> None:
        """Add a node type; raises DeclarationError if a name of it is taken."""
        for name in (spec.name, *spec.aliases):
            holder = self.get(name)
            if holder is not None and holder.source != spec.source:
                raise DeclarationError(
                    f"{spec.source}: the node name '{name}' is taken by {holder.source}; choose another.",
                    location=spec.source,
                )
        self._specs[spec.name] = spec
        for alias in spec.aliases:
            self._aliases[alias] = spec.name

    def replace_spec(self, spec: NodeSpec) -> None:
        """Add a node type in the place of what had its name: of two packs, the later one's class is used."""
        self._specs[spec.name] = spec

    def use_pack_loader(self, load: PackLoader) -> None:
        """Say how ComfyUI packs are loaded."""
        self._pack_loader = load

    def load_packs(self, folders: Iterable[Path], settings: Settings, send: Send | None = None) -> None:
        """Load the ComfyUI packs in these folders; `pack_reports` then says what became of each.

        `send` takes messages of packs for clients. Raises InputError if a folder does not exist, or if nothing is
        installed that loads packs.
        """
        wanted = tuple(folders)
        if not wanted:
            return
        if self._pack_loader is None:
            raise InputError(
                "Nothing is installed that loads ComfyUI node packs; leave graphcore's own nodes in.",
                code="node-pack",
            )
        self._pack_loader(self, wanted, settings, send)

    def add_module(self, module: ModuleType) -> None:
        """Add every node that a module defines."""
        for value in list(vars(module).values()):
            spec = spec_of(value)
            if spec is not None and spec.module == module.__name__:
                self.add_spec(spec)

    def add_folder(self, kind: str, folder: Path) -> None:
        """Add a folder of model files that comes with a pack."""
        self.folders[kind] = (*self.folders.get(kind, ()), folder)

    def add_examples(self, folder: Path) -> None:
        """Add a folder of example workflows (JSON) that comes with a pack; servers offer them to people."""
        self.examples = (*self.examples, folder)

    def add_codecs(self, source: CodecSource) -> None:
        """Add codecs for the persistent store; `source` is called when the first value needs one."""
        self.codec_sources.append(source)

    def add_environment(self, describe: Callable[[Settings], Mapping[str, str]]) -> None:
        """Add what can change a pack's results between machines (versions, device kind, dtype), as names and texts."""
        self._environments.append(describe)

    def add_inspector(self, inspect: Inspector) -> None:
        """Add a function that says what a model file of a kind is."""
        self._inspectors.append(inspect)

    def inspect(self, kind: str, path: Path) -> dict[str, str]:
        """What the installed packs can tell of a model file."""
        found: dict[str, str] = {}
        for inspect in self._inspectors:
            found.update(inspect(kind, path))
        return found

    def environment(self, settings: Settings) -> dict[str, str]:
        """What can change results between machines and processes; it separates entries of the persistent store."""
        found = {
            "device": settings.device,
            "dtype": settings.dtype,
            "deterministic": str(settings.deterministic),
        }
        for describe in self._environments:
            found.update(describe(settings))
        return found

    def get(self, name: str) -> NodeSpec | None:
        """The node type of this name or alias, or None."""
        found = self._specs.get(name)
        if found is None:
            alias = self._aliases.get(name)
            found = self._specs.get(alias) if alias is not None else None
        return found

    def nearest(self, name: str) -> str | None:
        """The known name or alias closest to an unknown one."""
        return nearest_name(name, self.names())

    def names(self) -> list[str]:
        """Every name and alias."""
        return [*self._specs, *self._aliases]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[NodeSpec]:
        return iter(sorted(self._specs.values(), key=lambda spec: spec.name))

    def __len__(self) -> int:
        return len(self._specs)

    def comfy_names(self) -> dict[str, NodeSpec]:
        """Every name a ComfyUI client may use, aliases included, with its node type."""
        names = {spec.name: spec for spec in self}
        names.update((alias, self._specs[name]) for alias, name in self._aliases.items())
        return dict(sorted(names.items()))
