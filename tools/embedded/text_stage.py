"""Stage "text": before any picture, the text encoder learns to tell from a caption what stands where."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded.captions import caption, named_kinds
from tools.embedded.held_out import HeldOut
from tools.embedded.world import BACKGROUNDS, COLOURS, GROUNDS, PHASES, SKIES, STYLES, Draw, Scene

_KINDS = ("", *named_kinds())
_COLOURS = ("", *COLOURS)
_BACKGROUNDS = ("", *BACKGROUNDS)
_SKIES = ("", *SKIES)
_GROUNDS = ("", *GROUNDS)
_CELLS = 9
SHARES = {"one": 0.2, "light": 0.3, "two": 0.5}


@dataclass(frozen=True, slots=True)
class Answers:
    """Labels of a batch of scenes: kind and colour in each of 3x3 places (batch, 9), and five facts (batch, 5)."""

    kinds: Tensor
    colours: Tensor
    facts: Tensor

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Answers:
        """The labels of `scenes`."""
        kinds, colours = torch.zeros(2, len(scenes), _CELLS, dtype=torch.long)
        for row, scene in enumerate(scenes):
            for thing in scene.things:
                cell = thing.row * 3 + thing.column
                kinds[row, cell] = _KINDS.index(thing.kind)
                colours[row, cell] = _COLOURS.index(thing.colour)
        return cls(kinds, colours, torch.tensor([_facts(scene) for scene in scenes]))


class SceneReader(nn.Module):
    """Answers questions about a scene from the end-of-text vector; thrown away after training."""

    sizes = (len(_BACKGROUNDS), len(_SKIES), len(_GROUNDS), 3, len(STYLES))

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kinds = nn.Linear(width, _CELLS * len(_KINDS))
        self.colours = nn.Linear(width, _CELLS * len(_COLOURS))
        self.facts = nn.Linear(width, sum(self.sizes))

    def loss(self, pooled: Tensor, answers: Answers) -> Tensor:
        """Cross entropy of all answers; (batch, width) -> scalar."""
        device = pooled.device
        kinds = self.kinds(pooled).float().view(-1, len(_KINDS))
        colours = self.colours(pooled).float().view(-1, len(_COLOURS))
        loss = functional.cross_entropy(kinds, answers.kinds.flatten().to(device))
        loss = loss + functional.cross_entropy(colours, answers.colours.flatten().to(device))
        parts = self.facts(pooled).float().split(self.sizes, dim=1)
        wanted = answers.facts.to(device)
        facts = [functional.cross_entropy(part, wanted[:, k]) for k, part in enumerate(parts)]
        return loss * 4 + torch.stack(facts).sum()

    def right(self, pooled: Tensor, answers: Answers) -> Tensor:
        """Which captions are wholly understood as to things: (batch,) booleans."""
        kinds = self.kinds(pooled).view(-1, _CELLS, len(_KINDS)).argmax(2) == answers.kinds.to(pooled.device)
        colours = self.colours(pooled).view(-1, _CELLS, len(_COLOURS)).argmax(2) == answers.colours.to(
            pooled.device
        )
        right: Tensor = kinds.all(1) & colours.all(1)
        return right

    def light_right(self, pooled: Tensor, answers: Answers) -> Tensor:
        """Of which captions the side of sun or moon is understood: (batch,) booleans."""
        right: Tensor = self.facts(pooled).split(self.sizes, dim=1)[3].argmax(1) == answers.facts[:, 3].to(
            pooled.device
        )
        return right


class TextPair(nn.Module):
    """Text encoder and reader, trained together."""

    def __init__(self, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.reader = SceneReader(text_encoder.config.hidden_size)


class TextStage:
    """Captions drawn anew for every step; held-out scenes are left out."""

    name = "text"
    weight_decay = 0.01

    def __init__(
        self,
        pair: TextPair,
        tokenizer: CLIPTokenizer,
        *,
        seed: int,
        held_out: HeldOut,
        batch: int = 64,
        peak_rate: float = 1e-3,
        shares: Mapping[str, float] = SHARES,
    ) -> None:
        self.model, self.tokenizer, self.seed, self.held_out = pair, tokenizer, seed, held_out
        self.batch, self.peak_rate, self.shares = batch, peak_rate, shares

    def loss(self, step: int) -> Tensor:
        rng = random.Random(f"text:{self.seed}:{step}")
        scenes = self._scenes(rng, self.batch, self.shares)
        return self.model.reader.loss(self._pooled(scenes, rng), Answers.of(scenes))

    def measure(self) -> dict[str, float]:
        """Share of unseen captions of which kind, colour and place of all things are read rightly."""
        rng = random.Random("text: unseen")
        scenes = self._scenes(rng, 200, SHARES)
        answers = Answers.of(scenes)
        with torch.no_grad():
            pooled = self._pooled(scenes, rng)
            right = self.model.reader.right(pooled, answers).float().cpu()
            light = self.model.reader.light_right(pooled, answers).float().cpu()
        two = torch.tensor([len(s.things) == 2 for s in scenes])
        lit = answers.facts[:, 3] > 0
        return {
            "understood": float(right.mean()),
            "understood_two": float(right[two].mean()),
            "understood_light": float(light[lit].mean()),
        }

    def _scenes(self, rng: random.Random, count: int, shares: Mapping[str, float]) -> list[Scene]:
        scenes: list[Scene] = []
        while len(scenes) < count:
            phase = rng.choices(list(shares), list(shares.values()))[0]
            scene = Draw(PHASES[phase], rng).scene()
            if scene.meaning() not in self.held_out.meanings:
                scenes.append(scene)
        return scenes

    def _pooled(self, scenes: Sequence[Scene], rng: random.Random) -> Tensor:
        texts = [caption(scene, rng) for scene in scenes]
        padding = "max_length" if rng.random() < 0.1 else "longest"
        tokens = self.tokenizer(texts, padding=padding, truncation=True, return_tensors="pt")["input_ids"]
        device = next(self.model.parameters()).device
        pooled: Tensor = self.model.text_encoder(tokens.to(device)).pooler_output
        return pooled


def _facts(scene: Scene) -> list[int]:
    light = 0 if scene.light_side is None else 1 + scene.light_side // 2
    return [
        _BACKGROUNDS.index(scene.background or ""),
        _SKIES.index(scene.sky or ""),
        _GROUNDS.index(scene.ground or ""),
        light,
        STYLES.index(scene.style),
    ]
