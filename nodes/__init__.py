"""The nodes of this library. Once a node pack is loaded, also what packs import from ComfyUI's module `nodes`."""

from __future__ import annotations

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    packs = sys.modules.get("nodes.packs.imports")
    if packs is None or name.startswith("_"):
        raise AttributeError(f"module 'nodes' has no attribute '{name}'")
    return packs.of_nodes(name, sys._getframe(1))
