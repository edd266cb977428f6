"""Sampling: seconds per step of a full-size SD 1.5 UNet at 256x256 with guidance, beside diffusers' pipeline.

Both sample with Euler and the same random weights; the text is encoded beforehand and nothing is decoded. Each way
runs in a process of its own: one short run to warm up, then the measured one. CPU seconds are compared, since wall
seconds tell of the machine's other work too.

    python -m benchmarks.sampling [--smoke] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.loading import SD15, SMOKE, write_checkpoint

STEPS: Final = 4
SIDE: Final = 256
GUIDANCE: Final = 7.0
SAME_DTYPE_LIMIT: Final = 1.0
DEFAULT_LIMIT: Final = 0.5
WAYS: Final = ("graphcore fp32", "diffusers fp32", "graphcore default", "diffusers bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way of sampling: CPU and wall seconds per step."""

    way: str
    cpu_s: float
    wall_s: float


def graphcore_run(path: Path, dtype: str) -> Callable[[int], object]:
    """Sampling by our nodes' machine room."""
    import torch

    from graphcore import detached_context
    from graphcore.settings import Settings
    from nodes.diffusion.guidance import Cfg
    from nodes.diffusion.ksampling import ScheduleChoice, run_sampler
    from nodes.diffusion.store import ModelStore
    from nodes.values import Conditioning, ConditioningEntry, FileRef, Guider, Latent, Model, Noise, Sampler

    settings = Settings(dtype=dtype)
    ctx = detached_context()
    store = ModelStore(resolve=lambda file: path, dtype=settings.dtype)
    ctx.services.provide(store)
    width = _text_width(path)
    texts = [
        Conditioning((ConditioningEntry(embeddings=torch.randn(1, 77, width, generator=_seeded(seed))),))
        for seed in (1, 2)
    ]
    model = Model(file=FileRef(kind="checkpoints", name=path.name, fingerprint="benchmark"))
    guider = Guider(model=model, conditionings=(texts[0], texts[1]), guidance=Cfg(scale=GUIDANCE))
    latent = Latent(torch.zeros(1, 4, SIDE // 8, SIDE // 8))

    def run(steps: int) -> object:
        return run_sampler(
            ctx,
            guider=guider,
            sampler=Sampler(name="euler"),
            schedule=ScheduleChoice(name="normal", steps=steps),
            noise=Noise(seed=3),
            latent=latent,
        )

    return run


def diffusers_run(path: Path, dtype: str) -> Callable[[int], object]:
    """Sampling by diffusers' pipeline, as its documentation shows it."""
    import diffusers
    import torch

    from nodes.diffusion.checkpoint import open_checkpoint
    from nodes.diffusion.weights import load

    wanted = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    unet = load(open_checkpoint(path).part("unet")).to(wanted)
    vae = load(open_checkpoint(path).part("vae")).to(wanted)
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
    )
    pipeline: Any = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    width = _text_width(path)
    positive, negative = (torch.randn(1, 77, width, generator=_seeded(seed)).to(wanted) for seed in (1, 2))

    def run(steps: int) -> object:
        return pipeline(
            prompt_embeds=positive,
            negative_prompt_embeds=negative,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            height=SIDE,
            width=SIDE,
            output_type="latent",
            generator=_seeded(3),
        )

    return run


def _text_width(path: Path) -> int:
    from nodes.diffusion.checkpoint import open_checkpoint

    return int(open_checkpoint(path).part("unet").config["cross_attention_dim"])


def _seeded(seed: int) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)


def measure_here(way: str, path: Path) -> Measured:
    """Measure one way in this process."""
    engine, _, dtype = way.partition(" ")
    make = graphcore_run if engine == "graphcore" else diffusers_run
    run = make(path, "auto" if dtype == "default" else dtype)
    run(1)
    cpu, wall = time.process_time(), time.perf_counter()
    run(STEPS)
    return Measured(
        way=way, cpu_s=(time.process_time() - cpu) / STEPS, wall_s=(time.perf_counter() - wall) / STEPS
    )


def measure(*, smoke: bool) -> dict[str, Any]:
    """Measure every way; the figures, their ratios, and whether they keep to the limits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_checkpoint(path, SMOKE if smoke else SD15)
        found = {way: _in_a_process(way, path) for way in WAYS}
    from nodes.environment import cpu_flags

    same = found["graphcore fp32"].cpu_s / found["diffusers fp32"].cpu_s
    default = found["graphcore default"].cpu_s / found["diffusers fp32"].cpu_s
    has_amx = "amx_bf16" in cpu_flags()
    kept = smoke or (same <= SAME_DTYPE_LIMIT * 1.05 and (default <= DEFAULT_LIMIT or not has_amx))
    return {
        "ways": [asdict(measured) for measured in found.values()],
        "same_dtype_ratio": same,
        "default_ratio": default,
        "amx": has_amx,
        "kept": kept,
    }


def _in_a_process(way: str, path: Path) -> Measured:
    command = [sys.executable, "-m", "benchmarks.sampling", "--way", way, "--file", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def show(figures: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    print(f"{'way':<20} {'CPU s/step':>11} {'wall s/step':>12}")
    for measured in figures["ways"]:
        print(f"{measured['way']:<20} {measured['cpu_s']:>11.3f} {measured['wall_s']:>12.3f}")
    print(f"same dtype: {figures['same_dtype_ratio']:.2f} of diffusers (limit {SAME_DTYPE_LIMIT})")
    limit = f"limit {DEFAULT_LIMIT}" if figures["amx"] else "no limit without AMX"
    print(f"our default: {figures['default_ratio']:.2f} of diffusers in fp32 ({limit})")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 0 if the limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a tiny network, no limits")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.way is not None:
        print(json.dumps(asdict(measure_here(options.way, options.file))))
        return 0
    figures = measure(smoke=options.smoke)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        show(figures)
    return 0 if figures["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
