"""Encoded training sets go into files and come back the same, and are sorted by size for training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore import Context, InputError, ModelFileError, ResourceError, detached_context
from nodes.diffusion.training.examples import paired
from nodes.training.encoded_sets import load_training_dataset, resolution_bucket, save_training_dataset
from nodes.values import Area, Conditioning, ConditioningEntry, Latent
from tests.unit.sampling.toys import randn


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    (tmp_path / "output").mkdir()
    return detached_context(output_dir=tmp_path / "output")


def latent(seed: int, side: int = 4, batch: int = 1) -> Latent:
    return Latent(randn(batch, 4, side, side, seed=seed).float())


def said(seed: int, **more: Any) -> Conditioning:
    return Conditioning((ConditioningEntry(embeddings=randn(1, 7, 5, seed=seed).float(), **more),))


def test_a_set_comes_back_as_it_was(ctx: Context, tmp_path: Path) -> None:
    latents = [latent(0), latent(1, side=6), latent(2, batch=2)]
    texts = [said(3), said(4, pooled=torch.ones(1, 3), size=(64.0, 48.0, 0.0, 0.0, 64.0, 48.0)), said(5)]
    save_training_dataset(ctx, latents, texts, "sets/cats", 2)
    folder = tmp_path / "output" / "sets" / "cats"
    assert sorted(path.name for path in folder.iterdir()) == [
        "metadata.json",
        "shard_0000.safetensors",
        "shard_0001.safetensors",
    ]
    assert json.loads((folder / "metadata.json").read_text())["num_samples"] == 4
    found = load_training_dataset(ctx, "sets/cats")
    expected = paired(latents, texts)
    again = paired(list(found.latents), list(found.conditioning))
    assert len(again) == 4
    for one, other in zip(again, expected, strict=True):
        assert torch.equal(one.latent, other.latent)
        assert torch.equal(one.entry.embeddings, other.entry.embeddings)
        assert one.entry.size == other.entry.size
        assert (one.entry.pooled is None) == (other.entry.pooled is None)


def test_a_smaller_set_takes_the_place_of_a_larger_one(ctx: Context) -> None:
    save_training_dataset(ctx, [latent(seed) for seed in range(5)], [said(0)], "set", 1)
    save_training_dataset(ctx, [latent(9)], [said(0)], "set", 1)
    found = load_training_dataset(ctx, "set")
    assert len(found.latents) == 1
    assert torch.equal(next(iter(found.latents)).samples, latent(9).samples)


def test_bad_folders_and_files(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="no folder 'nothing'"):
        load_training_dataset(ctx, "nothing")
    for name in ("../outside", "/etc", "a/../../b"):
        with pytest.raises(InputError, match="no folder inside"):
            save_training_dataset(ctx, [latent(0)], [said(0)], name)
    folder = tmp_path / "output" / "set"
    folder.mkdir()
    with pytest.raises(ModelFileError, match=r"metadata.json of the data set 'set' is damaged or missing"):
        load_training_dataset(ctx, "set")
    (folder / "metadata.json").write_text('{"num_shards": 1}')
    with pytest.raises(ModelFileError, match="shard_0000"):
        load_training_dataset(ctx, "set")
    (folder / "shard_0000.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match="shard_0000"):
        load_training_dataset(ctx, "set")
    (folder / "metadata.json").write_text('{"num_shards": -1}')
    with pytest.raises(ModelFileError, match="num_shards"):
        load_training_dataset(ctx, "set")


def test_pickled_sets_are_refused(ctx: Context, tmp_path: Path) -> None:
    folder = tmp_path / "output" / "set"
    folder.mkdir()
    (folder / "metadata.json").write_text('{"num_shards": 1}')
    (folder / "shard_0000.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelFileError, match="pickled"):
        load_training_dataset(ctx, "set")


def test_unequal_lists_and_combined_texts(ctx: Context) -> None:
    with pytest.raises(InputError, match="3 pictures and 2 texts"):
        save_training_dataset(ctx, [latent(0), latent(1), latent(2)], [said(0), said(1)], "set")
    with pytest.raises(InputError, match="2 latents and 1 conditionings"):
        resolution_bucket([latent(0), latent(1)], [said(0)])
    combined = Conditioning((*said(0).entries, *said(1, area=Area(x=0, y=0, width=1, height=1)).entries))
    with pytest.raises(InputError, match="one conditioning, and this one combines 2"):
        save_training_dataset(ctx, [latent(0)], [combined], "set")


def test_buckets_hold_latents_of_one_size(ctx: Context) -> None:
    latents = [latent(0), latent(1, side=6), latent(2), latent(3, side=6), latent(4, batch=2)]
    texts = [said(seed) for seed in range(10, 15)]
    found = resolution_bucket(latents, texts)
    shapes = [tuple(each.samples.shape) for each in found.latents]
    assert shapes == [(4, 4, 4, 4), (2, 4, 6, 6)]
    spread = paired(list(found.latents), list(found.conditioning))
    assert len(spread) == 6
    order = [0, 2, 4, 4, 1, 3]
    for example, place in zip(spread, order, strict=True):
        assert torch.equal(example.entry.embeddings, texts[place].entries[0].embeddings)
    assert torch.equal(spread[4].latent, latents[1].samples)
