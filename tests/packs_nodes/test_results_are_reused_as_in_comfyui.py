"""Results are reused while nothing has changed, by the word of the node too; the node's object lives on."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphcore.cache.entry import NoCache
from graphcore.cache.lru import LruCache
from tests.packs_nodes.conftest import PACKS
from tests.packs_nodes.prompts import PackEngine, node, shown


def calls(packs: PackEngine, kind: str, *, value: object = 0, name: str = "n") -> str:
    (text,) = packs.run(**{name: node(kind, value=value), "show": shown([name, 0])}).texts()
    return text


def test_an_unchanged_node_is_not_run_again_and_shows_what_it_showed(packs: PackEngine) -> None:
    prompt = {"n": node("BasicsCalls", value=0), "show": shown(["n", 0])}
    assert packs.run(**prompt).texts() == ["1"]
    again = packs.run(**prompt)
    assert again.texts() == ["1"]
    assert again.started == []


def test_the_object_of_a_node_keeps_its_state_from_run_to_run(packs: PackEngine) -> None:
    assert [calls(packs, "BasicsCalls", value=value) for value in range(3)] == ["1", "2", "3"]
    assert calls(packs, "BasicsCalls", value=7, name="another") == "1"


def test_nan_means_changed_each_time_and_so_does_a_question_that_fails(packs: PackEngine) -> None:
    for kind in ("BasicsAlways", "BasicsChangeFails"):
        assert [calls(packs, kind) for _ in range(3)] == ["1", "2", "3"]


def test_what_a_node_says_of_its_state_is_part_of_its_key(
    packs: PackEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASICS_SETTING", "a")
    assert [calls(packs, "BasicsBySetting") for _ in range(2)] == ["1", "1"]
    monkeypatch.setenv("BASICS_SETTING", "b")
    assert calls(packs, "BasicsBySetting") == "2"


def test_linked_inputs_are_none_when_a_node_is_asked_whether_it_has_changed(packs: PackEngine) -> None:
    prompt = {
        "one": node("Basics Number", value=1),
        "n": node("BasicsBySetting", value=["one", 0]),
        "show": shown(["n", 0]),
    }
    assert packs.run(**prompt).texts() == ["1"]
    assert packs.run(**prompt).started == []


def test_nodes_that_know_their_id_or_are_not_idempotent_share_no_results(packs: PackEngine) -> None:
    for kind, shared in (("BasicsCalls", True), ("BasicsNotIdempotent", False), ("BasicsByHidden", False)):
        ran = packs.run(a=node(kind, value=5), b=node(kind, value=5), s=shown(["a", 0]), t=shown(["b", 0]))
        assert len({"a", "b"} & set(ran.started)) == (1 if shared else 2), kind


def test_other_caches_keep_less(tmp_path: Path) -> None:
    for cache, again in ((LruCache(100), "1"), (LruCache(1), "2"), (NoCache(), "2")):
        with PackEngine.of([PACKS / "basics"], tmp_path, cache) as packs:
            assert calls(packs, "BasicsCalls") == "1"
            assert calls(packs, "BasicsCalls", value=9) == "2"
            packs.engine.cache.get(b"", packs.engine.registry.get("BasicsCalls"))  # type: ignore[arg-type]
            assert calls(packs, "BasicsCalls") in (again, "3")


def test_no_result_that_a_pack_had_a_part_in_outlives_the_process(tmp_path: Path) -> None:
    prompt = {"n": node("BasicsSlow", value=1, seconds=0.01), "show": shown(["n", 0])}
    with PackEngine.of([PACKS / "basics"], tmp_path) as packs:
        packs.run(**prompt)
    with PackEngine.of([PACKS / "basics"], tmp_path) as packs:
        assert set(packs.run(**prompt).started) == {"n", "show"}
