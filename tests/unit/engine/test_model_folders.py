"""File names never lead out of their folders; folders are read again when they change; pickles are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphcore import ModelFileError, ResourceError, Settings
from graphcore.files import Files, safe_parts


@pytest.fixture
def files(tmp_path: Path) -> Files:
    models, inputs = tmp_path / "models", tmp_path / "input"
    (models / "loras" / "styles").mkdir(parents=True)
    (models / "loras" / "one.safetensors").write_bytes(b"1")
    (models / "loras" / "styles" / "two.safetensors").write_bytes(b"2")
    (models / "loras" / "old.ckpt").write_bytes(b"pickle")
    (models / "loras" / ".hidden.safetensors").write_bytes(b"h")
    (models / "checkpoints" / "folder").mkdir(parents=True)
    (models / "checkpoints" / "folder" / "model_index.json").write_text("{}")
    inputs.mkdir()
    (inputs / "cat.png").write_bytes(b"png")
    (tmp_path / "secret.png").write_bytes(b"secret")
    settings = Settings(models_dirs=(models,), input_dir=inputs, output_dir=tmp_path / "output")
    return Files.from_settings(settings)


ESCAPES = [
    "../secret.png",
    "/etc/passwd",
    "..\\secret.png",
    "a/../../secret.png",
    "C:\\x.png",
    "",
    ".",
    "a//b",
    "a\0b",
]


@pytest.mark.parametrize("name", [*ESCAPES, "x" * 5000, "x" * 300, "\ud800"])
def test_names_never_lead_out_of_their_folder(files: Files, name: str) -> None:
    assert files.find("input", name) is None
    with pytest.raises(ResourceError) as caught:
        files.resolve("input", name)
    assert caught.value.code == "file-not-found"


@pytest.mark.parametrize("name", [*ESCAPES, "x" * 256, "folder/" + "é" * 128])
def test_such_names_have_no_parts(name: str) -> None:
    assert safe_parts(name) is None


def test_a_link_out_of_the_input_folder_is_not_followed(files: Files, tmp_path: Path) -> None:
    (tmp_path / "input" / "link.png").symlink_to(tmp_path / "secret.png")
    assert files.find("input", "link.png") is None


def test_model_folders_may_be_links(files: Files, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "three.safetensors").write_bytes(b"3")
    (tmp_path / "models" / "loras" / "linked").symlink_to(elsewhere)
    assert "linked/three.safetensors" in files.names("loras")
    assert files.find("loras", "linked/three.safetensors") is not None


def test_links_in_a_circle_end(files: Files, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "models" / "loras" / name).symlink_to(tmp_path / "models" / "loras")
    assert files.names("loras") == ("one.safetensors", "styles/two.safetensors")


def test_names_take_either_slash(files: Files) -> None:
    assert files.find("loras", "styles/two.safetensors") == files.find("loras", "styles\\two.safetensors")


def test_names_are_listed_without_pickles_and_hidden_files(files: Files) -> None:
    assert files.names("loras") == ("one.safetensors", "styles/two.safetensors")
    assert files.names("checkpoints") == ("folder",)
    assert files.names("vae") == ()


def test_a_new_file_is_listed(files: Files, tmp_path: Path) -> None:
    for name in ("a.safetensors", "styles/b.safetensors", "fresh/c.safetensors"):
        assert name not in files.names("loras")
        path = tmp_path / "models" / "loras" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"new")
        assert name in files.names("loras")
        path.unlink()
        assert name not in files.names("loras")


def test_a_folder_is_a_model_only_if_it_holds_one(files: Files) -> None:
    assert files.find("checkpoints", "folder") is not None
    assert files.find("loras", "styles") is None


def test_pickles_are_refused_with_the_way_to_convert_them(files: Files) -> None:
    with pytest.raises(ModelFileError, match="convert-checkpoint") as caught:
        files.resolve("loras", "old.ckpt")
    assert caught.value.code == "pickle-refused"


def test_the_nearest_name_is_told(files: Files) -> None:
    with pytest.raises(ResourceError, match=r"did you mean 'one\.safetensors'"):
        files.resolve("loras", "oen.safetensors")


def test_fingerprints_change_with_the_file(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "models" / "loras" / "one.safetensors"
    before = files.fingerprint(path)
    assert files.fingerprint(path) == before == files.digest(path)
    path.write_bytes(b"other")
    assert files.fingerprint(path) != before


def test_annotated_names_choose_their_folder(files: Files, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "made.png").write_bytes(b"png")
    assert files.resolve_media("made.png [output]") == tmp_path / "output" / "made.png"
    assert files.resolve_media("cat.png") == files.resolve_media("cat.png [input]")


def test_what_a_side_car_says_of_weights_counts_with_them(files: Files, tmp_path: Path) -> None:
    """Its content changes what is computed, but not which file the weights are."""
    path = files.resolve("loras", "one.safetensors")
    side_car = path.with_name("one.safetensors.json")
    told = {files.fingerprint(path)}
    digest = files.digest(path)
    for text in ("{}", '{"family": "sd2"}'):
        side_car.write_text(text)
        told.add(files.fingerprint(path))
        assert files.digest(path) == digest
    assert len(told) == 3
    side_car.unlink()
    assert files.fingerprint(path) in told
