"""`python -m tools.docs` writes the generated pages; with `--check` it says which are out of date, and fails."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from graphcore.registry import Registry
from tools.docs.cli import command_page
from tools.docs.compatibility import compatibility_page
from tools.docs.errors import error_page
from tools.docs.nodes import node_pages, strays
from tools.docs.schema import schema_file

ROOT = Path(__file__).resolve().parents[2]
PACK = "graphcore"


def generated_pages() -> Mapping[Path, str]:
    """Every generated file, as it should be now."""
    registry = Registry.installed(allow=[PACK])
    return {
        ROOT / "docs" / "cli.md": command_page(),
        ROOT / "docs" / "compatibility.md": compatibility_page(ROOT, registry),
        ROOT / "docs" / "errors.md": error_page(ROOT),
        **node_pages(ROOT, registry),
        ROOT / "workflows" / "workflow.schema.json": schema_file(registry),
    }


def stale_pages(pages: Mapping[Path, str]) -> list[Path]:
    """The generated files that are not as they should be."""
    return [
        path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def stray_pages() -> list[Path]:
    """Files in the folders of the node reference that belong to no node."""
    return strays(ROOT, Registry.installed(allow=[PACK]))


def main() -> int:
    """Write or check the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    if parser.parse_args().check:
        stale = [*stale_pages(generated_pages()), *stray_pages()]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date; run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    pages = generated_pages()
    for path in stale_pages(pages):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")
        print(path.relative_to(ROOT))
    for path in stray_pages():
        path.unlink()
        print(f"{path.relative_to(ROOT)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
