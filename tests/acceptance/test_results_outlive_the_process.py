"""From the command line: kept results, plans, and the store itself, over several processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Shell

NATIVE = {
    "graphcore": 1,
    "nodes": {
        "loader": {"type": "LoadCheckpoint", "inputs": {"ckpt_name": "tiny.safetensors"}},
        "text": {
            "type": "CLIPEncode",
            "inputs": {"text": "a cat", "clip": {"node": "loader", "output": "clip"}},
        },
        "latent": {"type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "sampler": {
            "type": "KSampler",
            "inputs": {
                "model": {"node": "loader", "output": "model"},
                "seed": 3,
                "steps": 2,
                "cfg": 2.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "positive": {"node": "text"},
                "negative": {"node": "text"},
                "latent_image": {"node": "latent"},
                "denoise": 1.0,
            },
        },
        "decode": {
            "type": "VAEDecode",
            "inputs": {"samples": {"node": "sampler"}, "vae": {"node": "loader", "output": "vae"}},
        },
        "save": {"type": "SaveImage", "inputs": {"images": {"node": "decode"}, "filename_prefix": "made"}},
    },
    "inputs": {"seed": {"node": "sampler", "input": "seed"}},
}


@pytest.fixture
def workflow(shell: Shell, tiny_models) -> Path:  # type: ignore[no-untyped-def]
    folder = shell.folder / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "tiny.safetensors").symlink_to(tiny_models.sd1())
    return shell.write("workflow.json", NATIVE)


def planned(shell: Shell, *arguments: str) -> dict[str, str]:
    outcome = shell.run("plan", "workflow.json", "--json", *arguments)
    assert outcome.code == 0, outcome.err
    return {node["node"]: node["action"] for node in json.loads(outcome.out)["nodes"]}


def test_a_second_process_samples_nothing_again(shell: Shell, workflow: Path) -> None:
    assert planned(shell)["sampler"] == "run"
    first = shell.run("run", "workflow.json", "--json", "--dtype", "fp32")
    assert first.code == 0, first.err
    assert planned(shell, "--dtype", "fp32")["decode"] == "hit"
    assert planned(shell, "--dtype", "fp32", "--set", "seed=4")["sampler"] == "run"
    report = shell.folder / "report.json"
    timeline = shell.folder / "timeline.json"
    again = shell.run(
        "run", "workflow.json", "--dtype", "fp32", "--report", str(report), "--timeline", str(timeline)
    )
    assert again.code == 0, again.err
    sources = {node["node"]: node["source"] for node in json.loads(report.read_text())["nodes"]}
    assert sources == {"decode": "cache", "save": "run"}
    slices = [event for event in json.loads(timeline.read_text())["traceEvents"] if event["ph"] == "X"]
    assert {event["name"] for event in slices} == {"VAEDecode (decode)", "SaveImage (save)"}


def test_the_store_is_shown_checked_and_cleared(shell: Shell, workflow: Path) -> None:
    assert shell.run("run", "workflow.json", "--quiet").code == 0
    info = json.loads(shell.run("cache", "info", "--json").out)
    assert info["entries"] >= 2
    assert info["size"] > 0
    assert json.loads(shell.run("cache", "verify", "--json").out)["damaged"] == []
    blob = next((Path(info["path"]) / "blobs").glob("*/*.gcb"))
    blob.write_bytes(blob.read_bytes()[:-1])
    assert shell.run("cache", "verify").code == 1
    assert shell.run("cache", "clear").code == 0
    assert json.loads(shell.run("cache", "info", "--json").out)["entries"] == 0


def test_a_picture_is_shown_and_verified_in_another_folder(
    shell: Shell, workflow: Path, tmp_path: Path
) -> None:
    made = shell.run("run", "workflow.json", "--quiet", "--dtype", "fp32")
    picture = Path(made.out.splitlines()[0])
    moved = tmp_path / "moved.png"
    moved.write_bytes((shell.folder / picture).read_bytes())
    shown = shell.run("show", str(moved))
    assert shown.code == 0
    assert "checkpoints/tiny.safetensors  sha256:" in shown.out
    verdict = shell.run("verify", str(moved), "--json")
    assert verdict.code == 0, verdict.err + verdict.out
    assert json.loads(verdict.out)["same"] is True


def test_deterministic_runs_of_two_processes_write_the_same_bytes(shell: Shell, workflow: Path) -> None:
    files = []
    for number in range(2):
        outcome = shell.run(
            "run",
            "workflow.json",
            "-q",
            "--deterministic",
            "--no-metadata",
            "--no-store",
            "--output-dir",
            f"out{number}",
        )
        assert outcome.code == 0, outcome.err
        files.append((shell.folder / outcome.out.splitlines()[0]).read_bytes())
    assert files[0] == files[1]
