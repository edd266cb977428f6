"""The training loop of every stage: one process, resumable to the step, with averaged weights and a loss curve."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from tools.embedded.curve import draw_curve


class Stage(Protocol):
    """What a stage gives the loop. Everything random comes from `step`, so that a resumed run continues exactly."""

    name: str
    peak_rate: float
    weight_decay: float

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        ...

    def loss(self, step: int) -> Tensor:
        """The loss of this step's batch, a pure function of the weights and the step."""
        ...

    def measure(self) -> dict[str, float]:
        """Figures worth following, computed without touching the training state."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how to train. `steps` fixes the learning-rate curve; `stop` may end a run before it."""

    steps: int
    stop: int | None = None
    warm_up: int = 60
    flat: float = 0.5
    averaging: float = 0.999
    save_seconds: float = 150.0
    measure_every: int = 250
    clip: float = 1.0

    def rate(self, step: int) -> float:
        """Share of the peak learning rate: warm-up, flat, cosine to 3 %."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        done = step / max(1, self.steps)
        if done <= self.flat:
            return 1.0
        return 0.03 + 0.97 * 0.5 * (1 + cos(pi * min(1.0, (done - self.flat) / (1 - self.flat))))


class Trainer:
    """Trains one stage in `folder`; `state.pt` there holds weights, optimiser, averages, step and curve."""

    def __init__(self, stage: Stage, plan: Plan, folder: Path) -> None:
        self.stage, self.plan, self.folder = stage, plan, folder
        trained = {name: p for name, p in stage.model.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trained), list(trained.values())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=stage.peak_rate,
            betas=(0.9, 0.99),
            weight_decay=stage.weight_decay,
            fused=True,
        )
        self.step = 0
        self.curve: list[tuple[int, float]] = []
        self.figures: list[dict[str, float]] = []
        self.seconds = 0.0

    def resume(self) -> None:
        """Go on from `state.pt`. Raises FileNotFoundError when there is none."""
        state = torch.load(self.folder / "state.pt", weights_only=True)
        self.stage.model.load_state_dict(state["model"])
        for kept, saved in zip(self.average, state["average"], strict=True):
            kept.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.curve = [tuple(point) for point in state["curve"]]
        self.figures = state["figures"]

    def save(self) -> None:
        """Write `state.pt` in one move, the curve as a picture and the record as JSON."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / "state.pt.part"
        torch.save(
            {
                "model": self.stage.model.state_dict(),
                "average": self.average,
                "names": self.names,
                "step": self.step,
                "optimiser": self.optimiser.state_dict(),
                "seconds": self.seconds,
                "curve": self.curve,
                "figures": self.figures,
            },
            draft,
        )
        draft.replace(self.folder / "state.pt")
        draw_curve(self.curve, self.figures, self.folder / "curve.png", title=self.stage.name)
        record = {
            "stage": self.stage.name,
            "step": self.step,
            "seconds": round(self.seconds),
            "figures": self.figures,
        }
        (self.folder / "record.json").write_text(json.dumps(record, indent=1))

    def run(self, *, announce: Callable[[str], None] = print) -> None:
        """Train to the end of the plan (or its stop), saving as it goes."""
        end = min(self.plan.stop or self.plan.steps, self.plan.steps)
        saved = time.monotonic()
        with _bar() as bar:
            task = bar.add_task(self.stage.name, total=end, completed=self.step, loss="")
            while self.step < end:
                loss = self._advance()
                bar.update(task, completed=self.step, loss=f"loss {loss:.4f}")
                if self.step % self.plan.measure_every == 0:
                    self._measure(announce)
                if time.monotonic() - saved > self.plan.save_seconds:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def averaged(self) -> dict[str, Tensor]:
        """The model's state with averaged weights in place of the live ones."""
        state = dict(self.stage.model.state_dict())
        state.update(zip(self.names, self.average, strict=True))
        return state

    def _advance(self) -> float:
        began = time.monotonic()
        for group in self.optimiser.param_groups:
            group["lr"] = self.stage.peak_rate * self.plan.rate(self.step)
        loss = self.stage.loss(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)
        self.optimiser.step()
        keep = min(self.plan.averaging, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list[Tensor](self.parameters), 1 - keep)
        self.step += 1
        value = float(loss.detach())
        if self.step % 10 == 0 or self.step < 10:
            self.curve.append((self.step, value))
        self.seconds += time.monotonic() - began
        return value

    def _measure(self, announce: Callable[[str], None]) -> None:
        live = {name: value.clone() for name, value in self.stage.model.state_dict().items()}
        self.stage.model.load_state_dict(self.averaged())
        figures: dict[str, Any] = {"step": self.step, "seconds": round(self.seconds), **self.stage.measure()}
        self.stage.model.load_state_dict(live)
        self.figures.append(figures)
        recent = [value for _, value in self.curve[-20:]]
        said = "  ".join(f"{k} {v:.4g}" for k, v in figures.items())
        announce(f"{self.stage.name}: loss {sum(recent) / max(1, len(recent)):.4f}  {said}")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
    )
