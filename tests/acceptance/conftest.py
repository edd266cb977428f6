"""The command `graphcore` in a process of its own, with the pack `tests.packs.tasks` installed beside the others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.command_outcome import Outcome, write_json
from tests.installed_pack import install_pack

ROOT = Path(__file__).resolve().parents[2]


class Shell:
    """Runs `graphcore` in a folder."""

    def __init__(self, folder: Path, packs: Path) -> None:
        self.folder = folder
        self.environment: Mapping[str, str] = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(packs), str(ROOT)]),
            "GRAPHCORE_DATA": str(folder / "data"),
            "PYTHONIOENCODING": "utf-8",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        self._started: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str | Path, stdin: bytes = b"") -> Outcome:
        """Run a command to its end."""
        done = subprocess.run(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=240,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command; it is ended with the test."""
        process = subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def write(self, name: str, document: object) -> Path:
        """Write a JSON file into the folder."""
        return write_json(self.folder / name, document)

    def close(self) -> None:
        """End what was started."""
        for process in self._started:
            process.kill()
            with process:
                pass

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [sys.executable, "-m", "graphcore", *map(str, arguments)]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder."""
    made = Shell(tmp_path, install_pack(tmp_path / "packs", "tasks", "tests.packs.tasks:register"))
    yield made
    made.close()
