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
from tools.docs.nodes import node_page
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
        ROOT / "docs" / "nodes.md": node_page(registry),
        ROOT / "workflows" / "workflow.schema.json": schema_file(registry),
    }


def stale_pages() -> list[Path]:
    """The generated files that are not as they should be."""
    return [
        path
        for path, text in generated_pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write or check the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    if parser.parse_args().check:
        stale = stale_pages()
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date; run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for path, text in generated_pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
