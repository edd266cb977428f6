"""Progress is a reader of the event stream: bars for nodes and steps in a terminal, lines elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from PIL import Image
from rich.console import Console

from graphcore import Event, Preview, RunState
from graphcore.cli.bars import BarView
from graphcore.cli.preview import preview_text
from graphcore.cli.progress import LineView, StepPace, paced
from graphcore.events import NodeFinished, NodeProgress, NodesCached, NodeStarted, RunFinished, RunStarted
from tests.unit.cli.conftest import CommandLine


def png(width: int, height: int) -> bytes:
    """A red picture."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (255, 0, 0)).save(stream, format="PNG")
    return stream.getvalue()


def events(preview: Preview | None = None) -> Iterator[Event]:
    """A run of two nodes, one of them from the cache, the other with 4 steps in 2 seconds."""
    yield RunStarted(0, 100.0, "run", 2)
    yield NodesCached(1, 100.0, ("model",), ("model",))
    yield NodeStarted(2, 100.0, "sampler", "KSampler")
    for step in range(5):
        yield NodeProgress(3 + step, 100.0 + step / 2, "sampler", step, 4, preview)
    yield NodeFinished(8, 102.0, "sampler", 2.0, (), False)
    yield RunFinished(9, 102.0, RunState.SUCCEEDED, 2.0, None)


def test_bars_show_nodes_steps_and_pace() -> None:
    stream = io.StringIO()
    with BarView(console=Console(file=stream, force_terminal=True, width=100, color_system=None)) as view:
        for event in events():
            view.hear(event)
    last = stream.getvalue()
    assert "2/2" in last
    assert "sampler (KSampler)" in last
    assert "4/4" in last
    assert "2.0 it/s" in last


def test_bars_show_previews_on_request() -> None:
    stream = io.StringIO()
    preview = Preview(media_type="image/png", data=png(8, 8), width=8, height=8)
    with BarView(previews=True, console=Console(file=stream, force_terminal=True, width=100)) as view:
        for event in events(preview):
            view.hear(event)
    assert "▀" in stream.getvalue()


def test_lines_tell_a_nodes_steps_once_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    view = LineView()
    for event in events():
        view.hear(event)
    assert capsys.readouterr().err == "sampler (KSampler)  4/4 steps  2.0 it/s  2.0 s\n"


def test_pace_counts_from_the_first_report() -> None:
    pace = StepPace()
    assert pace.rate("sampler") is None
    for event in events():
        pace.hear(event)
    assert pace.rate("sampler") == 2.0
    assert (paced(12.34), paced(0.25)) == ("12.3 it/s", "4.0 s/it")


@pytest.mark.parametrize(("size", "shape"), [((64, 64), (16, 8)), ((64, 16), (16, 2)), ((1, 500), (1, 8))])
def test_a_preview_is_drawn_with_two_pixels_a_character(
    size: tuple[int, int], shape: tuple[int, int]
) -> None:
    lines = preview_text(png(*size), width=16).plain.splitlines()
    assert (len(lines[0]), len(lines)) == shape


def test_progress_never_reaches_standard_output(cli: CommandLine) -> None:
    file = cli.write("w.json", {"graphcore": 1, "nodes": {"count": {"type": "TaskCount"}}})
    outcome = cli.run("run", file)
    assert outcome.out == ""
    assert outcome.err.startswith("count (TaskCount)  3/3 steps")
    assert cli.run("run", file, "--quiet").err == ""
