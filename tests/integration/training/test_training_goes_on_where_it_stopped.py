"""A training that is cancelled, or given more steps, ends as if it had run through; its state is there in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore import Engine, Event, RunState
from nodes.values import LoraWeights, LossCurve
from tests.integration.training.sketches import training_graph, write_pictures
from tests.models import TinyModels
from tests.tiny_engine import tiny_engine


def trained(engine: Engine, checkpoint: str, **inputs: Any) -> tuple[LoraWeights, LossCurve]:
    write_pictures(engine.files.input_dir / "learn")
    result = engine.run(training_graph(checkpoint, **inputs).workflow())
    lora, loss = result["lora"], result["loss"]
    assert isinstance(lora, LoraWeights)
    assert isinstance(loss, LossCurve)
    return lora, loss


def cancelled_after(engine: Engine, checkpoint: str, step: int, **inputs: Any) -> RunState:
    """Start a training and cancel it when it reports this step."""
    write_pictures(engine.files.input_dir / "learn")
    reached = []

    def watch(event: Event) -> None:
        done = getattr(event, "done", None)
        if getattr(event, "node", None) == "train" and done == step and not reached:
            reached.append(step)
            handle.cancel("enough")

    handle = engine.start(training_graph(checkpoint, **inputs).workflow(), listener=watch)
    state = handle.result().state
    assert reached
    return state


def assert_equal(one: LoraWeights, other: LoraWeights) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(tensor, other.tensors[name], rtol=0, atol=0)


@pytest.fixture
def checkpoint(tiny_models: TinyModels) -> str:
    return tiny_models.sd1().name


@pytest.mark.parametrize("inputs", [{}, {"train_text_encoder": True}])
def test_cancelled_and_run_again(
    inputs: dict[str, Any], checkpoint: str, tmp_path: Path, tiny_models: TinyModels
) -> None:
    with tiny_engine(tmp_path / "straight", tiny_models.folder) as engine:
        straight, losses = trained(engine, checkpoint, steps=7, **inputs)
    with tiny_engine(tmp_path / "stopped", tiny_models.folder) as engine:
        assert cancelled_after(engine, checkpoint, 3, steps=7, **inputs) is RunState.CANCELLED
        assert (engine.files.output_dir / "training" / "lora.state.safetensors").is_file()
    with tiny_engine(tmp_path / "stopped", tiny_models.folder) as engine:
        write_pictures(engine.files.input_dir / "learn")
        result = engine.run(training_graph(checkpoint, steps=7, **inputs).workflow())
        resumed, again = result["lora"], result["loss"]
        told = str(result.shown["train"][0]["text"])
        assert told in [f"The training went on from step {step}." for step in (3, 4, 5, 6)]
    assert isinstance(resumed, LoraWeights)
    assert isinstance(again, LossCurve)
    assert again.values == losses.values
    assert_equal(straight, resumed)


def test_given_more_steps(checkpoint: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    with tiny_engine(tmp_path / "straight", tiny_models.folder) as engine:
        straight, losses = trained(engine, checkpoint, steps=6)
    with tiny_engine(tmp_path / "twice", tiny_models.folder) as engine:
        _, first = trained(engine, checkpoint, steps=2)
        longer, both = trained(engine, checkpoint, steps=6)
    assert both.values[:2] == first.values
    assert both.values == losses.values
    assert_equal(straight, longer)


def test_a_state_of_other_settings_is_not_taken(
    checkpoint: str, tmp_path: Path, tiny_models: TinyModels
) -> None:
    with tiny_engine(tmp_path, tiny_models.folder) as engine:
        _, first = trained(engine, checkpoint, steps=3)
        _, other = trained(engine, checkpoint, steps=3, seed=6)
        _, again = trained(engine, checkpoint, steps=3)
    assert other.values != first.values
    assert again.values == first.values


def test_a_damaged_state_is_not_taken(checkpoint: str, tmp_path: Path, tiny_models: TinyModels) -> None:
    with tiny_engine(tmp_path / "one", tiny_models.folder) as engine:
        _, first = trained(engine, checkpoint, steps=3)
    state = tmp_path / "one" / "output" / "training" / "lora.state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with tiny_engine(tmp_path / "one", tiny_models.folder) as engine:
        _, again = trained(engine, checkpoint, steps=3)
    assert again.values == first.values
