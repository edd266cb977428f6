"""The model store: where references become networks.

Values on the wires name files; the store opens them, maps their weights, casts them once where they compute in
another dtype, and shares the result between all values that mean the same. A network is leased while it computes:

    with store.network(model) as network:
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

from torch import Tensor, nn

from graphcore.context import Services
from graphcore.errors import InputError, ModelFileError
from nodes.conditioning.embedding_files import embedding_path
from nodes.diffusion.checkpoint import Checkpoint
from nodes.diffusion.clip_text import ClipText
from nodes.diffusion.clip_tower import ClipTower
from nodes.diffusion.determinism import be_deterministic
from nodes.diffusion.families import FAMILIES, Families
from nodes.diffusion.family_networks import network_of
from nodes.diffusion.leases import Usage
from nodes.diffusion.model_options import compute_dtype, reparameterized
from nodes.diffusion.network import Network
from nodes.diffusion.network_hooks import change_network, changes_network
from nodes.diffusion.opened_files import OpenedFiles
from nodes.diffusion.part import Part
from nodes.diffusion.part_modules import PartModules
from nodes.diffusion.patches.lora import LoraPatcher
from nodes.diffusion.patches.sequence import Patcher
from nodes.diffusion.precision import (
    Precision,
    choose_device,
    choose_precision,
    text_precision,
    without_overflow,
)
from nodes.diffusion.t5_text import T5Text, T5Tower
from nodes.diffusion.text_encoder import TextEncoder, TextTower
from nodes.diffusion.text_towers import PlacedTower, joint_widths, text_family
from nodes.diffusion.textual_inversion import read_embedding
from nodes.diffusion.vae import VaeCodec
from nodes.diffusion.vae_codecs import VAE_CODECS
from nodes.diffusion.weight_budget import module_bytes
from nodes.diffusion.weights import expected_bytes, patched
from nodes.values import Clip, FileRef, Model, Vae

OpenedT = TypeVar("OpenedT")


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
        self.text_precision = text_precision(self.device, self.precision, dtype)
        self.vae_precision = without_overflow(self.device, self.precision)
        self.embedding = embedding
        self.device_memory = device_memory
        self._files = OpenedFiles(resolve, families=families, tokenizer_folders=tokenizer_folders)
        self._modules = PartModules(
            self._files,
            device=self.device,
            budget_bytes=budget_bytes,
            device_memory=device_memory,
            idle_s=idle_s,
            patcher=patcher,
        )

    @classmethod
    def create(cls, services: Services) -> Self:
        """The store of one engine, as its settings say."""
        files, settings = services.files, services.settings
        if settings.deterministic:
            be_deterministic()

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
            embedding=lambda name: embedding_path(files, name),
            patcher=LoraPatcher(unchanged),
            families=FAMILIES.with_installed(),
        )

    @property
    def budget_bytes(self) -> int:
        """How many bytes of weights are kept at most, beside what is in use."""
        return self._modules.budget_bytes

    def checkpoint(self, file: FileRef) -> Checkpoint:
        """The opened file: family, parts and configurations; weights are not touched. Raises ModelFileError."""
        return self._files.checkpoint(file)

    def opened(self, file: FileRef, open_file: Callable[[Path], OpenedT]) -> OpenedT:
        """What `open_file` tells of a file's header, read once."""
        return self._files.opened(file, open_file)

    def outline(self, file: FileRef, part: Part) -> Mapping[str, tuple[int, ...]]:
        """The shapes of a part's tensors by name, as the network has them; no weights are read."""
        return self._files.outline(file, part)

    def text_parts(self, clip: Clip) -> list[tuple[FileRef, Part]]:
        """The parts that a text encoder is made of, each with its file and under its tower's name."""
        return [(placed.file, placed.named_part) for placed in self._files.towers(clip)]

    @contextmanager
    def network(self, model: Model) -> Iterator[Network]:
        """The diffusion network of `model`, patched, and parameterized as its options say, for the length of the block.

        Options of guidance are the sampler's affair.
        """
        checkpoint, precision = self._told(model), self._precision(model)
        with self._module(model, precision) as module:
            if not changes_network(model.options):
                yield network_of(checkpoint, module, precision)
                return
            changed = network_of(checkpoint, patched(self._part(model), module, {}), precision)
            change_network(changed, model.options, self.resolve)
            yield changed

    @contextmanager
    def trainable(self, model: Model) -> Iterator[Network]:
        """The network of `model` in a module of its own that shares all weights, so that layers can be hung on it."""
        checkpoint, precision = self._told(model), without_overflow(self.device, self.precision)
        with self._module(model, precision) as module:
            yield network_of(checkpoint, patched(self._part(model), module, {}), precision)

    def network_module(self, model: Model) -> AbstractContextManager[nn.Module]:
        """The diffusion network of `model` as it is, patched, for the length of the block."""
        return self._module(model, self._precision(model))

    @contextmanager
    def text_encoder(self, clip: Clip, *, own_modules: bool = False) -> Iterator[TextEncoder]:
        """The text encoders of `clip`, patched, for the length of the block.

        With `own_modules` they are in modules of their own that share all weights, as `trainable` has them.
        """
        texts = self._files.texts(clip)
        family = text_family(clip, texts, self.families)
        with ExitStack() as stack:
            towers = []
            for placed in self._files.towers(clip):
                precision = self.text_precision
                if placed.tower.kind == "t5":
                    precision = without_overflow(self.device, precision)
                part = placed.named_part
                module = stack.enter_context(self._modules.module(placed.file, part, precision, clip.patches))
                towers.append(self._tower(clip, placed, patched(part, module, {}) if own_modules else module))
            yield TextEncoder(family, towers, widths=joint_widths(texts))

    @contextmanager
    def text_modules(self, clip: Clip) -> Iterator[list[tuple[Part, nn.Module]]]:
        """The text encoders of `clip` as they are, patched, each with its part, for the length of the block."""
        with ExitStack() as stack:
            yield [
                (
                    part,
                    stack.enter_context(self._modules.module(file, part, self.text_precision, clip.patches)),
                )
                for file, part in self.text_parts(clip)
            ]

    @contextmanager
    def vae(self, vae: Vae) -> Iterator[VaeCodec]:
        """The autoencoder of `vae` for the length of the block."""
        part = self.checkpoint(vae.file).part("vae")
        with self._modules.module(vae.file, part, self.vae_precision) as module:
            codec = VAE_CODECS[part.kind]
            free = self.device_memory
            yield codec(module, self.vae_precision, None if free is None else free - module_bytes(module))

    def companion(
        self,
        key: Hashable,
        make: Callable[[], nn.Module],
        *,
        precision: Precision | None = None,
        expected_bytes: int = 0,
    ) -> AbstractContextManager[nn.Module]:
        """A network that goes with diffusion networks, for the length of the block.

        `make` gives it on the CPU; it is placed where those compute, in their precision (or the one given), and shared
        by its key.
        """
        return self._modules.companion(key, make, precision or self.precision, expected_bytes)

    def told_streaming(self, model: Model) -> str | None:
        """A sentence about the streaming of a model's network, or None if it is on the device as a whole."""
        part, precision = self._part(model), self._precision(model)
        if not self._modules.streams(part, precision):
            return None
        size, room = expected_bytes(part, precision) / 2**30, self.budget_bytes / 2**30
        return (
            f"The model takes {size:.2f} GiB and there is room for {room:.2f} GiB of weights, so the rest is streamed "
            "from the host's memory in each step, which is slower."
        )

    def usage(self) -> Usage:
        """What the store holds now."""
        return self._modules.usage()

    def release(self) -> int:
        """Drop all weights that nobody uses; the bytes dropped."""
        return self._modules.release()

    def close(self) -> None:
        """Drop all weights that nobody uses, and stop waiting for idle ones."""
        self._modules.close()

    def _part(self, model: Model) -> Part:
        return self.checkpoint(model.file).part(model.part)

    def _precision(self, model: Model) -> Precision:
        """That of the engine, or what the model was told to compute in."""
        chosen = compute_dtype(model.options)
        return self.precision if chosen in (None, "default") else choose_precision(self.device, chosen)

    def _module(self, model: Model, precision: Precision) -> AbstractContextManager[nn.Module]:
        return self._modules.module(model.file, self._part(model), precision, model.patches)

    def _told(self, model: Model) -> Checkpoint:
        """The model's file, parameterized as its options say."""
        checkpoint = self.checkpoint(model.file)
        if checkpoint.parameterization is None:
            return checkpoint
        told = reparameterized(checkpoint.parameterization, model.options)
        return replace(checkpoint, parameterization=told)

    def _tower(self, clip: Clip, placed: PlacedTower, module: nn.Module) -> TextTower:
        """A text encoder with its tokenizer."""
        tower, file = placed.tower, placed.file
        if isinstance(module, T5Text):
            pieces = self._files.t5_tokenizer(file)
            return T5Tower(spec=tower, module=module, tokenizer=pieces, padding=clip.t5_padding)
        if isinstance(module, ClipText):
            words = self._files.clip_tokenizer(file, module.vocabulary)
            return ClipTower(
                spec=tower, module=module, tokenizer=words, lookup=self._embedding, layer=placed.layer
            )
        raise ModelFileError(f"'{tower.part}' in {file.name} is no text encoder; choose another file.")

    def _embedding(self, name: str, part: str, width: int) -> Tensor:
        path = self.embedding(name)
        if path is None:
            raise InputError(
                f"There is no embedding '{name[:80]}' in the embeddings folders; add it or correct its name."
            )
        return read_embedding(path, part, width)
