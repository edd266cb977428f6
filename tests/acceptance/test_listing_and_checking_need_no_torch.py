"""Commands that run no nodes import neither torch nor any library that comes with it, nor rich."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.acceptance.conftest import Shell

HEAVY = ("torch", "diffusers", "transformers", "numpy", "scipy", "aiohttp", "rich")
LIGHT_COMMANDS = (
    ["nodes"],
    ["nodes", "KSampler"],
    ["nodes", "--json"],
    ["models"],
    ["schema"],
    ["stubs"],
    ["validate", "prompt.json"],
    ["convert", "prompt.json", "--to", "native"],
    ["convert", "prompt.json", "--to", "python"],
    ["convert", "prompt.json", "--to", "comfy-ui"],
    ["--version"],
    ["--help"],
)
WATCHED = """
import io, json, sys
commands, heavy = map(json.loads, sys.argv[1:])
import graphcore
found = {"import graphcore": sorted(set(sys.modules) & set(heavy))}
from graphcore.cli.app import run_app
out, sys.stdout = sys.stdout, io.StringIO()
for command in commands:
    code = run_app(command)
    found[" ".join(command)] = sorted(set(sys.modules) & set(heavy)) + ([] if code == 0 else [f"code {code}"])
out.write(json.dumps(found))
"""


def test_light_commands(shell: Shell) -> None:
    shell.write("prompt.json", {"1": {"class_type": "TaskTell", "inputs": {"text": "hi"}}})
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(LIGHT_COMMANDS), json.dumps(HEAVY)],
        cwd=shell.folder,
        env=shell.environment,
        stdout=subprocess.PIPE,
        timeout=240,
        check=True,
    )
    found = json.loads(done.stdout)
    assert set(found) == {"import graphcore", *map(" ".join, LIGHT_COMMANDS)}
    assert {command: heavy for command, heavy in found.items() if heavy} == {}
