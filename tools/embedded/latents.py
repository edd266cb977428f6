"""Encoded pictures kept in files, so that the UNet's training draws and encodes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from tools.embedded.drawing import SIDE, Drawing, drawn_at
from tools.embedded.held_out import HeldOut
from tools.embedded.vae_stage import as_pixels
from tools.embedded.world import scene_of

PROBE_FIRST = 40_000_000
_BATCH = 16
_REDUCTION = 8


@dataclass(frozen=True, slots=True)
class LatentSet:
    """Latents of scenes of one phase: `latents` (count, 4, side, side) as the VAE's mean, unscaled; `seeds` (count).

    `forms` (count, side, side) is 1 where one of the scene's things lies, else 0.
    """

    phase: str
    latents: Tensor
    seeds: tuple[int, ...]
    forms: Tensor

    def __len__(self) -> int:
        return len(self.seeds)


def encode_set(
    vae: AutoencoderKL,
    phase: str,
    path: Path,
    *,
    first: int,
    count: int,
    held_out: HeldOut,
    side: int = SIDE,
) -> LatentSet:
    """Draw at `side` pixels and encode `count` scenes from seed `first` on, but none of held-out meaning."""
    seeds = _allowed(phase, first, count, held_out)
    made, forms = [], []
    with torch.no_grad():
        for batch in _batches(seeds):
            device = next(vae.parameters()).device
            drawings = [drawn_at(scene_of(seed, phase), side) for seed in batch]
            pixels = as_pixels([drawing.picture for drawing in drawings])
            with torch.autocast(device.type, dtype=torch.bfloat16):
                mean = vae.encode(pixels.to(device)).latent_dist.mean
            made.append(mean.half().cpu())
            forms += [form_of(drawing, side) for drawing in drawings]
    found = LatentSet(phase, torch.cat(made).contiguous(), tuple(seeds), torch.stack(forms))
    write_set(found, path)
    return found


def write_set(found: LatentSet, path: Path) -> None:
    """Write a set in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    tensors = {"latents": found.latents, "seeds": torch.tensor(found.seeds), "forms": found.forms}
    save_file(tensors, draft)
    draft.replace(path)


def read_sets(folder: Path, phase: str, side: int = SIDE) -> LatentSet:
    """All sets of the phase at this side, joined in order of name. Raises FileNotFoundError if none is."""
    paths = sorted(set_path(folder, phase, side).parent.glob(f"{phase}-*.safetensors"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no latents of phase {phase!r} at {side} pixels: run the stage 'latents' first."
        )
    parts = [load_file(path) for path in paths]
    seeds = tuple(int(s) for part in parts for s in part["seeds"])
    latents, forms = (torch.cat([part[name] for part in parts]) for name in ("latents", "forms"))
    return LatentSet(phase, latents, seeds, forms)


def set_path(folder: Path, phase: str, side: int = SIDE, part: int = 0) -> Path:
    """Where a part of a phase is kept: larger pictures have a folder of their own."""
    return (folder if side == SIDE else folder / str(side)) / f"{phase}-{part}.safetensors"


def form_of(drawing: Drawing, side: int) -> Tensor:
    """(side / 8, side / 8) of uint8: 1 where any of the drawing's things covers some of the latent's pixels."""
    whole = np.zeros((side, side), dtype=np.uint8)
    for mask in drawing.masks:
        whole = np.maximum(whole, np.asarray(mask, dtype=np.uint8))
    covered = torch.from_numpy(whole).float()[None, None] / 255
    return (functional.avg_pool2d(covered, _REDUCTION)[0, 0] > 0.02).to(torch.uint8)


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
