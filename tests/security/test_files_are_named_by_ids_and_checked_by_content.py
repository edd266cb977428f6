"""C1 to C9: no path leads out, nothing is served as a page, nothing is believed that a file says of itself."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from graphcore.files import Files
from server.api.files import disposition, media_type_of, open_file
from server.uploads import write_once
from tests.served import Served, entry, link, native

CLIMBING = [
    "../graphcore.sqlite3",
    "..\\graphcore.sqlite3",
    "%2e%2e/graphcore.sqlite3",
    "%252e%252e%252fgraphcore.sqlite3",
    "/etc/passwd",
    "//etc/passwd",
    "C:\\Windows\\win.ini",
    "\\\\server\\share\\x",
    "x\0.png",
    "sub/../../graphcore.sqlite3",
    "CON",
    "NUL.png",
    "x" * 5000,
    ".",
    "..",
    "",
]


def png(size: tuple[int, int] = (3, 2)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (1, 2, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def noise(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 90).save(buffer, "BMP")
    return buffer.getvalue()


def upload(served: Served, data: bytes, name: str = "x.png", kind: str = "image/png") -> tuple[int, str]:
    """The status and the error code of an upload."""
    answer = served.post(f"/api/v1/files?name={quote(name)}", data, {"Content-Type": kind})
    return answer.status, answer.json.get("error", {}).get("code", "")


@pytest.mark.parametrize("name", CLIMBING)
def test_c1_c9_ids_that_are_paths_are_answered_like_missing_ones(served: Served, name: str) -> None:
    run = served.submit(native(make=entry("MakePicture"), keep=entry("KeepPicture", images=link("make"))))
    served.finished(run)
    missing = served.get(f"/api/v1/runs/{run}/outputs/nothing")

    answer = served.get(f"/api/v1/runs/{run}/outputs/{quote(name, safe='')}")

    assert answer.status == 404
    assert "root:" not in answer.body.decode("utf-8", "replace")
    if name not in ("", ".", ".."):
        assert answer.body == missing.body


@pytest.mark.parametrize("name", CLIMBING)
def test_c1_c4_input_files_are_from_the_catalogue_alone(served: Served, name: str) -> None:
    workflow = native(open=entry("OpenPicture", image=name), keep=entry("KeepPicture", images=link("open")))

    answer = served.post("/api/v1/runs", {"workflow": workflow})

    assert answer.status == 422
    assert answer.json["error"]["problems"][0]["code"] == "file-not-found"
    assert str(served.settings.data_dir) not in answer.body.decode()


def test_c2_links_out_of_a_folder_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(png())
    output = tmp_path / "output"
    output.mkdir()
    (output / "link.png").symlink_to(outside)
    (output / "folder").symlink_to(tmp_path)
    (output / "inside.png").write_bytes(png())
    (output / "alias.png").symlink_to(output / "inside.png")
    os.mkfifo(output / "pipe.png")
    files = Files(folders={}, input_dir=tmp_path / "in", output_dir=output, temp_dir=tmp_path / "temp")

    assert open_file(files, "output", "link.png") is None
    assert open_file(files, "output", "folder/secret.png") is None
    assert open_file(files, "output", "pipe.png") is None
    assert open_file(files, "output", "nothing.png") is None
    assert open_file(files, "output", "alias.png") is not None


@pytest.mark.parametrize(
    "content",
    [
        b"<html><script>alert(1)</script>",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"%PDF-1.7",
        b"GIF88a",
        b"",
    ],
)
def test_c5_what_is_no_raster_picture_is_only_bytes(content: bytes) -> None:
    assert media_type_of(content[:32]) == "application/octet-stream"


def test_c5_outputs_are_sandboxed_and_never_sniffed(served: Served) -> None:
    run = served.submit(native(make=entry("MakePicture"), keep=entry("KeepPicture", images=link("make"))))
    output = served.finished(run)["outputs"][0]
    path = served.settings.outputs / output["name"]
    path.write_bytes(b"<html><script>alert(1)</script>")

    answer = served.get(output["url"])

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_c5_a_polyglot_is_stored_as_its_pixels_alone(served: Served) -> None:
    polyglot = png() + b"<html><script>alert(1)</script></html>"

    answer = served.post("/api/v1/files", polyglot, {"Content-Type": "image/png"})

    stored = (served.settings.inputs / answer.json["id"]).read_bytes()
    assert b"script" not in stored
    assert stored.endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize(
    "name", ['a"b.png', "a\r\nSet-Cookie: x=1.png", "a;filename=b.png", "ä😀.png", "a\\b.png", "%0d%0a"]
)
def test_c6_a_files_name_stays_inside_its_header(name: str) -> None:
    header = disposition(name, inline=True)

    assert "\r" not in header
    assert "\n" not in header
    assert header.count('"') == 2
    assert header.isascii()


def bomb(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_c7_uploads_that_are_no_pictures_are_refused(served: Served) -> None:
    cases = {
        "wrong magic": b"hello",
        "html": b"<html></html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "truncated": png((64, 64))[:60],
        "cut short": noise((64, 64))[:3000],
        "pickle": b"\x80\x04\x95",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }
    for case, data in cases.items():
        assert upload(served, data) == (422, "not-a-picture"), case
    assert upload(served, b"") == (422, "empty-body")


def test_c7_huge_pictures_and_bombs_are_refused(served: Served) -> None:
    assert upload(served, bomb(100_000, 100_000)) == (413, "picture-too-large")
    assert upload(served, bomb(2**31 - 1, 2**31 - 1))[0] in (413, 422)
    assert upload(served, png()) == (201, "")


def test_c7_metadata_is_not_kept_and_animations_are_one_picture(served: Served) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    exif[0x0112] = 6
    Image.new("RGB", (4, 2), (9, 9, 9)).save(buffer, "JPEG", exif=exif)
    turned = served.post("/api/v1/files", buffer.getvalue(), {"Content-Type": "image/jpeg"}).json
    assert (turned["width"], turned["height"]) == (2, 4)
    assert b"secret" not in (served.settings.inputs / turned["id"]).read_bytes()

    frames = [Image.new("RGB", (5, 5), (shade, 0, 0)) for shade in (10, 20, 30)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    still = served.post("/api/v1/files", buffer.getvalue(), {"Content-Type": "image/gif"}).json
    with Image.open(served.settings.inputs / still["id"]) as picture:
        assert getattr(picture, "n_frames", 1) == 1


def test_c7_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    from tests.served import settings_in

    with Served(settings_in(tmp_path, max_body_mib=1, max_upload_mib=1)) as server:
        answer = server.post("/api/v1/files", b"\x89PNG" + b"\0" * 2**21, {"Content-Type": "image/png"})
        assert (answer.status, answer.code) == (413, "too-large")
        assert server.post("/api/v1/runs", b" " * 2**21, {"Content-Type": "application/json"}).status == 413


def test_c8_an_upload_never_replaces_a_file(served: Served, tmp_path: Path) -> None:
    first = served.post("/api/v1/files?name=../../etc/x.png", png((7, 7)), {"Content-Type": "image/png"}).json
    assert first["name"] == "x.png"
    assert first["id"] != first["name"]

    path = tmp_path / "file"
    assert write_once(path, b"one") is True
    assert write_once(path, b"two") is False
    assert path.read_bytes() == b"one"
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    assert write_once(tmp_path / "link", b"three") is False
    assert not target.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "link"]
