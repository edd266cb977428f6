"""Teaches adapters: batch after batch, until all steps are taken or the run is cancelled, from wherever it stood.

    examples ──draw──> latents + noise ──network + adapters──> prediction ──loss──> optimiser ──> adapters

A training is a function of what it is given: stopped and resumed, it ends with the same adapters as if it had run
through. Its state goes into a file every `SAVE_EVERY` steps, when it is cancelled, and at the end.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from graphcore.errors import Cancelled, InputError
from nodes.diffusion.denoiser import join_conditions
from nodes.diffusion.network import Network
from nodes.diffusion.noise import generator
from nodes.diffusion.text_encoder import TextEncoder
from nodes.diffusion.training.examples import Example, Examples, examples_digest
from nodes.diffusion.training.low_rank import (
    LayerAdapter,
    LowRank,
    RankChoice,
    attached,
    fresh_adapters,
    parameters_of,
)
from nodes.diffusion.training.objective import LOSSES, noisy_batch
from nodes.diffusion.training.state import TrainingState, captured, read_state, write_state

SAVE_EVERY: Final = 250
Optimizer = Literal["AdamW", "Adam", "SGD", "RMSprop"]
Loss = Literal["MSE", "L1", "Huber", "SmoothL1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How to train. All but `steps` and `checkpointing` decide what is learned, and are part of its identity.

    `accumulate` batches are added up for each step.
    """

    rank: RankChoice
    steps: int
    learning_rate: float
    batch_size: int = 1
    accumulate: int = 1
    optimizer: Optimizer = "AdamW"
    loss: Loss = "MSE"
    seed: int = 0
    checkpointing: bool = False

    def identity(self, model: str, examples: Sequence[Example]) -> str:
        """A digest of what is learned, from what, by which model (given as text)."""
        said = asdict(replace(self, steps=0, checkpointing=False))
        text = json.dumps(said, sort_keys=True) + model + examples_digest(examples)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """What came of a training: adapters of the network and of each text encoder by part, and each step's loss."""

    network: Mapping[str, LayerAdapter]
    texts: Mapping[str, Mapping[str, LayerAdapter]]
    losses: tuple[float, ...]


class Trainer:
    """One training: a network of its own (`ModelStore.trainable`), examples, and a plan.

    With `encoder` (of its own too) the text encoders learn as well, from the examples' captions. `resumed_from` is the
    step that a kept state had come to (0: there was none).
    """

    def __init__(
        self,
        network: Network,
        examples: Sequence[Example],
        plan: TrainingPlan,
        *,
        encoder: TextEncoder | None = None,
    ) -> None:
        self.network = network
        self.module: Any = network.module  # type: ignore[attr-defined]
        self.plan = plan
        self.encoder = encoder
        self._stream = generator(plan.seed)
        self.adapters = fresh_adapters(self.module, plan.rank, self._stream)
        self.text_adapters = {
            tower.spec.part: fresh_adapters(tower.module, plan.rank, self._stream)
            for tower in _clip_towers(encoder)
        }
        self._examples = Examples(examples, network)
        self._parameters = parameters_of([self.adapters, *self.text_adapters.values()])
        self._optimizer = _optimizer(plan, self._parameters)
        self._losses: list[float] = []
        self.resumed_from = 0

    def begin_from(self, tensors: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Start the network's adapters from (down, up) by layer; InputError if one does not fit."""
        for name, (down, up) in tensors.items():
            adapter = self.adapters.get(name)
            if (
                not isinstance(adapter, LowRank)
                or adapter.down.shape != down.shape
                or adapter.up.shape != up.shape
            ):
                raise InputError(
                    f"The LoRA to go on from does not fit at {name}; choose one of rank {self.plan.rank.rank} that was "
                    "trained beside the same layers.",
                    code="wrong-rank",
                )
            with torch.no_grad():
                adapter.down.copy_(down)
                adapter.up.copy_(up)

    def run(
        self,
        *,
        identity: str,
        state_file: Path | None,
        progress: Callable[[int, int, Sequence[float]], None],
    ) -> Learned:
        """Take the steps that are left; `progress` is told after each (done, total, losses) and may raise Cancelled.

        Raises InputError if the loss is no longer finite.
        """
        state = read_state(state_file, identity) if state_file is not None else None
        if state is not None and state.step <= self.plan.steps:
            self._resume(state)
        saved = len(self._losses)
        try:
            with torch.enable_grad(), self._hung(), self._checkpointed():
                while len(self._losses) < self.plan.steps:
                    self._losses.append(self._step())
                    if state_file is not None and len(self._losses) % SAVE_EVERY == 0:
                        self._save(identity, state_file)
                        saved = len(self._losses)
                    progress(len(self._losses), self.plan.steps, self._losses)
        except Cancelled:
            if state_file is not None and len(self._losses) != saved:
                self._save(identity, state_file)
            raise
        if state_file is not None and len(self._losses) != saved:
            self._save(identity, state_file)
        return Learned(network=self.adapters, texts=self.text_adapters, losses=tuple(self._losses))

    def _step(self) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(self.plan.accumulate):
            loss = self._loss() / self.plan.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if not math.isfinite(total):
            raise InputError(
                f"The loss is no longer finite after {len(self._losses)} steps; lower the learning rate, or compute in "
                "fp32 (--dtype fp32).",
                code="not-finite",
            )
        self._optimizer.step()
        return total

    def _loss(self) -> Tensor:
        network = self.network
        places = self._examples.draw(self.plan.batch_size, self._stream)
        batch = noisy_batch(network.parameterization, self._examples.latents(places), self._stream)
        conditions = join_conditions(self._conditions(places), 1)
        prediction = network(
            batch.x.to(network.device, network.dtype), batch.timestep.to(network.device), conditions
        )
        return LOSSES[self.plan.loss](prediction.float(), batch.target.to(network.device))

    def _conditions(self, places: Sequence[int]) -> list[Mapping[str, Tensor]]:
        if self.encoder is None:
            return self._examples.known_conditions(places)
        found: list[Mapping[str, Tensor]] = []
        for place in places:
            example = self._examples.examples[place]
            encoded = self.encoder.encode_with_gradient(example.caption)
            entry = replace(example.entry, embeddings=encoded.embeddings, pooled=encoded.pooled)
            found.append(self._examples.conditions(place, entry))
        return found

    @contextmanager
    def _hung(self) -> Iterator[None]:
        """All adapters beside their layers."""
        with ExitStack() as stack:
            stack.enter_context(attached(self.module, self.adapters))
            for tower in _clip_towers(self.encoder):
                stack.enter_context(attached(tower.module, self.text_adapters[tower.spec.part]))
            yield

    @contextmanager
    def _checkpointed(self) -> Iterator[None]:
        """With gradient checkpointing, blocks are computed again on the way back, which takes less memory."""
        if self.plan.checkpointing:
            self.module.enable_gradient_checkpointing()
        try:
            yield
        finally:
            if self.plan.checkpointing:
                self.module.disable_gradient_checkpointing()

    def _resume(self, state: TrainingState) -> None:
        with torch.no_grad():
            for parameter, kept in zip(self._parameters, state.parameters, strict=True):
                parameter.copy_(kept)
        self._optimizer.load_state_dict(dict(state.optimizer))
        self._stream.set_state(state.stream)
        self._losses = list(state.losses)
        self.resumed_from = state.step

    def _save(self, identity: str, path: Path) -> None:
        write_state(captured(identity, self._losses, self._parameters, self._optimizer, self._stream), path)


def _clip_towers(encoder: TextEncoder | None) -> list[Any]:
    """The text encoders that can learn: CLIP's; T5 stays as it is, as all trainers leave it."""
    return [] if encoder is None else [tower for tower in encoder.towers if tower.spec.kind == "clip"]


def _optimizer(plan: TrainingPlan, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "AdamW": torch.optim.AdamW,
        "Adam": torch.optim.Adam,
        "SGD": torch.optim.SGD,
        "RMSprop": torch.optim.RMSprop,
    }
    return kinds[plan.optimizer](list(parameters), lr=plan.learning_rate)
