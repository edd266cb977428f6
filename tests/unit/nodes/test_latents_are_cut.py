"""Latents are cut into columns, rows and slices, and put side by side."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from graphcore import InputError
from nodes.latents.cuts import latent_concat, latent_cut, latent_cut_to_batch
from nodes.values import Latent

LATENT = Latent(torch.arange(2 * 4 * 3 * 5, dtype=torch.float32).reshape(2, 4, 3, 5))


@pytest.mark.parametrize(
    ("dim", "axis", "first"), [("x", 3, True), ("-x", 3, False), ("y", 2, True), ("-y", 2, False)]
)
def test_side_by_side(dim: Any, axis: int, first: bool) -> None:
    other = Latent(torch.zeros(1, 4, 3, 5))
    done = latent_concat(LATENT, other, dim).samples
    assert done.shape[axis] == 2 * LATENT.samples.shape[axis]
    half = done.narrow(axis, 0 if first else LATENT.samples.shape[axis], LATENT.samples.shape[axis])
    assert torch.equal(half, LATENT.samples)


def test_sides_must_fit() -> None:
    with pytest.raises(InputError) as caught:
        latent_concat(LATENT, Latent(torch.zeros(1, 4, 2, 5)), "x")
    assert caught.value.code == "mismatched-latents"


@pytest.mark.parametrize(
    ("dim", "index", "amount", "columns"),
    [("x", 1, 2, [1, 2]), ("x", -2, 5, [3, 4]), ("x", 99, 1, [4]), ("x", -99, 1, [0])],
)
def test_columns(dim: Any, index: int, amount: int, columns: list[int]) -> None:
    assert torch.equal(latent_cut(LATENT, dim, index, amount).samples, LATENT.samples[..., columns])


def test_rows() -> None:
    assert torch.equal(latent_cut(LATENT, "y", -1, 1).samples, LATENT.samples[:, :, 2:])


def test_slices_become_a_batch() -> None:
    done = latent_cut_to_batch(LATENT, "x", 2).samples
    assert done.shape == (4, 4, 3, 2)
    assert torch.equal(done[1], LATENT.samples[0, :, :, 2:4])
    assert latent_cut_to_batch(LATENT, "y", 99).samples.shape == LATENT.samples.shape


def test_pictures_have_no_time() -> None:
    for call in (
        lambda: latent_cut(LATENT, "t"),
        lambda: latent_cut_to_batch(LATENT, "t"),
        lambda: latent_concat(LATENT, LATENT, "-t"),
    ):
        with pytest.raises(InputError, match="x or y"):
            call()
