"""Model files opened by reference: what their headers tell, each read once, and no weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tokenizers import Tokenizer

from nodes.diffusion.checkpoint import Checkpoint, open_checkpoint
from nodes.diffusion.families import FAMILIES, Families
from nodes.diffusion.leases import LeaseCache, Made
from nodes.diffusion.part import Part
from nodes.diffusion.text_towers import Opened, PlacedTower, place_towers, text_family
from nodes.diffusion.tokenizer import ClipTokenizer, find_t5_tokenizer, find_tokenizer
from nodes.diffusion.weights import build
from nodes.values import Clip, FileRef

OpenedT = TypeVar("OpenedT")
_MOST = 64


class OpenedFiles:
    """What is in files, for as many as were asked for last. Several threads may ask at once.

    `resolve` finds the path of a file; `tokenizer_folders` are searched for vocabularies.
    """

    def __init__(
        self,
        resolve: Callable[[FileRef], Path],
        *,
        families: Families = FAMILIES,
        tokenizer_folders: Sequence[Path] = (),
    ) -> None:
        self.resolve = resolve
        self.families = families
        self.tokenizer_folders = tuple(tokenizer_folders)
        self._held = LeaseCache(budget_bytes=_MOST)

    def checkpoint(self, file: FileRef) -> Checkpoint:
        """The opened file: family, parts and configurations. Raises ModelFileError."""
        return self._once(file, lambda: open_checkpoint(self.resolve(file), self.families))

    def opened(self, file: FileRef, open_file: Callable[[Path], OpenedT]) -> OpenedT:
        """What `open_file` tells of a file's header."""
        return self._once((file, open_file), lambda: open_file(self.resolve(file)))

    def outline(self, file: FileRef, part: Part) -> Mapping[str, tuple[int, ...]]:
        """The shapes of a part's tensors by name, as the network has them."""

        def shapes() -> Mapping[str, tuple[int, ...]]:
            return {name: tuple(tensor.shape) for name, tensor in build(part).state_dict().items()}

        return self._once((file, "outline", part.name), shapes)

    def texts(self, clip: Clip) -> Opened:
        """The files that a text encoder is made of."""
        return [(file, self.checkpoint(file)) for file in clip.files]

    def towers(self, clip: Clip) -> tuple[PlacedTower, ...]:
        """Where the text encoders of a model stand, one for each tower of its family that is there."""
        texts = self.texts(clip)
        return place_towers(clip, text_family(clip, texts, self.families), texts)

    def clip_tokenizer(self, file: FileRef, size: int) -> ClipTokenizer:
        """The tokenizer for a CLIP text encoder that knows `size` tokens. Raises ModelFileError if none is found."""
        found = self.checkpoint(file)
        return self._once(
            (file, "clip", size),
            lambda: find_tokenizer(found.path, found.metadata, size=size, folders=self.tokenizer_folders),
        )

    def t5_tokenizer(self, file: FileRef) -> Tokenizer:
        """The tokenizer for a T5 text encoder. Raises ModelFileError if none is found."""
        found = self.checkpoint(file)
        return self._once(
            (file, "t5"),
            lambda: find_t5_tokenizer(found.path, found.metadata, folders=self.tokenizer_folders),
        )

    def _once(self, key: Hashable, read: Callable[[], OpenedT]) -> OpenedT:
        with self._held.lease(key, lambda: Made(value=read(), bytes=1)) as value:
            return value
