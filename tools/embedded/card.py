"""Writes the model card from the stages' records and the examiner's figures: `python -m tools.embedded.card`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

TEMPLATE = Path(__file__).with_name("model_card.tmpl.md")
CARD = Path("nodes/embedded/MODEL_CARD.md")
_FILES = (
    ("checkpoints/scenes-v1.safetensors", "UNet, VAE, text encoder and tokenizer, original (LDM) layout"),
    ("safety/scenes-safety.safetensors", "safety model, `StableDiffusionSafetyChecker`: knows a skull"),
    ("clip_vision/scenes-vision.safetensors", "CLIP vision tower beside the checkpoint's text encoder"),
    ("controlnet/scenes-outlines.safetensors", "ControlNet of outlines as the Canny node draws them"),
    ("upscale_models/scenes-2x.safetensors", "twice the side, SRVGGNetCompact"),
    (
        "diffusion_models/scenes-inpainting.safetensors",
        "UNet of nine channels for inpainting, with the checkpoint's text encoder and VAE",
    ),
    ("embeddings/scenes-harbour.safetensors", "textual inversion of a motif, four vectors"),
    ("loras/scenes-teal.safetensors", "LoRA of a style that training had left out, kohya's layout"),
)
_STAGES = (
    ("vae", "crops of 32, 64, whole pictures"),
    ("text", "captions alone: kinds, colours, places"),
    ("diffusion", "UNet and text encoder together"),
    ("rereading", "captions again, lights and two things more often"),
    ("refining", "less dwelling on strong noise, which brought outlines"),
    ("pair-reading", "captions again, mostly of two things"),
    ("finishing", "more shapes and pairs; styles and skulls oftener in its second part"),
    (
        "polishing",
        "UNet alone: a quarter of the batches at 192, a fifth at 256 pixels; forms count threefold",
    ),
    ("decoder", "whole pictures, latents unchanged"),
    ("sharpening", "decoder alone, crops around things, latents unchanged"),
    ("safety", "drawings and pictures of the checkpoint"),
    ("vision", "contrast of drawings and captions, text encoder fixed"),
    ("control", "UNet fixed"),
    ("inpainting", "the UNet of `finishing`, five more channels"),
    ("embedding", "everything but four vectors fixed"),
    ("upscaler", "pairs drawn at 256 and 128 pixels"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Share right (or mean) of a number of checks."""

    name: str
    value: str
    checks: int


def files_table(folder: Path) -> str:
    """The files that are there, with their sizes."""
    rows = [
        f"| `{name}` | {said} | {(folder / name).stat().st_size / 1e6:.1f} MB |"
        for name, said in _FILES
        if (folder / name).exists()
    ]
    return "\n".join(["| file | what | size |", "| --- | --- | --- |", *rows])


def stages_table(state: Path) -> str:
    """Steps, minutes and last measurement of each stage that was run."""
    rows = []
    for name, said in _STAGES:
        path = state / name / "record.json"
        if path.exists():
            record = json.loads(path.read_text())
            minutes = record["seconds"] / 60
            rows.append(
                f"| `{name}` | {record['step']:,} | {minutes:.0f} | {said} | {_last(record['figures'])} |"
            )
    head = ["| stage | steps | minutes | what | last measured |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def figures_table(figures: Sequence[Figure]) -> str:
    """The examiner's figures."""
    rows = [f"| {f.name} | {f.value} | {f.checks} |" for f in figures]
    return "\n".join(["| checked | right | checks |", "| --- | --- | --- |", *rows])


def filling_table(printed: Mapping[str, Path]) -> str:
    """Both ways to inpaint, by what the prompts told."""
    rows = []
    for told, path in printed.items():
        for line in path.read_text().splitlines():
            found = json.loads(line)
            shares = " | ".join(f"{found[key]:.1%}" for key in ("things", "colours"))
            rows.append(f"| {told} | {found['way']} | {shares} | {found['scenery_error']:.1f} |")
    head = [
        "| the prompt tells | way | thing right | colour right | error of the scenery |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows])


def read_figures(path: Path) -> list[Figure]:
    """What `examine --json` wrote."""
    found: Mapping[str, Mapping[str, float]] = json.loads(path.read_text())
    return [
        Figure(
            name=name,
            value=f"{entry['right']:.1%}" if "right" in entry else f"{entry['mean']:.3f}",
            checks=int(entry["checks"]),
        )
        for name, entry in found.items()
    ]


def _last(figures: Sequence[Mapping[str, Any]]) -> str:
    if not figures:
        return ""
    shown = {name: value for name, value in figures[-1].items() if name not in ("step", "seconds")}
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in shown.items())


def main(arguments: list[str] | None = None) -> int:
    """Write the card."""
    parser = argparse.ArgumentParser(prog="python -m tools.embedded.card", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("build/embedded"), help="folder of training state")
    parser.add_argument("--figures", type=Path, required=True, help="what `examine --json` printed")
    parser.add_argument("--filling", type=Path, required=True, help="what `filling` printed")
    parser.add_argument("--filling-bare", type=Path, required=True, help="what `filling --bare` printed")
    parser.add_argument("--output", type=Path, default=CARD)
    options = parser.parse_args(arguments)
    text = Template(TEMPLATE.read_text()).substitute(
        files=files_table(options.output.parent),
        stages=stages_table(options.state),
        figures=figures_table(read_figures(options.figures)),
        filling=filling_table({"whole scene": options.filling, "new thing alone": options.filling_bare}),
    )
    options.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
