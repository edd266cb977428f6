"""Nodes that mix models with a share for each block, one for each family: their inputs are the blocks' own names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from graphcore import Context, Range, node
from graphcore.node import spec_of
from graphcore.sockets import socket_of
from graphcore.spec import InputSpec, NodeSpec
from nodes.models.merging import by_blocks, merge_models
from nodes.values import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockNames:
    """A family's blocks, as their tensors' names begin in single files."""

    node: str
    title: str
    prefixes: tuple[str, ...]


def _numbered(name: str, count: int, end: str = ".") -> tuple[str, ...]:
    return tuple(f"{name}.{number}{end}" for number in range(count))


def _unet(inputs: int, end: str) -> tuple[str, ...]:
    return (
        "time_embed.",
        "label_emb.",
        *_numbered("input_blocks", inputs, end),
        *_numbered("middle_block", 3, end),
        *_numbered("output_blocks", inputs, end),
        "out.",
    )


def _mmdit(layers: int) -> tuple[str, ...]:
    ends = ("pos_embed.", "x_embedder.", "context_embedder.", "y_embedder.", "t_embedder.")
    return (*ends, *_numbered("joint_blocks", layers), "final_layer.")


BLOCKS: Final = (
    BlockNames(node="ModelMergeSD1", title="Merge Models by Blocks (SD 1.x)", prefixes=_unet(12, ".")),
    BlockNames(node="ModelMergeSD2", title="Merge Models by Blocks (SD 2.x)", prefixes=_unet(12, ".")),
    BlockNames(node="ModelMergeSDXL", title="Merge Models by Blocks (SDXL)", prefixes=_unet(9, "")),
    BlockNames(node="ModelMergeSD3_2B", title="Merge Models by Blocks (SD 3 2B)", prefixes=_mmdit(24)),
    BlockNames(
        node="ModelMergeSD35_Large", title="Merge Models by Blocks (SD 3.5 Large)", prefixes=_mmdit(38)
    ),
)


def specs() -> Iterator[NodeSpec]:
    """The node types; names with dots cannot be written as a function's parameters."""
    kind = socket_of(float)
    for blocks in BLOCKS:
        declared = spec_of(_merge_function(blocks))
        if declared is None or kind is None:
            continue
        shares = tuple(
            InputSpec(name=prefix, type=kind, default=1.0, range=Range(0.0, 1.0, step=0.01))
            for prefix in blocks.prefixes
        )
        yield replace(declared, inputs=(*declared.inputs, *shares), open_inputs=None)


def _merge_function(blocks: BlockNames) -> Callable[..., Model]:
    @node(blocks.node, category="advanced/model_merging/model_specific", title=blocks.title)
    def model_merge_by_names(ctx: Context, model1: Model, model2: Model, **shares: float) -> Model:
        """Mix two models with a share of the first for each block; what is in no block takes the first share."""
        return merge_models(
            ctx, model1, by_blocks(model2, {prefix: shares[prefix] for prefix in blocks.prefixes})
        )

    return model_merge_by_names
