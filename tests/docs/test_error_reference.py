"""The reference of error codes is complete."""

from __future__ import annotations

import inspect
from pathlib import Path

import graphcore.errors
from graphcore import GraphcoreError
from tools.docs.errors import mentions

ROOT = Path(__file__).parents[2]


def test_every_kind_of_error_is_in_it() -> None:
    codes = {mention.code for mention in mentions(ROOT, "graphcore")}
    kinds = [
        kind
        for _, kind in inspect.getmembers(graphcore.errors, inspect.isclass)
        if issubclass(kind, GraphcoreError)
    ]
    assert len(kinds) > 8
    for kind in kinds:
        assert kind.code in codes


def test_problems_and_failures_are_found_in_the_source() -> None:
    codes = {mention.code for mention in mentions(ROOT, "graphcore")}
    assert {
        "unknown-node-type",
        "cycle",
        "not-json",
        "expansion-budget",
        "value-too-small",
        "file-not-found",
    } <= codes


def test_every_sentence_ends_as_one() -> None:
    for mention in mentions(ROOT, "graphcore"):
        if mention.path.startswith("graphcore/formats/ui") or not mention.sentence:
            continue
        assert mention.sentence[-1] in ".…)", f"{mention.path}: {mention.sentence}"
