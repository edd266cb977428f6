"""Parts of files as networks in memory: cast, patched, streamed, and shared by all who ask for the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphcore.errors import InputError
from nodes.diffusion.leases import LeaseCache, Made, Usage
from nodes.diffusion.opened_files import OpenedFiles
from nodes.diffusion.part import Part
from nodes.diffusion.patches.sequence import Patcher, patched_weights
from nodes.diffusion.perturbed_attention import perturbable
from nodes.diffusion.precision import Precision
from nodes.diffusion.streaming import planned, stream
from nodes.diffusion.weight_budget import default_budget, module_bytes
from nodes.diffusion.weights import expected_bytes, load, patched, placed
from nodes.models.merges import MergePatch
from nodes.values import FileRef, Model, Patch


@dataclass(frozen=True, slots=True)
class _Key:
    file: FileRef
    part: str
    precision: Precision
    patches: tuple[Patch, ...] = ()


class PartModules:
    """Networks within a budget of bytes; the least recently used goes first, after `idle_s` seconds all do.

    Parts larger than the budget of a device are streamed from the host's memory. Several threads may ask at once.
    """

    def __init__(
        self,
        files: OpenedFiles,
        *,
        device: torch.device,
        budget_bytes: int | None = None,
        device_memory: int | None = None,
        idle_s: float | None = None,
        patcher: Patcher | None = None,
    ) -> None:
        self.device = device
        self.budget_bytes = default_budget(device, device_memory) if budget_bytes is None else budget_bytes
        self._files = files
        self._patcher = patcher
        self._limited = device_memory is not None or device.type == "cuda"
        self._leases = LeaseCache(budget_bytes=self.budget_bytes, idle_s=idle_s)
        self._host: PartModules | None = None

    def module(
        self, file: FileRef, part: Part, precision: Precision, patches: tuple[Patch, ...] = ()
    ) -> AbstractContextManager[nn.Module]:
        """The network of a part, patched, for the length of the block."""
        if self.streams(part, precision):
            return self._streamed(file, part, precision, patches)
        if patches:
            return self._patched(file, part, precision, patches)

        def make() -> Made[nn.Module]:
            self._files.resolve(file)
            module = _prepared(part, placed(load(part, precision.dtype), self.device, precision))
            return Made(value=module, bytes=module_bytes(module))

        key = _Key(file, part.name, precision)
        return self._leases.lease(key, make, expected_bytes=expected_bytes(part, precision))

    @contextmanager
    def companion(
        self, key: Hashable, make: Callable[[], nn.Module], precision: Precision, expected_bytes: int
    ) -> Iterator[nn.Module]:
        """Another network by its key, for the length of the block; `make` gives it on the CPU."""

        def place() -> Made[nn.Module]:
            module = placed(make(), self.device, precision)
            return Made(value=module, bytes=module_bytes(module))

        with self._leases.lease(key, place, expected_bytes=expected_bytes) as module:
            yield module

    def streams(self, part: Part, precision: Precision) -> bool:
        """Whether a part is larger than the room for weights, so that it is streamed from the host's memory."""
        return self._limited and expected_bytes(part, precision) > self.budget_bytes

    def usage(self) -> Usage:
        """What is held on the device now."""
        return self._leases.usage()

    def release(self) -> int:
        """Drop all that nobody uses; the bytes dropped."""
        held = self._host.release() if self._host is not None else 0
        return held + self._leases.release()

    def close(self) -> None:
        """Drop all that nobody uses, and stop waiting for idle networks."""
        self._leases.close()
        if self._host is not None:
            self._host.close()

    @contextmanager
    def _streamed(
        self, file: FileRef, part: Part, precision: Precision, patches: tuple[Patch, ...]
    ) -> Iterator[nn.Module]:
        if self._host is None:
            self._host = PartModules(self._files, device=torch.device("cpu"), patcher=self._patcher)
        with self._host.module(file, part, precision, patches) as waiting:

            def make() -> Made[nn.Module]:
                module = patched(part, waiting, {})
                streaming = planned(module, self.device, self.budget_bytes)
                return Made(value=stream(_prepared(part, module), streaming), bytes=streaming.device_bytes)

            key = _Key(file, part.name, precision, patches)
            with self._leases.lease(key, make, expected_bytes=self.budget_bytes) as module:
                yield module

    @contextmanager
    def _patched(
        self, file: FileRef, part: Part, precision: Precision, patches: tuple[Patch, ...]
    ) -> Iterator[nn.Module]:
        if self._patcher is None:
            raise InputError("This model store cannot apply patches (LoRA); make it with a patcher.")
        patcher = self._patcher
        with self.module(file, part, precision) as base:

            def make() -> Made[nn.Module]:
                changed = patched_weights(
                    part,
                    base.state_dict(),
                    patches,
                    adapt=patcher,
                    others=lambda merge: self._others(merge, part, precision),
                )
                return Made(
                    value=_prepared(part, patched(part, base, changed)),
                    bytes=sum(tensor.nbytes for tensor in changed.values()),
                    parent=_Key(file, part.name, precision),
                )

            with self._leases.lease(_Key(file, part.name, precision, patches), make) as module:
                yield module

    @contextmanager
    def _others(self, merge: MergePatch, part: Part, precision: Precision) -> Iterator[Mapping[str, Tensor]]:
        """The weights that a merge mixes into a part."""
        other = merge.other
        if isinstance(other, Model):
            file, found = other.file, self._files.checkpoint(other.file).part(other.part)
        else:
            named = {placed.tower.part: placed for placed in self._files.towers(other)}
            if part.name not in named:
                yield {}
                return
            file, found = named[part.name].file, named[part.name].named_part
        with self.module(file, found, precision, other.patches) as module:
            yield module.state_dict()


def _prepared(part: Part, module: nn.Module) -> nn.Module:
    """The module as those who share it find it: what is hung into a network is there before anybody calls it."""
    if part.kind == "unet":
        perturbable(module)
    return module
