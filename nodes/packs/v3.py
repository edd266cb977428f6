"""`comfy_api.latest`: extensions, which offer nodes, and what a running node may ask of its surroundings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, Self

from nodes.packs import v3_media
from nodes.packs.host import PackHost, current_host
from nodes.packs.shims.progress import report_progress
from nodes.packs.v3_node import ComfyNode
from nodes.packs.v3_schema import NodeReplace

Input: Final = SimpleNamespace(
    Image=v3_media.ImageInput,
    Audio=v3_media.AudioInput,
    Mask=v3_media.MaskInput,
    Latent=v3_media.LatentInput,
    Video=v3_media.VideoInput,
)
InputImpl: Final = SimpleNamespace(
    VideoFromFile=v3_media.VideoFromFile, VideoFromComponents=v3_media.VideoFromComponents
)
Types: Final = SimpleNamespace(
    VideoCodec=v3_media.VideoCodec,
    VideoContainer=v3_media.VideoContainer,
    VideoComponents=v3_media.VideoComponents,
)


class ComfyExtension(ABC):
    """What a pack's `comfy_entrypoint` returns."""

    async def on_load(self) -> None:  # noqa: B027 (packs need not have one)
        """Called once, before the nodes are asked for."""

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]:
        """The nodes that the pack offers."""
        raise NotImplementedError


async def nodes_of(extension: Any) -> list[type[ComfyNode]]:
    """The nodes of an extension that has just been loaded.

    Raises TypeError if it is no extension, or offers something else than nodes.
    """
    if not isinstance(extension, ComfyExtension):
        raise TypeError(f"comfy_entrypoint returned a {type(extension).__name__}, which is no ComfyExtension")
    await extension.on_load()
    offered: Any = await extension.get_node_list()
    if not isinstance(offered, list) or not all(
        isinstance(cls, type) and issubclass(cls, ComfyNode) for cls in offered
    ):
        raise TypeError("get_node_list returned something else than a list of ComfyNode classes")
    return list(offered)


@dataclass(slots=True)
class Replacements:
    """The nodes that take the place of others, as packs have said."""

    noted: list[NodeReplace] = field(default_factory=list)

    @classmethod
    def create(cls, host: PackHost) -> Self:
        """None yet."""
        del host
        return cls()


class _ExecutionSync:
    def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Report progress of the caller's node; raises Cancelled if its run was cancelled."""
        del ignore_size_limit
        report_progress(value, max_value, preview_image, node_id)


class _Execution:
    def __init__(self) -> None:
        self._now = _ExecutionSync()

    async def set_progress(self, *values: Any, **named: Any) -> None:
        """As that of synchronous code."""
        self._now.set_progress(*values, **named)


class _NodeReplacement:
    async def register(self, node_replace: NodeReplace) -> None:
        """Note that a node takes the place of another."""
        current_host().part(Replacements).noted.append(node_replace)


class ComfyAPI:
    """What a node may ask of its surroundings, in async code."""

    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _Execution()
        self.node_replacement = _NodeReplacement()


class ComfyAPISync:
    """What a node may ask of its surroundings."""

    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _ExecutionSync()
