"""Breaks workflow files in the ways that files break: values of other types, ids used twice, links into nothing.

The same random numbers give the same file.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

Path = tuple[Any, ...]

JUNK: Final[Sequence[Any]] = (
    None, True, False, 0, 1, 2, 4, -1, -10, -20, 7.5, 1e308, -0.0, float("nan"), float("inf"),
    2**53 + 1, 2**63, 2**64, 10**40, "", "0", "-1", "nan", "x" * 300, "\x00", "\ud800", "é\u202e", "%date:yyyy%",
    "{a|{b|c}", "/* ", [], [[]], {}, {"a": 1}, [None], [1, 4, 0, 3, 0, "MODEL"], ["1", 0], [1, 2, 3],
    {"name": "seed"}, {"__value__": [1]}, ["-1", "seed"], "workflow>group", "Reroute", "PrimitiveNode", "GetNode",
    "SetNode", "KSampler", "*", "INT,FLOAT",
)  # fmt: skip
WRAPPINGS: Final = 400
COPIES: Final = 40


@dataclass(frozen=True, slots=True)
class Mutator:
    """Breaks documents by the draws of `random`."""

    random: Random

    def broken(self, document: Any, most: int = 5) -> Any:
        """A copy of a document with one to `most` faults."""
        document = copy.deepcopy(document)
        for _ in range(self.random.randint(1, most)):
            document = self.random.choice(FAULTS)(self, document)
        return document

    def text(self, document: Any) -> bytes:
        """A document as the bytes of a file, now and then damaged as bytes."""
        text = json.dumps(document, ensure_ascii=self.random.random() < 0.5).encode(
            "utf-8", errors="surrogatepass"
        )
        if self.random.random() > 0.05 or not text:
            return text
        start = self.random.randrange(len(text))
        length = self.random.randint(0, 20)
        return text[:start] + self.random.randbytes(self.random.randint(0, 4)) + text[start + length :]

    def replace(self, document: Any) -> Any:
        """Another value, of any type."""
        return _with(document, self.place(document), copy.deepcopy(self.random.choice(JUNK)))

    def remove(self, document: Any) -> Any:
        """A key or an item less."""
        *path, last = self.place(document) or (None,)
        parent = _at(document, path)
        if isinstance(parent, dict | list) and parent:
            del parent[last]
        return document

    def move(self, document: Any) -> Any:
        """A value from somewhere else in the file."""
        source = copy.deepcopy(_at(document, self.place(document)))
        return _with(document, self.place(document), source)

    def repeat(self, document: Any) -> Any:
        """Items of a list again, so that ids stand twice."""
        holders = [value for value in (_at(document, path) for path in _places(document))
                   if isinstance(value, list) and value]  # fmt: skip
        if holders:
            items = self.random.choice(holders)
            again = copy.deepcopy(self.random.choice(items))
            times = self.random.choice((1, 1, 1, COPIES))
            position = self.random.randint(0, len(items))
            items[position:position] = [copy.deepcopy(again) for _ in range(times)]
        return document

    def wrap(self, document: Any) -> Any:
        """A value deep inside lists or objects."""
        place = self.place(document)
        value = _at(document, place)
        for _ in range(self.random.choice((1, 2, 30, WRAPPINGS))):
            value = [value] if self.random.random() < 0.5 else {"a": value}
        return _with(document, place, value)

    def rename(self, document: Any) -> Any:
        """Another id for a node or a link, in some of the places that name it."""
        lists = [value for path in _places(document)
                 if path[-1] in ("id", "link", "origin_id", "target_id", "linkIds", "links", "type")
                 and (value := _at(document, path[:-1])) is not None]  # fmt: skip
        if lists:
            holder = self.random.choice(lists)
            if isinstance(holder, dict):
                key = self.random.choice(list(holder))
                holder[key] = self.random.choice((*range(-21, 12), *JUNK))
        return document

    def remode(self, document: Any) -> Any:
        """Some nodes muted, bypassed, or of a mode that no editor knows."""
        for node in _nodes(document):
            if self.random.random() < 0.3:
                node["mode"] = self.random.choice((0, 1, 2, 3, 4, 5, "4", True))
        return document

    def nest(self, document: Any) -> Any:
        """A node that becomes an instance of a subgraph; subgraphs that hold each other or themselves."""
        subgraphs = _subgraphs(document)
        nodes = _nodes(document)
        if not isinstance(document, dict) or not nodes:
            return document
        if not subgraphs:
            document["definitions"] = {"subgraphs": subgraphs}
        depth = self.random.choice((1, 2, 5, 60))
        names = [f"made-{len(subgraphs)}-{level}" for level in range(depth)]
        inner = self.random.choice(nodes)
        for level, name in enumerate(names):
            held = {
                **copy.deepcopy(inner),
                "id": 1,
                "type": names[level + 1] if level + 1 < depth else "VAEDecode",
            }
            if level + 1 == depth and self.random.random() < 0.4:
                held["type"] = self.random.choice(names)
            width = self.random.choice((1, 1, 2))
            subgraphs.append(
                {
                    "id": name,
                    "name": name,
                    "nodes": [{**held, "id": number} for number in range(1, width + 1)],
                    "links": [],
                    "inputs": inner.get("inputs") if self.random.random() < 0.5 else [],
                    "outputs": [],
                }
            )
        inner["type"] = names[0]
        return document

    def rewire(self, document: Any) -> Any:
        """The ends of some links elsewhere: circles, wrong types, nothing at all."""
        for path in _places(document):
            link = _at(document, path)
            if path[-1] == "link" or self.random.random() > 0.2:
                continue
            if isinstance(link, list) and len(link) == 6 and "links" in path[:-1]:
                link[self.random.randrange(6)] = self.random.choice((*range(12), "9", None, "LATENT"))
            elif isinstance(link, dict) and "origin_id" in link:
                link[self.random.choice(list(link))] = self.random.choice((*range(-21, 12), None))
        return document

    def place(self, document: Any) -> Path:
        """Any place in a document; shallow ones are as likely as the many deep ones."""
        path: Path = ()
        value = document
        while isinstance(value, dict | list) and value and (not path or self.random.random() < 0.75):
            key = self.random.choice(list(value) if isinstance(value, dict) else range(len(value)))
            path, value = (*path, key), value[key]
        return path


FAULTS: Final[Sequence[Callable[[Mutator, Any], Any]]] = (
    Mutator.replace,
    Mutator.replace,
    Mutator.replace,
    Mutator.remove,
    Mutator.remove,
    Mutator.move,
    Mutator.repeat,
    Mutator.wrap,
    Mutator.rename,
    Mutator.rename,
    Mutator.remode,
    Mutator.nest,
    Mutator.rewire,
)


def _places(document: Any) -> list[Path]:
    """The path of every value inside a document, but for values that are very deep."""
    found: list[Path] = []
    pending: list[tuple[Path, Any]] = [((), document)]
    while pending:
        path, value = pending.pop()
        if path:
            found.append(path)
        if len(path) < 12 and isinstance(value, dict | list):
            keys = value if isinstance(value, dict) else range(len(value))
            pending.extend(((*path, key), value[key]) for key in keys)
    return found


def _at(document: Any, path: Sequence[Any]) -> Any:
    for key in path:
        if not _holds(document, key):
            return None
        document = document[key]
    return document


def _with(document: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    parent = _at(document, path[:-1])
    if _holds(parent, path[-1]):
        parent[path[-1]] = value
    return document


def _holds(holder: Any, key: Any) -> bool:
    if isinstance(holder, dict):
        return key in holder
    return isinstance(holder, list) and isinstance(key, int) and key < len(holder)


def _nodes(document: Any) -> list[dict[str, Any]]:
    nodes = document.get("nodes") if isinstance(document, dict) else None
    return [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []


def _subgraphs(document: Any) -> list[Any]:
    definitions = document.get("definitions") if isinstance(document, dict) else None
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    return subgraphs if isinstance(subgraphs, list) else []
