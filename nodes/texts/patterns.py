"""Nodes that search texts for regular expressions.

A search that takes too long is ended, since patterns may be made to take for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar

from graphcore import InputError, OutputName, Range, Text, node
from nodes.texts.length import MAX_CHARACTERS, limited, too_long

CATEGORY = "text"
MAX_PATTERN = 10_000
TIMEOUT_S = 2.0
Long = Annotated[str, Text()]
FoundT = TypeVar("FoundT")


@node("RegexMatch", category=CATEGORY, title="Regex Match")
def regex_match(
    string: Long,
    regex_pattern: Long,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
) -> Annotated[bool, OutputName("matches")]:
    """Whether a regular expression matches somewhere in a text."""
    pattern = _compiled(regex_pattern, case_insensitive, multiline, dotall)
    return _in_time(lambda: pattern.search(string, timeout=TIMEOUT_S)) is not None


@node("RegexExtract", category=CATEGORY, title="Regex Extract")
def regex_extract(
    string: Long,
    regex_pattern: Long,
    mode: Literal["First Match", "All Matches", "First Group", "All Groups"],
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    group_index: Annotated[int, Range(0, 100)] = 1,
) -> str:
    """What a regular expression matches in a text, or one of its groups; all of them stand on lines of their own.

    The text is empty where nothing matches, or where there is no such group.
    """
    pattern = _compiled(regex_pattern, case_insensitive, multiline, dotall)
    group = 0 if mode.endswith(("Match", "Matches")) else group_index
    if group > pattern.groups:
        return ""
    if mode.startswith("First"):
        match = _in_time(lambda: pattern.search(string, timeout=TIMEOUT_S))
        return (match[group] or "") if match is not None else ""
    found = _in_time(lambda: list(pattern.finditer(string, timeout=TIMEOUT_S)))
    return limited("\n".join(match[group] for match in found if match[group]))


@node("RegexReplace", category=CATEGORY, title="Regex Replace")
def regex_replace(
    string: Long,
    regex_pattern: Long,
    replace: Long,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    count: Annotated[int, Range(0, 100)] = 0,
) -> str:
    """Replace what a regular expression matches, all of it or `count` times; \\1 stands for its first group."""
    import regex

    pattern = _compiled(regex_pattern, case_insensitive, multiline, dotall)
    found = _in_time(lambda: list(islice(pattern.finditer(string, timeout=TIMEOUT_S), count or None)))
    parts: list[str] = []
    end = written = 0
    try:
        for match in found:
            longest = max(map(len, (match[0], *(group or "" for group in match.groups()))))
            written += len(replace) + replace.count("\\") * longest
            if written > 10 * MAX_CHARACTERS:
                raise too_long()
            parts += [string[end : match.start()], match.expand(replace)]
            end = match.end()
    except (regex.error, IndexError) as error:
        raise InputError(f"The replacement is not valid: {error}.", code="bad-pattern") from error
    return limited("".join([*parts, string[end:]]))


def _compiled(text: str, case_insensitive: bool, multiline: bool, dotall: bool) -> Any:
    import regex

    if len(text) > MAX_PATTERN:
        raise InputError(
            f"The pattern has more than {MAX_PATTERN} characters; make it shorter.", code="bad-pattern"
        )
    flags = (
        (regex.IGNORECASE if case_insensitive else 0)
        | (regex.MULTILINE if multiline else 0)
        | (regex.DOTALL if dotall else 0)
    )
    try:
        return regex.compile(text, flags | regex.VERSION0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise InputError(f"The pattern is no regular expression: {error}.", code="bad-pattern") from error


def _in_time(search: Callable[[], FoundT]) -> FoundT:
    try:
        return search()
    except TimeoutError as error:
        raise InputError(
            f"The pattern takes longer than {TIMEOUT_S:g} seconds on this text; make it simpler.",
            code="pattern-too-slow",
        ) from error
