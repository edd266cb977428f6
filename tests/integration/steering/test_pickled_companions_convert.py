"""Pickled ControlNets, adapters and IP-Adapters become files that are read, and say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from graphcore.cli.app import run_app
from nodes.diffusion.control_file import open_control
from nodes.diffusion.ip_adapter import open_ip_adapter
from tests.steering_models import adapter, adapter_state, control_net, control_state, image_adapter


def grouped(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """As IP-Adapters are pickled: two groups of tensors."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    return groups


CASES: dict[str, tuple[Callable[[], dict[str, Tensor]], Callable[..., object], Callable[[Path], object]]] = {
    "control.pth": (
        lambda: control_state(control_net()),
        lambda state: {"state_dict": state},
        open_control,
    ),
    "adapter.pth": (lambda: adapter_state(adapter()), lambda state: state, open_control),
    "ip-adapter.bin": (lambda: dict(image_adapter()), grouped, open_ip_adapter),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_same(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, pickled, open_file = CASES[name]
    torch.save(pickled(make()), tmp_path / name)
    converted = tmp_path / "converted.safetensors"
    assert run_app(["convert-checkpoint", str(tmp_path / name), str(converted)]) == 0, capsys.readouterr().err
    found, expected = load_file(converted), make()
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in found.items())
    assert open_file(converted)
