"""Folders in diffusers' layout are read as they were saved; pickles inside them are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from graphcore.errors import ModelFileError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.parameterization import DiscreteDiffusion
from nodes.diffusion.weights import load
from tests import models
from tests.models import write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("folders") / "sd1", models.sd1_parts())


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_folder_gives_back_every_tensor(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    assert checkpoint.family is not None
    assert checkpoint.family.name == "sd1"
    parts = models.sd1_parts()
    for name, module in {"unet": parts.unet, "vae": parts.vae, **parts.texts}.items():
        loaded, written = load(checkpoint.part(name)).state_dict(), module.state_dict()
        assert loaded.keys() == written.keys()
        assert all(torch.equal(loaded[key], written[key]) for key in written), name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sd2", models.sd2_parts),
        ("sdxl", models.sdxl_parts),
        ("sdxl-refiner", models.refiner_parts),
        ("sd3", models.sd3_parts),
    ],
)
def test_the_family_is_in_the_configurations(name: str, parts: object, tmp_path: Path) -> None:
    made = parts()  # type: ignore[operator]
    checkpoint = open_checkpoint(write_folder(tmp_path / name, made))
    assert checkpoint.family is not None
    assert checkpoint.family.name == name
    for part, module in made.texts.items():
        loaded = load(checkpoint.part(part)).state_dict()
        assert all(torch.equal(loaded[key], tensor) for key, tensor in module.state_dict().items()), part


def test_the_scheduler_folder_is_honoured(copy: Path) -> None:
    (copy / "scheduler").mkdir(exist_ok=True)
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": "v_prediction"}))
    made = open_checkpoint(copy).parameterization
    assert isinstance(made, DiscreteDiffusion)
    assert made.prediction == "v_prediction"


def test_shards_are_joined(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    whole = copy / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(whole)
    names = sorted(state)
    halves = {"part-1.safetensors": names[::2], "part-2.safetensors": names[1::2]}
    for file, keys in halves.items():
        save_file({key: state[key] for key in keys}, copy / "unet" / file)
    index = {"weight_map": {key: file for file, keys in halves.items() for key in keys}}
    (copy / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    whole.unlink()
    loaded = load(open_checkpoint(copy).part("unet")).state_dict()
    assert all(
        torch.equal(loaded[key], tensor) for key, tensor in models.sd1_parts().unet.state_dict().items()
    )


def test_an_index_that_leads_out_of_the_folder_is_refused(copy: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    (copy / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFileError, match="does not list the files"):
        open_checkpoint(copy)


def test_pickled_weights_in_a_folder_are_refused(copy: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.safetensors").rename(
        copy / "unet" / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(ModelFileError, match=r"diffusion_pytorch_model\.bin.*convert-checkpoint"):
        open_checkpoint(copy)


def test_missing_weights_and_other_folders_are_told(copy: Path, tmp_path: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelFileError, match="no weights in copy/unet"):
        open_checkpoint(copy)
    with pytest.raises(ModelFileError, match="is no model folder"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(("place", "name"), [("unet", "unet"), ("vae", "vae"), ("text_encoder", "text")])
def test_a_folder_may_hold_a_single_part(place: str, name: str, folder: Path) -> None:
    checkpoint = open_checkpoint(folder / place)
    assert set(checkpoint.parts) == {name}
    parts = models.sd1_parts()
    module = {"unet": parts.unet, "vae": parts.vae, "text": parts.texts["clip_l"]}[name]
    loaded = load(checkpoint.part(name)).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in module.state_dict().items())
