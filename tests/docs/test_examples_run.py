"""Every example in README.md and docs/ runs and prints what it is said to print.

Commands and Python run in a folder like a fresh clone's, with a tiny checkpoint under the embedded one's name.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from graphcore import Registry, read_workflow, validate
from graphcore.cli.app import COMMANDS, run_app
from tests.docs.fenced_blocks import Block, commands, fenced_blocks, prints
from tests.models import TinyModels

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md", "errors.md"}
SERVED = {"server.md", "comfyui-clients.md"}
NEED_A_SERVER = {"A server"}
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in GENERATED | SERVED),
]
EXECUTED = {"python", "console", "json", "toml"}
UNEXECUTED = {"text", "sh"}


@pytest.fixture
def clone(tmp_path: Path, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped workflows and a checkpoint that is quick."""
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows")
    checkpoints = tmp_path / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    shutil.copy(tiny_models.sd1(), checkpoints / "scenes-v1.safetensors")
    pack = tmp_path / "packs"
    (pack / "tiny-1.0.dist-info").mkdir(parents=True)
    (pack / "tiny-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    (pack / "tiny-1.0.dist-info" / "entry_points.txt").write_text(
        "[graphcore.nodes]\na_first = tiny_pack:register\n"
    )
    (pack / "tiny_pack.py").write_text(
        "from pathlib import Path\n"
        f"def register(registry): registry.add_folder('checkpoints', Path({str(checkpoints)!r}))\n"
    )
    monkeypatch.syspath_prepend(str(pack))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAPHCORE_MODELS", raising=False)
    monkeypatch.setenv("GRAPHCORE_DATA", str(tmp_path / "data"))
    monkeypatch.delitem(sys.modules, "tiny_pack", raising=False)
    return tmp_path


def check_console(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands of a block."""
    for command in commands(block):
        program, *arguments = shlex.split(command.line)
        assert program == "graphcore", f"line {block.line}: {command.line}"
        capsys.readouterr()
        code = run_app(arguments)
        printed = capsys.readouterr()
        assert code == command.code, f"line {block.line}: {command.line}\n{printed.out}{printed.err}"
        if command.output:
            assert prints(command.output, printed.out), f"line {block.line}: {command.line}\n{printed.out}"


def check_python(block: Block, names: dict[str, Any], page: Path) -> None:
    """Run a block of Python; a line that ends in `# text` after a print must print that text."""
    source = "\n" * (block.line - 1) + block.text
    stream = io.StringIO()
    with redirect_stdout(stream):
        exec(compile(source, str(page), "exec"), names)
    printed = stream.getvalue()
    for line in block.text.splitlines():
        call, _, said = line.partition("  # ")
        if call.lstrip().startswith("print("):
            assert said == "" or said.strip() in printed.splitlines(), f"{line}\nprinted: {printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of(
    page: Path, clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    names = vars(module)
    for block in fenced_blocks(page):
        if block.heading in NEED_A_SERVER:
            continue
        assert block.language in EXECUTED | UNEXECUTED, f"line {block.line}: nothing runs {block.language}"
        if block.language == "console":
            check_console(block, capsys)
        elif block.language == "python":
            check_python(block, names, page)
        elif block.language == "json":
            document = json.loads(block.text)
            if "graphcore" in document:
                registry = Registry.installed()
                assert validate(read_workflow(document, registry), registry) == []


def test_readme_lists_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"graphcore {name}" not in readme] == []


def test_set_up_commands_are_targets_of_the_makefile() -> None:
    setup = next(block for block in fenced_blocks(ROOT / "README.md") if block.language == "sh")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in setup.text.splitlines():
        program, target = line.split()
        assert program == "make"
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:

    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
