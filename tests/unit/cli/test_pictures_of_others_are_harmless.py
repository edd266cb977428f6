"""What a picture of somebody else carries is checked before it is believed, and shown without being obeyed."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphcore import DocumentError
from graphcore.cli.terminal import visible
from graphcore.provenance.verify import read_record
from tests.unit.cli.conftest import CommandLine


def picture(record: object) -> bytes:
    """A picture with this record and a small workflow."""
    texts = PngInfo()
    nodes = {"tell": {"type": "TaskTell", "inputs": {"text": "hi"}}}
    texts.add_text("graphcore", json.dumps({"graphcore": 1, "nodes": nodes}))
    texts.add_text("graphcore_record", json.dumps(record))
    target = BytesIO()
    Image.new("RGB", (4, 4)).save(target, "PNG", pnginfo=texts)
    return target.getvalue()


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ({"node": 5}, "node"),
        ({"index": "x"}, "index"),
        ({"index": -1}, "index"),
        ({"index": True}, "index"),
        ({"files": 5}, "files"),
        ({"files": [5]}, "files"),
        ({"files": [{"kind": "loras", "name": {}, "digest": ""}]}, "files"),
        ({"environment": []}, "environment"),
        ({"nodes": []}, "nodes"),
        ({"nodes": {"a": 5}}, "nodes"),
    ],
)
def test_a_damaged_record_is_told_in_a_sentence(cli: CommandLine, record: object, part: str) -> None:
    data = picture(record)
    with pytest.raises(DocumentError, match=f"'{part}' is not as") as caught:
        read_record(data)
    assert caught.value.code == "damaged-record"
    file = cli.folder / "made.png"
    file.write_bytes(data)
    for command in ("show", "verify"):
        outcome = cli.run(command, str(file))
        assert outcome.code == 2
        assert f"'{part}' is not as graphcore writes it" in outcome.err


def test_control_characters_are_written_out() -> None:
    assert visible("a\x1b[31mb\x07\nc\td") == "a\\x1b[31mb\\x07\nc\td"
    assert visible("ünïcode 🎨") == "ünïcode 🎨"
    assert visible("left \u202e right") == "left \\u202e right"
