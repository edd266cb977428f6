"""Loading a checkpoint: CPU seconds and memory, beside diffusers' `from_single_file` on the same file.

A file of the shape of SD 1.5 in fp16 (2.1 GB, random weights) is written to a temporary folder, and each way of
loading it is measured in a process of its own, with the file in the page cache and all imports done.

    python -m benchmarks.loading [--smoke] [--json]
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
from typing import Any

CPU_LIMIT_S = 0.5
COPY_LIMIT_MB = 200.0
"""What loading may add in private memory: module objects, headers and allocator slack, but no second copy."""

SD15: Mapping[str, Any] = {
    "unet": {
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "vae": {
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "latent_channels": 4,
    },
    "text_encoder": {
        "vocab_size": 49408,
        "eos_token_id": 49407,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
    },
}
SMOKE: Mapping[str, Any] = {
    "unet": {
        **SD15["unet"],
        "block_out_channels": [32, 32, 64, 64],
        "layers_per_block": 1,
        "cross_attention_dim": 64,
    },
    "vae": {**SD15["vae"], "block_out_channels": [32, 32, 32, 32], "layers_per_block": 1},
    "text_encoder": {**SD15["text_encoder"], "hidden_size": 64, "num_attention_heads": 1},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way of loading: CPU and wall seconds, and the growth of private and of mapped memory in MB."""

    way: str
    cpu_s: float
    wall_s: float
    private_mb: float
    mapped_mb: float


def write_checkpoint(path: Path, configs: Mapping[str, Any]) -> None:
    """Write a checkpoint of these configurations in the original layout, fp16, with random weights."""
    import diffusers
    import torch
    from safetensors.torch import save_file

    from nodes.diffusion.clip_text import ClipText
    from nodes.diffusion.layouts import clip, unet, vae

    with torch.device("meta"):
        network = diffusers.UNet2DConditionModel(**configs["unet"]).state_dict()
        autoencoder = diffusers.AutoencoderKL(**configs["vae"]).state_dict()
        text = ClipText(configs["text_encoder"]).state_dict()
    layouts = (
        ("model.diffusion_model.", network, unet.rules(configs["unet"], network)),
        ("first_stage_model.", autoencoder, vae.rules(configs["vae"], autoencoder)),
        ("cond_stage_model.transformer.", text, clip.transformers_rules(text, "text_model.")),
    )
    noise = torch.randn(8_000_003, generator=torch.Generator().manual_seed(0)).mul(0.02).half()
    state = {}
    for prefix, shapes, rules in layouts:
        for rule in rules:
            shape = shapes[rule.target].shape
            count = shape.numel()
            weights = noise.repeat(-(-count // len(noise)))[:count].clone().view(shape)
            state[prefix + rule.original] = (
                weights[:, :, None, None] if rule.form.kind == "linear" else weights
            )
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


def as_stored(path: Path) -> object:
    """All parts, mapped, in the dtype of the file."""
    from nodes.diffusion.checkpoint import open_checkpoint
    from nodes.diffusion.weights import load

    return [load(part) for part in open_checkpoint(path).parts.values()]


def cast_to_bf16(path: Path) -> object:
    """All parts, cast once to what CPUs with AMX compute in."""
    import torch

    from nodes.diffusion.checkpoint import open_checkpoint
    from nodes.diffusion.precision import Precision
    from nodes.diffusion.weights import load, placed

    precision = Precision(dtype=torch.bfloat16, channels_last=True)
    parts = open_checkpoint(path).parts.values()
    return [placed(load(part), torch.device("cpu"), precision) for part in parts]


def diffusers_default(path: Path) -> object:
    """UNet and VAE by diffusers, with no dtype said."""
    return _by_diffusers(path, {})


def diffusers_fp16(path: Path) -> object:
    """UNet and VAE by diffusers, asked for the dtype of the file."""
    import torch

    return _by_diffusers(path, {"torch_dtype": torch.float16})


def _by_diffusers(path: Path, options: Mapping[str, Any]) -> object:
    import diffusers

    made = []
    for cls, part in ((diffusers.UNet2DConditionModel, "unet"), (diffusers.AutoencoderKL, "vae")):
        config = str(path.parent / "config")
        made.append(
            cls.from_single_file(str(path), config=config, subfolder=part, local_files_only=True, **options)
        )
    return made


WAYS: Mapping[str, Callable[[Path], object]] = {
    "graphcore, as stored": as_stored,
    "graphcore, cast to bf16": cast_to_bf16,
    "diffusers, no dtype said": diffusers_default,
    "diffusers, fp16": diffusers_fp16,
}


def measure_here(way: str, path: Path) -> Measured:
    """Load once in this process."""
    import diffusers
    import torch

    from nodes.diffusion import clip_text, store

    torch.set_num_threads(1)
    imported = (store, clip_text, diffusers.UNet2DConditionModel, diffusers.AutoencoderKL)
    assert all(imported)
    before, started, cpu = _memory(), time.perf_counter(), time.process_time()
    loaded = WAYS[way](path)
    cpu, wall, after = time.process_time() - cpu, time.perf_counter() - started, _memory()
    del loaded
    return Measured(
        way=way,
        cpu_s=cpu,
        wall_s=wall,
        private_mb=after["RssAnon"] - before["RssAnon"],
        mapped_mb=after["RssFile"] - before["RssFile"],
    )


def _memory() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) / 1024 for words in lines if words[0].startswith("Rss")}


def measure(*, smoke: bool = False) -> dict[str, Any]:
    """Measure every way; the figures, the file's size, and whether they keep to the limits."""
    configs = SMOKE if smoke else SD15
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_checkpoint(path, configs)
        for part in ("unet", "vae"):
            place = Path(folder) / "config" / part
            place.mkdir(parents=True)
            (place / "config.json").write_text(json.dumps(configs[part]))
        measured = [_in_a_process(way, path) for way in WAYS]
        size = path.stat().st_size / 2**20
    ours, theirs = measured[0], measured[2]
    return {
        "file_mb": size,
        "ways": [asdict(each) for each in measured],
        "cpu_ratio_to_diffusers": ours.cpu_s / theirs.cpu_s,
        "passed": smoke or (ours.cpu_s <= CPU_LIMIT_S and ours.private_mb <= COPY_LIMIT_MB),
    }


def _in_a_process(way: str, path: Path) -> Measured:
    command = [sys.executable, "-m", "benchmarks.loading", "--measure", way, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    print(f"Loading a file of {result['file_mb']:.0f} MB (fp16, in the page cache, one thread)")
    print(f"{'':28}{'CPU s':>8}{'wall s':>8}{'private MB':>12}{'mapped MB':>11}")
    for way in result["ways"]:
        print(
            f"{way['way']:28}{way['cpu_s']:8.2f}{way['wall_s']:8.2f}{way['private_mb']:12.0f}{way['mapped_mb']:11.0f}"
        )
    print(f"CPU seconds, graphcore to diffusers: {result['cpu_ratio_to_diffusers']:.3f}")
    print(
        f"Limits: {CPU_LIMIT_S} s of CPU, {COPY_LIMIT_MB:.0f} MB private: {'kept' if result['passed'] else 'MISSED'}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; 0 if the limits are kept."""
    parser = argparse.ArgumentParser(description="Measure how checkpoints are loaded.")
    parser.add_argument("--smoke", action="store_true", help="a tiny file, to see that it runs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(asdict(measure_here(options.measure[0], Path(options.measure[1])))))
        return 0
    result = measure(smoke=options.smoke)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
