"""Training: `python -m tools.embedded.train --stage vae [--resume]`; the stages in order are `STAGES`."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

import torch

from tools.embedded.annexe import Annexe
from tools.embedded.drawing import SIDE
from tools.embedded.recipe import SMOKE, Recipe
from tools.embedded.workshop import Workshop

SAFETY = Path("nodes/embedded/safety/scenes-safety.safetensors")
COMPANIONS = Path("nodes/embedded")
SHIPPED = Path("nodes/embedded/checkpoints/scenes-v1.safetensors")
TITLE = "graphcore scenes v1"
STAGES = (
    "all",
    "vae",
    "latents",
    "text",
    "diffusion",
    "rereading",
    "refining",
    "pair-reading",
    "finishing",
    "polishing",
    "decoder",
    "sharpening",
    "export",
    "safety-pictures",
    "safety",
    "export-safety",
    "upscaler",
    "vision",
    "control",
    "masked-latents",
    "inpainting",
    "embedding",
    "export-companions",
)


def main(arguments: list[str] | None = None) -> int:
    """Run one stage, or all in order."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = SMOKE if options.smoke else Recipe()
    shop = Workshop(
        folder=options.state, recipe=recipe, device=options.device, measure_every=options.measure_every
    )
    stages = STAGES[1:] if options.stage == "all" else (options.stage,)
    for stage in stages:
        try:
            run_stage(shop, stage, options)
        except FileNotFoundError as missing:
            print(f"Stage {stage!r} misses what an earlier stage leaves: {missing}", file=sys.stderr)
            return 2
    return 0


def run_stage(shop: Workshop, stage: str, options: argparse.Namespace) -> None:
    """Run one stage with the command line's options."""
    annexe = Annexe(shop)
    trained = {
        "vae": shop.train_vae,
        "text": shop.train_text,
        "diffusion": shop.train_diffusion,
        "rereading": shop.reread,
        "refining": shop.refine_diffusion,
        "pair-reading": shop.read_pairs,
        "finishing": shop.finish_diffusion,
        "polishing": shop.polish_diffusion,
        "decoder": shop.train_decoder,
        "sharpening": shop.sharpen_decoder,
        "safety": annexe.train_safety,
        "upscaler": annexe.train_upscaler,
        "vision": annexe.train_vision,
        "control": annexe.train_control,
        "inpainting": annexe.train_inpainting,
        "embedding": annexe.train_embedding,
    }
    if stage in trained:
        saved = (shop.folder / stage / "state.pt").exists()
        trained[stage](resume=options.resume and saved, stop=options.stop)
    elif stage == "latents":
        for phase, side in _pictures(shop.recipe, options):
            shop.encode(phase, part=options.part, parts=options.parts, side=side)
    elif stage == "masked-latents":
        annexe.encode_masked()
    elif stage == "safety-pictures":
        annexe.sample_for_safety(options.output)
    elif stage == "export-safety":
        size = annexe.export_safety(options.safety_output, date=options.date)
        print(f"{options.safety_output}: {size / 1e6:.1f} MB")
    elif stage == "export-companions":
        for name, size in annexe.export_companions(options.companions_output, date=options.date).items():
            print(f"{options.companions_output / name}: {size / 1e6:.1f} MB")
    else:
        size = shop.export(options.output, title=TITLE, date=options.date)
        print(f"{options.output}: {size / 1e6:.1f} MB")


def _pictures(recipe: Recipe, options: argparse.Namespace) -> list[tuple[str, int]]:
    """Which phases to encode at which sides: those asked for, or all."""
    if options.phase:
        return [(options.phase, options.side or SIDE)]
    sizes = {SIDE: (("probe-one", 0), ("probe-two", 0), *recipe.pictures), **recipe.larger_pictures}
    return [
        (phase, side)
        for side, pictures in sizes.items()
        for phase, _ in pictures
        if options.side in (None, side)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.embedded.train", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, default="all")
    parser.add_argument("--state", type=Path, default=Path("build/embedded"), help="folder of training state")
    parser.add_argument(
        "--resume", action="store_true", help="continue a stage from its saved state, to the step"
    )
    parser.add_argument("--stop", type=int, help="stop at this step of the stage (resume later)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the one training process")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--measure-every", type=int, default=250, help="steps between measurements")
    parser.add_argument("--phase", help="stage latents: one phase only")
    parser.add_argument("--side", type=int, help="stage latents: pictures of this side only")
    parser.add_argument("--part", type=int, default=0, help="stage latents: which share of the phase")
    parser.add_argument("--parts", type=int, default=1, help="stage latents: number of shares")
    parser.add_argument("--output", type=Path, default=SHIPPED, help="stage export: the file to write")
    parser.add_argument(
        "--safety-output", type=Path, default=SAFETY, help="stage export-safety: the file to write"
    )
    parser.add_argument(
        "--companions-output",
        type=Path,
        default=COMPANIONS,
        help="stage export-companions: the folder to write below",
    )
    parser.add_argument(
        "--date",
        default=datetime.datetime.now(datetime.UTC).date().isoformat(),
        help="stage export: date in the header",
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes and a few steps, to try the command")
    return parser


if __name__ == "__main__":
    sys.exit(main())
