"""While a training runs, each step is told, and the loss curve so far is shown to who wants previews."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from graphcore import RunOptions
from tests.integration.training.sketches import training_graph, write_pictures
from tests.models import TinyModels
from tests.tiny_engine import tiny_engine


def progress(tmp_path: Path, models: TinyModels, *, previews: bool) -> list[Any]:
    seen: list[Any] = []

    def watch(event: Any) -> None:
        if event.kind == "node-progress" and event.node == "train":
            seen.append(event)

    with tiny_engine(tmp_path, models.folder) as engine:
        write_pictures(engine.files.input_dir / "learn")
        engine.run(
            training_graph(models.sd1().name).workflow(),
            listener=watch,
            options=RunOptions(previews=previews),
        )
    return seen


def test_each_step_is_told(tmp_path: Path, tiny_models: TinyModels) -> None:
    seen = progress(tmp_path, tiny_models, previews=False)
    assert [(event.done, event.total) for event in seen] == [(step, 4) for step in (1, 2, 3, 4)]
    assert all(event.preview is None for event in seen)


def test_the_curve_is_shown(tmp_path: Path, tiny_models: TinyModels) -> None:
    seen = progress(tmp_path, tiny_models, previews=True)
    previews = [event.preview for event in seen if event.preview is not None]
    assert previews
    with Pillow.open(io.BytesIO(previews[-1].data)) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (previews[-1].width, previews[-1].height) == (640, 400)
