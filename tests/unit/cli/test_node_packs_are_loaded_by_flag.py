"""ComfyUI packs are loaded by `--node-pack` and by nothing else; one that fails is warned of and stops nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.packs.imports import remove_shims
from tests.unit.cli.conftest import CommandLine

PACKS = Path(__file__).parents[2] / "packs_v1"
PROMPT = {
    "1": {"class_type": "BasicsCountdown", "inputs": {"left": 2, "total": 1}},
    "2": {"class_type": "BasicsShow", "inputs": {"value": ["1", 0]}},
}


@pytest.fixture(autouse=True)
def no_shims_remain() -> Iterator[None]:
    yield
    remove_shims()


def test_a_workflow_of_a_packs_nodes_runs_with_it_and_not_without(cli: CommandLine) -> None:
    file = cli.write("prompt.json", PROMPT)
    without = cli.run("validate", file, "--json")
    assert without.code != 0
    assert {problem["code"] for problem in without.json["problems"]} == {"unknown-node-type"}
    outcome = cli.run("run", file, "--node-pack", PACKS / "basics", "--no-store", "--quiet")
    assert (outcome.code, outcome.out.strip()) == (0, "4")


def test_a_broken_pack_is_warned_of_and_the_rest_is_used(cli: CommandLine) -> None:
    outcome = cli.run("validate", cli.write("prompt.json", PROMPT), "--node-pack", PACKS, "--json")
    assert outcome.json["state"] == "valid"
    assert (
        "the node pack 'broken_import' cannot be loaded and is left out: ModuleNotFoundError" in outcome.err
    )


def test_what_a_pack_prints_is_no_part_of_the_output(cli: CommandLine) -> None:
    pack = cli.folder / "talks.py"
    pack.write_text("print('hello from a pack')\n" + (PACKS / "single_file.py").read_text(), encoding="utf-8")
    outcome = cli.run("nodes", "SingleFile", "--node-pack", pack, "--json")
    assert outcome.json["name"] == "SingleFile"
    assert "hello from a pack" in outcome.err


@pytest.mark.parametrize("target", ["native", "comfy-api", "comfy-ui", "python"])
def test_workflows_of_packs_are_converted(cli: CommandLine, target: str) -> None:
    outcome = cli.run(
        "convert", cli.write("prompt.json", PROMPT), "--to", target, "--node-pack", PACKS / "basics"
    )
    assert outcome.code == 0
    assert "BasicsCountdown" in outcome.out


def test_caches_are_chosen_by_name(cli: CommandLine) -> None:
    file = cli.write("prompt.json", PROMPT)
    for cache in ("classic", "lru:5", "none"):
        assert cli.run("run", file, "--node-pack", PACKS / "basics", "--cache", cache, "--quiet").code == 0
    wrong = cli.run("run", file, "--node-pack", PACKS / "basics", "--cache", "some")
    assert "There is no cache 'some'; use classic, lru:N or none." in wrong.err


def test_a_pack_that_is_not_there_is_said(cli: CommandLine) -> None:
    for command in ("run", "validate"):
        outcome = cli.run(command, cli.write("prompt.json", PROMPT), "--node-pack", cli.folder / "nowhere")
        assert outcome.code != 0
        assert "There is no node pack at" in outcome.err
