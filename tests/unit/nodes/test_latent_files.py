"""`.latent` files are ComfyUI's: what is saved comes back bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from graphcore import Context, InputError, detached_context
from nodes.latents.files import load_latent, save_latent
from nodes.values import Latent
from tests.random_tensors import seeded


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    (tmp_path / "in").mkdir()
    return detached_context(output_dir=tmp_path / "out", input_dir=tmp_path / "in")


def test_round_trip(ctx: Context) -> None:
    samples = seeded(2, 4, 8, 6)
    save_latent(ctx, Latent(samples), "kept/%width%x%height%")
    item = ctx.shown[0]
    assert item == {
        "kind": "latents",
        "filename": "48x64_00001_.latent",
        "subfolder": "kept",
        "type": "output",
    }
    assert torch.equal(load_latent(ctx, "kept/48x64_00001_.latent [output]").samples, samples)


def test_the_file_is_comfyuis(ctx: Context) -> None:
    ctx.recorder = lambda node_id, picture: {"prompt": '{"save": {"class_type": "SaveLatent"}}'}
    save_latent(ctx, Latent(seeded(1, 4, 8, 8)))
    with safe_open(ctx.files.output_dir / "latents" / "ComfyUI_00001_.latent", "pt") as opened:
        assert set(opened.keys()) == {"latent_tensor", "latent_format_version_0"}
        assert json.loads(opened.metadata()["prompt"])["save"]["class_type"] == "SaveLatent"


def test_old_files_hold_scaled_latents(ctx: Context) -> None:
    samples = seeded(1, 4, 8, 8)
    save_file({"latent_tensor": samples}, ctx.files.input_dir / "old.latent")
    assert torch.allclose(load_latent(ctx, "old.latent").samples, samples / 0.18215)


@pytest.mark.parametrize("content", [b"", b"not a latent", b"\xff" * 64])
def test_damaged_files_are_told(ctx: Context, content: bytes) -> None:
    (ctx.files.input_dir / "bad.latent").write_bytes(content)
    with pytest.raises(InputError, match=r"'bad\.latent' is damaged"):
        load_latent(ctx, "bad.latent")


def test_other_contents_are_told(ctx: Context) -> None:
    save_file({"weights": torch.zeros(3)}, ctx.files.input_dir / "other.latent")
    with pytest.raises(InputError, match="holds no latent"):
        load_latent(ctx, "other.latent")
    (ctx.files.input_dir / "text.txt").write_text("hello")
    with pytest.raises(InputError, match=r"no \.latent file"):
        load_latent(ctx, "text.txt")
