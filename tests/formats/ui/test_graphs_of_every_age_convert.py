"""Files as editors of several years saved them become the prompts that the editor would send, and run here.

`graphs/` holds one file of each age: spring 2023 (booleans after seeds, sizes as objects, classes since renamed),
autumn 2024 (primitives, converted widgets, reroutes, Set and Get, muted and bypassed nodes), summer 2025 (subgraphs
within subgraphs, promoted widgets), winter 2026 (schema 1, links as objects, values by name).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from graphcore import Registry, read_workflow, validate
from graphcore.formats.reading import own_definitions
from graphcore.formats.ui import read_ui_graph, to_api_prompt, to_ui_graph

GRAPHS = Path(__file__).with_name("graphs")
AGES = ("spring-2023", "autumn-2024", "summer-2025", "winter-2026")
NOW = datetime(2024, 11, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The nodes of this project."""
    return Registry.installed(allow=["graphcore"])


def prompt_of(document: Any, registry: Registry) -> dict[str, Any]:
    """The prompt, without titles."""
    prompt: Any = to_api_prompt(read_ui_graph(document), own_definitions(registry), now=NOW)
    return {
        name: {"class_type": entry["class_type"], "inputs": entry["inputs"]} for name, entry in prompt.items()
    }


@pytest.mark.parametrize("age", AGES)
def test_the_prompt_is_the_editors(age: str, registry: Registry) -> None:
    expected = json.loads((GRAPHS / f"{age}.prompt.json").read_text(encoding="utf-8"))
    assert prompt_of(json.loads((GRAPHS / f"{age}.json").read_text(encoding="utf-8")), registry) == expected


@pytest.mark.parametrize("age", AGES)
def test_it_is_a_valid_workflow(age: str, registry: Registry) -> None:
    assert validate(read_workflow(GRAPHS / f"{age}.json", registry), registry) == []


@pytest.mark.parametrize("age", AGES)
def test_the_prompt_is_drawn_and_read_again(age: str, registry: Registry) -> None:
    prompt = json.loads((GRAPHS / f"{age}.prompt.json").read_text(encoding="utf-8"))
    drawn = json.loads(json.dumps(to_ui_graph(prompt, own_definitions(registry))))
    assert prompt_of(drawn, registry) == prompt
