"""A saved picture is a workflow: run again, it gives the same bytes, whichever format it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from graphcore import Engine, Graph, RunResult, read_workflow
from graphcore.formats.comfy_api import read_prompt, write_prompt
from nodes.values import Latent
from tests.models import TinyModels
from tests.tiny_engine import all_nodes, text_to_image, tiny_engine


def saved(engine: Engine, result: RunResult) -> Path:
    item = result.shown["save"][0]
    return engine.files.output_dir / str(item["subfolder"]) / str(item["filename"])


def pixels(path: Path) -> bytes:
    with Pillow.open(path) as opened:
        return opened.tobytes()


@pytest.mark.parametrize("source", ["native", "comfyui"])
def test_same_pixels(source: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    workflow = text_to_image(tiny_models.sd1().name, sampler_name="dpmpp_sde", scheduler="karras").workflow()
    if source == "comfyui":
        workflow = read_prompt(write_prompt(workflow, all_nodes()))
    with tiny_engine(tmp_path / "first", tiny_models.folder) as engine:
        first = saved(engine, engine.run(workflow))
    again = read_workflow(first, all_nodes())
    assert set(again.nodes) == set(workflow.nodes)
    with tiny_engine(tmp_path / "second", tiny_models.folder) as engine:
        second = saved(engine, engine.run(first))
    assert pixels(first) == pixels(second)


def test_the_same_run_saves_nothing_twice(tmp_path: Path, tiny_models: TinyModels) -> None:
    workflow = text_to_image(tiny_models.sd1().name).workflow()
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        first, second = saved(engine, engine.run(workflow)), saved(engine, engine.run(workflow))
        assert first == second
        first.unlink()
        assert saved(engine, engine.run(workflow)).exists()


def test_another_seed_is_another_picture(tmp_path: Path, tiny_models: TinyModels) -> None:
    workflow = text_to_image(tiny_models.sd1().name).workflow()
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        first = saved(engine, engine.run(workflow))
        other = saved(engine, engine.run(workflow, **{"sampler.seed": 4}))
    assert other.name == "ComfyUI_00002_.png"
    assert pixels(first) != pixels(other)


def test_one_of_a_batch_is_the_same_alone(tmp_path: Path, tiny_models: TinyModels) -> None:
    def sampled(engine: Engine, index: int | None) -> Tensor:
        graph = Graph(all_nodes())
        latent: Any = graph.EmptyLatentImage(width=64, height=64, batch_size=3)
        if index is not None:
            latent = graph.LatentFromBatch(samples=latent, batch_index=index, length=1)
        loaded = graph.LoadCheckpoint(ckpt_name=tiny_models.sd1().name)
        text = graph.CLIPEncode(text="a cat", clip=loaded.clip)
        common: dict[str, Any] = {"sampler_name": "euler", "scheduler": "normal", "steps": 3, "cfg": 4.0}
        graph.output(
            "latent",
            graph.KSampler(model=loaded.model, positive=text, negative=text, latent_image=latent, **common),
        )
        result = engine.run(graph.workflow())["latent"]
        assert isinstance(result, Latent)
        return result.samples

    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        whole = sampled(engine, None)
        for index in range(3):
            torch.testing.assert_close(sampled(engine, index), whole[index : index + 1], atol=1e-4, rtol=1e-4)
