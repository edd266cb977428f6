"""Sheets hold every picture with its words; comparisons say how much and where pictures differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from graphcore import Graph, InputError, detached_context
from nodes.diffusion.comparison import structural_similarity
from nodes.pictures.comparison import compare_images, contact_sheet, xy_grid
from nodes.values import Image
from tests.tiny_engine import all_nodes, tiny_engine


def noise(count: int = 1, side: int = 40, seed: int = 1) -> Image:
    return Image(torch.rand(count, side, side, 3, generator=torch.Generator().manual_seed(seed)))


def test_equal_pictures() -> None:
    found = compare_images(detached_context(), noise(2), noise(2))
    assert (found.ssim, found.psnr, found.error, found.changed) == (pytest.approx(1), 1000, 0, 0)
    assert not found.difference.pixels.any()


def test_what_differs_is_shown() -> None:
    one = noise()
    pixels = one.pixels.clone()
    pixels[0, 10:20, 5:15, 0] = 1 - pixels[0, 10:20, 5:15, 0]
    found = compare_images(detached_context(), one, Image(pixels), 2.0)
    assert found.changed == pytest.approx(100 / 1600, abs=0.005)
    assert found.difference.pixels[0, 12, 8, 0] > 0
    assert not found.difference.pixels[0, :, :, 1:].any()
    error = float((one.pixels - pixels).pow(2).mean())
    assert found.psnr == pytest.approx(10 * np.log10(1 / error), rel=1e-5)
    assert found.ssim < 1


def test_structural_similarity_is_wangs() -> None:
    one, other = noise().pixels[0], noise(seed=2).pixels[0] * 0.5 + noise().pixels[0] * 0.5

    def mean(values: np.ndarray) -> np.ndarray:
        blurred = gaussian_filter(values, sigma=(1.5, 1.5, 0), truncate=5 / 1.5, mode="reflect")
        return np.asarray(blurred)[5:-5, 5:-5]

    x, y = one.double().numpy(), other.double().numpy()
    spread_x, spread_y = mean(x * x) - mean(x) ** 2, mean(y * y) - mean(y) ** 2
    shared = mean(x * y) - mean(x) * mean(y)
    top = (2 * mean(x) * mean(y) + 1e-4) * (2 * shared + 9e-4)
    wanted = (top / ((mean(x) ** 2 + mean(y) ** 2 + 1e-4) * (spread_x + spread_y + 9e-4))).mean()
    assert structural_similarity(one, other) == pytest.approx(float(wanted), rel=1e-6)


def test_a_sheet_holds_every_picture() -> None:
    batch = noise(5)
    sheet = contact_sheet([batch], None, 3, 4).pixels[0]
    assert sheet.shape == (84, 128, 3)
    for number in range(5):
        top, left = number // 3 * 44, number % 3 * 44
        part = sheet[top : top + 40, left : left + 40]
        assert float((part - batch.pixels[number]).abs().max()) < 1.01 / 255


def test_labels_stand_below() -> None:
    white = Image(torch.ones(2, 40, 40, 3))
    plain = contact_sheet([white], None, 2, 4).pixels
    labelled = contact_sheet([white], ["one", "another one that is longer"], 2, 4).pixels
    assert plain.min() == 1
    assert labelled.shape[1] > plain.shape[1]
    assert labelled[0, 40:, :40].min() < 0.5
    assert labelled[0, :40].min() == 1


def test_grids_have_labels_at_their_edges() -> None:
    white = Image(torch.ones(6, 40, 40, 3))
    grid = xy_grid([white], ["euler", "heun"], ["1", "5", "9"], 4).pixels[0]
    assert grid.shape[1] > 3 * 44
    assert grid[:12].min() < 0.5
    assert grid[:, :20].min() < 0.5


def test_lists_of_other_lengths() -> None:
    with pytest.raises(InputError, match="labels"):
        contact_sheet([noise(3)], ["one"])
    with pytest.raises(InputError, match="rows"):
        xy_grid([noise(4)], ["one"], ["a", "b"])
    with pytest.raises(InputError, match="to compare them with"):
        compare_images(detached_context(), noise(1), noise(2))
    with pytest.raises(InputError, match="scale one"):
        compare_images(detached_context(), noise(1), noise(1, side=20))


def test_a_grid_of_a_workflow(tmp_path: Path) -> None:
    graph = Graph(all_nodes())
    colours = graph.ListOf(items=[0xFF0000, 0x00FF00])
    pictures = graph.EmptyImage(width=32, height=32, color=colours)
    graph.output("sheet", graph.ContactSheet(images=pictures, labels=graph.ListOf(items=["red", "green"])))
    with tiny_engine(tmp_path, tmp_path) as engine:
        sheet = engine.run(graph.workflow())["sheet"]
    assert isinstance(sheet, Image)
    assert sheet.pixels[0, 5, 5].tolist() == [1, 0, 0]
