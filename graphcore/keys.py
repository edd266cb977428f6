"""Keys: what a node's result is the result of, as a SHA-256.

A key covers the node's type and version, its plain values with their types, the fingerprints of the files and other
outside state it reads, and the keys of what feeds it (a Merkle tree). Every part is tagged and length-prefixed, so
that 1, 1.0, "1" and true are four things. Node ids, titles and layout never enter. Computing all keys is linear.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final

from graphcore.checked import CheckedNode
from graphcore.files import Files, split_annotation
from graphcore.lists import Constant, Each
from graphcore.spec import MISSING, InputSpec, NodeSpec

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
        return b"i%d;" % value  # type: ignore[str-format]
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


@dataclass(frozen=True, slots=True)
class _Field:
    """An input as part of a key: its name, and its default, encoded once."""

    name: str
    encoded: bytes
    declared: InputSpec | None
    default: object
    whole: bytes


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the keys of all nodes of a type have in common."""

    head: bytes
    fields: tuple[_Field, ...]
    outputs: tuple[bytes, ...]


def _layout(spec: NodeSpec) -> _Layout:
    return _Layout(
        head=KEY_SCHEMA + encode(spec.name) + encode(spec.version),
        fields=tuple(_field(declared.name, declared) for declared in sorted(spec.inputs, key=_by_name)),
        outputs=tuple(encode(output.name) for output in spec.outputs),
    )


def _field(name: str, declared: InputSpec | None) -> _Field:
    encoded = encode(name)
    default = declared.default if declared is not None and declared.file is None else MISSING
    try:
        return _Field(name, encoded, declared, default, encoded + encode(default))
    except TypeError:
        return _Field(name, encoded, declared, MISSING, b"")


class KeyMaker:
    """Computes the keys of one run's nodes.

    `nonce` makes the keys of nodes that may not be cached unlike those of any other run.
    """

    def __init__(self, files: Files | None, nonce: bytes) -> None:
        self.files = files
        self.nonce = nonce
        self._layouts: dict[str, _Layout] = {}

    def layout(self, spec: NodeSpec) -> _Layout:
        """The layout of a type's keys, made once."""
        found = self._layouts.get(spec.name)
        if found is None:
            found = self._layouts[spec.name] = _layout(spec)
        return found

    def key(
        self,
        node: CheckedNode,
        keys: Sequence[Key | None],
        nodes: Sequence[CheckedNode],
        values: Mapping[str, Any] | None = None,
    ) -> Key:
        """The key of one node, given those of the nodes before it.

        `values` are the node's run-time inputs, for keys that depend on them. Raises Unkeyable.
        """
        spec, arguments = node.spec, node.arguments
        layout = self.layout(spec)
        parts = [layout.head]
        linked = self._linked(node, keys, nodes) if node.links else None
        fields = layout.fields
        if spec.open_inputs is not None or spec.foreign is not None:
            fields = self._with_open(node, layout.fields, linked)
        for entry in fields:
            name = entry.name
            if linked is not None and name in linked:
                parts.append(entry.encoded)
                parts.append(linked[name])
            elif name in arguments:
                value = arguments[name]
                if value is entry.default:
                    parts.append(entry.whole)
                    continue
                parts.append(entry.encoded)
                parts.append(literal(value))
                if entry.declared is not None and entry.declared.file is not None and self.files is not None:
                    parts.append(self.file_part(entry.declared, value))
        if node.late and values is not None:
            parts.append(self._late(node, values))
        if spec.fingerprint is not None:
            parts.append(self._fingerprint(spec, arguments if values is None else values))
        if spec.foreign is not None and spec.foreign.state is not None:
            parts.append(self._state(node, spec.foreign.state))
        if spec.keyed_by_id:
            parts.append(encode(node.id))
        if spec.uncacheable is not None:
            parts.append(b"u" + self.nonce + encode(node.id))
        return hashlib.sha256(b"".join(parts)).digest()

    def _linked(
        self, node: CheckedNode, keys: Sequence[Key | None], nodes: Sequence[CheckedNode]
    ) -> dict[str, bytes]:
        """The part of each linked input: what feeds it, and of a list also its places and its plain items."""
        linked: dict[str, bytes] = {}
        listed: dict[str, list[bytes]] | None = None
        for link in node.links:
            key = keys[link.source]
            if key is None:
                raise Unkeyable
            part = b"k" + key + self.layout(nodes[link.source].spec).outputs[link.output]
            if link.position < 0:
                linked[link.input] = part
            else:
                listed = listed or {}
                listed.setdefault(link.input, []).append(b"%d" % link.position + part)
        for name, parts in (listed or {}).items():
            items = node.arguments[name]
            assert isinstance(items, list)
            linked[name] = parts[0][1:] if len(items) == 1 else b"".join(sorted(parts)) + literal(items)
        return linked

    def unique(self, node: CheckedNode) -> Key:
        """A key like no other: for a node whose key cannot be told."""
        return hashlib.sha256(b"unique" + self.nonce + encode(node.id)).digest()

    @staticmethod
    def _with_open(
        node: CheckedNode, fields: tuple[_Field, ...], linked: Mapping[str, object] | None
    ) -> tuple[_Field, ...]:
        names = {*node.arguments, *(linked or {})} - set(node.spec.by_name)
        return (*fields, *(_field(name, None) for name in sorted(names)))

    def file_part(self, declared: InputSpec, value: object) -> bytes:
        """The fingerprints of the files that an input names, as part of a key."""
        widget = declared.file
        if isinstance(value, (list, Each)):
            return b"".join([self.file_part(declared, item) for item in value])
        if widget is None or self.files is None or not isinstance(value, str) or value == widget.empty:
            return b"x;"
        kind, name = split_annotation(value, widget.kind)
        path = self.files.find(kind, name)
        return b"x" + encode(None if path is None else self.files.fingerprint(path))

    @staticmethod
    def _state(node: CheckedNode, state: Callable[[str, Mapping[str, object]], str | None]) -> bytes:
        text = state(node.id, node.arguments | {link.input: None for link in node.links})
        if text is None:
            raise Unkeyable
        return b"q" + encode(text)

    def _late(self, node: CheckedNode, values: Mapping[str, Any]) -> bytes:
        parts = []
        for declared in node.spec.inputs:
            if declared.file is not None and any(link.input == declared.name for link in node.links):
                parts.append(self.file_part(declared, values.get(declared.name)))
        return b"".join(parts)

    def _fingerprint(self, spec: NodeSpec, values: Mapping[str, Any]) -> bytes:
        """The fingerprint of a node; of one that is run for each item of a list, those of all items."""
        assert spec.fingerprint is not None
        names = [name for name in spec.named_by(spec.fingerprint) if name in values]
        given: dict[str, Any] = {name: values[name] for name in names}
        if "files" in signature(spec.fingerprint).parameters:
            given["files"] = self.files
        lists = [name for name in names if given[name].__class__ is Each]
        count = max((len(given[name]) for name in lists), default=1)
        try:
            texts = []
            for place in range(count):
                items = {name: given[name].items[min(place, len(given[name]) - 1)] for name in lists}
                texts.append(str(spec.fingerprint(**given | items)))
            return b"p" + encode(texts)
        except Exception as error:
            raise Unkeyable from error


def literal(value: object) -> bytes:
    """A value among a node's arguments in canonical form; raises Unkeyable if it has none."""
    try:
        return encode(value)
    except TypeError:
        pass
    if isinstance(value, Constant):
        try:
            return encode(value.value)
        except TypeError:
            if value.key:
                return b"c" + value.key
    raise Unkeyable


def _by_name(declared: InputSpec) -> str:
    return declared.name


def key_text(key: Key) -> str:
    """A key as text: its algorithm and lower-case hex."""
    return f"sha256:{key.hex()}"
