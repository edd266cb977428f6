"""The examples of README and of the server's pages run against a server: curl, Python, and the settings."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphcore.cli.serve import route_modules
from tests.docs.fenced_blocks import fenced_blocks
from tests.served import Served, settings_in

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "127.0.0.1:8188"
WORKFLOW = {
    "graphcore": 1,
    "nodes": {
        "text": {"type": "Prompted", "inputs": {"text": "a boat"}},
        "picture": {"type": "MakePicture", "inputs": {"level": 7}},
        "save": {"type": "KeepPicture", "inputs": {"images": {"node": "picture"}}},
    },
    "inputs": {"prompt": {"node": "text", "input": "text"}},
}
PROMPT = {
    "1": {"class_type": "MakePicture", "inputs": {"level": 7}},
    "2": {"class_type": "KeepPicture", "inputs": {"images": ["1", 0]}},
}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "workflow.json").write_text(json.dumps(WORKFLOW))
    (tmp_path / "prompt.json").write_text(json.dumps(PROMPT))
    monkeypatch.chdir(tmp_path)
    with Served(settings_in(tmp_path / "data"), modules=route_modules()) as server:
        yield server


@pytest.mark.parametrize("name", ["README.md", "docs/server.md", "docs/comfyui-clients.md"])
def test_examples_of(name: str, served: Served) -> None:
    for block in fenced_blocks(ROOT / name):
        if name == "README.md" and block.heading != "A server":
            continue
        text = block.text.replace(ADDRESS, f"127.0.0.1:{served.port}")
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + text, name, "exec"), {})
            assert len(list(Path("pictures").iterdir())) == 1
        elif block.language == "bash":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            if name != "docs/comfyui-clients.md":
                assert "event: run-finished" in done.stdout
                assert Path("picture.png").read_bytes().startswith(b"\x89PNG")
            else:
                assert '"my-first"' in done.stdout
                assert "node_errors" in done.stdout
        elif block.language == "toml":
            assert tomllib.loads(text)["port"] == 8188
        else:
            assert block.language in ("text", "sh"), f"line {block.line}: nothing runs {block.language}"
