"""The command line called in this process, with the pack `tests.packs.tasks` installed beside the others."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from graphcore.cli.app import run_app
from tests.command_outcome import Outcome, write_json
from tests.installed_pack import install_pack


class CommandLine:
    """Calls commands in a folder of their own."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str | Path, stdin: bytes = b"") -> Outcome:
        """Call a command."""
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run_app([str(argument) for argument in arguments])
        printed = self._capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    def write(self, name: str, document: object) -> Path:
        """Write a JSON file into the folder."""
        return write_json(self.folder / name, document)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line in an empty folder."""
    packs = install_pack(tmp_path / "packs", "tasks", "tests.packs.tasks:register")
    monkeypatch.syspath_prepend(str(packs))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAPHCORE_MODELS", raising=False)
    monkeypatch.setenv("GRAPHCORE_DATA", str(tmp_path / "data"))
    return CommandLine(tmp_path, monkeypatch, capsys)
