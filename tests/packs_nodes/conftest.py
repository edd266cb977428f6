"""What the tests of V1 packs share: an engine that has loaded them, and modules that are gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.packs.imports import remove_shims
from tests.packs_nodes.prompts import PackEngine

PACKS = Path(__file__).parents[1] / "packs_v1"


@pytest.fixture(autouse=True)
def no_shims_remain() -> Iterator[None]:
    """ComfyUI's modules are there in the test that loads a pack, and in no other."""
    yield
    remove_shims()


@pytest.fixture
def packs(tmp_path: Path) -> Iterator[PackEngine]:
    """An engine with the pack of every V1 feature."""
    with PackEngine.of([PACKS / "basics"], tmp_path) as engine:
        yield engine
