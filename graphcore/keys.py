"""Keys: what a node's result is the result of, as a SHA-256.

A key covers the node's type and version, its plain values with their types, the fingerprints of the files and other
outside state it reads, and the keys of what feeds it (a Merkle tree). Every part is tagged and length-prefixed, so that 1,
1.0, "1" and true are four things. Node ids, titles and layout never enter. Computing all keys is linear.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from graphcore.checked import CheckedNode
from graphcore.files import Files, split_annotation
from graphcore.lists import Constant
from graphcore.spec import InputSpec, NodeSpec

KEY_SCHEMA: Final = b"graphcore-key-1"

Key = bytes


def encode(value: object) -> bytes:
    """A plain value in canonical form; equal values of one type encode equally, and nothing else does.

    Raises TypeError for anything that is not plain JSON.
    """
    if value is None:
        return b"n;"
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")  # type: ignore[attr-defined]
        return b"s%d:%b;" % (len(data), data)
    if kind is bool:
        return b"b1;" if value else b"b0;"
    if kind is int:
        return b"i%d;" % value  # type: ignore[operator]
    if kind is float:
        return b"f%b;" % struct.pack(">d", value + 0.0)  # type: ignore[operator]
    if isinstance(value, (list, tuple)):
        return b"l%d:%b;" % (len(value), b"".join(map(encode, value)))
    if isinstance(value, Mapping):
        items = sorted((encode(name), encode(item)) for name, item in value.items())
        return b"m%d:%b;" % (len(items), b"".join(name + item for name, item in items))
    raise TypeError(f"a {kind.__name__} has no canonical form")


class Unkeyable(Exception):
    """The node's key cannot be told: it depends on state that could not be read."""


class KeyMaker:
    """Computes the keys of one run's nodes.

    `nonce` makes the keys of nodes that may not be cached unlike those of any other run.
    """

    def __init__(self, files: Files | None, nonce: bytes) -> None:
        self.files = files
        self.nonce = nonce
        self._heads: dict[str, bytes] = {}
        self._orders: dict[str, tuple[tuple[str, bytes, InputSpec | None], ...]] = {}

    def key(
        self,
        node: CheckedNode,
        source_key: Callable[[int], Key],
        output_name: Callable[[int, int], bytes],
        values: Mapping[str, Any] | None = None,
    ) -> Key:
        """The key of one node, given those of its sources.

        `values` are the node's run-time inputs, for keys that depend on them.
        """
        spec = node.spec
        head = self._heads.get(spec.name)
        if head is None:
            head = self._heads[spec.name] = KEY_SCHEMA + encode(spec.name) + encode(spec.version)
            self._orders[spec.name] = tuple(
                (declared.name, encode(declared.name), declared) for declared in sorted(spec.inputs, key=_by_name)
            )
        parts = [head]
        arguments = node.arguments
        linked: dict[str, list[bytes]] | None = None
        if node.links:
            linked = {}
            for link in node.links:
                part = b"k" + source_key(link.source) + output_name(link.source, link.output)
                linked.setdefault(link.input, []).append(part if link.position < 0 else b"%d" % link.position + part)
        order = self._orders[spec.name]
        if spec.open_inputs is not None:
            order = self._with_open(node, order, linked)
        for name, encoded, declared in order:
            if linked is not None and name in linked:
                parts.append(encoded)
                parts.extend(sorted(linked[name]))
                if name not in arguments:
                    continue
            elif name in arguments:
                parts.append(encoded)
            else:
                continue
            parts.append(_literal(arguments[name]))
            if declared is not None and declared.file is not None and self.files is not None:
                parts.append(self.file_part(declared, arguments[name]))
        if node.late and values is not None:
            parts.append(self._late(node, values))
        if spec.fingerprint is not None:
            parts.append(self._fingerprint(spec, arguments if values is None else values))
        if spec.keyed_by_id:
            parts.append(encode(node.id))
        if spec.uncacheable is not None:
            parts.append(b"u" + self.nonce + encode(node.id))
        return hashlib.sha256(b"".join(parts)).digest()

    def unique(self, node: CheckedNode) -> Key:
        """A key like no other: for a node whose key cannot be told."""
        return hashlib.sha256(b"unique" + self.nonce + encode(node.id)).digest()

    @staticmethod
    def _with_open(
        node: CheckedNode,
        order: tuple[tuple[str, bytes, InputSpec | None], ...],
        linked: Mapping[str, object] | None,
    ) -> tuple[tuple[str, bytes, InputSpec | None], ...]:
        names = {*node.arguments, *(linked or {})} - set(node.spec.by_name)
        return (*order, *((name, encode(name), node.spec.open_inputs) for name in sorted(names)))

    def file_part(self, declared: InputSpec, value: object) -> bytes:
        """The fingerprint of the file that an input names, as part of a key."""
        widget = declared.file
        if widget is None or self.files is None or not isinstance(value, str) or value == widget.empty:
            return b"x;"
        kind, name = split_annotation(value) if widget.kind == "input" else (widget.kind, value)
        path = self.files.find(kind, name)
        return b"x" + encode(None if path is None else self.files.fingerprint(path))

    def _late(self, node: CheckedNode, values: Mapping[str, Any]) -> bytes:
        parts = []
        for declared in node.spec.inputs:
            if declared.file is not None and declared.name not in node.arguments:
                parts.append(self.file_part(declared, values.get(declared.name)))
        return b"".join(parts)

    def _fingerprint(self, spec: NodeSpec, values: Mapping[str, Any]) -> bytes:
        assert spec.fingerprint is not None
        code = spec.fingerprint.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        given = dict(values) if code.co_flags & 0x08 else {name: values[name] for name in names if name in values}
        if "files" in names:
            given["files"] = self.files
        try:
            return b"p" + encode(str(spec.fingerprint(**given)))
        except Exception as error:
            raise Unkeyable from error


def _literal(value: object) -> bytes:
    try:
        return encode(value)
    except TypeError:
        if isinstance(value, Constant) and value.key:
            return b"c" + value.key
        raise Unkeyable from None


def _readable(value: object) -> bytes:
    try:
        return _literal(value)
    except Unkeyable:
        return b"?"


def _by_name(declared: InputSpec) -> str:
    return declared.name


def key_text(key: Key) -> str:
    """A key as text: its algorithm and lower-case hex."""
    return f"sha256:{key.hex()}"


class GraphKeys:
    """The keys of a run's nodes, in their order; grows when nodes are added to the run.

    An entry is None while the node's key depends on values that are not there yet.
    """

    def __init__(self, nodes: Sequence[CheckedNode], files: Files | None = None, nonce: bytes = b"") -> None:
        self.nodes = nodes
        self.keys: list[Key | None] = []
        self._maker = KeyMaker(files, nonce)
        self._names: dict[tuple[str, int], bytes] = {}
        self.extend()

    def extend(self) -> None:
        """Compute the keys of nodes added since."""
        for node in self.nodes[len(self.keys) :]:
            self.keys.append(None if node.late else self._key(node, None))

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
            parts.setdefault(link.input, []).append(source + self._output_name(link.source, link.output))
        return {name: hashlib.sha256(b"".join(pieces)).hexdigest()[:16] for name, pieces in parts.items()}

    def _key(self, node: CheckedNode, values: Mapping[str, Any] | None) -> Key:
        try:
            return self._maker.key(node, self._source_key, self._output_name, values)
        except Unkeyable:
            return self._maker.unique(node)

    def _source_key(self, index: int) -> Key:
        key = self.keys[index]
        if key is None:
            raise Unkeyable
        return key

    def _output_name(self, index: int, output: int) -> bytes:
        spec = self.nodes[index].spec
        place = (spec.name, output)
        name = self._names.get(place)
        if name is None:
            name = self._names[place] = encode(spec.outputs[output].name)
        return name


def graph_keys(nodes: Sequence[CheckedNode], files: Files | None = None, nonce: bytes = b"") -> list[Key | None]:
    """The keys of nodes that stand after their sources; None where a key depends on values of the run."""
    return GraphKeys(nodes, files, nonce).keys
