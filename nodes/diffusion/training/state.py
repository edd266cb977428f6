"""The state of a training between steps, in one safetensors file: what goes on from it equals what never stopped."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from graphcore.errors import ResourceError

KEY = "graphcore.training_state"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingState:
    """Where a training stands: its parameters in order, its optimiser, its random stream, and the losses so far.

    `identity` says what is trained, on what, and how; a state of another identity is of another training.
    """

    identity: str
    losses: tuple[float, ...]
    parameters: tuple[Tensor, ...]
    optimizer: Mapping[str, Any]
    stream: Tensor

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return len(self.losses)


def captured(
    identity: str,
    losses: Sequence[float],
    parameters: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    stream: torch.Generator,
) -> TrainingState:
    """The state as it is now; it shares no memory with what goes on changing."""
    return TrainingState(
        identity=identity,
        losses=tuple(losses),
        parameters=tuple(parameter.detach().cpu().clone() for parameter in parameters),
        optimizer=optimizer.state_dict(),
        stream=stream.get_state(),
    )


def write_state(state: TrainingState, path: Path) -> None:
    """Write a state, whole or not at all; raises ResourceError if it cannot be written."""
    tensors = {f"parameter.{place}": tensor for place, tensor in enumerate(state.parameters)}
    tensors["stream"] = state.stream
    plain: dict[str, dict[str, Any]] = {}
    for place, values in state.optimizer["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{place}.{name}"] = value.detach().cpu().contiguous().clone()
            else:
                plain.setdefault(str(place), {})[name] = value
    said = {
        "identity": state.identity,
        "losses": list(state.losses),
        "groups": state.optimizer["param_groups"],
        "plain": plain,
    }
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, draft, metadata={KEY: json.dumps(said)})
        draft.replace(path)
    except OSError as error:
        raise ResourceError(
            f"The state of the training cannot be written ({error.strerror or error}); free some space, or choose "
            "another output folder.",
            code="cannot-write",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def read_state(path: Path, identity: str) -> TrainingState | None:
    """The state in a file, or None if there is none of this identity: no file, another training, or damage."""
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads(file.metadata()[KEY])
            if said["identity"] != identity:
                return None
            names = list(file.keys())
            tensors = {name: file.get_tensor(name).clone() for name in names}
        values: dict[int, dict[str, Any]] = {int(place): dict(each) for place, each in said["plain"].items()}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, place, key = name.split(".", 2)
                values.setdefault(int(place), {})[key] = tensor
        count = sum(name.startswith("parameter.") for name in tensors)
        return TrainingState(
            identity=identity,
            losses=tuple(float(loss) for loss in said["losses"]),
            parameters=tuple(tensors[f"parameter.{place}"] for place in range(count)),
            optimizer={"state": values, "param_groups": said["groups"]},
            stream=tensors["stream"],
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
