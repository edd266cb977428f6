"""Content credentials are signed offline, read by `verify`, and broken by any change; every format says IPTC's tag."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Pillow

from graphcore import Engine, ExecutionError, Graph
from graphcore.cli.app import run_app
from graphcore.provenance.credentials import CREATED, read_credentials
from graphcore.provenance.verify import verify_picture
from nodes.safety.credentials import self_made_identity
from tests.tiny_engine import all_nodes, tiny_engine

c2pa = pytest.importorskip("c2pa")
FORMATS = {"png": b"IDAT", "webp": b"VP8 ", "jpeg": b"\xff\xda"}


@pytest.fixture
def engine(tmp_path: Path, no_network: None) -> Iterator[Engine]:
    with tiny_engine(tmp_path, tmp_path, data_dir=tmp_path / "data") as made:
        yield made


def exported(engine: Engine, **inputs: object) -> Path:
    graph = Graph(all_nodes())
    picture = graph.EmptyImage(width=64, height=48, color=0x3366CC)
    graph.ExportImage(images=picture, node_id="save", **inputs)
    graph.output("image", picture)
    result = engine.run(graph.workflow())
    return engine.files.output_dir / str(result.shown["save"][0]["filename"])


def changed(data: bytes, mark: bytes) -> bytes:
    """The file with one bit of its pixels turned."""
    place = data.rindex(mark) + len(mark) + 14
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("format", FORMATS)
def test_any_change_is_seen(format: str, engine: Engine) -> None:
    data = exported(engine, format=format, signer="self").read_bytes()
    found = read_credentials(data)
    assert found is not None
    assert found.state == "valid"
    assert found.source_type == CREATED
    assert found.generator == "graphcore"
    assert not found.trusted
    broken = read_credentials(changed(data, FORMATS[format]))
    assert broken is not None
    assert broken.state == "changed"
    assert "assertion.dataHash.mismatch" in broken.problems


def test_pictures_without_have_none(engine: Engine) -> None:
    assert read_credentials(exported(engine).read_bytes()) is None


def test_a_signed_picture_still_runs_again(engine: Engine) -> None:
    assert verify_picture(exported(engine, format="png", signer="self"), engine).same


def test_the_command_tells_tampering(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exported(engine, format="png", signer="self")
    arguments = ["verify", str(path), "--json", "--device", "cpu", "--dtype", "fp32"]
    assert run_app(arguments) == 0
    assert json.loads(capsys.readouterr().out)["credentials"]["state"] == "valid"
    bare = tmp_path / "bare.jpg"
    bare.write_bytes(exported(engine, format="jpeg", signer="self").read_bytes())
    bare.write_bytes(changed(bare.read_bytes(), FORMATS["jpeg"]))
    assert run_app(["verify", str(bare), "--device", "cpu"]) == 1
    assert "changed since it was signed" in capsys.readouterr().out


def test_a_certificate_of_ones_own(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "credentials"
    folder.mkdir(parents=True)
    identity = self_made_identity()
    (folder / "studio.crt.pem").write_bytes(identity.chain)
    (folder / "studio.key.pem").write_bytes(identity.key)
    found = read_credentials(exported(engine, signer="studio").read_bytes())
    assert found is not None
    assert found.state == "valid"


def test_the_self_made_key_is_kept_and_private(engine: Engine, tmp_path: Path) -> None:
    exported(engine, signer="self")
    key = tmp_path / "data" / "credentials" / "self.key.pem"
    first = key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    exported(engine, signer="self", filename_prefix="again")
    assert key.read_bytes() == first


@pytest.mark.parametrize("signer", ["nobody", "../self", "a/b", ".hidden"])
def test_signers_that_are_not_there(signer: str, engine: Engine) -> None:
    with pytest.raises(ExecutionError, match="signer"):
        exported(engine, signer=signer)


def test_a_key_of_another_certificate(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "credentials"
    folder.mkdir(parents=True)
    (folder / "mixed.crt.pem").write_bytes(self_made_identity().chain)
    (folder / "mixed.key.pem").write_bytes(self_made_identity().key)
    with pytest.raises(ExecutionError, match="cannot be signed"):
        exported(engine, signer="mixed")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_says_what_made_it(format: str, engine: Engine) -> None:
    with Pillow.open(io.BytesIO(exported(engine, format=format).read_bytes())) as picture:
        xmp = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")
    text = xmp.decode() if isinstance(xmp, bytes) else str(xmp)
    assert f'Iptc4xmpExt:DigitalSourceType="{CREATED}"' in text
