"""Ctrl-C cancels a run, which then ends with 130; a second one ends the process at once."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from tests.acceptance.conftest import Shell

COUNT = {
    "graphcore": 1,
    "nodes": {"count": {"type": "TaskCount", "inputs": {"steps": 100_000, "pause": 0.01}}},
}


def wait_for_progress(process: subprocess.Popen[str]) -> None:
    """Wait until a node of the run has reported its first step."""
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "node-progress":
            return
    pytest.fail("the run ended before it made progress")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_run(shell: Shell, signal_number: int) -> None:
    process = shell.start("run", "--json-events", shell.write("w.json", COUNT))
    wait_for_progress(process)
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["state"]) == ("result", "cancelled")
    assert "cancelling" in err
    assert "Traceback" not in err


def test_a_second_interrupt_ends_the_process_at_once(shell: Shell) -> None:
    sleeper = {"graphcore": 1, "nodes": {"sleep": {"type": "TaskSleep", "inputs": {"seconds": 600.0}}}}
    process = shell.start("run", "--json-events", shell.write("w.json", sleeper))
    wait_for_progress(process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "cancelling" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
