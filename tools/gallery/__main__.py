"""`python -m tools.gallery` makes the pictures of the shipped workflows and docs/gallery.md.

Names of workflows restrict it to their pictures. With `--page` no workflow runs: drawings and page alone are written.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from graphcore import Engine, GraphcoreError, Registry, Settings
from tools.gallery.drawing import drawing
from tools.gallery.entries import Entry, gallery_entries
from tools.gallery.page import gallery_page
from tools.gallery.pictures import picture_of

ROOT: Final = Path(__file__).resolve().parents[2]
PACK: Final = "graphcore"


def page_path(root: Path) -> Path:
    """Where the page is."""
    return root / "docs" / "gallery.md"


def make_pictures(entries: Iterable[Entry], registry: Registry) -> list[str]:
    """Run the workflows that run out of the box and keep their pictures; gives the names of those that failed."""
    failed = []
    with TemporaryDirectory() as scratch:
        settings = Settings(output_dir=Path(scratch), input_dir=Path(scratch), deterministic=True)
        with Engine(registry, settings=settings) as engine:
            for entry in entries:
                began = time.monotonic()
                try:
                    data = picture_of(entry, engine)
                except GraphcoreError as error:
                    failed.append(entry.name)
                    print(f"{entry.name}: {error}", file=sys.stderr)
                    continue
                entry.picture(ROOT).write_bytes(data)
                print(f"{entry.name}: {len(data):,} bytes, {time.monotonic() - began:.1f} s", flush=True)
    return failed


def main() -> int:
    """Write pictures and page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="workflows to make pictures of, without .json (all)")
    parser.add_argument("--page", action="store_true", help="run nothing; write the drawings and the page")
    asked = parser.parse_args()
    registry = Registry.installed(allow=[PACK])
    entries = gallery_entries(ROOT, registry)
    unknown = set(asked.names) - {entry.name for entry in entries}
    if unknown:
        parser.error(f"there is no workflow {', '.join(sorted(unknown))}")
    chosen = [entry for entry in entries if not asked.names or entry.name in asked.names]
    (ROOT / "docs" / "pictures" / "gallery").mkdir(parents=True, exist_ok=True)
    for entry in entries:
        if entry.missing:
            entry.picture(ROOT).write_text(drawing(entry.workflow, registry), encoding="utf-8")
    runnable = [] if asked.page else [entry for entry in chosen if not entry.missing]
    failed = make_pictures(runnable, registry)
    without = [entry.name for entry in entries if not entry.picture(ROOT).is_file()]
    if without:
        print(f"docs/gallery.md is not written: no picture of {', '.join(without)}", file=sys.stderr)
        return 1
    page_path(ROOT).write_text(gallery_page(ROOT, entries), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
