"""Finds nodes that change their inputs: values are shared, so that such a node spoils what others are given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from graphcore.cache.codec import Codecs
from graphcore.checked import CheckedNode
from graphcore.errors import InputError
from graphcore.lists import Each


class Witness:
    """Remembers how a node's linked inputs looked before it ran.

    Values that no codec writes cannot be watched.
    """

    def __init__(self, node: CheckedNode, inputs: Mapping[str, object], codecs: Codecs) -> None:
        self._node = node
        self._inputs = {link.input: inputs[link.input] for link in node.links if link.input in inputs}
        self._codecs = codecs
        self._before = self._digests()

    def check(self) -> None:
        """Raise InputError if the node has changed one of its inputs."""
        for name, digest in self._digests().items():
            if digest != self._before[name]:
                raise InputError(
                    f"{self._node.spec.name} changed its input '{name}' in place, which spoils it for others; let it "
                    "work on a copy.",
                    code="input-mutated",
                    location=self._node.id,
                )

    def _digests(self) -> dict[str, bytes | None]:
        return {name: self._digest(value) for name, value in self._inputs.items()}

    def _digest(self, value: object) -> bytes | None:
        items = value.items if isinstance(value, Each) else (value,)
        parts = hashlib.sha256()
        for item in items:
            codec = self._codecs.writer(item)
            if codec is None:
                return None
            parts.update(codec.encode(item))
        return parts.digest()
