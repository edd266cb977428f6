"""One call that turns a model file or folder into another."""

from __future__ import annotations

from pathlib import Path

from graphcore.errors import ModelFileError
from graphcore.files import PICKLE_SUFFIXES
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.conversion.folders import file_metadata, folder_state, write_folder
from nodes.diffusion.conversion.pickles import read_pickle_with_facts
from nodes.diffusion.conversion.single_file import Changes, changed, read_state, write_state
from nodes.diffusion.safetensors_header import read_header


def convert_checkpoint(source: Path, target: Path, changes: Changes) -> None:
    """Write `source` (a pickle, a safetensors file, a diffusers folder) as `target` (a .safetensors file, or a folder).

    Raises ModelFileError, and leaves no half-written target.
    """
    if target.suffix not in (".safetensors", ".sft", ""):
        raise ModelFileError(
            f"'{target.name}' is no name for the result; end it in .safetensors, or name a folder.",
            code="bad-target",
            location=target.name,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        checkpoint = open_checkpoint(source)
        state, metadata = folder_state(source), file_metadata(checkpoint)
    elif source.suffix.lower() in PICKLE_SUFFIXES:
        state, metadata = read_pickle_with_facts(source)
    else:
        state, metadata = read_state(source), dict(read_header(source).metadata)
    state = changed(state, changes, source.name)
    if target.suffix:
        write_state(state, target, metadata)
        return
    between = target.with_name(f".{target.name}.safetensors")
    try:
        write_state(state, between, metadata)
        target.mkdir(exist_ok=True)
        write_folder(open_checkpoint(between), target)
    finally:
        between.unlink(missing_ok=True)
