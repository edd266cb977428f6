"""Nodes that read and write folders of pictures and captions, to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

from graphcore import Context, Each, InputError, OutputName, Text, node
from graphcore.files import Files
from nodes.output_files import OutputNames
from nodes.values import Clip, Conditioning, ConditioningEntry, Image, Latent, Vae

FolderName = Annotated[str, Text(multiline=False)]


class CaptionedImages(NamedTuple):
    """Pictures, and a caption for each."""

    images: Each[Image]
    texts: Each[str]


class TrainingExamples(NamedTuple):
    """Latents, and a conditioning for each."""

    latents: Each[Latent]
    conditioning: Each[Conditioning]


def _folder_state(files: Files, folder: str) -> str:
    return folder_state(files, files.input_dir, folder)


def folder_state(files: Files, base: Path, folder: str) -> str:
    """What is in a folder below `base`, as text."""
    from graphcore.errors import GraphcoreError
    from graphcore.files import safe_parts

    parts = safe_parts(folder)
    if parts is None:
        return ""
    root = base.joinpath(*parts)
    try:
        entries = sorted(path for path in root.rglob("*") if path.is_file())
        return "\n".join(f"{path.relative_to(root)} {files.fingerprint(path)}" for path in entries)
    except (OSError, GraphcoreError):
        return ""


@node(
    "LoadImageDataSetFromFolder",
    category="training/dataset",
    title="Load Pictures from Folder",
    fingerprint=_folder_state,
)
def load_image_data_set_from_folder(
    ctx: Context, folder: FolderName
) -> Annotated[Each[Image], OutputName("images")]:
    """Read all pictures of a folder in the input folder, in order of their names; sizes may differ.

    A folder inside it that is called `10_name` counts ten times.
    """
    from nodes.diffusion.training.datasets import dataset_folder, picture_files, pictures

    return Each(pictures(picture_files(dataset_folder(ctx.files.input_dir, folder))))


@node(
    "LoadImageTextDataSetFromFolder",
    category="training/dataset",
    title="Load Pictures and Captions from Folder",
    fingerprint=_folder_state,
)
def load_image_text_data_set_from_folder(ctx: Context, folder: FolderName) -> CaptionedImages:
    """Read all pictures of a folder in the input folder with their captions: `cat.txt` beside `cat.png`.

    A picture without a text has an empty caption. A folder inside it that is called `10_name` counts ten times.
    """
    from nodes.diffusion.training.datasets import captioned, dataset_folder, pictures

    found = captioned(dataset_folder(ctx.files.input_dir, folder))
    return CaptionedImages(
        Each(pictures([each.picture for each in found])), Each(each.caption for each in found)
    )


@node("SaveImageDataSetToFolder", category="training/dataset", title="Save Pictures to Folder", output=True)
def save_image_data_set_to_folder(
    ctx: Context,
    images: list[Image],
    folder_name: FolderName = "dataset",
    filename_prefix: FolderName = "image",
) -> None:
    """Write pictures into a folder in the output folder, as PNG files without metadata."""
    _save(ctx, images, None, f"{folder_name}/{filename_prefix}")


@node(
    "SaveImageTextDataSetToFolder",
    category="training/dataset",
    title="Save Pictures and Captions to Folder",
    output=True,
)
def save_image_text_data_set_to_folder(
    ctx: Context,
    images: list[Image],
    texts: list[str],
    folder_name: FolderName = "dataset",
    filename_prefix: FolderName = "image",
) -> None:
    """Write pictures into a folder in the output folder, with a .txt file of the same name beside each."""
    _save(ctx, images, texts, f"{folder_name}/{filename_prefix}")


@node("MakeTrainingDataset", category="training/dataset", title="Make Training Dataset")
def make_training_dataset(
    ctx: Context, images: list[Image], vae: Vae, clip: Clip, texts: list[str] | None = None
) -> TrainingExamples:
    """Encode pictures and their texts, so that they can be learned from: one text for each picture, or one for all."""
    from nodes.diffusion.store import ModelStore

    captions = spread_texts(texts or [""], sum(len(image.pixels) for image in images))
    store = ctx.service(ModelStore)
    with store.vae(vae) as codec:
        latents = [Latent(codec.encode(one[None]).clone()) for image in images for one in image.pixels]
    known: dict[str, Conditioning] = {}
    with store.text_encoder(clip) as encoder:
        for caption in dict.fromkeys(captions):
            encoded = encoder.encode(caption, layer=clip.stop_at_layer)
            known[caption] = Conditioning(
                (ConditioningEntry(embeddings=encoded.embeddings, pooled=encoded.pooled),)
            )
    return TrainingExamples(Each(latents), Each(known[caption] for caption in captions))


def spread_texts(texts: list[str], count: int) -> list[str]:
    """One text for each of `count` pictures; InputError unless there are as many, or one."""
    if len(texts) == count:
        return texts
    if len(texts) != 1:
        raise InputError(
            f"There are {count} pictures and {len(texts)} texts; give one text for each, or one for all.",
            code="unequal-lists",
        )
    return texts * count


def _save(ctx: Context, images: list[Image], texts: list[str] | None, prefix: str) -> None:
    from nodes.diffusion.pictures import png_bytes, require_picture

    count = sum(len(image.pixels) for image in images)
    captions = spread_texts(texts, count) if texts is not None else [None] * count
    names = OutputNames(folder=ctx.files.output_dir, prefix=prefix, suffix=".png")
    pictures = [picture for image in images for picture in image.pixels]
    for image in images:
        require_picture(image)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        ctx.check_cancelled()
        height, width = picture.shape[:2]
        saved = names.write(png_bytes(picture, {}), {"width": width, "height": height}, batch_number=number)
        ctx.show("images", {"filename": saved.filename, "subfolder": saved.subfolder, "type": "output"})
        if caption is not None:
            beside = ctx.files.output_dir / saved.subfolder / saved.filename
            beside.with_suffix(".txt").write_text(caption, encoding="utf-8")
