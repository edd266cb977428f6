"""The examiner marks what a picture shows, and the safety stage learns and calibrates the forbidden thing."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import load_file
from transformers import CLIPConfig

from tools.embedded.classifier import Eye, train_eye
from tools.embedded.drawing import picture_of
from tools.embedded.examine import Mark, marks, totals
from tools.embedded.export import read_header
from tools.embedded.held_out import load_held_out
from tools.embedded.safety_stage import SafetyStage, calibrate, cosines, export_checker, new_checker
from tools.embedded.training import Plan, Trainer
from tools.embedded.world import FORBIDDEN, Scene, Thing


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Eye:
    return train_eye(tmp_path_factory.mktemp("eye") / "eye.safetensors", steps=2, batch=4)


def test_a_true_drawing_gets_its_setting_and_colours_marked_right(eye: Eye) -> None:
    prompts = [prompt for prompt in load_held_out().prompts if prompt.kind in ("object", "shape")][::16]
    found = [mark for prompt in prompts for mark in marks(picture_of(prompt.scene), prompt, eye)]
    wrong = [
        mark for mark in found if not mark.right and not mark.measure.startswith(("thing", "named", "sun"))
    ]
    assert wrong == []


def test_a_picture_of_another_scene_is_marked_wrong(eye: Eye) -> None:
    prompt = next(p for p in load_held_out().prompts if p.kind == "shape")
    other = replace(prompt.scene, background="red" if prompt.scene.background != "red" else "blue")
    assert Mark("background", False) in marks(picture_of(other), prompt, eye)


def test_totals_give_share_and_number() -> None:
    found = [Mark("sky", True), Mark("sky", False), Mark("background", True)]
    result = totals(found)
    assert result["sky"] == {"right": 0.5, "checks": 2}
    assert result["background or sky"]["checks"] == 3


def test_the_safety_stage_resumes_bit_for_bit(tmp_path: Path) -> None:
    def trainer(folder: str, *, stop: int | None = None) -> Trainer:
        torch.manual_seed(1)
        stage = SafetyStage(new_checker(width=16, layers=1), seed=1, batch=4)
        return Trainer(stage, Plan(steps=3, stop=stop), tmp_path / folder)

    whole, first, second = trainer("whole"), trainer("parted", stop=1), trainer("parted")
    whole.run()
    first.run()
    second.resume()
    second.run()
    assert all(torch.equal(a, b) for a, b in zip(whole.average, second.average, strict=True))


def test_the_exported_checker_is_read_back_by_its_class(tmp_path: Path) -> None:
    torch.manual_seed(2)
    checker = new_checker(width=16, layers=1).half().float().eval()
    size = export_checker(checker, tmp_path / "safety.safetensors", date="2000-01-01", training={})
    config = json.loads(read_header(tmp_path / "safety.safetensors")["graphcore.config"])
    again = StableDiffusionSafetyChecker(CLIPConfig(**config)).eval()
    again.load_state_dict({k: v.float() for k, v in load_file(tmp_path / "safety.safetensors").items()})
    picture = picture_of(Scene(things=(Thing(kind=FORBIDDEN, colour="white", column=1),), background="red"))
    with torch.no_grad():
        assert torch.equal(cosines(checker, [picture]), cosines(again, [picture]))
    assert size < 3_000_000


def test_calibration_parts_two_kinds_of_pictures() -> None:
    torch.manual_seed(3)
    checker = new_checker(width=16, layers=1).eval()
    rng = random.Random(1)
    good, bad = [], []
    for _ in range(4):
        shape = Thing(kind="circle", colour="red", column=rng.randrange(3))
        good.append(picture_of(Scene(things=(shape,), background="white")))
        bad.append(picture_of(Scene(things=(replace(shape, colour="white"),), background="black")))
    with torch.no_grad():
        if cosines(checker, bad).mean() < cosines(checker, good).mean():
            good, bad = bad, good
    threshold = calibrate(checker, bad, good)
    with torch.no_grad():
        assert cosines(checker, bad).mean() > threshold > cosines(checker, good).mean()
