"""What an adapter adds to one weight.

LoRA (Hu et al. 2021), its Tucker form for convolutions (LoCon), LoHa (Hyeon-Woo et al. 2022, FedPara), LoKr (Yeh et
al. 2023, LyCORIS), GLoRA (Chavan et al. 2023), full differences, and DoRA (Liu et al. 2024), which rescales the result.
OFT and BOFT turn the weight instead. All is computed in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from graphcore.errors import ModelFileError
from nodes.diffusion.patches.orthogonal import turned

AdapterKind = Literal["lora", "loha", "lokr", "glora", "oft", "diff", "bias"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapter:
    """An adapter of one weight: its tensors by role ("up", "down", "alpha" ...).

    `scale` multiplies the delta where the file says so otherwise than by an alpha.
    """

    kind: AdapterKind
    tensors: Mapping[str, Tensor]
    scale: float = 1.0

    def applied(self, weight: Tensor, strength: float, out: Tensor | None = None) -> Tensor:
        """The weight with `strength` times this adapter, float32; `weight` is left as it is, unless it is `out`.

        `out`, contiguous and of the weight's shape, is room for the result that may be used.

        Raises ModelFileError if the shapes do not fit, or a value is not finite.
        """
        if not all(bool(torch.isfinite(tensor.float()).all()) for tensor in self.tensors.values()):
            raise ModelFileError(
                f"An adapter of kind {self.kind} holds values that are not finite (NaN); get the file again.",
                code="adapter-damaged",
            )
        try:
            return self._changed(weight, strength, out)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ModelFileError(
                f"An adapter of kind {self.kind} does not fit a weight of shape {list(weight.shape)}: {error}.",
                code="adapter-shape",
            ) from error

    def rows(self, index: int, count: int) -> Adapter:
        """The part of it that is for the rows `index` of `count` equal parts of its weight.

        Raises ModelFileError for kinds whose rows do not come apart (LoKr, OFT, Tucker forms).
        """
        if count == 1:
            return self
        apart = {"up", "w1_a", "w2_a", "diff", "dora_scale", "magnitude"}
        if self.kind in ("lokr", "glora", "oft") or {"mid", "t1", "t2"} & set(self.tensors):
            raise ModelFileError(
                f"An adapter of kind {self.kind} speaks of query, key and value at once, which cannot be taken apart; "
                "use one with a module for each.",
                code="adapter-shape",
            )
        tensors = {
            role: tensor.chunk(count)[index] if role in apart and len(tensor) % count == 0 else tensor
            for role, tensor in self.tensors.items()
        }
        return replace(self, tensors=tensors)

    def _changed(self, weight: Tensor, strength: float, out: Tensor | None) -> Tensor:
        if self.kind == "lora" and not {"mid", "dora_scale", "magnitude"} & set(self.tensors):
            return self._added(weight, strength, out)
        if self.kind == "oft":
            return turned(weight, self.tensors, strength)
        delta = self._delta(weight)
        magnitude = self.tensors.get("dora_scale")
        if "magnitude" in self.tensors:
            magnitude = self.tensors["magnitude"].flatten()
        if magnitude is None:
            return torch.add(weight, delta, alpha=strength)
        return _rescaled(weight, delta, magnitude.float(), strength)

    def _added(self, weight: Tensor, strength: float, out: Tensor | None) -> Tensor:
        """The plain low-rank case in one pass, without the delta ever standing in memory by itself."""
        up, down = self._get("up").flatten(1), self._get("down").flatten(1)
        factor = strength * self._scale(down.shape[0])
        room = None if out is None else out.view(weight.shape[0], -1)
        return torch.addmm(weight.flatten(1), up, down, alpha=factor, out=room).reshape(weight.shape)

    def _delta(self, weight: Tensor) -> Tensor:
        rank: int | None
        shape = weight.shape
        if self.kind == "lora":
            delta, rank = _lora(self.tensors)
        elif self.kind == "loha":
            delta, rank = _loha(self.tensors)
        elif self.kind == "lokr":
            delta, rank = _lokr(self.tensors)
        elif self.kind == "glora":
            delta, rank = _glora(self.tensors, weight)
        else:
            return self._get("diff").reshape(shape)
        scale = self._scale(rank)
        return delta.reshape(shape).mul_(scale) if scale != 1.0 else delta.reshape(shape)

    def _scale(self, rank: int | None) -> float:
        alpha = self.tensors.get("alpha")
        return self.scale if alpha is None or rank is None else float(alpha) / rank

    def _get(self, role: str) -> Tensor:
        return self.tensors[role].float()


def _lora(tensors: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    up, down = tensors["up"].float(), tensors["down"].float()
    middle = tensors.get("mid")
    rank = down.shape[0]
    if middle is not None:
        return _tucker(middle.float(), up.flatten(1), down.flatten(1)), rank
    return up.flatten(1) @ down.flatten(1), rank


def _tucker(core: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """Core (r1, r2, h, w) between up (out, r1) and down (r2, in): (out, in, h, w)."""
    return torch.einsum("abhw,oa,bi->oihw", core, up, down)


def _loha(tensors: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    first_up, first_down = tensors["w1_a"].float(), tensors["w1_b"].float()
    second_up, second_down = tensors["w2_a"].float(), tensors["w2_b"].float()
    rank = first_down.shape[0]
    if "t1" in tensors and "t2" in tensors:
        first = _tucker(tensors["t1"].float(), first_up.T, first_down)
        second = _tucker(tensors["t2"].float(), second_up.T, second_down)
        return first * second, rank
    return (first_up @ first_down) * (second_up @ second_down), rank


def _lokr(tensors: Mapping[str, Tensor]) -> tuple[Tensor, int | None]:
    rank: int | None = None
    first = tensors.get("w1")
    if first is None:
        down = tensors["w1_b"].float()
        rank = down.shape[0]
        first = tensors["w1_a"].float() @ down
    second = tensors.get("w2")
    if second is None:
        down = tensors["w2_b"].float()
        rank = down.shape[0]
        up = tensors["w2_a"].float()
        core = tensors.get("t2")
        second = up @ down.flatten(1) if core is None else _tucker(core.float(), up.T, down)
        if core is None and down.ndim == 4:
            second = second.reshape(up.shape[0], *down.shape[1:])
    first, second = first.float(), second.float()
    if second.ndim == 4:
        first = first[:, :, None, None]
    return torch.kron(first, second.contiguous()), rank


def _glora(tensors: Mapping[str, Tensor], weight: Tensor) -> tuple[Tensor, int]:
    """W A1 A2 + B1 B2; older files have each pair the other way round."""
    pairs = [(tensors["a1"].float(), tensors["a2"].float()), (tensors["b1"].float(), tensors["b2"].float())]
    if pairs[1][0].shape[0] != weight.shape[0]:
        pairs = [(second, first) for first, second in pairs]
    (first, second), (up, down) = pairs
    mixed = torch.einsum("oi...,ij->oj...", weight.float(), first.flatten(1) @ second.flatten(1))
    return mixed + (up.flatten(1) @ down.flatten(1)).reshape(weight.shape), second.shape[0]


def _rescaled(weight: Tensor, delta: Tensor, magnitude: Tensor, strength: float) -> Tensor:
    """DoRA: the direction of weight + delta, with the learnt magnitude of each row (of each column in LyCORIS)."""
    moved = weight + delta
    rows = magnitude.ndim == 1 or magnitude.shape[0] == weight.shape[0] != magnitude.shape[-1]
    rows = rows or (magnitude.ndim > 1 and magnitude.shape[0] == weight.shape[0] and magnitude.shape[1] == 1)
    if rows:
        norm = moved.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
        target = magnitude.reshape(norm.shape)
    else:
        norm = moved.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
        target = magnitude.reshape(norm.shape)
    scaled = moved * (target / norm.clamp_min(torch.finfo(torch.float32).eps))
    return torch.lerp(weight, scaled, strength)
