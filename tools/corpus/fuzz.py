"""Break the official ComfyUI templates at random and see that each is converted or refused in a sentence.

python -m tools.corpus.fuzz --object-info object_info.json --cases 5000
python -m tools.corpus.fuzz --case 0:1234

Anything but a prompt or an error of graphcore is a finding, and so is a case that takes too long.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from graphcore.errors import GraphcoreError
from graphcore.formats.definition_source import load_object_info
from graphcore.formats.foreign_nodes import foreign_registry
from graphcore.formats.object_info import object_info
from graphcore.formats.reading import find_document, read_document
from graphcore.formats.ui import Definitions, ObjectInfoDefinitions, read_ui_graph, to_api_prompt, to_ui_graph
from graphcore.registry import Registry
from graphcore.validation import validate
from tools.corpus.mutation import Mutator
from tools.corpus.releases import RELEASES, fetch, templates

SLOW_S = 5.0
SHOWN_FINDINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What broken files are given to."""

    definitions: Definitions
    registry: Registry

    @classmethod
    def of(cls, info: Mapping[str, Any] | None) -> Target:
        """Conversion and validation by an object_info mapping, or by the nodes installed here."""
        registry = Registry.installed() if info is None else foreign_registry(info, Registry())
        known = object_info(registry) if info is None else info
        return cls(definitions=ObjectInfoDefinitions.from_json(known), registry=registry)

    def outcome(self, text: bytes) -> str:
        """What comes of a file: "converted", or the code of the error. Raises whatever is a finding."""
        try:
            document = find_document(text)
            workflow = read_document(document, self.registry, definitions=self.definitions)
            problems = validate(workflow, self.registry)
            json.dumps([problem.as_json() for problem in problems])
            prompt = to_api_prompt(read_ui_graph(document), self.definitions, seed=0)
        except GraphcoreError as error:
            return self.refused(error)
        self.check(prompt)
        return "converted"

    @staticmethod
    def refused(error: GraphcoreError) -> str:
        """An error says something, and can be sent as JSON; its code."""
        json.dumps(error.as_json(), allow_nan=False).encode()
        assert error.message.strip(), "an error without a sentence"
        return error.code

    def check(self, prompt: Mapping[str, Any]) -> None:
        """A prompt holds known classes and no link into nothing, and a drawing of it says the same."""
        json.dumps(prompt, allow_nan=False)
        for entry in prompt.values():
            assert self.definitions.get(entry["class_type"]) is not None
            for value in entry["inputs"].values():
                assert not isinstance(value, list) or value[0] in prompt, "a link into nothing"
        drawn = json.loads(json.dumps(to_ui_graph(prompt, self.definitions)))
        assert to_api_prompt(read_ui_graph(drawn), self.definitions, seed=0).keys() == prompt.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A case that broke something, and where."""

    case: str
    template: str
    where: str
    trace: str


def fuzz(
    seeds: Sequence[tuple[str, Any]], target: Target, cases: Sequence[str]
) -> tuple[Counter[str], list[Finding]]:
    """Run cases, each named by its random seed, and count what came of them."""
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    for case in cases:
        random = Random(case)
        name, document = random.choice(seeds)
        mutator = Mutator(random)
        text = mutator.text(mutator.broken(document))
        begun = time.perf_counter()
        try:
            outcome = target.outcome(text)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a finding)
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            findings.append(Finding(case=case, template=name, where=where, trace=traceback.format_exc(-6)))
            outcome = "FINDING"
        took = time.perf_counter() - begun
        if took > SLOW_S:
            where = f"slow, {outcome}"
            findings.append(
                Finding(case=case, template=name, where=where, trace=f"{took:.1f} s, {len(text)} bytes")
            )
        outcomes[outcome] += 1
    return outcomes, findings


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--object-info", help="a file or an address with the answer of /object_info; else the nodes installed"
    )
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "graphcore" / "templates")
    parser.add_argument(
        "--releases", default=",".join(RELEASES), help="releases of comfyui-workflow-templates"
    )
    parser.add_argument("--offline", action="store_true", help="use what the cache holds")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--case", action="append", default=[], help="run this case alone; its trace is printed"
    )
    options = parser.parse_args()
    releases = options.releases.split(",")
    if not options.offline:
        fetch(releases, options.cache)
    target = Target.of(None if options.object_info is None else load_object_info(options.object_info))
    seeds = [
        (template.name, template.document)
        for template in templates(releases, options.cache)
        if _is_known(template.document, target.definitions)
    ]
    cases = options.case or [f"{options.seed}:{number}" for number in range(options.cases)]
    outcomes, findings = fuzz(seeds, target, cases)
    print(f"{len(cases)} cases of {len(seeds)} templates, {len(findings)} findings")
    for outcome, count in outcomes.most_common():
        print(f"  {count:6}  {outcome}")
    for where, count in Counter(finding.where for finding in findings).most_common(SHOWN_FINDINGS):
        first = next(finding for finding in findings if finding.where == where)
        print(f"\n{count} x {where}, first --case {first.case} ({first.template})\n{first.trace}")
    return 1 if findings else 0


def _is_known(document: object, definitions: Definitions) -> bool:
    """Whether most classes of a template are defined; breaking others shows little."""
    nodes = document.get("nodes", ()) if isinstance(document, dict) else ()
    known = [definitions.get(str(node.get("type"))) is not None for node in nodes]
    return bool(known) and sum(known) * 2 > len(known)


if __name__ == "__main__":
    sys.exit(main())
