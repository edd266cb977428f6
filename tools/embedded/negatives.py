"""Whether a negative prompt removes what it names: prompts leave one fact open, and what came by itself is unwanted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from tools.embedded import words
from tools.embedded.export import Parts
from tools.embedded.measuring import background_seen, ground_seen, reduced, sky_seen
from tools.embedded.sampling import Sampling, sample
from tools.embedded.world import Draw, Mix, Scene

_OPEN_FACTS = ("sky", "ground", "background")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPrompt:
    """A prompt that says nothing of one fact (`fact`: sky, ground or background) of its scene."""

    fact: str
    text: str
    scene: Scene
    seed: int

    def seen(self, picture: Image.Image) -> str:
        """What the picture shows there."""
        if self.fact == "sky":
            return sky_seen(picture)
        if self.fact == "ground":
            return ground_seen(picture, str(self.scene.sky))
        return background_seen(picture, self.scene)

    def unwanted(self, value: str) -> str:
        """The negative prompt that names `value`, in two ways, as people list what they do not want."""
        if self.fact == "background":
            return f"on a {value} background, {value} background"
        said = words.SKY_WORDS[value] if self.fact == "sky" else words.GROUND_WORDS[value]
        return ", ".join(dict.fromkeys((said[0], said[3])))


def open_prompts(count: int) -> list[OpenPrompt]:
    """`count` prompts, the same every time, the three facts in turn."""
    rng = random.Random("open prompts")
    found: list[OpenPrompt] = []
    while len(found) < count:
        fact = _OPEN_FACTS[len(found) % 3]
        mix = (
            Mix(shapes=1.0, plain_objects=0.0) if fact == "background" else Mix(shapes=0.0, plain_objects=0.0)
        )
        scene = Draw(mix, rng).scene()
        text = _without(fact, scene, rng)
        found.append(OpenPrompt(fact=fact, text=text, scene=scene, seed=rng.getrandbits(31)))
    return found


def removals(parts: Parts, *, count: int, settings: Sampling) -> list[bool]:
    """For each open prompt, whether naming what came by itself as unwanted makes it go (same seed)."""
    prompts = open_prompts(count)
    texts, seeds = [p.text for p in prompts], [p.seed for p in prompts]
    shown = _seen(prompts, sample(parts, texts, seeds, settings=settings))
    negatives = [prompt.unwanted(value) for prompt, value in zip(prompts, shown, strict=True)]
    left = _seen(prompts, sample(parts, texts, seeds, negatives=negatives, settings=settings))
    return [before != after for before, after in zip(shown, left, strict=True)]


def _seen(prompts: Sequence[OpenPrompt], pictures: Sequence[Image.Image]) -> list[str]:
    return [prompt.seen(reduced(picture)) for prompt, picture in zip(prompts, pictures, strict=True)]


def _without(fact: str, scene: Scene, rng: random.Random) -> str:
    thing = scene.things[0]
    place = words.COLUMN_WORDS[thing.column][0]
    if fact == "background":
        return f"a {thing.colour} {thing.kind} {place}"
    told = words.GROUND_WORDS[str(scene.ground)] if fact == "sky" else words.SKY_WORDS[str(scene.sky)]
    return f"a {thing.colour} {thing.kind} {place} {rng.choice(told[:2])}"
