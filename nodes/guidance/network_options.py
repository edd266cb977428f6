"""What nodes change inside a diffusion network while it computes; no weight changes."""

from __future__ import annotations

from dataclasses import dataclass

from nodes.values import FileRef, ModelOption


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeUOption(ModelOption):
    """FreeU: half of the backbone's channels times b, the low frequencies of skips times s, in the two inner levels.

    `structured` (version 2) scales the backbone by its own mean.
    """

    b1: float
    b2: float
    s1: float
    s2: float
    structured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DownscaleOption(ModelOption):
    """The inside of the network from an input block on is computed smaller, in a part of the run."""

    block: int
    factor: float
    start: float
    end: float
    after_skip: bool = True
    down_method: str = "bicubic"
    up_method: str = "bicubic"


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperTileOption(ModelOption):
    """Self-attention within tiles of about `tile_size` pixels, in the outer `max_depth` + 1 levels."""

    tile_size: int
    swap_size: int
    max_depth: int
    scale_depth: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedTokensOption(ModelOption):
    """Token merging: of the tokens of the outermost self-attention a `ratio` is merged into their likes."""

    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypernetwork:
    """A hypernetwork file, applied with a strength. Several follow each other."""

    file: FileRef
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HypernetworksOption(ModelOption):
    """The hypernetworks of a model, in order."""

    networks: tuple[Hypernetwork, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousOption(ModelOption):
    """The network was trained on continuous sigmas between two: "eps", "v_prediction" or "edm"; `cosine` by angle."""

    prediction: str
    sigma_max: float
    sigma_min: float
    cosine: bool = False
