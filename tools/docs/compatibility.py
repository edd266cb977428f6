"""The page of what is compatible with what, from the registry, the families, and the tests that show it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from graphcore.registry import Registry
from tools.docs.compatibility_rows import CLIENTS, FEATURES, FORMATS, PACKS, Row

CLASSES: Final = Path(__file__).with_name("comfy_classes.json")
USED: Final = Path(__file__).parents[1] / "corpus" / "sd_classes.json"
REMOTE: Final = "paid remote APIs"
ELSEWHERE: Final = "other model families"
_HEAD: Final = """\
# Compatibility

What is read, written and run of other people's formats, nodes, models and clients. This page is generated; each line
names the test that shows it.
"""


def compatibility_page(root: Path, registry: Registry) -> str:
    """The text of docs/compatibility.md. Raises FileNotFoundError if a test that it names is not there."""
    parts = [
        _HEAD,
        "## Formats\n",
        _table(
            ("format", "read", "written", "shown by"),
            ((row.name, row.read, row.written, _test(root, row.shown_by)) for row in FORMATS),
        ),
        "## Features of UI graphs\n",
        _rows(root, "feature", FEATURES),
        "## Node classes\n",
        *_node_classes(registry),
        "## Node packs\n",
        "Loaded from their folders (`--node-pack DIR`); [node packs](node-packs.md) says how.\n",
        _rows(root, "feature", PACKS),
        "## Model families\n",
        _families(),
        "## Clients\n",
        _rows(root, "client", CLIENTS),
    ]
    return "\n".join(parts)


def _rows(root: Path, what: str, rows: Sequence[Row]) -> str:
    return _table((what, "", "shown by"), ((row.name, row.done, _test(root, row.shown_by)) for row in rows))


def _test(root: Path, path: str) -> str:
    if not (root / path).is_file():
        raise FileNotFoundError(f"{path} is named as the proof of a feature, and is not there")
    return f"[{path.rpartition('/')[2]}](../{path})"


def _node_classes(registry: Registry) -> Iterator[str]:
    """How many of ComfyUI's own classes are nodes of ours, and which are missing."""
    known: Mapping[str, list[str]] = json.loads(CLASSES.read_text(encoding="utf-8"))["classes"]
    release = json.loads(CLASSES.read_text(encoding="utf-8"))["release"]
    used: Mapping[str, int] = json.loads(USED.read_text(encoding="utf-8"))["workflows"]
    local = {group: names for group, names in known.items() if group not in (REMOTE, ELSEWHERE)}
    total = sum(map(len, local.values()))
    ours = [name for names in local.values() for name in names if name in registry]
    core = {name for names in known.values() for name in names}
    own = sorted(spec.name for spec in registry if not core & {spec.name, *spec.aliases})
    running = [name for name in used if name in registry]
    yield (
        f"ComfyUI {release} has {total} node classes of its own for everything and for Stable Diffusion, "
        f"{len(known[ELSEWHERE])} for other families of models, and {len(known[REMOTE])} that call paid services. "
        f"{len(ours)} of the {total} are nodes of this project, by the same name, with the same inputs and outputs. Of "
        f"the {len(used)} classes that 144 published Stable Diffusion workflows use, {len(running)} are."
    )
    yield (
        "\nClasses of other people's packs come through those packs (below). A workflow with a class of neither "
        "is refused, with every such class named.\n"
    )
    yield _table(
        ("category", "ours", "missing"),
        (
            (
                group,
                f"{sum(name in registry for name in names)} of {len(names)}",
                ", ".join(f"`{name}`" for name in names if name not in registry) or "none",
            )
            for group, names in sorted(local.items())
        ),
    )
    yield f"Nodes of ours that ComfyUI has not ({len(own)}): {', '.join(f'`{name}`' for name in own)}.\n"


def _families() -> str:
    from nodes.diffusion.families import FAMILIES

    return _table(
        ("family", "text encoders", "latent channels"),
        (
            (family.title, ", ".join(tower.part for tower in family.towers), str(family.latent.channels))
            for family in reversed(FAMILIES.members)
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {escaped} |"
