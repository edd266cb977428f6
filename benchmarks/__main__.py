"""Runs every benchmark, each in a process of its own, and fails if one misses a limit.

python -m benchmarks [--smoke] [NAME ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def benchmarks() -> list[str]:
    """The names of the modules that can be run."""
    sources = sorted(FOLDER.glob("[a-z]*.py"))
    return [path.stem for path in sources if "\ndef main(" in path.read_text(encoding="utf-8")]


def run(name: str, *, smoke: bool) -> bool:
    """Run one benchmark; true if it ended well."""
    print(f"== {name}", flush=True)
    start = time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--smoke"] if smoke else [])]
    code = subprocess.run(command, cwd=FOLDER.parent, check=False).returncode
    print(
        f"-- {name}: {'ok' if code == 0 else f'failed ({code})'} in {time.perf_counter() - start:.1f} s\n",
        flush=True,
    )
    return code == 0


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 0 if all limits are kept."""
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that each runs; no limits")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(benchmarks())}")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(benchmarks())
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; known: {', '.join(benchmarks())}")
    failed = [name for name in options.names or benchmarks() if not run(name, smoke=options.smoke)]
    print(f"failed: {', '.join(failed)}" if failed else "all ended well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
