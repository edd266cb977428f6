"""The keys of all nodes of a run, each from those that feed it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from graphcore.checked import CheckedNode
from graphcore.files import Files
from graphcore.keys import Key, KeyMaker, Unkeyable, encode, literal


class GraphKeys:
    """The keys of a run's nodes, in their order; grows when nodes are added to the run.

    An entry is None while the node's key depends on values that are not there yet.
    """

    def __init__(
        self,
        nodes: Sequence[CheckedNode],
        files: Files | None = None,
        nonce: bytes = b"",
        *,
        needed: int | None = None,
    ) -> None:
        self.nodes = nodes
        self.keys: list[Key | None] = []
        self._maker = KeyMaker(files, nonce)
        self.extend(needed)

    def extend(self, needed: int | None = None) -> None:
        """Compute the keys of nodes added since, or of the first `needed` ones only."""
        keys, nodes, maker = self.keys, self.nodes, self._maker
        for node in nodes[len(keys) : needed]:
            if node.late:
                keys.append(None)
                continue
            try:
                keys.append(maker.key(node, keys, nodes))
            except Unkeyable:
                keys.append(maker.unique(node))
        keys.extend([None] * (len(nodes) - len(keys)))

    def settle(self, index: int, values: Mapping[str, Any]) -> Key:
        """The key of a node whose run-time inputs are there."""
        key = self.keys[index] = self._key(self.nodes[index], values)
        return key

    def refresh(self, index: int) -> None:
        """Compute a node's key again, after one of its sources' has changed."""
        self.keys[index] = self._key(self.nodes[index], None)

    def override(self, index: int, outputs: object) -> None:
        """The key of a node whose outputs are given by hand: what they are, where that can be told."""
        try:
            self.keys[index] = hashlib.sha256(b"override" + encode(outputs)).digest()
        except TypeError:
            self.keys[index] = self._maker.unique(self.nodes[index])

    def input_digests(self, index: int) -> dict[str, str]:
        """A short digest of each input of a node: what changed between two runs is told by comparing them."""
        node = self.nodes[index]
        parts: dict[str, list[bytes]] = {}
        for name, value in node.arguments.items():
            parts[name] = [_readable(value)]
            declared = node.spec.by_name.get(name)
            if declared is not None and declared.file is not None:
                parts[name].append(self._maker.file_part(declared, value))
        for link in node.links:
            source = self.keys[link.source] or b"?"
            parts.setdefault(link.input, []).append(
                source + self._maker.layout(self.nodes[link.source].spec).outputs[link.output]
            )
        return {name: hashlib.sha256(b"".join(pieces)).hexdigest()[:16] for name, pieces in parts.items()}

    def _key(self, node: CheckedNode, values: Mapping[str, Any] | None) -> Key:
        try:
            return self._maker.key(node, self.keys, self.nodes, values)
        except Unkeyable:
            return self._maker.unique(node)


def graph_keys(
    nodes: Sequence[CheckedNode], files: Files | None = None, nonce: bytes = b""
) -> list[Key | None]:
    """The keys of nodes that stand after their sources; None where a key depends on values of the run."""
    return GraphKeys(nodes, files, nonce).keys


def _readable(value: object) -> bytes:
    try:
        return literal(value)
    except Unkeyable:
        return b"?"
