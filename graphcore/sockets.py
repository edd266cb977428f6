"""Socket types: what may flow along a link, and what fits into what.

Types are nominal. A socket type is a name ("IMAGE") and, where there is one, the Python class of its values.
Two types fit when they have the same name, when the source's class is a subclass of the target's, when either
is the wildcard `*`, when comma-separated sets of names share a member, when an INT feeds a FLOAT, or when a STRING and
a COMBO meet (the choice is checked when the value is there). That is all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

ClassT = TypeVar("ClassT", bound=type)


@dataclass(frozen=True, slots=True)
class SocketType:
    """A type of socket.

    `variable` names the type variable of a generic node; it is bound when a workflow is validated.
    """

    name: str
    python: type | None = None
    variable: str | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_any(self) -> bool:
        """True for the wildcard and for an unbound type variable."""
        return self.name == "*"

    def accepts(self, source: SocketType) -> bool:
        """True if a value of type `source` may feed a socket of this type."""
        if self.name == source.name or self.name == "*" or source.name == "*":
            return True
        if self.name == "FLOAT" and source.name == "INT":
            return True
        if _is_kind_of(source.python, self.python):
            return True
        if "," in self.name or "," in source.name:
            return not _names(self).isdisjoint(_names(source))
        return {self.name, source.name} == {"COMBO", "STRING"}


def _is_kind_of(source: type | None, wanted: type | None) -> bool:
    """True for a subclass, but for Python's own: a bool is an int to Python, and not here."""
    return (
        source is not None and wanted is not None and wanted not in _PRIMITIVES and issubclass(source, wanted)
    )


def _names(kind: SocketType) -> set[str]:
    return {name.strip() for name in kind.name.split(",")}


INT = SocketType("INT", int)
FLOAT = SocketType("FLOAT", float)
STRING = SocketType("STRING", str)
BOOLEAN = SocketType("BOOLEAN", bool)
COMBO = SocketType("COMBO", str)
ANY = SocketType("*")


def socket(name: str) -> Callable[[ClassT], ClassT]:
    """Class decorator: values of this class travel on sockets called `name`.

    The name is the one that ComfyUI uses where it has such a type.
    """

    def mark(cls: ClassT) -> ClassT:
        cls.__socket__ = SocketType(name, cls)  # type: ignore[attr-defined]
        return cls

    return mark


def socket_of(cls: type) -> SocketType | None:
    """The socket type of a Python class, or None if it has none."""
    found = _PRIMITIVES.get(cls)
    if found is not None:
        return found
    mark = cls.__dict__.get("__socket__")
    return mark if isinstance(mark, SocketType) else None


_PRIMITIVES = {int: INT, float: FLOAT, str: STRING, bool: BOOLEAN}
