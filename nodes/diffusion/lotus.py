"""Which files hold the text encoder of SD 2.x, under which Lotus was trained."""

from __future__ import annotations

from pathlib import Path

from graphcore.errors import GraphcoreError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.text_towers import text_family
from nodes.values import Clip, FileRef

FAMILY = "sd2"
PARTS = frozenset({"clip_h", "text"})


def holds_sd2_text(path: Path) -> bool:
    """Whether a model file, alone or among others, has that text encoder; headers are read, no weights."""
    try:
        checkpoint = open_checkpoint(path)
        opened = [(FileRef(kind="", name=path.name, fingerprint=""), checkpoint)]
        family = text_family(Clip(files=()), opened)
    except (GraphcoreError, OSError):
        return False
    return family.name == FAMILY and not PARTS.isdisjoint(checkpoint.parts)
