"""Examines a checkpoint on the fixed held-out prompts: `python -m tools.embedded.examine CHECKPOINT`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from rich.progress import track

from tools.embedded.agreement import agreement
from tools.embedded.classifier import Eye, load_eye
from tools.embedded.drawing import SIDE, picture_of
from tools.embedded.export import load
from tools.embedded.held_out import Prompt, load_held_out
from tools.embedded.measuring import (
    background_right,
    counted_right,
    ground_right,
    light_side_right,
    reduced,
    sky_right,
    thing_colours,
    thing_kinds,
)
from tools.embedded.negatives import removals
from tools.embedded.placements import admissible
from tools.embedded.safety_stage import flagged, is_forbidden, load_checker
from tools.embedded.sampling import Sampling, contact_sheet, sample
from tools.embedded.world import FORBIDDEN, Scene

COLOURED = ("plain", "pixel")


@dataclass(frozen=True, slots=True)
class Mark:
    """One checked fact of one picture."""

    measure: str
    right: bool


def marks(picture: Image.Image, prompt: Prompt, eye: Eye) -> list[Mark]:
    """Everything that can be checked in the picture of one prompt.

    Where the prompt leaves places open, the places at which most is right count.
    """
    scenes = admissible(prompt.scene, prompt.text)
    return max((_marks(picture, prompt, scene, eye) for scene in scenes), key=_right)


def _right(found: Sequence[Mark]) -> int:
    return sum(mark.right for mark in found)


def _marks(picture: Image.Image, prompt: Prompt, scene: Scene, eye: Eye) -> list[Mark]:
    found: list[Mark] = []
    kinds = thing_kinds(picture, scene, eye)
    found += [Mark(f"thing: {prompt.kind}", right) for right in kinds]
    things = sorted(scene.things, key=lambda thing: thing.row)
    found += [Mark(f"named: {t.kind}", right) for t, right in zip(things, kinds, strict=True)]
    if scene.style in COLOURED:
        colours = thing_colours(picture, scene)
        if prompt.kind != "forbidden":
            found += [Mark(f"colour at place: {prompt.kind}", right) for right in colours]
        found += _setting_marks(picture, prompt)
        if len(scene.things) == 2 and not scene.counted:
            found.append(Mark("two things, both colours right", all(colours)))
            found.append(Mark("two things, colour and thing of both right", all(colours) and all(kinds)))
        if scene.counted and scene.style == "plain":
            found.append(Mark("count", counted_right(picture, scene, eye)))
    return found


def _setting_marks(picture: Image.Image, prompt: Prompt) -> list[Mark]:
    scene = prompt.scene
    if scene.background is not None:
        return [Mark("background", background_right(picture, scene))]
    found = [Mark("ground", ground_right(picture, scene))]
    if scene.things[0].kind != FORBIDDEN:
        found.append(Mark("sky", sky_right(picture, scene)))
    if scene.light_side is not None and scene.style == "plain":
        found.append(Mark("sun or moon on its side", light_side_right(picture, scene)))
    return found


def totals(found: Sequence[Mark]) -> dict[str, dict[str, float]]:
    """Share right and number of checks for each measure, and for the groups the targets speak of."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for mark in found:
        groups[mark.measure].append(mark.right)
        if mark.measure.startswith("colour at place"):
            groups["all colours at their place"].append(mark.right)
        if mark.measure.startswith("thing:"):
            groups["all things recognised"].append(mark.right)
        if mark.measure in ("background", "sky"):
            groups["background or sky"].append(mark.right)
    return {
        name: {"right": round(sum(g) / len(g), 4), "checks": len(g)} for name, g in sorted(groups.items())
    }


def examine(
    checkpoint: Path, eye: Eye, *, count: int, settings: Sampling
) -> tuple[dict[str, dict[str, float]], list[Image.Image]]:
    """Sample `count` of the held-out prompts, evenly spread, and mark them, reduced to the size of drawings."""
    prompts = _spread(count)
    parts = load(checkpoint)
    found: list[Mark] = []
    pictures: list[Image.Image] = []
    starts = range(0, len(prompts), settings.batch)
    for start in track(starts, description="examining", disable=not sys.stderr.isatty()):
        some = prompts[start : start + settings.batch]
        made = sample(parts, [p.text for p in some], [p.seed for p in some], settings=settings)
        for picture, prompt in zip(made, some, strict=True):
            found += marks(reduced(picture), prompt, eye)
        pictures += made
    return totals(found), pictures


def _flagged(safety: Path | None, pictures: Sequence[Image.Image], prompts: Sequence[Prompt]) -> list[Mark]:
    if safety is None:
        return []
    flags = flagged(load_checker(safety), pictures)
    names = ("others passed by the safety model", "forbidden flagged by the safety model")
    bad = [is_forbidden(prompt.scene) for prompt in prompts]
    return [Mark(names[there], flag == there) for flag, there in zip(flags, bad, strict=True)]


def _negatives(checkpoint: Path, *, count: int, settings: Sampling) -> list[Mark]:
    judged = removals(load(checkpoint), count=count, settings=settings)
    return [Mark("negative prompt removes what it names", removed) for removed in judged]


def _agreement(
    checkpoint: Path, tower: Path, pictures: Sequence[Image.Image], prompts: Sequence[Prompt]
) -> dict[str, dict[str, float]]:
    found = agreement(load(checkpoint), tower, pictures, [prompt.text for prompt in prompts])
    count = len(pictures)
    return {
        "CLIP score with its own prompt": {"mean": round(found.own, 4), "checks": count},
        "CLIP score with other prompts": {"mean": round(found.others, 4), "checks": count},
        "own prompt nearest of twenty": {"right": round(found.nearest, 4), "checks": count},
    }


def ceiling(eye: Eye, *, count: int) -> dict[str, dict[str, float]]:
    """The marks of the true drawings: what the examiner would give a perfect model."""
    found = [mark for prompt in _spread(count) for mark in marks(picture_of(prompt.scene), prompt, eye)]
    return totals(found)


def _spread(count: int) -> list[Prompt]:
    prompts = load_held_out().prompts
    return [prompts[k * len(prompts) // count] for k in range(min(count, len(prompts)))]


def main(arguments: list[str] | None = None) -> int:
    """Examine a checkpoint, print a table or JSON, and write the contact sheet if asked."""
    parser = argparse.ArgumentParser(prog="python -m tools.embedded.examine", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--count", type=int, default=500, help="how many of the 500 prompts")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sheet", type=Path, help="write the pictures as one PNG")
    parser.add_argument(
        "--eye",
        type=Path,
        default=Path("build/embedded/eye.safetensors"),
        help="weights of the examiner's classifier; trained and written here if missing",
    )
    parser.add_argument("--safety", type=Path, help="a safety model to try on the pictures")
    parser.add_argument("--vision", type=Path, help="a CLIP vision tower: scores of the pictures' prompts")
    parser.add_argument("--side", type=int, default=SIDE, help="pixels of a picture's edge")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--ceiling", action="store_true", help="mark the true drawings instead of a model's pictures"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    eye = load_eye(options.eye)
    pictures: list[Image.Image] = []
    if options.ceiling:
        result = ceiling(eye, count=options.count)
    else:
        settings = Sampling(steps=options.steps, guidance=options.cfg, side=options.side)
        result, pictures = examine(options.checkpoint, eye, count=options.count, settings=settings)
        result |= totals(_flagged(options.safety, pictures, _spread(options.count)))
        if options.vision:
            result |= _agreement(options.checkpoint, options.vision, pictures, _spread(options.count))
        result |= totals(_negatives(options.checkpoint, count=options.count // 5, settings=settings))
    if options.sheet and pictures:
        contact_sheet(pictures).save(options.sheet)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        for name, group in result.items():
            shown = f"{group['right']:6.1%}" if "right" in group else f"{group['mean']:6.3f}"
            print(f"{name:45} {shown}  of {group['checks']:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
