"""Lists are walked, gathered and paired; loops run their body on what they gave; switches run one way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore import Each, Engine, ExecutionError, Graph, Limits
from nodes.values import Image, Latent
from tests.tiny_engine import all_nodes, tiny_engine


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with tiny_engine(tmp_path, tmp_path) as made:
        yield made


def graph() -> Graph:
    return Graph(all_nodes())


def value(engine: Engine, built: Graph, **inputs: Any) -> Any:
    return engine.run(built.workflow(), **inputs)["value"]


def test_a_range_runs_what_follows_once_for_each(engine: Engine) -> None:
    g = graph()
    squares = g.MathExpression(expression="a * a", a=g.IntRange(start=1, stop=5))
    g.output("value", squares.whole)
    assert value(engine, g) == Each([1, 4, 9, 16])


def test_numbers_between_two_ends(engine: Engine) -> None:
    g = graph()
    g.output("value", g.FloatRange(first=1.0, last=2.0, count=5))
    assert value(engine, g) == Each([1.0, 1.25, 1.5, 1.75, 2.0])


def test_lists_are_gathered_again(engine: Engine) -> None:
    g = graph()
    words = g.TextFormat(template="cat {a}", a=g.IntRange(start=1, stop=4))
    g.output("value", g.TextJoin(texts=words, separator=" & "))
    assert value(engine, g) == "cat 1 & cat 2 & cat 3"


def test_a_list_of_links_and_values(engine: Engine) -> None:
    g = graph()
    g.output("value", g.TextJoin(texts=[g.Text(value="a"), "b", g.Text(value="c")], separator=""))
    assert value(engine, g) == "abc"


def test_every_pair(engine: Engine) -> None:
    g = graph()
    pairs = g.EveryPair(first=g.ListOf(items=["x", "y"]), second=g.ListOf(items=[1, 2, 3]))
    g.output("value", g.TextJoin(texts=g.TextFormat(template="{a}{b}", a=pairs.first, b=pairs.second)))
    assert value(engine, g) == "x1, x2, x3, y1, y2, y3"


def test_picking_and_counting(engine: Engine) -> None:
    g = graph()
    items = g.ListOf(items=["a", "b", "c"])
    g.output(
        "value", g.TextFormat(template="{a}{b}", a=g.Pick(items=items, index=-1), b=g.Count(items=items))
    )
    assert value(engine, g) == "c3"
    g = graph()
    g.output("value", g.Pick(items=["a"], index=3))
    with pytest.raises(ExecutionError, match="not among them"):
        value(engine, g)


def test_batches_are_split_and_joined(engine: Engine) -> None:
    g = graph()
    images = g.ListOf(items=[g.EmptyImage(width=8, height=8, color=color) for color in (0xFF0000, 0x0000FF)])
    batch = g.JoinImages(images=images)
    turned = g.JoinImages(images=g.ImageInvert(image=g.SplitImages(image=batch)))
    g.output("value", turned)
    image = value(engine, g)
    assert isinstance(image, Image)
    assert image.pixels[:, 0, 0].tolist() == [[0, 1, 1], [1, 1, 0]]


def test_split_latents_keep_their_numbers(engine: Engine) -> None:
    g = graph()
    latents = g.SplitLatents(latent=g.EmptyLatentImage(width=64, height=64, batch_size=3))
    g.output("value", latents)
    assert [latent.batch_index for latent in value(engine, g)] == [(0,), (1,), (2,)]
    g.output("value", g.JoinLatents(latents=latents))
    joined = value(engine, g)
    assert isinstance(joined, Latent)
    assert joined.batch_index == (0, 1, 2)


@pytest.mark.parametrize(
    ("type_name", "inputs"),
    [("IntRange", {"stop": 10**6}), ("IntRange", {"step": 0})],
)
def test_ranges_have_bounds(engine: Engine, type_name: str, inputs: dict[str, int]) -> None:
    g = graph()
    g.output("value", g.add(type_name, **inputs))
    with pytest.raises(ExecutionError):
        value(engine, g)


BODY = {
    "graphcore": 1,
    "nodes": {
        "grow": {"type": "MathExpression", "inputs": {"expression": "a * 2 + b", "a": 0, "b": 0}},
    },
    "inputs": {"value": {"node": "grow", "input": "a"}, "index": {"node": "grow", "input": "b"}},
    "outputs": {"value": {"node": "grow", "output": "whole"}},
}


@pytest.mark.parametrize(("count", "wanted"), [(0, 1), (1, 2), (3, 12), (10, 2037)])
def test_a_loop_goes_on_with_what_it_gave(engine: Engine, count: int, wanted: int) -> None:
    g = graph()
    g.output("value", g.Repeat(body=json.dumps(BODY), value=g.Int(value=1), count=count))
    assert value(engine, g) == wanted


def test_a_loop_on_pictures(engine: Engine) -> None:
    body = {
        "graphcore": 1,
        "nodes": {"blur": {"type": "ImageBlur", "inputs": {"blur_radius": 1, "sigma": 1.0}}},
        "inputs": {"value": {"node": "blur", "input": "image"}},
        "outputs": {"value": {"node": "blur"}},
    }
    g = graph()
    start = g.ImageCompositeMasked(
        destination=g.EmptyImage(width=16, height=16),
        source=g.EmptyImage(width=4, height=4, color=0xFFFFFF),
        x=6,
        y=6,
    )
    g.output("value", g.Repeat(body=json.dumps(body), value=start, count=4))
    g.output("once", g.ImageBlur(image=start, blur_radius=1, sigma=1.0))
    result = engine.run(g.workflow())
    often, once = result["value"], result["once"]
    assert isinstance(often, Image)
    assert isinstance(once, Image)
    assert often.pixels.max() < once.pixels.max()
    torch.testing.assert_close(often.pixels.sum(), once.pixels.sum(), rtol=0.01, atol=0)


def test_loops_are_cached_step_by_step(engine: Engine) -> None:
    def steps(count: int) -> int:
        g = graph()
        g.output("value", g.Repeat(body=json.dumps(BODY), value=g.Int(value=1), count=count))
        reports = engine.run(g.workflow()).reports
        return sum(1 for report in reports if report.type == "MathExpression" and report.source == "run")

    assert steps(3) == 3
    assert steps(5) == 2


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "no workflow"),
        ("[1]", "no workflow"),
        ('{"graphcore": 1, "nodes": {}}', "must declare"),
        (json.dumps({**BODY, "outputs": {}}), "must declare"),
        (json.dumps({**BODY, "inputs": {"value": {"node": "gone", "input": "a"}}}), "no node 'gone'"),
        (json.dumps(BODY).replace('"a * 2 + b"', "7"), "not valid"),
        (json.dumps(BODY).replace("MathExpression", "Nothing"), "not valid"),
        (json.dumps(BODY).replace('"whole"', '"nothing"'), "no output|does not have"),
    ],
)
def test_a_body_that_is_none_is_told(engine: Engine, body: str, sentence: str) -> None:
    g = graph()
    g.output("value", g.Repeat(body=body, value=g.Int(value=1), count=2))
    with pytest.raises(ExecutionError, match=sentence):
        value(engine, g)


def test_loops_have_a_budget(tmp_path: Path) -> None:
    g = graph()
    g.output("value", g.Repeat(body=json.dumps(BODY), value=g.Int(value=0), count=500))
    with tiny_engine(tmp_path, tmp_path) as engine:
        engine.limits = Limits(expanded_nodes=100)
        with pytest.raises(ExecutionError, match="budget"):
            value(engine, g)


def test_a_switch_needs_only_what_it_takes(engine: Engine) -> None:
    g = graph()
    broken = g.MathExpression(expression="1 / 0", node_id="broken")
    whole = g.Int(value=7)
    g.output("value", g.Switch(switch=False, on_false=whole, on_true=broken.whole, node_id="switch"))
    assert value(engine, g) == 7
    with pytest.raises(ExecutionError, match="divides by zero"):
        value(engine, g, **{"switch.switch": True})
