"""ComfyUI's modules, by name: what each offers to node packs, and where that is written (`module:attribute`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ROOTS: Final = frozenset({"comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfy_config"})
SHIMS: Final[Mapping[str, Mapping[str, str]]] = {}
