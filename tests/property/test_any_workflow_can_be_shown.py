"""Whatever document comes, the page is told of it, as a sheet or in a sentence; what a sheet holds can be sent back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from graphcore import Registry, Settings
from graphcore.errors import DocumentError
from graphcore.files import Files
from graphcore.limits import Limits
from server.checking import Rules
from server.page.sheets import sheet_of
from tests.packs import trivial, widgets

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["EveryWidget", "MakePicture", "KeepPicture", "Sum", "Report", "Nobody", ""])
IDS = st.sampled_from(["a", "b", "c", "3", "no such", ""])
NAMES = "line words whole share way loud seed model picture level images a b value text positive negative"
INPUTS = st.sampled_from(NAMES.split())
LINKS = st.builds(lambda node, output: {"node": node, "output": output}, IDS, st.text(max_size=6))
INDEXED = st.builds(lambda node, output: [node, output], IDS, st.integers(-2, 3))
GIVEN = st.dictionaries(INPUTS, JSON | LINKS | st.builds(lambda node: {"node": node}, IDS), max_size=6)
ENTRIES = st.builds(lambda kind, inputs: {"type": kind, "inputs": inputs}, TYPES, GIVEN)
TARGETS = st.builds(lambda node, name: {"node": node, "input": name}, IDS, INPUTS) | JSON
NATIVE = st.builds(
    lambda nodes, inputs, title: {"graphcore": 1, "nodes": nodes, "inputs": inputs, "title": title},
    st.dictionaries(IDS, ENTRIES | JSON, max_size=5),
    st.dictionaries(st.sampled_from(["one", "two", "bad name"]), TARGETS, max_size=3),
    st.text(max_size=8) | JSON,
)
STEPS = st.builds(
    lambda kind, inputs: {"class_type": kind, "inputs": inputs},
    TYPES,
    st.dictionaries(INPUTS, JSON | INDEXED, max_size=6),
)
PROMPTS = st.dictionaries(IDS, STEPS, min_size=1, max_size=5)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """Rules with every kind of widget, and no file anywhere."""
    folder: Path = tmp_path_factory.mktemp("nothing")
    registry = Registry()
    registry.add_module(trivial)
    registry.add_module(widgets)
    settings = Settings(models_dirs=(folder,), input_dir=folder, output_dir=folder)
    return Rules(registry=registry, files=Files.from_settings(settings), limits=Limits())


@given(document=NATIVE | PROMPTS)
@tries(max_examples=300, deadline=None)
def test_it_is_shown_or_told(rules: Rules, document: dict[str, Any]) -> None:
    try:
        workflow = rules.read(json.dumps(document).encode())
    except DocumentError as error:
        event(error.code)
        return
    sheet = json.loads(sheet_of(workflow, rules).model_dump_json())

    assert sheet["size"] == len(sheet["nodes"]) == len(workflow.nodes)
    fields = [*sheet["fields"], *(field for group in sheet["more"] for field in group["fields"])]
    assert all(field["choices"] is None or field["choices"] in sheet["choices"] for field in fields)
    if sheet["document"] is not None:
        again = rules.read(sheet["document"].encode())
        assert json.loads(sheet_of(again, rules).model_dump_json())["problems"] == sheet["problems"]
