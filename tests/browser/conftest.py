"""The page in Chromium: a server of trivial nodes, and a window on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.comfy.routes import comfy_routes
from server.page.routes import page_routes
from tests.browser.page import PageBrowser
from tests.served import Served, settings_in


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the page and trivial nodes, which the tests of a module share."""
    settings = settings_in(tmp_path_factory.mktemp("site"))
    with Served(settings, modules=(comfy_routes, page_routes)) as server:
        yield server.ready()


@pytest.fixture
def page(site: Served) -> Iterator[PageBrowser]:
    """A fresh browser on the page's server; what the browser complains of fails the test."""
    with PageBrowser(port=site.port) as browser:
        yield browser
        assert browser.complaints() == []
