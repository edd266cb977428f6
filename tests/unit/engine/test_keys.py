"""Two nodes have the same key if and only if they mean the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcore import (
    Context,
    Each,
    Engine,
    FileChoice,
    Link,
    NodeEntry,
    Registry,
    RunResult,
    Settings,
    Workflow,
    node,
)
from graphcore.keys import encode
from tests.unit.engine.arithmetic import NODES
from tests.unit.engine.golden_keys import golden_keys, keys_of

GOLDEN = Path(__file__).parents[2] / "golden" / "keys.json"


@node("Anything")
def anything(value: object) -> int:
    """Take any plain value."""
    return 0


@node("ById", keyed_by_id=True)
def by_id(value: int = 0) -> int:
    """Each one for itself."""
    return value


REGISTRY = Registry([*NODES, anything, by_id])


def key_of(kind: str, **inputs: object) -> str:
    entry = {"type": kind, "inputs": inputs}
    return keys_of({"graphcore": 1, "nodes": {"n": entry}, "outputs": {"o": {"node": "n"}}}, REGISTRY)["n"]


def test_defaults_may_be_written_or_not() -> None:
    assert key_of("Add", a=1) == key_of("Add", a=1, b=0)
    assert key_of("Real") == key_of("Real", value=1.0) == key_of("Real", value=1)


def test_one_and_one_point_nought_are_the_same_float_and_different_things_elsewhere() -> None:
    assert key_of("Real", value=2) == key_of("Real", value=2.0)
    values: list[object] = [
        1,
        1.0,
        "1",
        True,
        None,
        [1],
        {"value": {"a": 1}},
        {"value": [["a", 1]]},
        "",
        [],
        0,
        False,
    ]
    assert len({key_of("Anything", value=value) for value in values}) == len(values)


def test_the_order_of_fields_means_nothing() -> None:
    assert key_of("Add", a=1, b=2) == key_of("Add", b=2, a=1)
    assert key_of("Anything", value={"value": {"x": 1, "y": 2}}) == key_of(
        "Anything", value={"value": {"y": 2, "x": 1}}
    )
    assert key_of("Anything", value=[1, 2]) != key_of("Anything", value=[2, 1])


def test_an_alias_is_the_type_itself() -> None:
    assert key_of("Plus", a=1) == key_of("Add", a=1)


def test_ids_titles_and_layout_mean_nothing() -> None:
    def chain(first: str, second: str, **more: object) -> dict[str, Any]:
        return {
            "graphcore": 1,
            "nodes": {
                second: {"type": "Add", "inputs": {"a": {"node": first}}, **more},
                first: {"type": "Number", "inputs": {"value": 3}},
            },
            "outputs": {"o": {"node": second}},
        }

    plain = keys_of(chain("a", "b"), REGISTRY)
    other = keys_of({**chain("zz", "yy", title="A title"), "ui": {"x": 1}, "title": "t"}, REGISTRY)
    assert (plain["a"], plain["b"]) == (other["zz"], other["yy"])


def test_a_node_can_be_keyed_by_its_id() -> None:
    keys = keys_of(
        {"graphcore": 1, "nodes": {n: {"type": "ById"} for n in "ab"}, "outputs": {"a": {"node": "a"}}},
        REGISTRY,
    )
    assert keys["a"] != keys["b"]


def test_which_output_feeds_a_node_means_something() -> None:
    def keys(output: str, target: str = "a") -> str:
        nodes = {
            "d": {"type": "Divide", "inputs": {"a": 7}},
            "n": {"type": "Add", "inputs": {"a": 1, target: {"node": "d", "output": output}}},
        }
        return keys_of({"graphcore": 1, "nodes": nodes, "outputs": {"o": {"node": "n"}}}, REGISTRY)["n"]

    assert len({keys("quotient"), keys("remainder"), keys("quotient", "b")}) == 3


def test_a_list_of_one_is_that_one() -> None:
    def keys(values: object) -> str:
        nodes = {"a": {"type": "Number"}, "n": {"type": "Sum", "inputs": {"values": values}}}
        return keys_of({"graphcore": 1, "nodes": nodes, "outputs": {"o": {"node": "n"}}}, REGISTRY)["n"]

    link = {"node": "a"}
    assert keys(link) == keys([link])
    assert keys(5) == keys([5])
    assert len({keys([link, 5]), keys([5, link]), keys([link, link]), keys([link]), keys([5]), keys([])}) == 6


def test_a_version_is_another_node() -> None:
    def made(version: int) -> Registry:
        @node("Versioned", version=version)
        def versioned(value: int = 0) -> int:
            return value

        return Registry([versioned])

    document = {"graphcore": 1, "nodes": {"n": {"type": "Versioned"}}, "outputs": {"o": {"node": "n"}}}
    assert keys_of(document, made(1)) != keys_of(document, made(2))


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def tagged(value: object) -> object:
    """A value with its types spelt out: equal if and only if type and value are, all the way down."""
    if isinstance(value, dict):
        return ("m", frozenset((name, tagged(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("l", tuple(tagged(item) for item in value))
    return (type(value).__name__, value)


@settings(max_examples=500, deadline=None)
@given(PLAIN, PLAIN)
def test_encodings_are_equal_if_and_only_if_type_and_value_are(one: object, other: object) -> None:
    assert (encode(one) == encode(other)) == (tagged(one) == tagged(other))


@settings(max_examples=300, deadline=None)
@given(st.lists(PLAIN, max_size=3), st.lists(PLAIN, max_size=3))
def test_encodings_put_in_a_row_cannot_be_taken_for_others(one: list[object], other: list[object]) -> None:
    joined = b"".join(map(encode, one)) == b"".join(map(encode, other))
    assert joined == (tagged(one) == tagged(other))


# ---------------------------------------------------------------- outside state


@node("ReadFile")
def read_file(ctx: Context, name: Annotated[str, FileChoice("input")]) -> str:
    """A file's text."""
    return ctx.files.resolve("input", name).read_text()


@node("Names")
def names() -> Each[str]:
    """Two names of files."""
    return Each(["a.txt", "b.txt"])


def state_of(name: str, files: Any) -> str:
    path = files.find("input", name)
    return path.read_text() if path else "none"


@node("Fingerprinted", fingerprint=state_of)
def fingerprinted(ctx: Context, name: str) -> str:
    """As ReadFile, by a fingerprint of its own."""
    return ctx.files.resolve("input", name).read_text()


@pytest.mark.parametrize("kind", ["ReadFile", "Fingerprinted"])
@pytest.mark.parametrize("linked", ["plain", "linked", "mapped"])
def test_a_changed_file_is_another_input(tmp_path: Path, kind: str, linked: str) -> None:
    registry = Registry([*NODES, read_file, names, fingerprinted])
    source = {"plain": "b.txt", "linked": Link("words"), "mapped": Link("names")}[linked]
    workflow = Workflow(
        nodes={
            "words": NodeEntry(type="Words", inputs={"text": "b.txt"}),
            "names": NodeEntry(type="Names"),
            "n": NodeEntry(type=kind, inputs={"name": source}),
        },
        outputs={"o": Link("n")},
    )
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("one")
    with Engine(registry, settings=Settings(input_dir=tmp_path)) as engine:

        def run() -> tuple[object, str]:
            result: RunResult = engine.run(workflow)
            value = result.outputs["o"]
            sources = {report.node: report.source for report in result.reports}
            return (value.items[-1] if isinstance(value, Each) else value), sources["n"]

        assert run() == ("one", "run")
        assert run() == ("one", "cache")
        (tmp_path / "b.txt").write_text("two, and longer")
        assert run() == ("two, and longer", "run")


def test_what_may_not_be_cached_is_run_each_time() -> None:
    count = []

    @node("Counts", cacheable=False, reason="it counts its calls")
    def counts() -> int:
        count.append(1)
        return len(count)

    workflow = Workflow(
        nodes={"c": NodeEntry(type="Counts"), "n": NodeEntry(type="Add", inputs={"a": Link("c")})},
        outputs={"o": Link("n")},
    )
    with Engine(Registry([*NODES, counts])) as engine:
        assert [engine.run(workflow)["o"], engine.run(workflow)["o"]] == [1, 2]


# ---------------------------------------------------------------- golden


def test_keys_are_what_they_always_were() -> None:
    assert golden_keys() == json.loads(GOLDEN.read_text())


PYTHONS = [Path(path) for path in (shutil.which("python3.12"), shutil.which("python3.13")) if path]


def _other_python() -> str | None:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in [*PYTHONS, *sorted(root.glob("3.1[2-9]*/bin/python"), reverse=True)]:
        found = subprocess.run(
            [candidate, "-c", "import sys; print(sys.version_info[:2] != (3, 11))"],
            capture_output=True,
            check=False,
        )
        if found.returncode == 0 and found.stdout.strip() == b"True":
            return str(candidate)
    return None


@pytest.mark.skipif(_other_python() is None, reason="no other Python is installed")
def test_another_python_has_the_same_keys() -> None:
    code = (
        "import json, sys; sys.path[:0] = sys.argv[1:2]\n"
        "from tests.unit.engine.golden_keys import golden_keys\n"
        "print(json.dumps(golden_keys()))"
    )
    root = str(Path(__file__).parents[3])
    python = _other_python()
    assert python is not None
    ran = subprocess.run([python, "-c", code, root], capture_output=True, text=True, check=False, cwd=root)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == json.loads(GOLDEN.read_text())


def test_another_process_with_another_hash_seed_has_the_same_keys() -> None:
    code = (
        "import json\nfrom tests.unit.engine.golden_keys import golden_keys\nprint(json.dumps(golden_keys()))"
    )
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": root}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env=environment
    )
    assert json.loads(ran.stdout) == golden_keys()
