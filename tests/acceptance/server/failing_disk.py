"""A server on a disk that fails; to be run with a mount namespace of its own. Arguments: case, folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.acceptance.server.started import Started
from tests.served import entry, native, sum_of


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while stream.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    return path


def full(folder: Path) -> dict[str, Any]:
    """The disk becomes full while the server runs, and has room again."""
    told: dict[str, Any] = {}
    with Started(folder / "data", "--cache", "none") as server:
        before = server.submit(sum_of(1, 1))
        server.finished(before)
        long = server.submit(native(steps=entry("Steps", count=300, pause=0.01)))
        server.until(long, "running")
        filler = fill(folder)
        refused = server.request(
            "POST", "/api/v1/runs", {"workflow": native(p=entry("Prompted", text="x" * 200_000))}
        )
        told["refused"] = [refused.status, refused.json["error"]]
        told["still there"] = server.get(f"/api/v1/runs/{before}")["state"]
        filler.unlink()
        told["long"] = server.finished(long)["state"]
        told["after"] = server.finished(server.submit(sum_of(2, 2)))["state"]
        told["exit"] = server.terminate()
    return told


def read_only(folder: Path) -> dict[str, Any]:
    """The disk cannot be written any more when the server starts again."""
    with Started(folder / "data") as server:
        run = server.submit(sum_of(1, 1))
        server.finished(run)
        server.terminate()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    arguments = ["serve", "--port", "0", "--data-dir", str(folder / "data"), "--pack", "none"]
    started = subprocess.run(
        [sys.executable, "-m", "graphcore", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told: dict[str, Any] = {"exit": started.returncode, "said": started.stderr}
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    with Started(folder / "data") as server:
        told["again"] = server.get(f"/api/v1/runs/{run}")["state"]
        server.terminate()
    return told


if __name__ == "__main__":
    print(json.dumps({"full": full, "read-only": read_only}[sys.argv[1]](Path(sys.argv[2]))))
