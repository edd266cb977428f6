"""The threat model has every case, and names tests for each that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASES = {"A": 12, "B": 6, "C": 9, "D": 9, "E": 1, "F": 13, "G": 7}
EVERY = [f"{letter}{number}" for letter, most in CASES.items() for number in range(1, most + 1)]
_FILE = re.compile(r"`(tests/[\w/]+\.py)`")


def sections() -> list[str]:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    return [part for part in text.split("\n## ") if "\n| case |" in part]


def named_cases(text: str) -> set[str]:
    """The cases that a text names: `A1`, `D1 to D4`."""
    found = set(re.findall(r"\b[A-G]\d{1,2}\b", text))
    for letter, first, last in re.findall(r"\b([A-G])(\d+) to \1(\d+)\b", text):
        found |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
    return found


def told_by(path: Path) -> set[str]:
    """The cases that a test file says it is about: in the names of its tests and in what stands at its top."""
    text = path.read_text(encoding="utf-8")
    in_names = {case.upper() for name in re.findall(r"def test_(\w+)", text) for case in name.split("_")}
    return in_names | named_cases(text.partition("from __future__")[0])


def test_every_case_has_a_row_with_an_answer() -> None:
    rows = [row.split("|") for part in sections() for row in part.splitlines() if row.startswith("|")]
    answered = {case for row in rows if len(row) > 3 and row[3].strip() for case in named_cases(row[1])}

    assert [case for case in EVERY if case not in answered] == []


def test_every_file_that_is_named_is_there() -> None:
    named = [path for part in sections() for path in _FILE.findall(part)]

    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_security_test_is_named() -> None:
    named = {path for part in sections() for path in _FILE.findall(part)}
    there = {f"tests/security/{path.name}" for path in (ROOT / "tests" / "security").glob("test_*.py")}

    assert there - named == set()


def test_every_case_is_told_of_by_a_test_that_its_section_names() -> None:
    missing = set(EVERY)
    for part in sections():
        files = [ROOT / path for path in _FILE.findall(part)]
        cases = {
            case
            for row in part.splitlines()
            if row.startswith("|")
            for case in named_cases(row.split("|")[1])
        }
        missing -= cases & set().union(*(told_by(path) for path in files))

    assert sorted(missing) == []
