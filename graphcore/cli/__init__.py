"""The command line: the one place where the engine, the nodes and the server meet.

One module holds one command; `app.py` lists them and imports the one that is asked for.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line on the process's arguments, and exit with its code."""
    from graphcore.cli.app import run_app

    sys.exit(run_app(sys.argv[1:]))
