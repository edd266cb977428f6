"""Nodes that choose, list, walk and repeat."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, NamedTuple, TypeVar

from graphcore import (
    Context,
    Each,
    Expand,
    GraphcoreError,
    Growing,
    InputError,
    Lazy,
    Link,
    OutputName,
    Range,
    RawLink,
    Text,
    Workflow,
    node,
    read_workflow,
)
from nodes.values import Image, Latent, Mask

T = TypeVar("T")
FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")
MAX_ITEMS = 10_000
VALUE, INDEX = "value", "index"


class Pairs(NamedTuple):
    """Two lists that are walked together."""

    first: Each[Any]
    second: Each[Any]


@node("Switch", category="logic", title="Switch", aliases=("ComfySwitchNode",))
async def switch(switch: bool, on_false: Lazy[T], on_true: Lazy[T]) -> Annotated[T, OutputName("output")]:
    """One of two values; what leads to the other one is not run."""
    return await (on_true if switch else on_false)


@node("ListOf", category="list", title="List")
def list_of(items: list[T]) -> Each[T]:
    """Several values on one link: a node that takes one of them runs once for each."""
    return Each(items)


@node("Pick", category="list", title="Pick from List")
def pick(items: list[T], index: Annotated[int, Range(-MAX_ITEMS, MAX_ITEMS)] = 0) -> T:
    """One value of a list; -1 is the last."""
    if not -len(items) <= index < len(items):
        raise InputError(
            f"The list has {len(items)} values, and number {index} is not among them.", code="bad-index"
        )
    return items[index]


@node("Count", category="list", title="Count")
def count(items: list[Any]) -> Annotated[int, OutputName("count")]:
    """How many values a list holds."""
    return len(items)


@node("IntRange", category="list", title="Range of Whole Numbers")
def int_range(
    start: int = 0, stop: int = 10, step: Annotated[int, Range(-(2**31), 2**31)] = 1
) -> Annotated[Each[int], OutputName("int")]:
    """Whole numbers from `start` up to, not with, `stop`: what takes one of them runs once for each."""
    if step == 0:
        raise InputError("The step of a range must not be 0.", code="bad-range")
    return Each(_budgeted(range(start, stop, step)))


@node("FloatRange", category="list", title="Range of Numbers")
def float_range(
    first: float = 0.0, last: float = 1.0, count: Annotated[int, Range(1, MAX_ITEMS)] = 5
) -> Annotated[Each[float], OutputName("float")]:
    """`count` numbers from `first` to `last`, both included, evenly spaced."""
    if count == 1:
        return Each([first])
    return Each(first + (last - first) * place / (count - 1) for place in range(count))


@node("EveryPair", category="list", title="Every Pair")
def every_pair(first: list[Any], second: list[Any]) -> Pairs:
    """Each value of the first list with each of the second, as two lists that are walked together."""
    if len(first) * len(second) > MAX_ITEMS:
        raise InputError(
            f"There would be more than {MAX_ITEMS} pairs; shorten the lists.", code="over-budget"
        )
    pairs = [(one, other) for one in first for other in second]
    return Pairs(Each(one for one, _ in pairs), Each(other for _, other in pairs))


def _budgeted(numbers: range) -> range:
    if len(numbers) > MAX_ITEMS:
        raise InputError(f"The range has more than {MAX_ITEMS} numbers; make it shorter.", code="over-budget")
    return numbers


@node("SplitImages", category="list", title="Split Images")
def split_images(image: Image) -> Each[Image]:
    """The pictures of a batch as a list."""
    verdicts = image.verdicts
    return Each(
        Image(image.pixels[place : place + 1], verdicts[place : place + 1])
        for place in range(image.pixels.shape[0])
    )


@node("JoinImages", category="list", title="Join Images", aliases=("BatchImagesNode",))
def join_images(images: Annotated[list[Image], Growing()]) -> Image:
    """A list of pictures as one batch; all are resized to the first one's size."""
    from nodes.diffusion.picture_batches import joined

    return joined(images)


@node("SplitLatents", category="list", title="Split Latents")
def split_latents(latent: Latent) -> Each[Latent]:
    """The latents of a batch as a list; they keep the noise that they had in it."""
    from nodes.diffusion.latents import cut_out

    return Each(cut_out(latent, place, 1) for place in range(latent.samples.shape[0]))


@node("JoinLatents", category="list", title="Join Latents", aliases=("BatchLatentsNode",))
def join_latents(latents: Annotated[list[Latent], Growing()]) -> Latent:
    """A list of latents as one batch; all are resized to the first one's size."""
    from nodes.diffusion.latents import joined

    return joined(latents)


@node("SplitMasks", category="list", title="Split Masks")
def split_masks(mask: Mask) -> Each[Mask]:
    """The masks of a batch as a list."""
    return Each(Mask(mask.values[place : place + 1]) for place in range(mask.values.shape[0]))


@node("JoinMasks", category="list", title="Join Masks", aliases=("BatchMasksNode",))
def join_masks(masks: Annotated[list[Mask], Growing()]) -> Mask:
    """A list of masks as one batch; all are resized to the first one's size."""
    from nodes.diffusion.masks import joined

    return Mask(joined([mask.values for mask in masks]))


@node("Repeat", category="logic", title="Repeat")
def repeat(
    ctx: Context,
    body: Annotated[str, Text(placeholder='{"graphcore": 1, …}')],
    value: RawLink[T],
    count: Annotated[int, Range(0, MAX_ITEMS)] = 1,
) -> T | Expand:
    """Run a workflow `count` times, each time on what the time before gave.

    `body` is a native workflow document as text. It declares the input `value` and the output `value`, and may declare
    the input `index`, which counts from 0. Files are looked up, and nodes checked, as in any workflow.
    """
    workflow = _body(ctx, body)
    current: object = value.link if value.link is not None else value.value
    nodes = {}
    for index in range(count):
        given = {VALUE: current} | ({INDEX: index} if INDEX in workflow.inputs else {})
        names = {node_id: f"{index}-{node_id}" for node_id in workflow.nodes}
        for node_id, entry in workflow.nodes.items():
            inputs = {name: _renamed(item, names) for name, item in entry.inputs.items()}
            nodes[names[node_id]] = replace(entry, inputs=inputs)
        for name, item in given.items():
            for target in workflow.inputs[name].targets:
                entry = nodes[names[target.node]]
                nodes[names[target.node]] = replace(entry, inputs={**entry.inputs, target.input: item})
        current = _renamed(workflow.outputs[VALUE], names)
    return Expand(Workflow(nodes=nodes), {VALUE: current})


def _body(ctx: Context, text: str) -> Workflow:
    if ctx.registry is None:
        raise InputError("Repeat can only run inside a workflow.", code="bad-body")
    try:
        workflow = read_workflow(text, ctx.registry)
    except GraphcoreError as error:
        raise InputError(f"The body of the loop is no workflow: {error.message}", code="bad-body") from error
    if workflow.problems:
        raise InputError(f"The body of the loop: {workflow.problems[0].message}", code="bad-body")
    if VALUE not in workflow.inputs or VALUE not in workflow.outputs:
        raise InputError(
            "The body of the loop must declare an input 'value' and an output 'value'.", code="bad-body"
        )
    targets = [target for declared in workflow.inputs.values() for target in declared.targets]
    missing = [target.node for target in targets if target.node not in workflow.nodes]
    if missing:
        raise InputError(f"The body of the loop has no node '{missing[0]}'.", code="bad-body")
    return workflow


def _renamed(item: object, names: dict[str, str]) -> object:
    if isinstance(item, Link):
        return Link(names.get(item.node, item.node), item.output)
    if isinstance(item, list):
        return [_renamed(part, names) for part in item]
    return item
