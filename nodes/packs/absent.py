"""Names of ComfyUI's that packs may import and not use: many import what few of their nodes need, or for annotations.

Such a name is a class of which nothing is an instance. It may be inherited from; making one, calling it, or asking it
for an attribute raises an error that says what is missing, and to which pack.
"""

from __future__ import annotations

from typing import Any, NoReturn

from graphcore.errors import ResourceError
from nodes.packs.host import pack_at_work


class Absent(type):
    """The class of such classes."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise cls.missing()

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(cls.missing(name).message, name=name)

    def missing(cls, attribute: str | None = None) -> ResourceError:
        """The error for its use."""
        first = next((base for base in reversed(cls.__mro__[:-1]) if isinstance(base, Absent)), cls)
        name = f"{first.__module__}.{first.__qualname__}" + ("" if attribute is None else f".{attribute}")
        return ResourceError(
            f"ComfyUI's '{name}' is not offered to node packs here, and {pack_at_work()} uses it; use other "
            "nodes of the pack, or a pack that does without it.",
            code="not-offered",
        )


def absent(module: str, name: str) -> Absent:
    """A class that stands for a name of a module."""
    return Absent(
        name, (), {"__module__": module, "__doc__": f"ComfyUI's {name}, which is not offered here."}
    )
