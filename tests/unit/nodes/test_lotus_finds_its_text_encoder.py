"""Lotus takes the empty prompt of SD 2's text encoder, which its node finds by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcore import Engine, ExecutionError, Link, NodeEntry, ResourceError, Workflow
from nodes.values import Conditioning
from tests import models
from tests.models import TinyModels
from tests.tiny_engine import tiny_engine


def conditioning(engine: Engine) -> Conditioning:
    nodes = {"lotus": NodeEntry(type="LotusConditioning")}
    made = engine.run(Workflow(nodes=nodes, outputs={"out": Link("lotus")}))["out"]
    assert isinstance(made, Conditioning)
    return made


def folder(tmp_path: Path, **files: Path) -> Path:
    """A models folder with these checkpoints."""
    target = tmp_path / "models" / "checkpoints"
    target.mkdir(parents=True)
    for name, path in files.items():
        (target / f"{name}.safetensors").symlink_to(path)
    return target.parent


def test_it_is_the_empty_prompt_without_padding(tmp_path: Path, tiny_models: TinyModels) -> None:
    given = folder(tmp_path, a_wrong=tiny_models.sd1(), b_right=tiny_models.sd2())
    with tiny_engine(tmp_path, given) as engine:
        (entry,) = conditioning(engine).entries
    text = models.sd2_parts().texts["clip_h"]
    assert entry.embeddings.shape[:2] == (1, 2)
    assert torch.isfinite(entry.embeddings).all()
    assert entry.embeddings.shape[2] == text.text_projection.in_features


def test_without_one_it_says_what_to_do(tmp_path: Path, tiny_models: TinyModels) -> None:
    given = folder(tmp_path, wrong=tiny_models.sd1())
    with tiny_engine(tmp_path, given) as engine, pytest.raises(ExecutionError) as caught:
        conditioning(engine)
    assert isinstance(caught.value.__cause__, ResourceError)
    assert caught.value.__cause__.code == "no-sd2-text-encoder"
    assert "text_encoders" in caught.value.__cause__.message
