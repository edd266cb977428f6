"""Encoded pictures kept in files, so that the UNet's training draws and encodes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from tools.embedded.held_out import HeldOut
from tools.embedded.vae_stage import whole_pictures
from tools.embedded.world import scene_of

PROBE_FIRST = 40_000_000
_BATCH = 16


@dataclass(frozen=True, slots=True)
class LatentSet:
    """Latents of scenes of one phase: `latents` (count, 4, side, side) as the VAE's mean, unscaled; `seeds` (count)."""

    phase: str
    latents: Tensor
    seeds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.seeds)


def encode_set(
    vae: AutoencoderKL, phase: str, path: Path, *, first: int, count: int, held_out: HeldOut
) -> LatentSet:
    """Draw and encode `count` scenes from seed `first` on, leaving out those of held-out meaning; write `path`."""
    seeds = _allowed(phase, first, count, held_out)
    made = []
    with torch.no_grad():
        for batch in _batches(seeds):
            device = next(vae.parameters()).device
            with torch.autocast(device.type, dtype=torch.bfloat16):
                mean = vae.encode(whole_pictures(batch, phase).to(device)).latent_dist.mean
            made.append(mean.half().cpu())
    latents = torch.cat(made).contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    save_file({"latents": latents, "seeds": torch.tensor(seeds)}, draft)
    draft.replace(path)
    return LatentSet(phase, latents, tuple(seeds))


def read_sets(folder: Path, phase: str) -> LatentSet:
    """All sets `PHASE-*.safetensors` of the folder, joined in order of name. Raises FileNotFoundError if none is."""
    paths = sorted(folder.glob(f"{phase}-*.safetensors"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no latents of phase {phase!r}: run the stage 'latents' first."
        )
    parts = [load_file(path) for path in paths]
    seeds = tuple(int(s) for part in parts for s in part["seeds"])
    return LatentSet(phase, torch.cat([part["latents"] for part in parts]), seeds)


def spread(sets: Sequence[LatentSet]) -> float:
    """Standard deviation of all latents: the scaling factor is one over it."""
    return float(torch.cat([s.latents.float().flatten() for s in sets]).std())


def _allowed(phase: str, first: int, count: int, held_out: HeldOut) -> list[int]:
    seeds: list[int] = []
    seed = first
    while len(seeds) < count:
        if scene_of(seed, phase).meaning() not in held_out.meanings:
            seeds.append(seed)
        seed += 1
    return seeds


def _batches(seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(seeds), _BATCH):
        yield seeds[start : start + _BATCH]
