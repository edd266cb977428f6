"""The 500 prompts kept out of training, with their scenes and seeds, in a fixed file."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.embedded.captions import FULL, caption
from tools.embedded.world import Draw, Mix, Scene, Thing

HELD_OUT_FILE = Path(__file__).with_name("held_out.json")
_KINDS: dict[str, tuple[int, Mix]] = {
    "object": (150, Mix(shapes=0, light=0.35, extras=0.2, plain_objects=0.15)),
    "shape": (110, Mix(shapes=1)),
    "two objects": (90, Mix(shapes=0, two=1, light=0.2, extras=0.2, plain_objects=0.15)),
    "two shapes": (50, Mix(shapes=1, two=1)),
    "counted": (40, Mix(shapes=1, counted=1)),
    "styled": (40, Mix(styled=1, light=0.3, extras=0.2)),
    "forbidden": (20, Mix(shapes=0, forbidden=1)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A held-out prompt: what kind of task it is, its text, the seed of its noise, and the scene it describes."""

    kind: str
    text: str
    seed: int
    scene: Scene


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The prompts, and the meanings and texts that training must not see."""

    prompts: tuple[Prompt, ...]
    meanings: frozenset[str]
    texts: frozenset[str]


def load_held_out(path: Path = HELD_OUT_FILE) -> HeldOut:
    """Read the fixed file."""
    prompts = []
    for entry in json.loads(path.read_text()):
        fields = dict(entry["scene"])
        fields["things"] = tuple(Thing(**thing) for thing in fields["things"])
        prompts.append(
            Prompt(kind=entry["kind"], text=entry["text"], seed=entry["seed"], scene=Scene(**fields))
        )
    return _held(prompts)


def draw_held_out() -> HeldOut:
    """Draw the prompts anew, the same every time: each names all that can be checked."""
    rng = random.Random("held out")
    prompts: list[Prompt] = []
    seen: set[str] = set()
    for kind, (count, mix) in _KINDS.items():
        draw = Draw(mix, rng)
        kept = 0
        while kept < count:
            scene = draw.scene()
            if scene.meaning() in seen:
                continue
            seen.add(scene.meaning())
            kept += 1
            prompts.append(
                Prompt(kind=kind, text=caption(scene, rng, FULL), seed=rng.getrandbits(31), scene=scene)
            )
    return _held(prompts)


def write_held_out(path: Path = HELD_OUT_FILE) -> None:
    """Write the fixed file, one prompt a line."""
    lines = [
        json.dumps({"kind": p.kind, "text": p.text, "seed": p.seed, "scene": asdict(p.scene)})
        for p in draw_held_out().prompts
    ]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def _held(prompts: list[Prompt]) -> HeldOut:
    return HeldOut(
        tuple(prompts), frozenset(p.scene.meaning() for p in prompts), frozenset(p.text for p in prompts)
    )
