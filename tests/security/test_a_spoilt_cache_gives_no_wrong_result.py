"""G3: whatever happens to the results that are kept on disk, a run of the server has the right one."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.served import Served, entry, link, native, settings_in

WORDS = ("ash", "beech", "cedar", "elm", "fir")


def doubled(server: Served, word: str) -> tuple[str, bool]:
    """What the costly node made of a word, and whether its result was kept."""
    workflow = native(made=entry("Costly", text=word), told=entry("Prompted", text=link("made")))
    workflow["outputs"] = {"text": {"node": "told"}}
    shown = server.finished(server.submit(workflow))
    assert shown["state"] == "succeeded", shown
    return shown["values"]["text"], shown["cached"] > 0


def blobs(folder: Path) -> list[Path]:
    found = sorted((folder / "cache" / "blobs").glob("*/*.gcb"))
    assert len(found) >= len(WORDS)
    return found


def truncate(folder: Path) -> None:
    for path in blobs(folder):
        path.write_bytes(path.read_bytes()[:-3])


def flip(folder: Path) -> None:
    chance = random.Random(3)
    for path in blobs(folder):
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


def swap(folder: Path) -> None:
    paths = blobs(folder)
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)


def empty(folder: Path) -> None:
    for path in blobs(folder):
        path.write_bytes(b"")


def take_away(folder: Path) -> None:
    for path in blobs(folder):
        path.unlink()


def forge(folder: Path) -> None:
    """Another's value in the place of ours, with all of its own marks."""
    paths = blobs(folder)
    for path in paths[1:]:
        shutil.copy(paths[0], path)


def spoil_index(folder: Path) -> None:
    (index,) = (folder / "cache").glob("*.sqlite3")
    content = bytearray(index.read_bytes())
    content[64:8192] = os.urandom(len(content[64:8192]))
    index.write_bytes(content)


def no_index(folder: Path) -> None:
    for path in (folder / "cache").glob("*.sqlite3*"):
        path.unlink()


def a_file_in_its_place(folder: Path) -> None:
    shutil.rmtree(folder / "cache")
    (folder / "cache").write_text("not a folder")


@pytest.mark.parametrize(
    "spoil",
    [truncate, flip, swap, empty, take_away, forge, spoil_index, no_index, a_file_in_its_place],
    ids=lambda spoil: spoil.__name__,
)
def test_g3_a_run_is_right_whatever_was_done_to_what_was_kept(
    tmp_path_factory: pytest.TempPathFactory, kept: Path, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path_factory.mktemp("spoilt") / "data"
    shutil.copytree(kept, folder)
    spoil(folder)

    with Served(settings_in(folder)) as server:
        assert [doubled(server, word)[0] for word in WORDS] == [word * 2 for word in WORDS]
        assert server.get("/api/v1/health").status == 200


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server that has stopped, with results that were kept."""
    folder = tmp_path_factory.mktemp("kept") / "data"
    with Served(settings_in(folder)) as server:
        assert [doubled(server, word) for word in WORDS] == [(word * 2, False) for word in WORDS]
    with Served(settings_in(folder)) as server:
        assert [doubled(server, word) for word in WORDS] == [(word * 2, True) for word in WORDS]
    return folder


def test_g3_two_servers_with_folders_of_their_own_may_share_what_is_kept(tmp_path: Path, kept: Path) -> None:
    shutil.copytree(kept, tmp_path / "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "cache").symlink_to(tmp_path / "one" / "cache")

    with Served(settings_in(tmp_path / "one")) as one, Served(settings_in(tmp_path / "two")) as two:
        for word in (*WORDS, "gum", "hazel"):
            assert doubled(one, word)[0] == doubled(two, word)[0] == word * 2
        assert doubled(two, "ash")[1]
