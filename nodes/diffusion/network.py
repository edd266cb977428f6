"""What sampling asks of a diffusion network, and nothing more.

A family (SD 1.x, SDXL, SD3 ...) wraps its diffusers module in an object that satisfies `Network`. The
denoiser is the only caller: it makes the rows of one forward pass, and the network knows neither sigmas nor
guidance.

    conditioning entry -> Network.conditions -> named tensors
    rows of one batch  -> Network.__call__   -> predictions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from nodes.diffusion.parameterization import Parameterization
from nodes.diffusion.region import Region
from nodes.values import ConditioningEntry

FOR_HINTS = "control."
"""What stands before the names of conditions that hints see in the place of the network's own."""
FRAMES = "frames"
"""The name of the condition (1, 1) that tells how many rows are one video, where a network wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentRgb:
    """A linear view of latents as colours: rgb = factors^T latent + bias, in [-1, 1].

    `factors` has one (r, g, b) a channel of the *scaled* latent.
    """

    factors: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentFormat:
    """The latents of a VAE as the network wants them: scaled = (latent - shift_factor) * scale_factor.

    Where each channel has a mean and a deviation of its own (Playground v2.5), these come first.
    """

    channels: int = 4
    scale_factor: float = 0.18215
    shift_factor: float = 0.0
    downscale: int = 8
    rgb: LatentRgb | None = None
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def scaled(self, latent: Tensor) -> Tensor:
        """From what the VAE gives to what the network takes."""
        if self.means:
            latent = (latent - _each(self.means, latent)) / _each(self.deviations, latent)
        return (latent - self.shift_factor) * self.scale_factor

    def unscaled(self, latent: Tensor) -> Tensor:
        """From what the network takes to what the VAE gives."""
        latent = latent / self.scale_factor + self.shift_factor
        if self.means:
            latent = latent * _each(self.deviations, latent) + _each(self.means, latent)
        return latent


def _each(values: tuple[float, ...], like: Tensor) -> Tensor:
    """One value a channel, for latents (batch, channels, height, width) or one of them."""
    return like.new_tensor(values)[:, None, None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentScene:
    """What is being sampled, for conditions that depend on it (inpainting and image-to-image networks).

    `latent` (batch, channels, height, width) is the scaled latent that the run starts from, `noise` the
    starting noise of the same shape, `noise_mask` (batch, 1, height, width) is 1 where the picture may
    change. All are float32 and on the network's device. `seed` is that of the run; `negative` says that the
    conditions are for the negative side of guidance.
    """

    latent: Tensor
    noise: Tensor
    noise_mask: Tensor | None = None
    seed: int = 0
    negative: bool = False


class AttentionAddition(Protocol):
    """What is added to the result of cross-attention, at a layer's number, of its kind, and with its input."""

    def __call__(self, place: int, layer: Any, hidden: Tensor) -> Tensor: ...


InputAddition = Callable[[Tensor], Tensor]
"""What is added to what a layer takes, given that."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grounding:
    """Gated attention by the name of its transformer block, and the tokens (rows, tokens, width) that it sees."""

    fusers: Mapping[str, Any]
    tokens: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Residuals:
    """What hints add inside the network, already at their strengths.

    `down` are added to the skip connections (one each), `mid` after the middle block (ControlNet);
    `intrablock` inside the down blocks (T2I-Adapter); `blocks` after transformer blocks (SD3 ControlNet);
    `attention` within cross-attention (IP-Adapter); `grounding` before it (GLIGEN); `inputs` to what layers take, by
    their names (ControlNet-LLLite). Empty and None mean: nothing to add.
    """

    down: tuple[Tensor, ...] = ()
    mid: Tensor | None = None
    intrablock: tuple[Tensor, ...] = ()
    blocks: tuple[Tensor, ...] = ()
    attention: tuple[AttentionAddition, ...] = ()
    grounding: Grounding | None = None
    inputs: tuple[Mapping[str, InputAddition], ...] = ()

    def __add__(self, other: Residuals) -> Residuals:
        mids = [mid for mid in (self.mid, other.mid) if mid is not None]
        return Residuals(
            down=_sum(self.down, other.down),
            mid=mids[0] if len(mids) == 1 else mids[0] + mids[1] if mids else None,
            intrablock=_sum(self.intrablock, other.intrablock),
            blocks=_sum(self.blocks, other.blocks),
            attention=self.attention + other.attention,
            grounding=self.grounding or other.grounding,
            inputs=self.inputs + other.inputs,
        )


def _sum(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if not left or not right:
        return left or right
    return tuple(one + other for one, other in zip(left, right, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForwardPass:
    """A forward pass as hints see it: the network's arguments, and what their rows are.

    Rows are whole batches one after another: row r belongs to sample r % batch, and shows the part of the latent that
    is `regions[r // batch]` (None: all of it).
    """

    x: Tensor
    timestep: Tensor
    conditions: Mapping[str, Tensor]
    batch: int
    regions: Sequence[Region | None]


class HintNetwork(Protocol):
    """A hint made ready to compute (a loaded ControlNet with its picture and strength).

    It acts between `start` and `end`, shares of the schedule, before each forward pass of the network.
    """

    @property
    def start(self) -> float: ...

    @property
    def end(self) -> float: ...

    def __call__(self, forward: ForwardPass) -> Residuals: ...

    def of_rows(self, rows: Sequence[int], batch: int) -> HintNetwork:
        """The same for these samples of a batch alone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadyHint:
    """A hint made ready: what computes it, and what it adds to its entry's conditions, by names of its own.

    Entries whose hints have the same network share a forward pass; their tensors may differ.
    """

    network: HintNetwork
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class Network(Protocol):
    """A diffusion network as one callable.

    `parameterization` says what its output means and how sigmas become timesteps; `latent_format` how latents
    are scaled; `dtype` and `device` are those it computes in. Weights (patches too) are settled before
    sampling.
    """

    @property
    def parameterization(self) -> Parameterization: ...

    @property
    def latent_format(self) -> LatentFormat: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    def conditions(self, entry: ConditioningEntry, scene: LatentScene) -> dict[str, Tensor]:
        """What the network takes of one entry, as tensors by name; called once a run for each entry.

        Every tensor has 1 row or `batch` rows. "context" (rows, tokens, width) is always there and may differ
        in tokens between entries. Others are the family's own, e.g. "pooled" (rows, width), "size" (rows, n),
        "image" (rows, tokens, width) for IP-Adapter; "concat" (rows, channels, height, width), the extra
        input channels of inpainting networks, is cropped along with areas. Two entries share a forward pass
        when they have the same names and, context aside, the same shapes. Raises InputError if the entry does
        not fit (wrong width, missing pooled vector).
        """
        ...

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        residuals: Residuals | None = None,
        perturbation: str | None = None,
        attention: list[Tensor] | None = None,
    ) -> Tensor:
        """The raw prediction (epsilon, v, x0 or flow), of x's shape.

        `x` (rows, channels, height, width) is already scaled for the network, `timestep` (rows,) is float32
        in the network's own units (0-999 for SD, 0-1000 for SD3); `conditions` have `rows` rows each. All but
        the timestep come in `dtype`. `perturbation` names a change of its attention ("pag:mid": identity
        self-attention in the middle block; "map:mid": none, but how much each place there was attended to (rows,
        tokens) is put into `attention`; "skip:7,8": without these layers); a network that cannot do one raises
        InputError.
        """
        ...
