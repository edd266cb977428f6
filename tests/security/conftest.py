"""Servers to attack: one without a token at loopback, one with tokens for two principals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import GUEST_TOKEN, OWNER_TOKEN, Served, settings_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server at loopback, without a token."""
    with Served(settings_in(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the owner's token, which `request` sends, and a guest's."""
    settings = settings_in(tmp_path_factory.mktemp("guarded"), tokens={"guest": GUEST_TOKEN})
    with Served(settings, token=OWNER_TOKEN) as server:
        yield server
