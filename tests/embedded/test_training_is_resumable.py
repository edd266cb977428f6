"""Every stage of training runs at tiny sizes, and a stopped run continues to the same weights bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tools.embedded.annexe import Annexe
from tools.embedded.recipe import SMOKE
from tools.embedded.train import main
from tools.embedded.workshop import Workshop

STAGES = (
    "vae",
    "text",
    "diffusion",
    "rereading",
    "refining",
    "pair-reading",
    "finishing",
    "polishing",
    "decoder",
    "sharpening",
    "safety",
    "upscaler",
    "vision",
    "control",
    "inpainting",
    "embedding",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded")
    torch.set_num_threads(1)
    assert (
        main(
            [
                "--smoke",
                "--state",
                str(folder),
                "--output",
                str(folder / "tiny.safetensors"),
                "--safety-output",
                str(folder / "safety.safetensors"),
                "--companions-output",
                str(folder / "companions"),
            ]
        )
        == 0
    )
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_leaves_its_state_record_and_curve(trained: Path, stage: str) -> None:
    assert {path.name for path in (trained / stage).iterdir()} == {"state.pt", "record.json", "curve.png"}
    state = torch.load(trained / stage / "state.pt", weights_only=True)
    assert state["step"] > 0
    assert all(torch.isfinite(value).all() for value in state["model"].values())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_stage_continues_bit_for_bit(trained: Path, tmp_path: Path, stage: str) -> None:
    for other in trained.iterdir():
        if other.name not in (stage, "tiny.safetensors"):
            (tmp_path / other.name).symlink_to(other)
    shop = Workshop(folder=tmp_path, recipe=SMOKE)
    run = {
        "vae": shop.train_vae,
        "text": shop.train_text,
        "diffusion": shop.train_diffusion,
        "rereading": shop.reread,
        "refining": shop.refine_diffusion,
        "decoder": shop.train_decoder,
        "safety": Annexe(shop).train_safety,
        "pair-reading": shop.read_pairs,
        "finishing": shop.finish_diffusion,
        "polishing": shop.polish_diffusion,
        "sharpening": shop.sharpen_decoder,
        "upscaler": Annexe(shop).train_upscaler,
        "vision": Annexe(shop).train_vision,
        "control": Annexe(shop).train_control,
        "inpainting": Annexe(shop).train_inpainting,
        "embedding": Annexe(shop).train_embedding,
    }[stage]
    run(resume=False, stop=2)
    run(resume=True)
    whole = torch.load(trained / stage / "state.pt", weights_only=True)
    parted = torch.load(tmp_path / stage / "state.pt", weights_only=True)
    assert parted["step"] == whole["step"]
    assert all(torch.equal(parted["model"][name], whole["model"][name]) for name in whole["model"])
    assert all(torch.equal(a, b) for a, b in zip(parted["average"], whole["average"], strict=True))


def test_another_seed_trains_other_weights(trained: Path, tmp_path: Path) -> None:
    Workshop(folder=tmp_path, recipe=replace(SMOKE, seed=2)).train_vae(resume=False)
    one = torch.load(trained / "vae" / "state.pt", weights_only=True)["model"]
    other = torch.load(tmp_path / "vae" / "state.pt", weights_only=True)["model"]
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_stage_without_its_forerunner_says_which_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--smoke", "--stage", "diffusion", "--state", str(tmp_path)]) == 2
    assert "text" in capsys.readouterr().err
