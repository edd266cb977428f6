"""Makes a node pack look installed: the metadata of a distribution in a folder that is put on the path."""

from __future__ import annotations

from pathlib import Path


def install_pack(folder: Path, name: str, entry_point: str) -> Path:
    """Write the metadata of a distribution with one entry point in the group `graphcore.nodes`."""
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8"
    )
    (information / "entry_points.txt").write_text(
        f"[graphcore.nodes]\n{name} = {entry_point}\n", encoding="utf-8"
    )
    return folder
