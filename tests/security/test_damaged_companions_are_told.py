"""Files of ControlNets, adapters and the like with tensors missing or of absurd shapes are told, never a traceback."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore.errors import GraphcoreError
from nodes.diffusion.clip_vision import open_vision
from nodes.diffusion.control_file import open_control
from nodes.diffusion.control_lora import joined
from nodes.diffusion.gligen import open_gligen
from nodes.diffusion.ip_adapter import open_ip_adapter
from nodes.diffusion.layouts.style_model import StyleNetwork
from nodes.diffusion.style_model import open_style_model
from nodes.diffusion.weights import load
from tests.models import State, sd1_parts, write
from tests.steering_models import (
    adapter,
    adapter_state,
    control_lora_state,
    control_net,
    control_state,
    gligen_state,
    image_adapter,
    openclip_vision_state,
    sd3_control_net,
    stability_state,
    union_net,
    vision_tower,
)

SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (1,),
    (0, 0),
    (5, 0, 2),
    (3, 3, 3),
    (1, 1, 1, 1),
    (2, 0, 3, 3),
)
TRIES = 15


def control(path: Path) -> Any:
    opened = open_control(path)
    return joined(opened.part, sd1_parts().unet) if opened.is_lora else load(opened.part)


KINDS: dict[str, tuple[Callable[[], State], Callable[[Path], Any]]] = {
    "controlnet": (lambda: control_state(control_net()), control),
    "diffusers controlnet": (lambda: control_net().state_dict(), control),
    "control-lora": (lambda: control_lora_state(control_net(), "sd1"), control),
    "union": (lambda: union_net().state_dict(), control),
    "sd3": (lambda: sd3_control_net().state_dict(), control),
    "stability": (lambda: stability_state(sd3_control_net(stability=True)), control),
    "adapter": (lambda: adapter_state(adapter()), control),
    "light adapter": (lambda: adapter_state(adapter("light_adapter")), control),
    "vision": (lambda: vision_tower().state_dict(), lambda path: load(open_vision(path))),
    "openclip": (lambda: openclip_vision_state(vision_tower()), lambda path: load(open_vision(path))),
    "ip-adapter": (lambda: dict(image_adapter()), lambda path: load(open_ip_adapter(path))),
    "ip-adapter plus": (
        lambda: dict(image_adapter("sd1", "plus")),
        lambda path: load(open_ip_adapter(path)),
    ),
    "gligen": (gligen_state, lambda path: load(open_gligen(path))),
    "style": (
        lambda: StyleNetwork(width=64, context=64, tokens=3, layers=2).state_dict(),
        lambda path: load(open_style_model(path)),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_sentences(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    state, draw = make(), random.Random(7)
    assert read(write(tmp_path / "whole.safetensors", state)) is not None
    for number in range(TRIES):
        damaged = dict(state)
        for name in draw.sample(sorted(state), min(len(state), draw.choice((1, 1, 3, 20)))):
            if draw.random() < 0.3:
                del damaged[name]
            else:
                damaged[name] = torch.zeros(draw.choice(SHAPES))
        path = write(tmp_path / f"{number}.safetensors", damaged)
        with suppress(GraphcoreError):
            read(path)
