"""Checks the ends of a workflow: its declared inputs and outputs, and what it is to be run for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphcore.checked import CheckedNode, OutputPlace
from graphcore.links import LinkChecker
from graphcore.pointers import pointer
from graphcore.validation_pass import ValidationPass


def check_declared_inputs(scope: ValidationPass) -> None:
    """Report declared inputs that set what does not exist."""
    for name, declared in scope.workflow.inputs.items():
        for target in declared.targets:
            entry = scope.workflow.nodes.get(target.node)
            spec = scope.registry.get(entry.type) if entry is not None else None
            if entry is None or (spec is not None and spec.input(target.input) is None):
                what = f"'{target.node}.{target.input}'" if entry is not None else f"the node '{target.node}'"
                scope.problems.add(
                    "bad-workflow-input",
                    f"The declared input '{name}' points at {what}, which does not exist.",
                    pointer=pointer("inputs", name),
                    got=f"{target.node}.{target.input}",
                )


def declared_outputs(scope: ValidationPass, links: LinkChecker) -> dict[str, OutputPlace]:
    """The declared outputs, by the index of their node in the document."""
    found: dict[str, OutputPlace] = {}
    for name, link in scope.workflow.outputs.items():
        output = links.find_output(link, pointer("outputs", name), None, None)
        if output is not None:
            found[name] = OutputPlace(links.position[link.node], output)
    return found


def roots(
    scope: ValidationPass,
    links: LinkChecker,
    targets: Collection[str] | None,
    nodes: Sequence[CheckedNode],
) -> list[int]:
    """The nodes to run for: those that are named, by id or as declared outputs; else all that lead out."""
    if targets is None:
        wanted = _all_ends(scope, links, nodes)
    else:
        wanted = _named(scope, links, [targets] if isinstance(targets, str) else [*map(str, targets)])
    return list(dict.fromkeys(wanted))


def _all_ends(scope: ValidationPass, links: LinkChecker, nodes: Sequence[CheckedNode]) -> list[int]:
    outputs, position = scope.workflow.outputs, links.position
    wanted = [index for index, node in enumerate(nodes) if node.spec.output]
    wanted += [position[link.node] for link in outputs.values() if link.node in position]
    if not wanted and scope.outer is None and not scope.problems.items:
        scope.problems.add(
            "no-outputs",
            "The workflow has no output node and declares no outputs; add one (SaveImage, say).",
            pointer=scope.at(),
        )
    return wanted


def _named(scope: ValidationPass, links: LinkChecker, targets: Sequence[str]) -> list[int]:
    outputs, nodes = scope.workflow.outputs, scope.workflow.nodes
    wanted = []
    for name in targets:
        node_id = outputs[name].node if name in outputs else name
        if node_id in links.position:
            wanted.append(links.position[node_id])
        elif node_id not in nodes:
            near = scope.hints.nearest(name, [*outputs, *nodes])
            hint = f"; did you mean '{near}'?" if near else "; name one that the workflow has."
            scope.problems.add(
                "unknown-target",
                f"There is no node or declared output '{name[:80]}' to run for{hint}",
                got=name[:80],
                nearest=near,
            )
    if not wanted and not scope.problems.items:
        scope.problems.add("no-outputs", "No targets were named; name at least one node or output.")
    return wanted
