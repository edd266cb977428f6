"""The order of a graph: each node after its sources, branch by branch; cycles are found and named."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from graphcore.topology import DepthFirstOrder, cycles

GRAPHS = st.integers(1, 12).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=3), min_size=count, max_size=count)
)


def walked(sources: list[list[int]], roots: list[int]) -> DepthFirstOrder:
    walk = DepthFirstOrder(sources)
    walk.add(roots)
    return walk


@settings(deadline=None)
@given(GRAPHS)
def test_each_node_stands_once_and_after_its_sources_or_there_is_a_cycle(sources: list[list[int]]) -> None:
    walk = walked(sources, list(range(len(sources))))
    assert walk.cyclic == bool(cycles(sources))
    if not walk.cyclic:
        place = {node: rank for rank, node in enumerate(walk.order)}
        assert sorted(walk.order) == list(range(len(sources)))
        assert all(place[source] < place[node] for node, feeding in enumerate(sources) for source in feeding)


@settings(deadline=None)
@given(GRAPHS)
def test_a_cycle_is_a_walk_along_links(sources: list[list[int]]) -> None:
    for walk in cycles(sources):
        following = [*walk[1:], walk[0]]
        assert all(source in sources[node] for source, node in zip(walk, following, strict=True))


def test_what_the_roots_do_not_need_is_left_out() -> None:
    assert walked([[], [0], [], [2]], [1]).order == [0, 1]


def test_a_branch_is_finished_before_the_next_is_begun() -> None:
    assert walked([[], [0], [], [2], [1, 3]], [4]).order == [0, 1, 2, 3, 4]


def test_depth_is_no_matter() -> None:
    count = 200_000
    sources: list[list[int]] = [[]] + [[place - 1] for place in range(1, count)]
    assert walked(sources, [count - 1]).order == list(range(count))
