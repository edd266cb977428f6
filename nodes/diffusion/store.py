"""The model store: where references become networks.

Values on the wires name files; the store opens them, maps their weights, casts them once where they compute in
another dtype, and shares the result between all values that mean the same. A network is leased while it computes:

    with store.network(model) as network:
        ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from graphcore.context import Services
from graphcore.errors import InputError, ModelFileError
from nodes.diffusion.checkpoint import Checkpoint, open_checkpoint
from nodes.diffusion.clip_text import ClipText
from nodes.diffusion.clip_tower import ClipTower
from nodes.diffusion.determinism import be_deterministic
from nodes.diffusion.families import FAMILIES, Families
from nodes.diffusion.leases import LeaseCache, Made, Usage
from nodes.diffusion.mmdit_network import MmditNetwork
from nodes.diffusion.model_options import compute_dtype, reparameterized
from nodes.diffusion.network import Network
from nodes.diffusion.network_hooks import change_network, changes_network
from nodes.diffusion.part import Part
from nodes.diffusion.patches.lora import LoraPatcher
from nodes.diffusion.patches.sequence import patched_weights
from nodes.diffusion.precision import Precision, choose_device, choose_precision
from nodes.diffusion.streaming import planned, stream, weights_room
from nodes.diffusion.t5_text import T5Text, T5Tower
from nodes.diffusion.text_encoder import TextEncoder, TextTower
from nodes.diffusion.text_towers import PlacedTower, joint_width, place_towers, text_family
from nodes.diffusion.textual_inversion import read_embedding
from nodes.diffusion.tokenizer import find_t5_tokenizer, find_tokenizer
from nodes.diffusion.unclip import augmentor_of
from nodes.diffusion.unet_network import UNetNetwork, perturbable
from nodes.diffusion.vae import VaeCodec
from nodes.diffusion.video_network import VideoNetwork
from nodes.diffusion.video_vae import TemporalVaeCodec
from nodes.diffusion.weights import build, expected_bytes, load, patched, placed
from nodes.merges import MergePatch
from nodes.values import Clip, FileRef, Model, Patch, Vae

TokenizerT = TypeVar("TokenizerT")
OpenedT = TypeVar("OpenedT")
CPU_SHARE = 0.5


class Patcher(Protocol):
    """Computes what patches make of weights.

    Given a part, its weights by name and the patches in order, it returns the changed tensors alone, by name, in
    the dtype and on the device of those they replace.
    """

    def __call__(
        self, part: Part, weights: Mapping[str, Tensor], patches: tuple[Patch, ...]
    ) -> Mapping[str, Tensor]: ...


@dataclass(frozen=True, slots=True)
class _Key:
    file: FileRef
    part: str
    precision: Precision
    patches: tuple[Patch, ...] = ()


class ModelStore:
    """Networks by reference, within a budget of bytes.

    `resolve` finds the path of a file; `embedding` that of a textual-inversion embedding by its name (None: there is
    none). Several threads may use a store, and a network, at once.
    """

    def __init__(
        self,
        *,
        resolve: Callable[[FileRef], Path],
        budget_bytes: int | None = None,
        device_memory: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        idle_s: float | None = None,
        tokenizer_folders: Sequence[Path] = (),
        embedding: Callable[[str], Path | None] = lambda name: None,
        patcher: Patcher | None = None,
        families: Families = FAMILIES,
    ) -> None:
        self.resolve = resolve
        self.families = families
        self.device = choose_device(device)
        self.precision = choose_precision(self.device, dtype)
        self.text_precision = _text_precision(self.device, self.precision, dtype)
        self.vae_precision = _without_overflow(self.device, self.precision)
        self.tokenizer_folders = tuple(tokenizer_folders)
        self.embedding = embedding
        self.patcher = patcher
        self.device_memory = device_memory
        budget = default_budget(self.device, device_memory) if budget_bytes is None else budget_bytes
        self._leases = LeaseCache(budget_bytes=budget, idle_s=idle_s)
        self._opened = LeaseCache(budget_bytes=64)
        self._host: ModelStore | None = None

    @classmethod
    def create(cls, services: Services) -> Self:
        """The store of one engine, as its settings say."""
        files, settings = services.files, services.settings
        if settings.deterministic:
            be_deterministic()

        def embedding(name: str) -> Path | None:
            return files.find("embeddings", name) or files.find("embeddings", f"{name}.safetensors")

        def unchanged(file: FileRef) -> Path:
            path = files.resolve(file.kind, file.name)
            if files.fingerprint(path) != file.fingerprint:
                raise ModelFileError(
                    f"'{file.name}' was replaced by another file while the workflow ran; run it again.",
                    code="model-file-changed",
                    location=file.name,
                )
            return path

        return cls(
            resolve=unchanged,
            budget_bytes=settings.weights_budget_bytes,
            device_memory=settings.device_memory_bytes,
            device=settings.device,
            dtype=settings.dtype,
            idle_s=settings.weights_idle_s,
            tokenizer_folders=files.base("tokenizers"),
            embedding=embedding,
            patcher=LoraPatcher(unchanged),
            families=FAMILIES.with_installed(),
        )

    def checkpoint(self, file: FileRef) -> Checkpoint:
        """The opened file: family, parts and configurations; weights are not touched. Raises ModelFileError."""
        with self._opened.lease(
            file, lambda: Made(value=open_checkpoint(self.resolve(file), self.families), bytes=1)
        ) as opened:
            return opened

    def outline(self, file: FileRef, part: Part) -> Mapping[str, tuple[int, ...]]:
        """The shapes of a part's tensors by name, as the network has them; no weights are read."""

        def make() -> Made[Mapping[str, tuple[int, ...]]]:
            state = build(part).state_dict()
            return Made(value={name: tuple(tensor.shape) for name, tensor in state.items()}, bytes=1)

        with self._opened.lease((file, "outline", part.name), make) as shapes:
            return shapes

    def text_parts(self, clip: Clip) -> list[tuple[FileRef, Part]]:
        """The parts that a text encoder is made of, each with its file and under its tower's name."""
        opened = self._opened_texts(clip)
        placed = place_towers(clip, text_family(clip, opened, self.families), opened)
        return [(each.file, _tower_part(each)) for each in placed]

    @contextmanager
    def network(self, model: Model) -> Iterator[Network]:
        """The diffusion network of `model`, patched, and parameterized as its options say, for the length of the block.

        Options of guidance are the sampler's affair.
        """
        checkpoint = self.checkpoint(model.file)
        if checkpoint.parameterization is not None:
            told = reparameterized(checkpoint.parameterization, model.options)
            checkpoint = replace(checkpoint, parameterization=told)
        precision = self._precision(model)
        part = checkpoint.part(model.part)
        with self._module(model.file, part, precision, model.patches) as module:
            if not changes_network(model.options):
                yield _network(checkpoint, module, precision)
                return
            own = patched(part, module, {})
            if self.streams(part, precision):
                own = stream(own, planned(own, self.device, self._leases.budget_bytes))
            changed = _network(checkpoint, own, precision)
            change_network(changed, model.options, self.resolve)
            yield changed

    @contextmanager
    def network_module(self, model: Model) -> Iterator[nn.Module]:
        """The diffusion network of `model` as it is, patched, for the length of the block."""
        part = self.checkpoint(model.file).part(model.part)
        with self._module(model.file, part, self._precision(model), model.patches) as module:
            yield module

    def _precision(self, model: Model) -> Precision:
        """That of the engine, or what the model was told to compute in."""
        chosen = compute_dtype(model.options)
        return self.precision if chosen in (None, "default") else choose_precision(self.device, chosen)

    @contextmanager
    def trainable(self, model: Model) -> Iterator[Network]:
        """The network of `model` in a module of its own that shares all weights, so that layers can be hung on it."""
        checkpoint = self.checkpoint(model.file)
        if checkpoint.parameterization is not None:
            told = reparameterized(checkpoint.parameterization, model.options)
            checkpoint = replace(checkpoint, parameterization=told)
        part = checkpoint.part(model.part)
        precision = _without_overflow(self.device, self.precision)
        with self._module(model.file, part, precision, model.patches) as module:
            yield _network(checkpoint, patched(part, module, {}), precision)

    @contextmanager
    def text_encoder(self, clip: Clip, *, own_modules: bool = False) -> Iterator[TextEncoder]:
        """The text encoders of `clip`, patched, for the length of the block.

        With `own_modules` they are in modules of their own that share all weights, as `trainable` has them.
        """
        opened = self._opened_texts(clip)
        family = text_family(clip, opened, self.families)
        with ExitStack() as stack:
            towers = [
                stack.enter_context(self._tower(placed, clip.patches, own_modules))
                for placed in place_towers(clip, family, opened)
            ]
            yield TextEncoder(family, towers, joint_width=joint_width(opened))

    @contextmanager
    def text_modules(self, clip: Clip) -> Iterator[list[tuple[Part, nn.Module]]]:
        """The text encoders of `clip` as they are, patched, each with its part, for the length of the block."""
        with ExitStack() as stack:
            yield [
                (
                    part,
                    stack.enter_context(self._module(file, part, self.text_precision, clip.patches)),
                )
                for file, part in self.text_parts(clip)
            ]

    @contextmanager
    def vae(self, vae: Vae) -> Iterator[VaeCodec]:
        """The autoencoder of `vae` for the length of the block."""
        part = self.checkpoint(vae.file).part("vae")
        with self._module(vae.file, part, self.vae_precision, ()) as module:
            codec = TemporalVaeCodec if part.kind == "video_vae" else VaeCodec
            free = self.device_memory
            yield codec(module, self.vae_precision, None if free is None else free - module_bytes(module))

    def opened(self, file: FileRef, open_file: Callable[[Path], OpenedT]) -> OpenedT:
        """What `open_file` tells of a file's header, read once."""
        with self._opened.lease(
            (file, open_file), lambda: Made(value=open_file(self.resolve(file)), bytes=1)
        ) as opened:
            return opened

    @contextmanager
    def companion(
        self,
        key: Hashable,
        make: Callable[[], nn.Module],
        *,
        precision: Precision | None = None,
        expected_bytes: int = 0,
    ) -> Iterator[nn.Module]:
        """A network that goes with diffusion networks, for the length of the block.

        `make` gives it on the CPU; it is placed where those compute, in their precision (or the one given), and shared
        by its key.
        """

        def place() -> Made[nn.Module]:
            module = placed(make(), self.device, precision or self.precision)
            return Made(value=module, bytes=module_bytes(module))

        with self._leases.lease(key, place, expected_bytes=expected_bytes) as module:
            yield module

    def usage(self) -> Usage:
        """What the store holds now."""
        return self._leases.usage()

    def release(self) -> int:
        """Drop all weights that nobody uses; the bytes dropped."""
        held = self._host.release() if self._host is not None else 0
        return held + self._leases.release()

    def close(self) -> None:
        """Drop all weights that nobody uses, and stop waiting for idle ones."""
        self._leases.close()
        if self._host is not None:
            self._host.close()

    def _module(
        self, file: FileRef, part: Part, precision: Precision, patches: tuple[Patch, ...]
    ) -> AbstractContextManager[nn.Module]:
        if self.streams(part, precision):
            return self._streamed(file, part, precision, patches)
        if patches:
            return self._patched(file, part, precision, patches)

        def make() -> Made[nn.Module]:
            self.resolve(file)
            module = placed(load(part), self.device, precision)
            if part.kind == "unet":
                perturbable(module)
            return Made(value=module, bytes=module_bytes(module))

        key = _Key(file, part.name, precision)
        return self._leases.lease(key, make, expected_bytes=expected_bytes(part, precision))

    def streams(self, part: Part, precision: Precision) -> bool:
        """Whether a part is larger than the room for weights, so that it is streamed from the host's memory."""
        limited = self.device_memory is not None or self.device.type == "cuda"
        return limited and expected_bytes(part, precision) > self._leases.budget_bytes

    def told_streaming(self, model: Model) -> str | None:
        """A sentence about the streaming of a model's network, or None if it is on the device as a whole."""
        part, precision = self.checkpoint(model.file).part(model.part), self._precision(model)
        if not self.streams(part, precision):
            return None
        size, room = expected_bytes(part, precision) / 2**30, self._leases.budget_bytes / 2**30
        return (
            f"The model takes {size:.2f} GiB and there is room for {room:.2f} GiB of weights, so the rest is streamed "
            "from the host's memory in each step, which is slower."
        )

    @contextmanager
    def _streamed(
        self, file: FileRef, part: Part, precision: Precision, patches: tuple[Patch, ...]
    ) -> Iterator[nn.Module]:
        if self._host is None:
            self._host = ModelStore(resolve=self.resolve, device="cpu", patcher=self.patcher)
        with self._host._module(file, part, precision, patches) as waiting:

            def make() -> Made[nn.Module]:
                module = patched(part, waiting, {})
                streaming = planned(module, self.device, self._leases.budget_bytes)
                if part.kind == "unet":
                    perturbable(module)
                return Made(value=stream(module, streaming), bytes=streaming.device_bytes)

            room = self._leases.budget_bytes
            with self._leases.lease(
                _Key(file, part.name, precision, patches), make, expected_bytes=room
            ) as module:
                yield module

    @contextmanager
    def _patched(
        self, file: FileRef, part: Part, precision: Precision, patches: tuple[Patch, ...]
    ) -> Iterator[nn.Module]:
        if self.patcher is None:
            raise InputError("This model store cannot apply patches (LoRA); make it with a patcher.")
        patcher = self.patcher
        with self._module(file, part, precision, ()) as base:

            def make() -> Made[nn.Module]:
                changed = patched_weights(
                    part,
                    base.state_dict(),
                    patches,
                    adapt=patcher,
                    others=lambda merge: self._others(merge, part, precision),
                )
                size = sum(tensor.nbytes for tensor in changed.values())
                module = patched(part, base, changed)
                if part.kind == "unet":
                    perturbable(module)
                return Made(value=module, bytes=size, parent=_Key(file, part.name, precision))

            with self._leases.lease(_Key(file, part.name, precision, patches), make) as module:
                yield module

    @contextmanager
    def _others(self, merge: MergePatch, part: Part, precision: Precision) -> Iterator[Mapping[str, Tensor]]:
        """The weights that a merge mixes into a part."""
        other = merge.other
        if isinstance(other, Model):
            file, found = other.file, self.checkpoint(other.file).part(other.part)
        else:
            named = {text.name: (file, text) for file, text in self.text_parts(other)}
            if part.name not in named:
                yield {}
                return
            file, found = named[part.name]
        with self._module(file, found, precision, other.patches) as module:
            yield module.state_dict()

    def _opened_texts(self, clip: Clip) -> list[tuple[FileRef, Checkpoint]]:
        return [(file, self.checkpoint(file)) for file in clip.files]

    @contextmanager
    def _tower(
        self, placed: PlacedTower, patches: tuple[Patch, ...], own_module: bool
    ) -> Iterator[TextTower]:
        tower, file = placed.tower, placed.file
        part = _tower_part(placed)
        precision = self.text_precision
        if tower.kind == "t5":
            precision = _without_overflow(self.device, precision)
        with self._module(file, part, precision, patches) as shared:
            module = patched(part, shared, {}) if own_module else shared
            if isinstance(module, T5Text):
                size = module.shared.num_embeddings
                made = self._tokenizer(
                    file, ("t5", size), lambda c, f: find_t5_tokenizer(c.path, c.metadata, folders=f)
                )
                yield T5Tower(spec=tower, module=module, tokenizer=made)
            elif isinstance(module, ClipText):
                size = module.vocabulary
                words = self._tokenizer(
                    file,
                    ("clip", size),
                    lambda c, f: find_tokenizer(c.path, c.metadata, size=size, folders=f),
                )
                yield ClipTower(
                    spec=tower, module=module, tokenizer=words, lookup=self._embedding, layer=placed.layer
                )
            else:
                raise ModelFileError(f"'{part.name}' in {file.name} is no text encoder; choose another file.")

    def _tokenizer(
        self,
        file: FileRef,
        kind: tuple[str, int],
        find: Callable[[Checkpoint, Sequence[Path]], TokenizerT],
    ) -> TokenizerT:
        checkpoint = self.checkpoint(file)

        def make() -> Made[TokenizerT]:
            return Made(value=find(checkpoint, self.tokenizer_folders), bytes=1)

        with self._opened.lease((file, kind), make) as tokenizer:
            return tokenizer

    def _embedding(self, name: str, part: str, width: int) -> Tensor:
        path = self.embedding(name)
        if path is None:
            raise InputError(
                f"There is no embedding '{name[:80]}' in the embeddings folders; add it or correct its name."
            )
        return read_embedding(path, part, width)


def _tower_part(placed: PlacedTower) -> Part:
    """A text encoder's part under its tower's name, with the activation that shapes do not tell."""
    tower = placed.tower
    usual = {"hidden_act": tower.activation} if tower.kind == "clip" else {}
    return placed.part.configured(name=tower.part, config={**usual, **placed.part.config})


def default_budget(device: torch.device, device_memory: int | None = None) -> int:
    """Half of the machine's memory, or what a GPU, or so much of a device's memory, leaves for weights."""
    if device_memory is not None:
        return weights_room(device_memory)
    if device.type == "cuda":
        return weights_room(torch.cuda.get_device_properties(device).total_memory)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * CPU_SHARE)


def module_bytes(module: nn.Module) -> int:
    """The bytes of a module's parameters and buffers."""
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def _network(checkpoint: Checkpoint, module: nn.Module, precision: Precision) -> Network:
    family, parameterization, latent = (
        checkpoint.family,
        checkpoint.parameterization,
        checkpoint.latent_format,
    )
    if family is None or parameterization is None or latent is None:
        raise ModelFileError(f"{checkpoint.path.name} holds no diffusion network; choose another file.")
    if family.network == "mmdit":
        return MmditNetwork(
            module, parameterization=parameterization, latent_format=latent, precision=precision
        )
    if family.network == "video_unet":
        return VideoNetwork(
            module, parameterization=parameterization, latent_format=latent, precision=precision
        )
    return UNetNetwork(
        module,
        rule=family.conditioning,
        augmentor=augmentor_of(checkpoint) if family.conditioning == "text+picture" else None,
        parameterization=parameterization,
        latent_format=latent,
        precision=precision,
    )


def _text_precision(device: torch.device, chosen: Precision, choice: str) -> Precision:
    """Prompts are encoded once, so on CPUs in full precision unless another was asked for."""
    if device.type == "cpu" and choice == "auto":
        return Precision(dtype=torch.float32)
    return Precision(dtype=chosen.dtype)


def _without_overflow(device: torch.device, chosen: Precision) -> Precision:
    """For networks that overflow in fp16 (SDXL's autoencoder, T5): bf16 or fp32 in its place."""
    if chosen.dtype != torch.float16:
        return chosen
    has_bf16 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return Precision(dtype=torch.bfloat16 if has_bf16 else torch.float32, channels_last=has_bf16)
