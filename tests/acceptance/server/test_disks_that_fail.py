"""A full disk and a read-only one: said in a sentence, nothing lost, and work goes on when the disk does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.server.started import ROOT


def on_a_disk_of_its_own(case: str, tmp_path: Path, size: str) -> dict[str, Any]:
    """Run a case of `failing_disk` on a small disk in memory, which it alone can see."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("needs unshare and mount, for a disk that may fail")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = f"mount -t tmpfs -o size={size} tmpfs {disk}"
    probe = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounting], capture_output=True, text=True, check=False
    )
    if probe.returncode != 0:
        pytest.skip(f"cannot mount a disk that may fail: {probe.stderr.strip()}")
    script = f"{mounting} && exec {sys.executable} -m tests.acceptance.server.failing_disk {case} {disk}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_a_full_disk(tmp_path: Path) -> None:
    told = on_a_disk_of_its_own("full", tmp_path, "6m")

    status, error = told["refused"]
    assert (status, error["code"]) == (507, "store-full")
    assert "disk is full" in error["message"]
    assert told["still there"] == told["long"] == told["after"] == "succeeded"
    assert told["exit"] == 0


def test_a_read_only_disk(tmp_path: Path) -> None:
    told = on_a_disk_of_its_own("read-only", tmp_path, "16m")

    assert told["exit"] not in (0, None)
    assert "cannot be written" in told["said"]
    assert "Traceback" not in told["said"]
    assert told["again"] == "succeeded"
