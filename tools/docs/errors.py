"""The reference of error codes, read from the places in the source that raise them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CODE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_ROOMS: Final = {
    "graphcore": "Workflows, runs and the engine",
    "nodes": "Nodes",
    "server": "The server",
}
_INTRODUCTION: Final = """# Error codes

Every error has a code, one sentence that says what is wrong and what to do, and a location: a node, a JSON pointer
into the document, or a file. The sentences stand here as they are in the source; `…` stands for what differs.
"""


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """A place in the source that gives an error its code."""

    code: str
    sentence: str
    path: str


def error_page(root: Path) -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for room, title in _ROOMS.items():
        sentences: dict[str, dict[str, None]] = {}
        for mention in mentions(root, room):
            sentences.setdefault(mention.code, {}).setdefault(mention.sentence)
        parts.append(f"## {title}\n")
        parts.append("| Code | Says |\n|---|---|")
        for code in sorted(sentences):
            told = "<br>".join(_cell(sentence) for sentence in sentences[code] if sentence)
            parts.append(f"| `{code}` | {told} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def mentions(root: Path, room: str) -> list[Mention]:
    """Every error code in the source of a room, sorted."""
    found: set[Mention] = set()
    for path in sorted((root / room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for code, sentence in _found(tree):
            if _CODE.match(code):
                found.add(Mention(code, sentence, path.relative_to(root).as_posix()))
    return sorted(found)


def _found(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for item in ast.walk(tree):
        if isinstance(item, ast.ClassDef):
            yield from _of_class(item)
        elif isinstance(item, ast.Call):
            yield from coded(item)


def _of_class(item: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement in item.body:
        if isinstance(statement, ast.Assign) and _names(statement) == ["code"]:
            for code in _texts(statement.value):
                yield code, (ast.get_docstring(item) or "").partition("\n")[0]


def coded(item: ast.Call) -> Iterator[tuple[str, str]]:
    """The codes that a call gives an error, each with its sentence."""
    keywords = {keyword.arg: keyword.value for keyword in item.keywords}
    if "code" in keywords:
        message = keywords.get("message") or (item.args[0] if item.args else None)
        for code in _texts(keywords["code"]):
            yield code, sentence_of(message)
    elif _is_problem(item) and len(item.args) >= 2:
        for code in _texts(item.args[0]):
            yield code, sentence_of(item.args[1])


def _is_problem(item: ast.Call) -> bool:
    """True for `problems.add(code, sentence)`, whoever holds the list of problems."""
    function = item.func
    if not isinstance(function, ast.Attribute) or function.attr != "add":
        return False
    holder = function.value
    name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
    return name == "problems"


def _names(statement: ast.Assign) -> list[str]:
    return [target.id for target in statement.targets if isinstance(target, ast.Name)]


def _texts(value: ast.expr) -> Iterator[str]:
    """The texts that an expression may have: a constant, or either side of a condition."""
    if isinstance(value, ast.IfExp):
        yield from _texts(value.body)
        yield from _texts(value.orelse)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value


def sentence_of(value: ast.expr | None) -> str:
    """A text of the source, with … for what differs."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in value.values)
    return ""


def _cell(sentence: str) -> str:
    flat = " ".join(sentence.split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
