"""Which workflows our own nodes run, and what the others lack: classes and inputs, by how many need them, as JSON.

python -m tools.corpus.coverage                                    # the official Stable Diffusion templates
python -m tools.corpus.coverage --models "" --object-info info.json  # all templates
python -m tools.corpus.coverage --folder my-workflows              # any JSON files and pictures

A workflow counts as valid if it could run here once its model and input files are there. With --object-info the
definitions of a ComfyUI server serve to read the nodes that we lack, so that problems beside them are found too.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphcore.errors import GraphcoreError, ValidationError
from graphcore.formats.comfy_api import read_prompt
from graphcore.formats.definition_source import load_object_info
from graphcore.formats.reading import find_document, format_of, own_definitions
from graphcore.formats.ui import Definitions, read_ui_graph, to_api_prompt
from graphcore.registry import Registry
from graphcore.validation import validate
from tools.corpus.releases import RELEASES, fetch, templates

STABLE_DIFFUSION = "SD1.5,SDXL,SD3.5,SVD,Stable Zero123"
UNLABELLED = frozenset({"area_composition_reversed", "inpain_model_outpainting"})
TABLE = Path(__file__).with_name("sd_classes.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one workflow lacks here; `problems` are "code Class.input", or the code of what it was refused for."""

    name: str
    missing: tuple[str, ...] = ()
    unknown_inputs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether it could run."""
        return not self.missing and not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Holds workflows against a registry."""

    registry: Registry
    definitions: Definitions

    def finding(self, name: str, document: Mapping[str, Any]) -> Finding:
        """What a workflow lacks."""
        try:
            prompt = self.prompt(document)
        except ValidationError as error:
            return Finding(name=name, missing=tuple(problem.got or "" for problem in error.problems))
        except GraphcoreError as error:
            return Finding(name=name, problems=(error.code,))
        workflow = read_prompt(prompt)
        problems = validate(workflow, self.registry)
        kinds = {node_id: entry.type for node_id, entry in workflow.nodes.items()}
        missing = {kind: None for kind in kinds.values() if kind not in self.registry}
        return Finding(
            name=name,
            missing=tuple(missing),
            unknown_inputs=tuple(dict.fromkeys(self.unknown_inputs(prompt))),
            problems=tuple(
                dict.fromkeys(
                    f"{problem.code} {kinds.get(problem.node or '', '')}.{problem.input or ''}"
                    for problem in problems
                    if problem.code != "unknown-node-type"
                )
            ),
        )

    def prompt(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The API prompt of a graph or a prompt."""
        if format_of(document) == "comfy-ui":
            return to_api_prompt(read_ui_graph(document), self.definitions, seed=0)
        inner = document.get("prompt")
        return dict(inner if isinstance(inner, dict) else document)

    def unknown_inputs(self, prompt: Mapping[str, Any]) -> Iterator[str]:
        """The inputs that our nodes of these classes do not declare; they are ignored."""
        for entry in prompt.values():
            spec = self.registry.get(str(entry.get("class_type")))
            if spec is not None:
                yield from (
                    f"{entry['class_type']}.{name}" for name in entry["inputs"] if spec.input(name) is None
                )


def report(findings: Sequence[Finding], registry: Registry) -> dict[str, object]:
    """What the findings add up to, as plain JSON."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))["workflows"]
    return {
        "workflows": len(findings),
        "valid": sum(finding.valid for finding in findings),
        "missing_classes": _counted(finding.missing for finding in findings),
        "unknown_inputs": _counted(finding.unknown_inputs for finding in findings),
        "problems": _counted(finding.problems for finding in findings),
        "not_valid": {
            finding.name: [*finding.missing, *finding.problems] for finding in findings if not finding.valid
        },
        "known_of_the_89_stable_diffusion_classes": sum(name in registry for name in table),
        "missing_of_the_89": {name: count for name, count in table.items() if name not in registry},
    }


def _counted(lists: Iterable[Iterable[str]]) -> dict[str, int]:
    return dict(Counter(name for names in lists for name in names).most_common())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--object-info", help="a file or an address with the answer of /object_info")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "graphcore" / "templates")
    parser.add_argument(
        "--releases", default=",".join(RELEASES), help="releases of comfyui-workflow-templates"
    )
    parser.add_argument(
        "--models", default=STABLE_DIFFUSION, help="templates of these models alone; all if empty"
    )
    parser.add_argument("--folder", type=Path, help="the workflows and pictures in this folder instead")
    parser.add_argument("--offline", action="store_true", help="use what the cache holds")
    options = parser.parse_args()
    registry = Registry.installed()
    info = {} if options.object_info is None else load_object_info(options.object_info)
    judge = Judge(registry=registry, definitions=own_definitions(registry, _of_others(info, registry)))
    if options.folder:
        findings = [_of_file(path, judge) for path in sorted(options.folder.rglob("*")) if path.is_file()]
    else:
        findings = _of_templates(options, judge)
    print(json.dumps(report(findings, registry), indent=1))


def _of_others(info: Mapping[str, object], registry: Registry) -> dict[str, object]:
    return {name: entry for name, entry in info.items() if name not in registry}


def _of_file(path: Path, judge: Judge) -> Finding:
    try:
        return judge.finding(path.name, find_document(path))
    except GraphcoreError as error:
        return Finding(name=path.name, problems=(error.code,))


def _of_templates(options: argparse.Namespace, judge: Judge) -> list[Finding]:
    releases = options.releases.split(",")
    if not options.offline:
        fetch(releases, options.cache)
    wanted = set(filter(None, options.models.split(",")))
    found = [
        template
        for template in templates(releases, options.cache)
        if not wanted or wanted & set(template.models) or template.name in UNLABELLED
    ]
    return [
        judge.finding(template.name, template.document)
        for template in found
        if isinstance(template.document, dict)
    ]


if __name__ == "__main__":
    main()
