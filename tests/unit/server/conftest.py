"""Servers for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import Served, settings_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that the tests of a module share."""
    with Served(settings_in(tmp_path_factory.mktemp("served"))) as server:
        yield server.ready()
