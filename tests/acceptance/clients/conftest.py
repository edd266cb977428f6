"""Other people's clients, installed from their registries beside us, and a server for them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the clients are installed into; the variable GRAPHCORE_CLIENTS names one to keep between runs."""
    kept = os.environ.get(KEPT)
    folder = Path(kept).resolve() if kept else tmp_path_factory.mktemp("clients")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def python_clients(folder: Path) -> Path:
    """The Python that has the clients of PyPI."""
    python = folder / "venv/bin/python"
    making = [sys.executable, "-m", "venv", "--clear", str(folder / "venv")]
    _install(folder, PYTHON_CLIENTS, making, [str(python), "-m", "pip", "install", "-q", *PYTHON_CLIENTS])
    return python


@pytest.fixture(scope="session")
def node_clients(folder: Path) -> Path:
    """A folder beneath which node finds the clients of npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    installing = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE_CLIENTS]
    _install(folder, NODE_CLIENTS, installing)
    return folder


def _install(folder: Path, wanted: tuple[str, ...], *commands: list[str]) -> None:
    """Install packages, unless these versions are there; skip, and say why, where their registry does not answer."""
    note = folder / f".{hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]}.installed"
    if note.exists():
        return
    for command in commands:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            pytest.skip(f"cannot install {', '.join(wanted)}: {' '.join(said)[-500:]}")
    note.touch()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with trivial nodes that make pictures."""
    with Served(settings_in(tmp_path_factory.mktemp("served")), modules=(comfy_routes,)) as server:
        yield server.ready()


@pytest.fixture
def drive_python(python_clients: Path, served: Served, tmp_path: Path) -> Drive:
    """Run a Python script of this folder against the server; what it printed as JSON."""
    _write_prompts(tmp_path)

    def run(script: str) -> Any:
        command = [str(python_clients), str(_HERE / script), f"127.0.0.1:{served.port}", str(tmp_path)]
        return json.loads(_call(command, tmp_path).splitlines()[-1])

    return run


@pytest.fixture
def drive_node(node_clients: Path, served: Served, tmp_path: Path) -> Drive:
    """Run a script of this folder by node against the server; what it printed as JSON."""
    _write_prompts(tmp_path)

    def run(script: str, *arguments: str) -> Any:
        beside = node_clients / script
        beside.write_text((_HERE / script).read_text())
        command = ["node", str(beside), f"127.0.0.1:{served.port}", *arguments]
        return json.loads(_call(command, tmp_path).splitlines()[-1])

    return run


def _write_prompts(folder: Path) -> None:
    """What the scripts work with: a prompt that makes a picture, one that loads a picture, and the picture."""
    titled = picture_prompt()
    titled["1"]["_meta"], titled["2"]["_meta"] = {"title": "Make"}, {"title": "Save"}
    loading = {"1": step("OpenPicture", image=""), "2": step("SaveImage", images=["1", 0])}
    loading["1"]["_meta"], loading["2"]["_meta"] = {"title": "Open"}, {"title": "Save"}
    (folder / "prompt.json").write_text(json.dumps(titled))
    (folder / "loading.json").write_text(json.dumps(loading))
    Image.new("RGB", (6, 6), "blue").save(folder / "photo.png")


def _call(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
