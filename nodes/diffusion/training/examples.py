"""What is learned from: latents with what should be said of them, as the network takes both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.diffusion.latents import require_finite
from nodes.diffusion.network import LatentScene, Network
from nodes.diffusion.sampling import fitted_latent
from nodes.values import Conditioning, ConditioningEntry, Latent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """A latent as the VAE gives it (1, channels, height, width), and its text's embeddings.

    `caption` is the text itself, where it is known, for text encoders that are trained too.
    """

    latent: Tensor
    entry: ConditioningEntry
    caption: str = ""


def paired(latents: Sequence[Latent], conditionings: Sequence[Conditioning]) -> list[Example]:
    """Each sample of each batch with its conditioning: one for all, one for each batch, or one for each sample.

    That of a batch may have an entry for each of its samples, as `bucketed` gives it.

    Raises InputError if there are neither as many, or nothing at all.
    """
    samples = [sample[None] for latent in latents for sample in latent.samples]
    if not samples or not conditionings:
        raise InputError("There is nothing to learn from; give pictures and their texts.", code="empty-list")
    counts = [len(latent.samples) for latent in latents]
    if len(conditionings) == len(latents):
        spread = [
            each for one, count in zip(conditionings, counts, strict=True) for each in _of_samples(one, count)
        ]
    elif len(conditionings) in (1, len(samples)):
        spread = list(conditionings) * (len(samples) // len(conditionings))
    else:
        raise InputError(
            f"There are {len(samples)} pictures and {len(conditionings)} texts; give one for each, or one for all.",
            code="unequal-lists",
        )
    for latent in latents:
        require_finite(latent.samples, "The latent to learn from")
    return [
        Example(latent=sample.detach().clone(), entry=plain_entry(conditioning))
        for sample, conditioning in zip(samples, spread, strict=True)
    ]


def _of_samples(conditioning: Conditioning, count: int) -> list[Conditioning]:
    """The conditioning of each sample of a batch."""
    if count > 1 and len(conditioning.entries) == count:
        return [Conditioning((entry,)) for entry in conditioning.entries]
    return [conditioning] * count


def bucketed(
    latents: Sequence[Latent], conditionings: Sequence[Conditioning]
) -> list[tuple[Latent, Conditioning]]:
    """Samples of one shape as one batch, each with one conditioning that has an entry for each sample."""
    buckets: dict[tuple[int, ...], list[Example]] = {}
    for example in paired(latents, conditionings):
        buckets.setdefault(tuple(example.latent.shape), []).append(example)
    return [
        (
            Latent(torch.cat([example.latent for example in group])),
            Conditioning(tuple(example.entry for example in group)),
        )
        for group in buckets.values()
    ]


def plain_entry(conditioning: Conditioning) -> ConditioningEntry:
    """The only entry of a conditioning; InputError for one that combines several."""
    if len(conditioning.entries) != 1:
        raise InputError(
            f"A text to learn from is one conditioning, and this one combines {len(conditioning.entries)}; "
            "encode the text by itself.",
            code="bad-conditioning",
        )
    return conditioning.entries[0]


class Examples:
    """Examples ready for a network, grouped by shape: a batch holds latents of one size."""

    def __init__(self, examples: Sequence[Example], network: Network) -> None:
        self.examples = tuple(examples)
        latent_format = network.latent_format
        self.scaled = [
            latent_format.scaled(fitted_latent(example.latent, latent_format)) for example in examples
        ]
        self._network = network
        self._conditions = [self.conditions(place, example.entry) for place, example in enumerate(examples)]
        self.groups: dict[tuple[int, ...], list[int]] = {}
        for place, latent in enumerate(self.scaled):
            self.groups.setdefault(tuple(latent.shape), []).append(place)

    def draw(self, count: int, stream: torch.Generator) -> list[int]:
        """The places of a batch of one shape: shapes come as often as they have examples, examples evenly."""
        first = int(torch.randint(len(self.examples), (1,), generator=stream))
        group = self.groups[tuple(self.scaled[first].shape)]
        others = torch.randint(len(group), (count - 1,), generator=stream).tolist()
        return [first, *(group[place] for place in others)]

    def latents(self, places: Sequence[int]) -> Tensor:
        """The scaled latents at these places, as one batch."""
        return torch.cat([self.scaled[place] for place in places])

    def conditions(self, place: int, entry: ConditioningEntry) -> dict[str, Tensor]:
        """What the network takes of an entry for the example at a place."""
        latent = self.scaled[place].to(self._network.device)
        scene = LatentScene(latent=latent, noise=torch.zeros_like(latent))
        return {
            name: tensor if tensor.requires_grad else tensor.detach().clone()
            for name, tensor in self._network.conditions(entry, scene).items()
        }

    def known_conditions(self, places: Sequence[int]) -> list[Mapping[str, Tensor]]:
        """The conditions of these examples, encoded beforehand."""
        return [self._conditions[place] for place in places]


def examples_digest(examples: Sequence[Example]) -> str:
    """A digest of all that examples hold."""
    digest = hashlib.sha256()
    for example in examples:
        for tensor in (example.latent, example.entry.embeddings, example.entry.pooled):
            if tensor is not None:
                digest.update(f"{tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().float().contiguous().numpy().tobytes())
        digest.update(f"{example.caption}\0{example.entry.size}".encode())
    return digest.hexdigest()
