"""The texts that ComfyUI and A1111 put into pictures are found, and damaged pictures are refused."""

from __future__ import annotations

import io
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphcore.errors import DocumentError
from graphcore.formats import pictures
from graphcore.formats.pictures import PictureMetadata, read_metadata

PROMPT, WORKFLOW = '{"1": {"class_type": "A"}}', '{"nodes": []}'
MAKE, MODEL, EXIF, USER_COMMENT = 0x010F, 0x0110, 0x8769, 0x9286


def saved(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind, **options)
    return buffer.getvalue()


def png(*, compressed: bool = False, international: bool = False, **texts: str) -> bytes:
    info = PngInfo()
    for name, text in texts.items():
        if international:
            info.add_itxt(name, text, zip=compressed)
        else:
            info.add_text(name, text, zip=compressed)
    return saved("PNG", pnginfo=info)


def with_exif(kind: str, tags: dict[int, str], comment: bytes | None = None) -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    if comment is not None:
        exif.get_ifd(EXIF)[USER_COMMENT] = comment
    return saved(kind, exif=exif)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("international", [False, True])
def test_png_text(compressed: bool, international: bool) -> None:
    data = png(
        compressed=compressed, international=international, prompt=PROMPT, workflow=WORKFLOW, other="x"
    )
    assert read_metadata(data) == PictureMetadata(prompt=PROMPT, workflow=WORKFLOW)


def test_png_text_of_a1111_and_of_our_own() -> None:
    data = png(parameters="a cat\nSteps: 5", graphcore="{}")
    assert read_metadata(data) == PictureMetadata(parameters="a cat\nSteps: 5", graphcore="{}")


def test_utf_8_in_a_plain_text_chunk() -> None:
    body = b"parameters\0" + "größe".encode()
    chunk = len(body).to_bytes(4, "big") + b"tEXt" + body + zlib.crc32(b"tEXt" + body).to_bytes(4, "big")
    plain = saved("PNG")
    assert read_metadata(plain[:33] + chunk + plain[33:]).parameters == "größe"


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_exif_as_comfyui_writes_it(kind: str) -> None:
    data = with_exif(kind, {MODEL: f"prompt:{PROMPT}", MAKE: f"workflow:{WORKFLOW}"})
    assert read_metadata(data) == PictureMetadata(prompt=PROMPT, workflow=WORKFLOW)


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + "größe\nSteps: 5".encode("utf-16-be"),
        b"UNICODE\0" + "größe\nSteps: 5".encode("utf-16-le"),
        b"\0" * 8 + "größe\nSteps: 5".encode(),
    ],
)
@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_exif_comment_as_a1111_writes_it(kind: str, comment: bytes) -> None:
    assert read_metadata(with_exif(kind, {}, comment)).parameters == "größe\nSteps: 5"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_pictures_without_workflow_have_none(kind: str) -> None:
    assert read_metadata(saved(kind)) == PictureMetadata()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not-a-picture"),
        (b"no picture at all", "not-a-picture"),
        (png(prompt=PROMPT)[:60], "not-a-picture"),
        (b"\xff\xd8\xff", "not-a-picture"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_metadata(data)
    assert caught.value.code == code


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DocumentError) as caught:
        read_metadata(saved("PNG"), max_bytes=10)
    assert caught.value.code == "picture-too-large"
    monkeypatch.setattr(pictures, "MAX_TEXT_BYTES", 1000)
    for international in (False, True):
        with pytest.raises(DocumentError) as caught:
            read_metadata(png(compressed=True, international=international, prompt="x" * 100_000))
        assert caught.value.code == "metadata-too-large"


SOUND = [
    png(prompt=PROMPT, workflow=WORKFLOW),
    png(compressed=True, international=True, prompt=PROMPT),
    with_exif("WEBP", {MODEL: f"prompt:{PROMPT}"}, b"UNICODE\0a\0"),
    with_exif("JPEG", {MAKE: f"workflow:{WORKFLOW}"}, b"ASCII\0\0\0abc"),
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SOUND),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
def test_damaged_pictures_are_read_or_refused(
    data: bytes, changes: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(data)
    for place, byte in changes:
        damaged[int(place * (len(damaged) - 1))] = byte
    with suppress(DocumentError):
        read_metadata(bytes(damaged[: int(kept * len(damaged)) + 1]))
