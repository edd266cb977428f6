"""What the node reference says of one node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from graphcore.spec import MISSING, InputSpec, NodeSpec, OutputSpec
from tools.docs.node_errors import Refusal

MAX_CHOICES: Final = 12
MAX_SENTENCES: Final = 6
MAX_USES: Final = 8
LISTED: Final = "a list: what takes one of them runs once for each"
PICTURES: Final = "../pictures/nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A shipped workflow that holds a node: its title, and where it is, seen from the page."""

    title: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A picture of what a node does, in the folder of drawings, and the values that it was made with."""

    file: str
    values: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """All that the page of a category tells of a node beside what its type declares."""

    comfy_names: tuple[str, ...]
    refusals: Sequence[Refusal]
    uses: Sequence[Use]
    example: Example | None = None


def entry(spec: NodeSpec, about: About) -> str:
    """The section of a node."""
    parts = [
        f"### `{spec.name}`",
        _names(spec, about.comfy_names),
        f"![{spec.name} as it is drawn in an editor]({PICTURES}/{spec.name}.svg)",
        spec.description,
        _inputs(spec),
        _outputs(spec.outputs),
        _example(spec, about.example),
        _refusals(about.refusals),
        _uses(about.uses),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _names(spec: NodeSpec, comfy_names: Sequence[str]) -> str:
    if not comfy_names:
        comfy = "not among ComfyUI's own"
    elif comfy_names == (spec.name,):
        comfy = "the same name in ComfyUI"
    else:
        comfy = f"in ComfyUI {' and '.join(f'`{name}`' for name in comfy_names)}"
    further = [f"`{alias}`" for alias in spec.aliases if alias not in comfy_names]
    marks = [
        *([f"also {', '.join(further)}"] if further else []),
        *(["writes or shows something: a workflow may end with it"] if spec.output else []),
        *(["deprecated"] if spec.deprecated else []),
        *(["experimental"] if spec.experimental else []),
    ]
    return " · ".join([f"**{spec.title or spec.name}**", comfy, *marks])


def _inputs(spec: NodeSpec) -> str:
    if not spec.inputs and spec.open_inputs is None:
        return "It takes no inputs."
    lines = ["| input | type | default | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{declared.name}` | {cell(declared.comfy_type)} | {cell(_default(declared))} | "
        f"{cell('; '.join(_about(declared)))} |"
        for declared in spec.inputs
    ]
    if spec.open_inputs is not None:
        lines.append("| any other name | | optional | as the text above says |")
    return "\n".join(lines)


def _default(declared: InputSpec) -> str:
    if declared.required:
        return "required"
    if declared.default is MISSING or declared.default is None:
        return "optional"
    return f"`{json.dumps(declared.default, ensure_ascii=False)}`"


def _about(declared: InputSpec) -> Iterator[str]:
    if declared.choices is not None:
        shown = [f"`{choice}`" for choice in declared.choices[:MAX_CHOICES]]
        more = len(declared.choices) - len(shown)
        yield ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    if declared.file is not None:
        yield f"a file of `{declared.file.kind}`"
    yield from _bounds(declared)
    if declared.gather:
        yield "one link or value, or a list of them"
    if declared.lazy:
        yield "computed only if it is needed"
    if declared.raw_link:
        yield "a link, which is not computed"
    if declared.secret:
        yield "a secret: never stored or shown"
    if declared.shown.force_input and declared.type.name in ("INT", "FLOAT", "STRING", "BOOLEAN"):
        yield "by a link"
    if declared.shown.tooltip:
        yield declared.shown.tooltip


def _bounds(declared: InputSpec) -> Iterator[str]:
    if declared.range is not None:
        low, high = declared.range.minimum, declared.range.maximum
        if low is not None and high is not None:
            yield f"{low} to {high}"
        elif low is not None:
            yield f"at least {low}"
        elif high is not None:
            yield f"at most {high}"


def _outputs(outputs: Sequence[OutputSpec]) -> str:
    if not outputs:
        return "It has no outputs."
    told = (
        f"`{output.name}` ({', '.join([output.type.name, *([LISTED] if output.each else [])])})"
        + (f": {output.tooltip}" if output.tooltip else "")
        for output in outputs
    )
    return f"Outputs: {', '.join(told)}."


def _example(spec: NodeSpec, example: Example | None) -> str:
    if example is None:
        return ""
    values = ", ".join(f"`{name}` {_value(name, value)}" for name, value in example.values)
    picture = f"![An example of {spec.name}]({PICTURES}/{example.file})"
    return f"{picture}\n\n_{values}_" if values else picture


def _value(name: str, value: object) -> str:
    if name == "color" and isinstance(value, int):
        return f"0x{value:06X}"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _refusals(refusals: Sequence[Refusal]) -> str:
    """The sentences nearest to the node; of the rest, the codes."""
    if not refusals:
        return ""
    near, far = refusals[:MAX_SENTENCES], refusals[MAX_SENTENCES:]
    lines = [f"- `{refusal.code}`: {sentence(refusal.sentence)}" for refusal in near]
    told = {refusal.code for refusal in near}
    codes = sorted({refusal.code for refusal in far} - told)
    if codes:
        lines.append(f"- {', '.join(f'`{code}`' for code in codes)}: see [the error codes](../errors.md)")
    return "\n".join(["It refuses:", "", *lines])


def _uses(uses: Sequence[Use]) -> str:
    if not uses:
        return ""
    links = ", ".join(f"[{use.title}]({use.link})" for use in uses[:MAX_USES])
    more = len(uses) - MAX_USES
    return f"Used in {links}" + (f" and {more} more workflows." if more > 0 else ".")


def sentence(text: str) -> str:
    """A sentence of the source as Markdown shows it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def cell(text: str) -> str:
    """A text for a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
