"""The pages that are generated from the code are those that the code gives now; `make docs` writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.docs.__main__ import ROOT, generated_pages, stale_pages, stray_pages

PAGES = generated_pages()
DRAWINGS = {path: text for path, text in PAGES.items() if path.suffix == ".svg"}


@pytest.mark.parametrize(
    "page", sorted(PAGES.keys() - DRAWINGS.keys()), ids=lambda page: str(page.relative_to(ROOT))
)
def test_page(page: Path) -> None:
    assert page.is_file(), f"{page.relative_to(ROOT)} is missing: run `make docs`"
    assert page.read_text(encoding="utf-8") == PAGES[page], f"{page.relative_to(ROOT)}: run `make docs`"


def test_drawings_of_nodes() -> None:
    assert stale_pages(DRAWINGS) == [], "run `make docs`"


def test_nothing_is_left_of_nodes_that_are_no_more() -> None:
    assert stray_pages() == [], "run `make docs`"
