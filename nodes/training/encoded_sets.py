"""Nodes that keep encoded training sets in files, and sort them by size."""

from __future__ import annotations

from typing import Annotated

from graphcore import Context, Each, InputError, Range, node
from graphcore.files import Files
from nodes.training.datasets import FolderName, TrainingExamples, folder_state
from nodes.values import Conditioning, Latent


def _state(files: Files, folder_name: str) -> str:
    return folder_state(files, files.output_dir, folder_name)


@node(
    "SaveTrainingDataset",
    category="training/dataset",
    title="Save Training Dataset",
    output=True,
    experimental=True,
)
def save_training_dataset(
    ctx: Context,
    latents: list[Latent],
    conditioning: list[Conditioning],
    folder_name: FolderName = "training_dataset",
    shard_size: Annotated[int, Range(1, 100000)] = 1000,
) -> None:
    """Write encoded pictures and texts into a folder of the output folder, so many in each file.

    Files are `.safetensors`, and `metadata.json` says how many there are; a data set that was there is replaced.
    """
    from nodes.diffusion.training.shards import write_shards

    names = write_shards(ctx.files.output_dir, folder_name, latents, conditioning, shard_size)
    for name in names:
        ctx.show("files", {"filename": name, "subfolder": folder_name, "type": "output"})


@node(
    "LoadTrainingDataset",
    category="training/dataset",
    title="Load Training Dataset",
    fingerprint=_state,
    experimental=True,
)
def load_training_dataset(ctx: Context, folder_name: FolderName = "training_dataset") -> TrainingExamples:
    """Read a data set that Save Training Dataset wrote, from the output folder."""
    from nodes.diffusion.training.shards import read_shards

    latents, conditionings = read_shards(ctx.files.output_dir, folder_name)
    return TrainingExamples(Each(latents), Each(conditionings))


@node("ResolutionBucket", category="training/dataset", title="Resolution Bucket", experimental=True)
def resolution_bucket(latents: list[Latent], conditioning: list[Conditioning]) -> TrainingExamples:
    """Put latents of one size into one batch each, with their conditionings, an entry for each sample."""
    from nodes.diffusion.training.examples import bucketed

    if len(latents) != len(conditioning):
        raise InputError(
            f"There are {len(latents)} latents and {len(conditioning)} conditionings; give one for each.",
            code="unequal-lists",
        )
    buckets = bucketed(latents, conditioning)
    return TrainingExamples(Each(latent for latent, _ in buckets), Each(texts for _, texts in buckets))
