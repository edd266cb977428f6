"""How the tensors of a file become the tensors of a network, and back.

A rule says that the network's tensor `target` is some form of the file's tensor `original`. One list of rules serves
both directions: loading reads it left to right, saving in the original layout reads it right to left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

NOT_THERE = (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError, StopIteration)
"""What reading a configuration from shapes raises where they are not a network's."""
FormKind = Literal["plain", "linear", "transposed", "rows", "swapped"]


@dataclass(frozen=True, slots=True)
class Form:
    """What is done to the file's tensor.

    plain: nothing. linear: a 1x1 convolution becomes a matrix. transposed: a matrix is transposed.
    rows: part `index` of `count` equal parts along the first axis. swapped: the two halves change places.
    """

    kind: FormKind = "plain"
    index: int = 0
    count: int = 1


PLAIN = Form()
LINEAR = Form("linear")
TRANSPOSED = Form("transposed")
SWAPPED = Form("swapped")


@dataclass(frozen=True, slots=True)
class Rule:
    """The network's tensor `target` is `form` of the file's tensor `original`."""

    target: str
    original: str
    form: Form = PLAIN


def target_shape(shape: Sequence[int], form: Form) -> tuple[int, ...]:
    """The shape that a file's tensor of `shape` has in the network."""
    if form.kind == "linear" and len(shape) == 4 and shape[2] == shape[3] == 1:
        return (shape[0], shape[1])
    if form.kind == "transposed":
        return tuple(reversed(shape))
    if form.kind == "rows" and shape:
        return (shape[0] // form.count, *shape[1:])
    return tuple(shape)


def to_target(tensor: Tensor, form: Form) -> Tensor:
    """The network's tensor for a file's; a view of it, except for `swapped`."""
    if form.kind == "linear" and tensor.ndim == 4:
        return tensor[:, :, 0, 0]
    if form.kind == "transposed":
        return tensor.t()
    if form.kind == "rows":
        return tensor.chunk(form.count)[form.index]
    if form.kind == "swapped":
        first, second = tensor.chunk(2)
        return torch.cat([second, first])
    return tensor


def to_original(state: Mapping[str, Tensor], rules: Iterable[Rule]) -> dict[str, Tensor]:
    """A network's state dict in the layout of the file; tensors are contiguous."""
    found: dict[str, Tensor] = {}
    rows: dict[str, dict[int, Tensor]] = {}
    for rule in rules:
        tensor = state[rule.target]
        if rule.form.kind == "rows":
            rows.setdefault(rule.original, {})[rule.form.index] = tensor
        else:
            found[rule.original] = _from_target(tensor, rule.form).contiguous()
    for original, parts in rows.items():
        found[original] = torch.cat([parts[index] for index in sorted(parts)])
    return found


def _from_target(tensor: Tensor, form: Form) -> Tensor:
    if form.kind == "linear" and tensor.ndim == 2:
        return tensor[:, :, None, None]
    if form.kind in ("transposed", "swapped"):
        return to_target(tensor, form)
    return tensor


def rename(targets: Iterable[str], modules: Mapping[str, str], forms: Mapping[str, Form]) -> tuple[Rule, ...]:
    """Rules for `targets`, given the original name of each module of the network.

    The longest known module name at the head of a target is replaced. `forms` says by original module name
    which weights (not biases) change their form.
    """
    return tuple(_rename_one(target, modules, forms) for target in targets)


def _rename_one(target: str, modules: Mapping[str, str], forms: Mapping[str, Form]) -> Rule:
    head = target
    while "." in head:
        head = head.rpartition(".")[0]
        original = modules.get(head)
        if original is not None:
            tail = target[len(head) :]
            form = forms.get(original, PLAIN) if tail == ".weight" else PLAIN
            return Rule(target, original + tail, form)
    return Rule(target, target)
