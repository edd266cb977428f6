"""Output files are numbered on, never written over, and never leave their folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graphcore import InputError, ResourceError
from nodes.output_files import OutputNames, expanded

NOW = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


def names(folder: Path, prefix: str = "cat") -> OutputNames:
    return OutputNames(folder=folder, prefix=prefix, suffix=".png")


def test_numbers_go_on_from_the_highest(tmp_path: Path) -> None:
    (tmp_path / "cat_00041_.png").write_bytes(b"")
    (tmp_path / "cats_00099_.png").write_bytes(b"")
    (tmp_path / "cat_x_.png").write_bytes(b"")
    saved = names(tmp_path).write(b"data", {})
    assert saved.filename == "cat_00042_.png"
    assert (tmp_path / saved.filename).read_bytes() == b"data"


def test_sub_folders_are_made(tmp_path: Path) -> None:
    saved = names(tmp_path, "animals/pets\\cat").write(b"data", {})
    assert (saved.subfolder, saved.filename) == ("animals/pets", "cat_00001_.png")
    assert (tmp_path / "animals" / "pets" / "cat_00001_.png").exists()


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("%year%-%month%-%day%", "2031-02-03"),
        ("%hour%%minute%%second%", "040506"),
        ("%width%x%height%", "64x32"),
        ("%date:yyyy-MM-dd%/a", "2031-02-03/a"),
        ("%date:hh.mm.ss%", "04.05.06"),
        ("%unknown%", "%unknown%"),
    ],
)
def test_placeholders(prefix: str, text: str) -> None:
    assert expanded(prefix, {"width": 64, "height": 32}, NOW) == text


def test_batch_numbers(tmp_path: Path) -> None:
    saved = names(tmp_path, "cat-%batch_num%").write(b"", {}, batch_number=3)
    assert saved.filename == "cat-3_00001_.png"


@pytest.mark.parametrize(
    "prefix",
    [
        "../cat",
        "a/../../cat",
        "/etc/cat",
        "\\\\host\\cat",
        "c:cat",
        "a//b",
        "",
        ".",
        "a\0b",
        "x" * 400,
        "a/" * 40,
    ],
)
def test_prefixes_that_lead_out_are_refused(tmp_path: Path, prefix: str) -> None:
    inner = tmp_path / "output"
    inner.mkdir()
    with pytest.raises(InputError, match="inside the output folder"):
        names(inner, prefix).write(b"data", {})
    assert [path.name for path in tmp_path.rglob("*")] == ["output"]


def test_a_linked_folder_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "output" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError):
        names(tmp_path / "output", "link/cat").write(b"data", {})
    assert not list((tmp_path / "elsewhere").iterdir())


def test_writers_at_the_same_time_get_names_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda number: names(tmp_path).write(b"%d" % number, {}).filename, range(40)))
    assert len(set(saved)) == 40
    assert {(tmp_path / name).read_bytes() for name in saved} == {b"%d" % number for number in range(40)}


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    (tmp_path / "cat").write_bytes(b"a file where a folder should be")
    with pytest.raises(ResourceError, match="cannot be written"):
        names(tmp_path, "cat/dog").write(b"data", {})
    assert [path.name for path in tmp_path.iterdir()] == ["cat"]
