"""The fenced blocks of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, the line that the text starts on, the heading that it is under."""

    language: str
    text: str
    line: int
    heading: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block, the exit code that it is said to have, and what it is said to print."""

    line: str
    code: int
    output: str


def fenced_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for found in _BLOCK.finditer(text):
        headings = _HEADING.findall(text, 0, found.start())
        line = text.count("\n", 0, found.start()) + 2
        blocks.append(Block(found[1], found[2], line, headings[-1] if headings else ""))
    return blocks


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block: `$ command`, `# exits with N` where it fails, and the lines that follow."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        line, _, comment = line.partition("   # ")
        found = re.match(r"exits with (\d+)", comment)
        yield Command(line.strip(), int(found[1]) if found else 0, output)


def prints(expected: str, printed: str) -> bool:
    """True if the printed text is the expected one, in which '…' stands for anything."""
    pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("…"))
    return re.fullmatch(pattern, printed.rstrip(), re.DOTALL) is not None
