"""The pages that are generated from the code are those that the code gives now; `make docs` writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.docs.__main__ import ROOT, generated_pages


@pytest.mark.parametrize("page", sorted(generated_pages()), ids=lambda page: page.name)
def test_page(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == generated_pages()[page], (
        f"{page.relative_to(ROOT)}: run `make docs`"
    )
