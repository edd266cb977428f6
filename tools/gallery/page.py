"""docs/gallery.md: every shipped workflow with its description, picture, command, inputs and files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from PIL import Image as PillowImage

from graphcore import Workflow
from tools.gallery.entries import AskedFile, Entry

HEAD: Final = """\
# Gallery

The workflows in [workflows/](../workflows), with what they make. The [page of a server](page.md) offers them as forms;
`graphcore run` runs them as they are, or with inputs set. Each picture is what its workflow makes with nothing set.
"""
OURS: Final = """\
## With the checkpoint that comes along

These run out of the box, with [the embedded model](embedded-model.md). Other checkpoints may take its place
(`--set checkpoint=...`); give them their own size where a workflow has `width` and `height`.
"""
YOURS: Final = """\
## With models of yours

These name published files, and look for them below `--models-dir`; others of the same kind do as well.
Pictures are looked for in `--input-dir`. Files that are not there are told before anything runs.
"""
ABOUT: Final[Mapping[str, str]] = {
    "comfyui-api-prompt": "A prompt in ComfyUI's API format, which runs as it is.",
}
"""Descriptions of files that hold none."""
SMALL: Final = 400
WIDEST: Final = 800
LONGEST: Final = 70


def gallery_page(root: Path, entries: Iterable[Entry]) -> str:
    """The text of the page; raises FileNotFoundError where a picture is not there."""
    parts, seen = [HEAD], False
    for entry in entries:
        if not parts[1:]:
            parts.append(OURS)
        if entry.missing and not seen:
            seen = True
            parts.append(YOURS)
        parts.append(_section(root, entry))
    return "\n".join(parts)


def _section(root: Path, entry: Entry) -> str:
    workflow = entry.workflow
    lines = [
        f"### {entry.title}",
        "",
        workflow.description or ABOUT[entry.name],
        "",
        _picture(root, entry),
        "",
        "```sh",
        _command(root, entry),
        "```",
        "",
    ]
    if workflow.inputs:
        lines += [f"Inputs: {_inputs(workflow)}.", ""]
    if entry.missing:
        lines += [f"Files: {_files(entry.missing)}.", ""]
    return "\n".join(lines)


def _picture(root: Path, entry: Entry) -> str:
    """The picture, small ones at twice their size."""
    path = entry.picture(root)
    place = path.relative_to(root / "docs").as_posix()
    if path.suffix == ".svg":
        path.stat()
        return f"![The graph of: {entry.title}]({place})"
    with PillowImage.open(path) as image:
        width = min(WIDEST, image.width * (2 if image.width <= SMALL else 1))
    return f'<img src="{place}" width="{width}" alt="{entry.title}">'


def _command(root: Path, entry: Entry) -> str:
    """How to run it, with the first input set as an example."""
    command = f"graphcore run {entry.path.relative_to(root).as_posix()}"
    if entry.missing:
        command += " --models-dir ~/models"
    for name, value in list(entry.workflow.input_values().items())[:1]:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if text and "\n" not in text and len(text) <= LONGEST:
            command += f" \\\n    --set {name}={shlex.quote(text)}"
    return command


def _inputs(workflow: Workflow) -> str:
    """The names of the inputs, with their titles where these say more."""
    texts = []
    for name, declared in workflow.inputs.items():
        title = declared.title
        plain = name.replace("_", " ")
        texts.append(f"`{name}`" if title.lower() == plain else f"`{name}` ({_lowered(title)})")
    return ", ".join(texts)


def _lowered(title: str) -> str:
    """A title within a sentence; abbreviations and names keep their capitals."""
    first = title.split(maxsplit=1)[0] if title else ""
    return title[:1].lower() + title[1:] if first[1:] == first[1:].lower() else title


def _files(files: Iterable[AskedFile]) -> str:
    return ", ".join(f"`{file.kind}/{file.name}`" for file in files)
