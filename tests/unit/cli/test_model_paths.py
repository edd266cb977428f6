"""Model folders come from --models-dir, $GRAPHCORE_MODELS, ./models and files in ComfyUI's extra_model_paths format."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphcore import ResourceError
from graphcore.model_paths import read_model_paths
from tests.unit.cli.conftest import CommandLine

YAML = """
webui:
  base_path: {base}
  checkpoints: models/Stable-diffusion
  loras: |
    models/Lora
    models/LyCORIS
  unet: models/unet
  custom_nodes: ignored
near:
  vae: ../vae
  clip: $SOMEWHERE/clip
  my_own_kind: ~/mine
default:
  base_path: /best
  is_default: true
  checkpoints: first
empty:
"""


def test_sections_bases_lists_and_old_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEWHERE", "/somewhere")
    monkeypatch.setenv("HOME", "/home/me")
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(YAML.format(base=tmp_path / "webui"), encoding="utf-8")
    webui = tmp_path / "webui" / "models"
    assert read_model_paths([file]) == {
        "checkpoints": (Path("/best/first"), webui / "Stable-diffusion"),
        "loras": (webui / "Lora", webui / "LyCORIS"),
        "diffusion_models": (webui / "unet",),
        "vae": (tmp_path / "../vae",),
        "text_encoders": (Path("/somewhere/clip"),),
        "my_own_kind": (Path("/home/me/mine"),),
    }


@pytest.mark.parametrize(
    "text", ["- a list", "text", "a: [1, 2]", "a: {loras: 3}", "a: {loras: {b: c}}", "a: {b: c", "\x00"]
)
def test_what_is_no_such_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "paths.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ResourceError) as raised:
        read_model_paths([file])
    assert raised.value.code == "bad-model-paths"
    assert "paths.yaml" in raised.value.message


def test_an_empty_file_names_nothing(tmp_path: Path) -> None:
    file = tmp_path / "paths.yaml"
    file.write_text("# nothing\n", encoding="utf-8")
    assert read_model_paths([file]) == {}


def names(cli: CommandLine, *options: str) -> list[str]:
    """The LoRA files that the command line finds, beside those that come along."""
    listed = cli.run("models", "loras", "--json", *options)
    assert listed.code == 0, listed.err
    return [model["name"] for model in listed.json if not model["name"].startswith("scenes-")]


def add(folder: Path, name: str) -> Path:
    """Make a file in a LoRA folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    return folder


def test_where_models_are_looked_for(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    add(cli.folder / "models" / "loras", "here.safetensors")
    add(cli.folder / "a" / "loras", "a.safetensors")
    add(cli.folder / "b" / "loras", "b.safetensors")
    add(cli.folder / "c", "c.safetensors")
    (cli.folder / "paths.yaml").write_text("ui: {loras: c}", encoding="utf-8")
    assert names(cli) == ["here.safetensors"]
    assert names(cli, "--extra-model-paths", "paths.yaml") == ["c.safetensors", "here.safetensors"]
    monkeypatch.setenv("GRAPHCORE_MODELS", "a:b")
    assert names(cli) == ["a.safetensors", "b.safetensors"]
    assert names(cli, "--models-dir", "b") == ["b.safetensors"]


def test_an_unknown_kind_is_told(cli: CommandLine) -> None:
    outcome = cli.run("models", "lora")
    assert outcome.code == 2
    assert "loras" in outcome.err
