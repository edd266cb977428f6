"""Of several processes that share a store, one computes and the others take its result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from graphcore.cache.claims import claim_file

PROGRAM = """
import sys, time
from pathlib import Path
from graphcore import Engine, Graph, Registry, Settings, node

@node("Once")
def once(text: str) -> str:
    with open(sys.argv[2], "a") as log:
        log.write("x")
    time.sleep(0.5)
    return text

registry = Registry([once])
graph = Graph(registry)
graph.output("text", graph.Once(text="shared"))
with Engine(registry, settings=Settings(data_dir=Path(sys.argv[1]))) as engine:
    print(engine.run(graph.workflow())["text"])
"""


def test_equal_work_of_two_processes_is_done_once(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "data"), str(log)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["shared"] * 3
    assert log.read_text() == "x"


def test_a_claim_is_had_by_one_and_free_again_after_release(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    first = claim_file(path)
    assert first is not None
    assert claim_file(path) is None
    first.release()
    assert not path.exists()
    second = claim_file(path)
    assert second is not None
    second.release()


def test_a_deep_expansion_holds_few_files_open(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from graphcore import *

@node("Deep")
def deep(left: int) -> int | Expand:
    if left == 0:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    inner = NodeEntry(type="Deep", inputs={"left": left - 1})
    return Expand(Workflow(nodes={"inner": inner}), {"int": Link("inner")})

registry = Registry([deep])
graph = Graph(registry)
graph.output("files", graph.Deep(left=400))
with Engine(registry, settings=Settings(data_dir=Path(sys.argv[1]))) as engine:
    print(engine.run(graph.workflow())["files"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 150
