"""Compares a UNet of nine channels with mask blending: `python -m tools.embedded.filling CHECKPOINT INPAINTING`.

In each picture one thing is to be replaced by another. Both ways keep what lies outside the region; blending knows
of it only by the noised latents it puts back at every step, the nine channels are shown it clean.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image, ImageChops
from torch import Tensor
from torch.nn import functional

from tools.embedded.captions import FULL, caption
from tools.embedded.classifier import Eye, load_eye
from tools.embedded.drawing import SIDE, drawn
from tools.embedded.export import Parts, load, read_header, read_tensors, unet_of
from tools.embedded.measuring import thing_colours, thing_kinds
from tools.embedded.sampling import as_image, contact_sheet, encoded, new_scheduler
from tools.embedded.vae_stage import as_pixels
from tools.embedded.world import (
    OBJECTS,
    PHASES,
    SHAPES,
    Draw,
    Scene,
    distinct_colours,
    surrounding_colours,
)

_MARGIN = 5
_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`before` is the picture to change, `after` the scene wanted, `hole` (1, side, side) the region to fill."""

    before: Image.Image
    after: Scene
    text: str
    hole: Tensor
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Shares of things named rightly and of colours right, and the mean error (0 to 255) of the scenery filled in."""

    things: float
    colours: float
    scenery_error: float


def cases(count: int, *, bare: bool = False) -> list[Case]:
    """`count` replacements, the same every time; the prompt tells the whole scene, or if `bare` the new thing alone."""
    rng = random.Random("replacements")
    return [_case(rng, bare) for _ in range(count)]


def fill(
    parts: Parts, unet: UNet2DConditionModel, some: Sequence[Case], *, steps: int = 20
) -> list[Image.Image]:
    """Fill the holes, with the UNet's own way of being shown the rest; what lies outside is kept by blending."""
    scheduler = new_scheduler(steps)
    scale = float(parts.vae.config["scaling_factor"])
    whole, hole = as_pixels([case.before for case in some]), torch.stack([case.hole for case in some])
    with torch.no_grad():
        known, masked = (
            parts.vae.encode(torch.cat([whole, whole * (1 - hole)])).latent_dist.mean * scale
        ).chunk(2)
        mask = functional.max_pool2d(hole, 8)
        text = encoded(parts, [""] * len(some) + [case.text for case in some])
        noise = torch.stack(
            [torch.randn(known.shape[1:], generator=torch.Generator().manual_seed(c.seed)) for c in some]
        )
        latents = noise * scheduler.init_noise_sigma
        shown = [mask, masked] if unet.config["in_channels"] != latents.shape[1] else []
        for number, time in enumerate(scheduler.timesteps):
            given = torch.cat([scheduler.scale_model_input(latents, time), *shown], dim=1)
            without, with_text = unet(torch.cat([given, given]), time, text).sample.chunk(2)
            latents = scheduler.step(without + 5 * (with_text - without), time, latents).prev_sample
            after = scheduler.timesteps[number + 1 : number + 2]
            kept = scheduler.add_noise(known, noise, after) if len(after) else known
            latents = mask * latents + (1 - mask) * kept
        pictures = parts.vae.decode(latents / scale).sample
    return [as_image(picture) for picture in pictures]


def judged(pictures: Sequence[Image.Image], some: Sequence[Case], eye: Eye) -> Filled:
    """What was filled in against what was asked for; only the thing replaced counts."""
    things, colours, errors = [], [], []
    for picture, case in zip(pictures, some, strict=True):
        order = sorted(case.after.things, key=lambda thing: thing.row)
        place = order.index(case.after.things[0])
        things.append(thing_kinds(picture, case.after, eye)[place])
        colours.append(thing_colours(picture, case.after)[place])
        errors.append(_scenery_error(picture, case))
    return Filled(
        things=sum(things) / len(things),
        colours=sum(colours) / len(colours),
        scenery_error=sum(errors) / len(errors),
    )


def load_inpainting(path: Path) -> UNet2DConditionModel:
    """The UNet of nine channels exported at `path`."""
    config = json.loads(read_header(path)["graphcore.config"])
    return unet_of(config["unet"], read_tensors(path)).eval()


def main(arguments: list[str] | None = None) -> int:
    """Fill the same holes both ways, print both figures as JSON, and write both sheets if asked."""
    parser = argparse.ArgumentParser(prog="python -m tools.embedded.filling", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("inpainting", type=Path)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--eye", type=Path, default=Path("build/embedded/eye.safetensors"))
    parser.add_argument(
        "--sheet", type=Path, help="write before, blended and nine channels in turn as one PNG"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bare", action="store_true", help="prompts name the new thing and nothing else")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    parts, eye = load(options.checkpoint), load_eye(options.eye)
    some = cases(options.count, bare=options.bare)
    ways: dict[str, Callable[[], UNet2DConditionModel]] = {
        "blended": lambda: parts.unet,
        "nine channels": lambda: load_inpainting(options.inpainting),
    }
    made = {name: _filled(parts, unet(), some) for name, unet in ways.items()}
    for name, pictures in made.items():
        found = judged(pictures, some, eye)
        figures = {"things": found.things, "colours": found.colours, "scenery_error": found.scenery_error}
        print(json.dumps({"way": name, **{key: round(value, 4) for key, value in figures.items()}}))
    if options.sheet:
        rows = zip(some, *made.values(), strict=True)
        contact_sheet([p for case, *both in rows for p in (case.before, *both)], columns=12).save(
            options.sheet
        )
    return 0


def _filled(parts: Parts, unet: UNet2DConditionModel, some: Sequence[Case]) -> list[Image.Image]:
    return [
        picture
        for start in range(0, len(some), _BATCH)
        for picture in fill(parts, unet, some[start : start + _BATCH])
    ]


def _case(rng: random.Random, bare: bool) -> Case:
    scene = Draw(PHASES[rng.choice(("two", "light", "pairs"))], rng).scene()
    while scene.counted or scene.style != "plain" or any(t.kind == "skull" for t in scene.things):
        scene = Draw(PHASES[rng.choice(("two", "light", "pairs"))], rng).scene()
    old = scene.things[0]
    kinds = SHAPES if old.kind in SHAPES else tuple(kind for kind in OBJECTS if kind != "balloon")
    taken = {old.colour} | surrounding_colours(scene)
    new = replace(
        old,
        kind=rng.choice([kind for kind in kinds if kind != old.kind]),
        colour=distinct_colours(rng, taken, 1)[0],
    )
    after = replace(scene, things=(new, *scene.things[1:]))
    seed = rng.getrandbits(31)
    return Case(
        before=drawn(scene, steady=True).picture,
        after=after,
        text=f"a {new.colour} {new.kind}" if bare else caption(after, rng, FULL),
        hole=_hole(scene, after),
        seed=seed,
    )


def _hole(before: Scene, after: Scene) -> Tensor:
    place = sorted(before.things, key=lambda thing: thing.row).index(before.things[0])
    masks = [drawn(scene, steady=True).masks[place] for scene in (before, after)]
    left, top, right, bottom = ImageChops.lighter(*masks).getbbox() or (0, 0, SIDE, SIDE)
    hole = torch.zeros(1, SIDE, SIDE)
    hole[:, max(0, top - _MARGIN) : bottom + _MARGIN, max(0, left - _MARGIN) : right + _MARGIN] = 1
    return hole


def _scenery_error(picture: Image.Image, case: Case) -> float:
    drawing = drawn(case.after, steady=True)
    things = np.max([np.asarray(mask) for mask in drawing.masks], axis=0)
    scenery = (case.hole[0].numpy() > 0) & (things < 8)
    off = np.abs(np.asarray(picture, dtype=np.float32) - np.asarray(drawing.picture, dtype=np.float32))
    return float(off[scenery].mean()) if scenery.any() else 0.0


if __name__ == "__main__":
    sys.exit(main())
