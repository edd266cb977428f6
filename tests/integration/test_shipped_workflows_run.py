"""Every workflow that comes along is valid, and runs with its declared inputs set."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore import Engine, Link, read_workflow
from nodes.values import Image, Mask
from tests.models import TinyModels
from tests.shipped_models import put_embedded, put_picture, put_published
from tests.tiny_engine import all_nodes, tiny_engine

FOLDER = Path(__file__).resolve().parents[2] / "workflows"
WORKFLOWS = sorted(path for path in FOLDER.glob("*.json") if path.name != "workflow.schema.json")
SMALL = {"steps": 2, "second_steps": 2, "count": 2, "megapixels": 0.01}
SIDES = {"width": 64, "height": 64}
EMBEDDED = "scenes-v1.safetensors"
OF_YOURS = [path for path in WORKFLOWS if EMBEDDED not in path.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, tiny_models: TinyModels) -> Any:
    folder = tmp_path_factory.mktemp("shipped")
    put_embedded(folder / "models", tiny_models)
    put_published(folder / "models", tiny_models)
    put_picture(folder / "input")
    with tiny_engine(folder, folder / "models") as made:
        yield made


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_runs(path: Path, engine: Engine) -> None:
    workflow = read_workflow(path, engine.registry)
    assert engine.validate(workflow) == []
    small = {**SMALL, **SIDES} if path in OF_YOURS else SMALL
    few = {name: value for name, value in small.items() if name in workflow.inputs}
    result = engine.run(path, **(few or {"3.steps": 2}))
    assert result.succeeded
    pictures = [item for shown in result.shown.values() for item in shown if item["kind"] == "images"]
    assert pictures
    assert all((engine.files.output_dir / str(item["filename"])).stat().st_size > 0 for item in pictures)


@pytest.mark.parametrize(
    "path",
    [path for path in WORKFLOWS if "graphcore" in json.loads(path.read_text())],
    ids=lambda path: path.stem,
)
def test_it_is_made_for_people(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["$schema"] == "./workflow.schema.json"
    assert document["title"]
    assert document["description"]
    assert {"checkpoint", "steps", "seed"} <= set(document["inputs"])
    assert all(declared.get("title") for declared in document["inputs"].values())
    assert document["outputs"]


@pytest.mark.parametrize("path", OF_YOURS, ids=lambda path: path.stem)
def test_files_that_are_not_there_are_named(path: Path, tmp_path: Path) -> None:
    with tiny_engine(tmp_path, tmp_path / "models") as bare:
        workflow = read_workflow(path, bare.registry)
        problems = bare.validate(workflow)
    assert {problem.code for problem in problems} == {"file-not-found"}
    asked = {
        str(value)
        for entry in workflow.nodes.values()
        for value in entry.inputs.values()
        if str(value).endswith((".safetensors", ".png"))
    }
    assert all(any(name in problem.message for problem in problems) for name in asked)


def test_inpainting_keeps_the_rest(engine: Engine) -> None:
    result = engine.run(FOLDER / "inpaint.json", steps=2, x=64, y=8)
    before, after = result["before"], result["image"]
    assert isinstance(before, Image)
    assert isinstance(after, Image)
    changed = (before.pixels != after.pixels).any(dim=-1)[0]
    assert changed[8:64, 64:120].float().mean() > 0.9
    changed[8:64, 64:120] = False
    assert not changed.any()


def test_an_inpainting_model_keeps_what_is_not_transparent(engine: Engine) -> None:
    workflow = read_workflow(FOLDER / "inpaint-model.json", engine.registry)
    workflow = replace(
        workflow, outputs={**workflow.outputs, "before": Link("fitted"), "mask": Link("wider")}
    )
    result = engine.run(workflow, steps=2, megapixels=0.01, grow=0)
    before, after, mask = (result[name] for name in ("before", "image", "mask"))
    assert isinstance(before, Image)
    assert isinstance(after, Image)
    assert isinstance(mask, Mask)
    assert 0.05 < (mask.values == 1).float().mean() < 0.2
    same = (before.pixels == after.pixels).all(dim=-1)
    assert same[mask.values == 0].all()
    assert same[mask.values == 1].float().mean() < 0.1


def test_the_refiner_takes_over_where_the_base_stops(engine: Engine) -> None:
    path = FOLDER / "sdxl-refiner.json"
    small = {"steps": 4, "width": 64, "height": 64}
    whole, half, refined = (engine.run(path, share=share, **small)["image"] for share in (1.0, 0.5, 0.0))
    assert isinstance(whole, Image)
    assert isinstance(half, Image)
    assert isinstance(refined, Image)
    assert not torch.equal(whole.pixels, half.pixels)
    assert not torch.equal(half.pixels, refined.pixels)


def test_the_ends_of_a_mixture_are_what_is_mixed(engine: Engine) -> None:
    path = FOLDER / "between-seeds.json"
    there, back = (
        engine.run(path, steps=2, count=2, seed=seed, second_seed=other)["sheet"]
        for seed, other in ((3, 4), (4, 3))
    )
    assert isinstance(there, Image)
    assert isinstance(back, Image)
    first, second = (sheet.pixels[0, :128, :128] for sheet in (there, back))
    torch.testing.assert_close(there.pixels[0, :128, 136:264], second)
    assert not torch.allclose(first, second, atol=0.01)


def test_the_switch_runs_one_way_only(engine: Engine) -> None:
    small = engine.run(FOLDER / "switch.json", steps=3, seed=11)
    assert not {"larger", "refined"} & {report.node for report in small.reports}
    large = engine.run(FOLDER / "switch.json", steps=3, seed=11, large=True)
    sizes = [result["image"].pixels.shape[1] for result in (small, large)]  # type: ignore[attr-defined]
    assert sizes == [128, 192]


def test_a_grid_holds_every_pair(engine: Engine) -> None:
    result = engine.run(FOLDER / "xy-grid.json", steps=2, scales=[1.0, 9.0], samplers=["euler", "heun"])
    sheet = result["sheet"]
    assert isinstance(sheet, Image)
    height, width = sheet.pixels.shape[1:3]
    places = [(height - back, width - left) for back in (264, 128) for left in (264, 128)]
    corners = [sheet.pixels[0, top : top + 128, left : left + 128] for top, left in places]
    assert all(not torch.equal(one, other) for one, other in pairwise(corners))


def test_the_api_prompt_and_the_native_document_mean_the_same() -> None:
    registry = all_nodes()
    prompt = read_workflow(FOLDER / "comfyui-api-prompt.json", registry)
    native = read_workflow(FOLDER / "text-to-image.json", registry)
    types = [sorted(registry.get(entry.type).name for entry in w.nodes.values()) for w in (prompt, native)]  # type: ignore[union-attr]
    assert types[0] == types[1]
