"""The shipped workflows as the gallery shows them: in order, with the model files and pictures that they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphcore import Registry, Workflow, read_workflow

SCHEMA: Final = "workflow.schema.json"
FIRST: Final = "text-to-image"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFile:
    """A file that a node names: the kind of folder it belongs into, and whether it comes along."""

    kind: str
    name: str
    comes_along: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One workflow of the gallery."""

    path: Path
    workflow: Workflow
    files: tuple[AskedFile, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending; pictures are called so too."""
        return self.path.stem

    @property
    def title(self) -> str:
        return self.workflow.title or self.name.replace("-", " ").capitalize()

    @property
    def missing(self) -> tuple[AskedFile, ...]:
        """What people must bring; such workflows are shown as drawings."""
        return tuple(file for file in self.files if not file.comes_along)

    def picture(self, root: Path) -> Path:
        """Where its picture is."""
        ending = ".svg" if self.missing else ".webp"
        return root / "docs" / "pictures" / "gallery" / f"{self.name}{ending}"


def gallery_entries(root: Path, registry: Registry) -> tuple[Entry, ...]:
    """Every workflow below `workflows`, those that run out of the box first."""
    found = []
    for path in sorted((root / "workflows").glob("*.json")):
        if path.name != SCHEMA:
            workflow = read_workflow(path, registry)
            files = tuple(dict.fromkeys(_files(workflow, registry)))
            found.append(Entry(path=path, workflow=workflow, files=files))
    return tuple(
        sorted(found, key=lambda entry: (bool(entry.missing), entry.name != "text-to-image", entry.name))
    )


def _files(workflow: Workflow, registry: Registry) -> Iterator[AskedFile]:
    for node in workflow.nodes.values():
        spec = registry.get(node.type)
        assert spec is not None
        for name, value in node.inputs.items():
            declared = spec.input(name)
            if declared is None or declared.file is None or not isinstance(value, str):
                continue
            if value and value != declared.file.empty:
                kind = declared.file.kind
                folders = registry.folders.get(kind, ())
                comes_along = any((folder / value).is_file() for folder in folders)
                yield AskedFile(kind=kind, name=value, comes_along=comes_along)
