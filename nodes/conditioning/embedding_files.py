"""Where textual-inversion embeddings are found by the names that prompts give them."""

from __future__ import annotations

from pathlib import Path

from graphcore import InputError
from graphcore.files import Files

SUFFIXES = ("", ".safetensors", ".pt", ".bin")
"""Pickles are found too, so that they can be refused with the way to convert them."""
MARK = "embedding:"


def embedding_path(files: Files, name: str) -> Path | None:
    """The file of an embedding, or None."""
    found = (files.find("embeddings", name + suffix) for suffix in SUFFIXES)
    return next((path for path in found if path is not None), None)


def embeddings_state(files: Files, *texts: str) -> str:
    """The embeddings that prompts name, as text that changes when one of their files does."""
    if not any(MARK in text for text in texts):
        return ""
    from nodes.diffusion.prompt import parse

    try:
        names = {segment.text for text in texts for segment in parse(text) if segment.embedding}
    except InputError:
        return ""
    return "\n".join(f"{name} {_state(files, name)}" for name in sorted(names))


def text_embeddings(files: Files, text: str) -> str:
    """What the embeddings named by a node's `text` are, for its key."""
    return embeddings_state(files, text)


def _state(files: Files, name: str) -> str:
    path = embedding_path(files, name)
    return "none" if path is None else files.fingerprint(path)
