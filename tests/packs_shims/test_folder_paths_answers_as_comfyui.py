"""`folder_paths`: names to paths, over the engine's folders."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from graphcore import Settings
from graphcore.errors import InputError
from nodes.packs.host import PackHost
from nodes.packs.imports import install_shims
from tests.tiny_engine import all_nodes


@pytest.fixture
def folder_paths(tmp_path: Path) -> ModuleType:
    for name in ("loras/sub/b.safetensors", "loras/a.pt", "loras/notes.txt", "unet/u.safetensors"):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for name in ("input/deep/in.png", "output/out.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    settings = Settings(
        models_dirs=(tmp_path / "models",),
        input_dir=tmp_path / "input",
        output_dir=tmp_path / "output",
        temp_dir=tmp_path / "temp",
    )
    install_shims(PackHost(registry=all_nodes(), settings=settings))
    import folder_paths

    return folder_paths


def test_names_of_models(folder_paths: ModuleType) -> None:
    own = [name for name in folder_paths.get_filename_list("loras") if not name.startswith("scenes-")]
    assert own == ["a.pt", "sub/b.safetensors"]
    assert folder_paths.get_filename_list("unet") == folder_paths.get_filename_list("diffusion_models")
    with pytest.raises(KeyError):
        folder_paths.get_filename_list("nothing")


def test_paths_of_models(folder_paths: ModuleType, tmp_path: Path) -> None:
    path = str(tmp_path / "models" / "loras" / "sub" / "b.safetensors")
    assert folder_paths.get_full_path("loras", "sub/b.safetensors") == path
    assert folder_paths.get_full_path("loras", "../unet/u.safetensors") is None
    assert folder_paths.get_full_path("loras", "none") is None
    assert folder_paths.get_full_path("nothing", "none") is None
    with pytest.raises(FileNotFoundError, match="none"):
        folder_paths.get_full_path_or_raise("loras", "none")


def test_packs_add_folders(folder_paths: ModuleType, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "c.safetensors").write_bytes(b"x")
    folder_paths.add_model_folder_path("loras", str(extra), is_default=True)
    assert folder_paths.get_folder_paths("loras")[0] == str(extra)
    assert "c.safetensors" in folder_paths.get_filename_list("loras")
    folder_paths.folder_names_and_paths["mine"] = ([str(extra)], {".safetensors"})
    assert folder_paths.get_filename_list("mine") == ["c.safetensors"]
    folder_paths.add_model_folder_path("new", str(extra))
    assert folder_paths.get_full_path("new", "c.safetensors") == str(extra / "c.safetensors")


def test_names_with_notes(folder_paths: ModuleType, tmp_path: Path) -> None:
    get = folder_paths.get_annotated_filepath
    assert get("deep/in.png") == str(tmp_path / "input" / "deep" / "in.png")
    assert get("out.png [output]") == str(tmp_path / "output" / "out.png")
    assert folder_paths.annotated_filepath("x.png [temp]") == ("x.png", str(tmp_path / "temp"))
    assert folder_paths.exists_annotated_filepath("out.png [output]")
    assert not folder_paths.exists_annotated_filepath("out.png")
    with pytest.raises(InputError, match="leads out"):
        get("../../secret")


def test_where_to_save(folder_paths: ModuleType, tmp_path: Path) -> None:
    output = str(tmp_path / "output")
    folder, name, counter, subfolder, prefix = folder_paths.get_save_image_path("a/%width%_x", output, 64, 32)
    assert (folder, name, counter, subfolder, prefix) == (f"{output}/a", "64_x", 1, "a", "a/64_x")
    (Path(folder) / "64_x_00007_.png").touch()
    assert folder_paths.get_save_image_path("a/%width%_x", output, 64, 32)[2] == 8
    with pytest.raises(InputError, match="leads out"):
        folder_paths.get_save_image_path("../x", output)


def test_places(folder_paths: ModuleType, tmp_path: Path) -> None:
    assert folder_paths.base_path == str(tmp_path)
    assert folder_paths.get_output_directory() == folder_paths.get_directory_by_type("output")
    assert folder_paths.get_directory_by_type("elsewhere") is None
    assert folder_paths.get_user_directory() == str(tmp_path / "user")
    assert folder_paths.get_input_subfolders() == ["deep"]
    assert folder_paths.filter_files_content_types(
        ["a.png", "b.mp4", "c.wav", "d.txt"], ["image", "video"]
    ) == [
        "a.png",
        "b.mp4",
    ]
    assert ".safetensors" in folder_paths.supported_pt_extensions
