"""The node reference: an index, a page for each top category, and a drawing of each node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from graphcore import read_workflow
from graphcore.registry import Registry
from graphcore.spec import NodeSpec
from tools.docs.compatibility import CLASSES
from tools.docs.node_drawing import drawing
from tools.docs.node_entry import About, Example, Use, cell, entry
from tools.docs.node_errors import Room
from tools.node_pictures.settings import chosen_values

OTHER: Final = "other"
ABOUT: Final = {
    "_for_testing": "What ComfyUI has under this name",
    "advanced": "Guidance, what models predict, and merging",
    "audio": "Sound",
    "conditioning": "Prompts, areas, control and what else sampling follows",
    "context": "Animations longer than what a model sees at once",
    "dataset": "Lists of pictures and texts, for data sets",
    "image": "Pictures: files, sizes, colours, effects, video",
    "latent": "Latents: empty ones, to and from pictures, cuts and sums",
    "list": "Lists, batches and ranges",
    "loaders": "Model files of every kind",
    "logic": "Choices and repetition",
    "mask": "Masks and transparency",
    "math": "Numbers",
    "model_patches": "Changes to how a network computes",
    "primitive": "Plain values",
    "sampling": "Samplers, schedules, noise and guiders",
    "show": "Values as people see them",
    "text": "Texts",
    "training": "Fine-tuning",
}
"""What the index says of each top category."""
_HEAD: Final = """\
# The nodes

Every node that comes along, by category, with its ComfyUI class where ComfyUI has it; either name may be used in a
workflow. `graphcore nodes NAME` prints the same facts in a terminal.

Each node has a drawing. Dots at the left are inputs and dots at the right are outputs, coloured by type, and the rows
below are values with what they are at first. A hollow dot may stay without a link; a square is a list. Where a picture
stands below, it shows what goes in, an arrow, and what comes out: the node itself made it, with the embedded models
where it wants some, and with the values below it (`python -m tools.node_pictures` makes them anew).
"""


def node_pages(root: Path, registry: Registry) -> dict[Path, str]:
    """Every file of the reference: pages below docs/nodes, and drawings below docs/pictures/nodes."""
    docs = root / "docs" / "nodes"
    told = _About(root, registry)
    pages: dict[Path, str] = {docs / "README.md": _index(registry, told)}
    for top, categories in _by_category(registry).items():
        parts = [f"# Nodes: {top}\n\n{_told(top, categories)}. [All nodes](README.md)\n"]
        for category, specs in categories.items():
            parts.append(f"## {_spaced(category)}\n")
            parts += [entry(spec, told.of(spec)) for spec in specs]
        pages[docs / f"{top}.md"] = "\n".join(parts)
    pages.update((drawings(root) / f"{spec.name}.svg", drawing(spec)) for spec in registry)
    return pages


def drawings(root: Path) -> Path:
    """The folder of drawings and example pictures."""
    return root / "docs" / "pictures" / "nodes"


def strays(root: Path, registry: Registry) -> list[Path]:
    """Files of the reference whose node or category is no more."""
    docs = root / "docs" / "nodes"
    kept = {docs / "README.md", *(docs / f"{top}.md" for top in _by_category(registry))}
    kept |= {drawings(root) / f"{spec.name}{end}" for spec in registry for end in (".svg", ".webp")}
    return sorted({*docs.glob("*"), *drawings(root).glob("*")} - kept)


def _by_category(registry: Registry) -> dict[str, dict[str, list[NodeSpec]]]:
    """The nodes by top category and category, in the order of their names."""
    found: dict[str, dict[str, list[NodeSpec]]] = {}
    for spec in sorted(registry, key=lambda spec: (spec.category or OTHER, spec.name.lower())):
        category = spec.category or OTHER
        found.setdefault(category.partition("/")[0], {}).setdefault(category, []).append(spec)
    return found


def _index(registry: Registry, told: _About) -> str:
    tops = _by_category(registry)
    parts = [_HEAD, "| page | nodes | |", "| --- | --- | --- |"]
    for top, categories in tops.items():
        count = sum(map(len, categories.values()))
        parts.append(f"| [{top}]({top}.md) | {count} | {_told(top, categories)} |")
    for top, categories in tops.items():
        for category, specs in categories.items():
            parts += ["", f"## {_spaced(category)}", "", "| node | in ComfyUI | |", "| --- | --- | --- |"]
            parts += [_row(spec, top, told.comfy_names(spec)) for spec in specs]
    return "\n".join(parts) + "\n"


def _told(top: str, categories: Mapping[str, Sequence[NodeSpec]]) -> str:
    """A few words on a page: written ones, or the first titles on it."""
    titles = [spec.title or spec.name for specs in categories.values() for spec in specs]
    return ABOUT.get(top) or ", ".join(titles[:4])


def _spaced(category: str) -> str:
    """A category as a heading, whose anchor is not that of a node ("image/batch" and ImageBatch)."""
    return category.replace("/", " / ")


def _row(spec: NodeSpec, top: str, comfy_names: Sequence[str]) -> str:
    comfy = ", ".join(f"`{name}`" for name in comfy_names) or "–"
    first = spec.description.partition("\n")[0]
    return f"| [`{spec.name}`]({top}.md#{anchor(spec.name)}) | {comfy} | {cell(first)} |"


def anchor(name: str) -> str:
    """The anchor that GitHub gives a heading which is a name in code."""
    return "".join(letter for letter in name.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


class _About:
    """What is known of nodes from the source, the workflows and the pictures."""

    def __init__(self, root: Path, registry: Registry) -> None:
        self._room = Room(root, "nodes")
        self._pictures = drawings(root)
        classes: Mapping[str, Sequence[str]] = json.loads(CLASSES.read_text(encoding="utf-8"))["classes"]
        self._comfy = {name for names in classes.values() for name in names}
        self._uses: dict[str, list[Use]] = {}
        for use, types in _workflows(root, registry):
            for name in types:
                self._uses.setdefault(name, []).append(use)

    def comfy_names(self, spec: NodeSpec) -> tuple[str, ...]:
        """The names of a node that are classes of ComfyUI's own."""
        return tuple(name for name in (spec.name, *spec.aliases) if name in self._comfy)

    def of(self, spec: NodeSpec) -> About:
        picture = self._pictures / f"{spec.name}.webp"
        example = Example(file=picture.name, values=chosen_values(spec)) if picture.exists() else None
        return About(
            comfy_names=self.comfy_names(spec),
            refusals=self._room.refusals(spec),
            uses=self._uses.get(spec.name, []),
            example=example,
        )


def _workflows(root: Path, registry: Registry) -> Iterator[tuple[Use, list[str]]]:
    """The shipped workflows, smallest first, with the names of the nodes that they hold."""
    read = []
    for path in sorted((root / "workflows").glob("*.json")):
        if not path.name.endswith(".schema.json"):
            read.append((path, read_workflow(json.loads(path.read_text(encoding="utf-8")), registry)))
    for path, workflow in sorted(read, key=lambda pair: len(pair[1].nodes)):
        found = [registry.get(name) for name in {held.type for held in workflow.nodes.values()}]
        use = Use(title=workflow.title or path.stem, link=f"../../workflows/{path.name}")
        yield use, sorted({spec.name for spec in found if spec is not None})
