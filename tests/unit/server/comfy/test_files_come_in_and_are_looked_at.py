"""Uploads, pictures to look at, files of users, settings: by name, and only inside our folders."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from tests.served import Answer, Served


def png(colour: tuple[int, ...], size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def upload(served: Served, data: bytes, filename: str, path: str = "/upload/image", **fields: Any) -> Answer:
    edge = uuid4().hex
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()
    ]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\n'
    body = (
        "".join(parts).encode()
        + head.encode()
        + b"Content-Type: image/png\r\n\r\n"
        + data
        + f"\r\n--{edge}--".encode()
    )
    return served.post(path, body, {"Content-Type": f"multipart/form-data; boundary={edge}"})


def shown(answer: Answer) -> Image.Image:
    return Image.open(io.BytesIO(answer.body))


def test_a_picture_is_taken_under_its_name_and_shown_again(served: Served) -> None:
    answer = upload(served, png((255, 0, 0)), "red.png", subfolder="some/where")

    assert answer.json == {"name": "red.png", "subfolder": "some/where", "type": "input"}
    assert (
        "some/where/red.png"
        in served.get("/object_info/OpenPicture").json["OpenPicture"]["input"]["required"]["image"][0]
    )
    seen = served.get("/view?filename=red.png&subfolder=some/where&type=input")
    assert shown(seen).getpixel((0, 0)) == (255, 0, 0)
    annotated = served.get("/api/view?filename=some/where/red.png%20[input]")
    assert annotated.body == seen.body


def test_a_taken_name_is_numbered_unless_the_picture_is_the_same(served: Served) -> None:
    names = [upload(served, png((shade, 0, 0)), "taken.png").json["name"] for shade in (1, 2, 1, 3)]
    address = "/view?filename=taken.png&type=input"
    seen = served.get(address)
    assert served.get(address, If_None_Match=seen.headers["Etag"]).status == 304
    replaced = upload(served, png((9, 0, 0)), "taken.png", overwrite="true").json["name"]
    assert served.get(address, If_None_Match=seen.headers["Etag"]).body != seen.body
    assert "no-cache" in seen.headers["Cache-Control"]

    assert names == ["taken.png", "taken (1).png", "taken.png", "taken (2).png"]
    assert replaced == "taken.png"
    assert shown(served.get("/view?filename=taken.png&type=input")).getpixel((0, 0)) == (9, 0, 0)


@pytest.mark.parametrize("filename", ["../out.png", "..", ".hidden.png", "a\\..\\..\\b.png"])
def test_names_never_lead_out(served: Served, filename: str) -> None:
    answer = upload(served, png((0, 0, 0)), filename)

    assert answer.status == 400 or "/" not in answer.json["name"].replace("\\", "/")
    assert upload(served, png((0, 0, 0)), "x.png", subfolder="../../etc").status == 400
    assert not (served.settings.data_dir / "out.png").exists()


def test_what_is_no_picture_is_refused(served: Served) -> None:
    assert upload(served, b"<script>", "page.png").status == 422
    assert upload(served, png((0, 0, 0)), "").status == 400
    assert served.post("/upload/image", b"{}").status == 400


def test_a_mask_is_put_on_the_picture_that_it_was_made_for(served: Served) -> None:
    upload(served, png((10, 20, 30)), "below.png")
    reference = json.dumps({"filename": "below.png", "type": "input", "subfolder": ""})

    answer = upload(
        served, png((0, 0, 0, 77)), "clip.png", "/upload/mask", original_ref=reference, subfolder="clipspace"
    )

    assert answer.json == {"name": "clip.png", "subfolder": "clipspace", "type": "input"}
    path = "/view?filename=clip.png&subfolder=clipspace&type=input"
    assert shown(served.get(path)).getpixel((0, 0)) == (10, 20, 30, 77)
    assert shown(served.get(f"{path}&channel=rgb")).getpixel((0, 0)) == (10, 20, 30)
    assert shown(served.get(f"{path}&channel=a")).getpixel((0, 0)) == (0, 0, 0, 77)
    noted = json.dumps({"filename": "below.png [input]"})
    again = upload(served, png((0, 0, 0, 77)), "noted.png", "/upload/mask", original_ref=noted)
    assert shown(served.get("/view?filename=noted.png&type=input")).getpixel((0, 0)) == (10, 20, 30, 77)
    assert again.json == {"name": "noted.png", "subfolder": "", "type": "input"}
    other = upload(served, png((0, 0, 0, 7), (3, 3)), "c.png", "/upload/mask", original_ref=reference)
    assert other.status == 422


@pytest.mark.parametrize(
    ("preview", "media_type"), [("webp;90", "image/webp"), ("jpeg;80", "image/jpeg"), ("webp", "image/webp")]
)
def test_a_preview_is_made_in_the_form_asked_for(served: Served, preview: str, media_type: str) -> None:
    upload(served, png((1, 2, 3)), "shown.png")

    answer = served.get(f"/view?filename=shown.png&type=input&preview={preview}")

    assert answer.headers["Content-Type"] == media_type
    assert shown(answer).size == (8, 6)


def test_only_our_folders_can_be_looked_into(served: Served) -> None:
    for query in (
        "filename=/etc/passwd",
        "filename=../graphcore.sqlite3",
        "filename=a&type=models",
        "filename=",
    ):
        assert served.get(f"/view?{query}").status == 400
    assert served.get("/view?filename=x.png&subfolder=../..").status == 403
    assert served.get("/view?filename=nowhere.png").status == 404


def test_pages_and_scripts_are_never_served_as_such(served: Served) -> None:
    folder = served.settings.outputs
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "page.html").write_text("<script>alert(1)</script>")

    answer = served.get("/view?filename=page.html")

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_user_files_are_kept_listed_moved_and_deleted(served: Served) -> None:
    assert served.get("/userdata?dir=workflows").status == 404
    assert served.post("/userdata/workflows%2Fone.json", b'{"a": 1}').json == "workflows/one.json"
    assert served.post("/userdata/workflows%2Fdeep%2Ftwo.json?full_info=true", b"{}").json["size"] == 2
    assert served.post("/userdata/workflows%2Fone.json?overwrite=false", b"{}").status == 409
    assert served.get("/api/userdata/workflows%2Fone.json").json == {"a": 1}
    assert served.get("/userdata?dir=workflows").json == ["one.json"]
    assert served.get("/userdata?dir=workflows&recurse=true").json == ["one.json", "deep/two.json"]
    assert served.get("/userdata?dir=workflows&recurse=true&split=true").json[1] == [
        "deep/two.json",
        "deep",
        "two.json",
    ]
    (info,) = served.get("/userdata?dir=workflows&full_info=true").json
    assert set(info) == {"path", "size", "modified", "created"}
    rows = served.get("/v2/userdata?path=workflows").json
    assert [(row["name"], row["type"]) for row in rows] == [("deep", "directory"), ("one.json", "file")]
    assert (
        served.post("/userdata/workflows%2Fone.json/move/workflows%2Fthree.json").json
        == "workflows/three.json"
    )
    assert served.request("DELETE", "/userdata/workflows%2Fthree.json").status == 204
    assert served.request("DELETE", "/userdata/workflows%2Fthree.json").status == 404
    assert served.get("/userdata/workflows%2Fthree.json").status == 404
    assert served.get("/userdata").status == 400


@pytest.mark.parametrize("name", ["..%2F..%2Fx", "%2Fetc%2Fpasswd", "a%2F..%2F..%2Fb"])
def test_user_files_stay_in_their_folder(served: Served, name: str) -> None:
    assert served.post(f"/userdata/{name}", b"x").status == 403
    assert served.get(f"/userdata/{name}").status == 403
    assert served.request("DELETE", f"/userdata/{name}").status == 403


def test_settings_are_merged_and_kept(served: Served) -> None:
    assert served.get("/settings/Comfy.Theme").json is None
    assert served.post("/settings", {"Comfy.Theme": "dark", "Comfy.Zoom": 2}).status == 200
    assert served.post("/settings/Comfy.Theme", b'"light"', {"Content-Type": "text/plain"}).status == 200

    assert served.get("/api/settings").json == {"Comfy.Theme": "light", "Comfy.Zoom": 2}
    assert served.get("/settings/Comfy.Theme").json == "light"
