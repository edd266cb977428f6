"""Other people's clients, installed from their registries beside us, and a server for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from server.comfy.routes import comfy_routes
from tests.comfy_client import picture_prompt, step
from tests.served import Served, settings_in

PYTHON_CLIENTS: Final = ("comfy-api-simplified==1.6.0", "comfyui-workflow-client==0.1.0")
NODE_CLIENTS: Final = ("@saintno/comfyui-sdk@0.3.1", "@stable-canvas/comfyui-client@1.5.9", "ws@8")
KEPT: Final = "GRAPHCORE_CLIENTS"
_HERE: Final = Path(__file__).parent
Drive = Callable[..., Any]


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the clients are installed into; the variable GRAPHCORE_CLIENTS names one to keep between runs."""
    kept = os.environ.get(KEPT)
    folder = Path(kept) if kept else tmp_path_factory.mktemp("clients")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "venv").exists():
        _call([sys.executable, "-m", "venv", str(folder / "venv")], folder)
        _call([str(folder / "venv/bin/pip"), "install", "-q", *PYTHON_CLIENTS], folder)
    if not (folder / "node_modules").exists():
        _call(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE_CLIENTS], folder)
    return folder


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with trivial nodes that make pictures."""
    with Served(settings_in(tmp_path_factory.mktemp("served")), modules=(comfy_routes,)) as server:
        yield server.ready()


@pytest.fixture
def drive(clients: Path, served: Served, tmp_path: Path) -> Drive:
    """Run a script of this folder against the server; what it printed as JSON."""
    titled = picture_prompt()
    titled["1"]["_meta"], titled["2"]["_meta"] = {"title": "Make"}, {"title": "Save"}
    loading = {"1": step("OpenPicture", image=""), "2": step("SaveImage", images=["1", 0])}
    loading["1"]["_meta"], loading["2"]["_meta"] = {"title": "Open"}, {"title": "Save"}
    (tmp_path / "prompt.json").write_text(json.dumps(titled))
    (tmp_path / "loading.json").write_text(json.dumps(loading))
    Image.new("RGB", (6, 6), "blue").save(tmp_path / "photo.png")

    def run(script: str, *arguments: str) -> Any:
        source = _HERE / script
        program = [str(clients / "venv/bin/python"), str(source)]
        if script.endswith(".mjs"):
            beside = clients / script
            beside.write_text(source.read_text())
            program = ["node", str(beside)]
        given = [f"127.0.0.1:{served.port}", *(arguments or (str(tmp_path),))]
        return json.loads(_call([*program, *given], tmp_path).splitlines()[-1])

    return run


def _call(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
