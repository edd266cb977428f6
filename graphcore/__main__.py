"""`python -m graphcore` is the command `graphcore`."""

from __future__ import annotations

from graphcore.cli import main

if __name__ == "__main__":
    main()
