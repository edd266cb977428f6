"""What the tests of node packs share: engines that have loaded some, and modules that are gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.packs.imports import remove_shims
from tests.packs_shims.loaded import Loaded

PACKS = Path(__file__).parents[1] / "packs_v3"


@pytest.fixture(autouse=True)
def no_shims_remain() -> Iterator[None]:
    """ComfyUI's modules are there in the test that loads a pack, and in no other."""
    yield
    remove_shims()


@pytest.fixture
def advanced(tmp_path: Path) -> Iterator[Loaded]:
    """An engine with the pack of comfy_api nodes."""
    with Loaded.of(PACKS / "advanced", tmp_path) as loaded:
        yield loaded
