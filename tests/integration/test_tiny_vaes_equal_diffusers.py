"""TAESD in every layout is diffusers' AutoencoderTiny, and its latents mean the same as those of the whole VAE."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import Context, InputError, ModelFileError, ResourceError, detached_context
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.conversion.convert import convert_checkpoint
from nodes.diffusion.conversion.single_file import Changes
from nodes.latents.vae import vae_decode, vae_decode_tiled, vae_encode
from nodes.models.loaders import load_diffusers_folder, load_vae
from nodes.models.model_files import save_vae
from nodes.values import Image, Latent
from tests.models import sdxl_parts, seeded, write_folder

State = dict[str, Tensor]
SCALES = {
    "taesd": (0.18215, 0.0),
    "taesdxl": (0.13025, 0.0),
    "taesd3": (1.5305, 0.0609),
    "taef1": (0.3611, 0.1159),
}


def tiny(latent_channels: int = 4) -> Any:
    """An AutoencoderTiny with random weights: TAESD's layers, narrower."""
    return seeded(
        lambda: diffusers.AutoencoderTiny(
            latent_channels=latent_channels,
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
        )
    )


def by_the_author(module: Any) -> tuple[State, State]:
    """Encoder and decoder as TAESD's author names them: numbered layers, the decoder's first is its clamp."""
    state = module.state_dict()
    encoder = {k.removeprefix("encoder.layers."): v for k, v in state.items() if k.startswith("encoder.")}
    decoder = {}
    for name, tensor in state.items():
        if name.startswith("decoder."):
            number, _, rest = name.removeprefix("decoder.layers.").partition(".")
            decoder[f"{int(number) + 1}.{rest}"] = tensor
    return encoder, decoder


def channels_of(name: str) -> int:
    return 4 if name in ("taesd", "taesdxl") else 16


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    for kind in ("vae", "vae_approx"):
        (tmp_path / kind).mkdir()
    return detached_context(
        models_dirs=(tmp_path,), device="cpu", dtype="fp32", output_dir=tmp_path / "output"
    )


def latents(channels: int = 4, *, side: int = 6) -> Tensor:
    return torch.randn(2, channels, side, 5, generator=torch.Generator().manual_seed(0))


def pictures() -> Tensor:
    return torch.rand(2, 32, 48, 3, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def check(ctx: Context, vae_name: str, module: Any, scale: float, shift: float) -> None:
    """Decoding and encoding are AutoencoderTiny's, between latents that a network sees and a VAE's."""
    vae = load_vae(ctx, vae_name)
    given = latents(module.config.latent_channels)
    expected = module.decode((given - shift) * scale).sample.movedim(1, -1).add(1).div(2).clamp(0, 1)
    torch.testing.assert_close(vae_decode(ctx, Latent(given), vae).pixels, expected, atol=1e-5, rtol=1e-4)
    expected = module.encode(pictures().movedim(-1, 1) * 2 - 1).latents / scale + shift
    torch.testing.assert_close(
        vae_encode(ctx, Image(pictures()), vae).samples, expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("name", SCALES)
def test_two_files_among_vae_approx_are_one_vae(ctx: Context, tmp_path: Path, name: str) -> None:
    module = tiny(channels_of(name))
    encoder, decoder = by_the_author(module)
    save_file(decoder, tmp_path / "vae_approx" / f"{name}_decoder.safetensors")
    assert name not in ctx.files.names("vae")
    with pytest.raises(ResourceError, match=name):
        load_vae(ctx, name)
    save_file(encoder, tmp_path / "vae_approx" / f"{name}_encoder.safetensors")
    assert name in ctx.files.names("vae")
    check(ctx, name, module, *SCALES[name])


def test_another_encoder_is_another_vae(ctx: Context, tmp_path: Path) -> None:
    encoder, decoder = by_the_author(tiny())
    folder = tmp_path / "vae_approx"
    save_file(decoder, folder / "taesd_decoder.safetensors")
    save_file(encoder, folder / "taesd_encoder.safetensors")
    before = load_vae(ctx, "taesd")
    save_file({k: v + 1 for k, v in encoder.items()}, folder / "taesd_encoder.safetensors")
    assert load_vae(ctx, "taesd") != before


@pytest.mark.parametrize(("name", "scale"), [("tiny", 0.18215), ("TAESDXL-v2", 0.13025)])
def test_one_file_as_diffusers_writes_it(ctx: Context, tmp_path: Path, name: str, scale: float) -> None:
    """What 4 channels mean, shapes do not tell: the file's name does."""
    save_file(tiny().state_dict(), tmp_path / "vae" / f"{name}.safetensors")
    check(ctx, f"{name}.safetensors", tiny(), scale, 0.0)


def test_a_scale_that_is_said_counts(ctx: Context, tmp_path: Path) -> None:
    save_file(tiny().state_dict(), tmp_path / "vae" / "x.safetensors")
    (tmp_path / "vae" / "x.safetensors.json").write_text(json.dumps({"vae": {"scaling_factor": 0.5}}))
    check(ctx, "x.safetensors", tiny(), 0.5, 0.0)


def test_a_folder_as_diffusers_writes_it(ctx: Context, tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "vae" / "taesdxl")
    check(ctx, "taesdxl", tiny(), 0.13025, 0.0)


@torch.no_grad()
def test_in_a_pipeline_it_has_the_scale_of_the_family(ctx: Context, tmp_path: Path) -> None:
    """A pipeline whose VAE is an AutoencoderTiny: its scale of 1 means that it codes what the network sees."""
    folder = write_folder(tmp_path / "diffusers" / "sdxl-tiny", sdxl_parts())
    shutil.rmtree(folder / "vae")
    tiny().save_pretrained(folder / "vae")
    (folder / "model_index.json").write_text("{}")
    vae = load_diffusers_folder(ctx, "sdxl-tiny").vae
    expected = tiny().decode(latents() * 0.13025).sample.movedim(1, -1).add(1).div(2).clamp(0, 1)
    torch.testing.assert_close(vae_decode(ctx, Latent(latents()), vae).pixels, expected, atol=1e-5, rtol=1e-4)
    known = open_checkpoint(folder).latent_format
    assert known is not None
    assert known.scale_factor == 0.13025


def test_one_file_as_comfyui_writes_it(ctx: Context, tmp_path: Path) -> None:
    encoder, decoder = by_the_author(tiny())
    state = {f"taesd_encoder.{k}": v for k, v in encoder.items()}
    state |= {f"taesd_decoder.{k}": v for k, v in decoder.items()}
    state |= {"vae_scale": torch.tensor(0.25), "vae_shift": torch.tensor(0.125)}
    save_file(state, tmp_path / "vae" / "m.safetensors")
    check(ctx, "m.safetensors", tiny(), 0.25, 0.125)


def test_pickles_are_refused_and_can_be_converted(ctx: Context, tmp_path: Path) -> None:
    for side, state in zip(("encoder", "decoder"), by_the_author(tiny()), strict=True):
        torch.save(state, tmp_path / f"taesd_{side}.pth")
        wanted = tmp_path / "vae_approx" / f"taesd_{side}.safetensors"
        convert_checkpoint(tmp_path / f"taesd_{side}.pth", wanted, Changes())
    check(ctx, "taesd", tiny(), *SCALES["taesd"])


def test_one_side_alone_does_what_it_can(ctx: Context, tmp_path: Path) -> None:
    encoder, decoder = by_the_author(tiny())
    save_file(encoder, tmp_path / "vae" / "e.safetensors")
    save_file(decoder, tmp_path / "vae" / "d.safetensors")
    only_encodes, only_decodes = load_vae(ctx, "e.safetensors"), load_vae(ctx, "d.safetensors")
    assert vae_encode(ctx, Image(pictures()), only_encodes).samples.shape == (2, 4, 4, 6)
    assert vae_decode(ctx, Latent(latents()), only_decodes).pixels.shape == (2, 48, 40, 3)
    with pytest.raises(InputError, match="holds no encoder"):
        vae_encode(ctx, Image(pictures()), only_decodes)
    with pytest.raises(InputError, match="holds no decoder"):
        vae_decode(ctx, Latent(latents()), only_encodes)


def test_tiles_change_little(ctx: Context, tmp_path: Path) -> None:
    save_file(tiny().state_dict(), tmp_path / "vae" / "t.safetensors")
    vae, given = load_vae(ctx, "t.safetensors"), Latent(latents(side=40))
    whole = vae_decode(ctx, given, vae).pixels
    parts = vae_decode_tiled(ctx, given, vae, tile_size=128, overlap=32).pixels
    assert (whole - parts).abs().mean() < 1e-2


def test_half_precision_stays_close(ctx: Context, tmp_path: Path) -> None:
    save_file({k: v.half() for k, v in tiny().state_dict().items()}, tmp_path / "vae" / "t.safetensors")
    short = detached_context(models_dirs=(tmp_path,), device="cpu", dtype="bf16")
    found = vae_decode(short, Latent(latents()), load_vae(short, "t.safetensors")).pixels
    exact = vae_decode(ctx, Latent(latents()), load_vae(ctx, "t.safetensors")).pixels
    assert (found - exact).abs().mean() < 0.02


def test_wrong_files_are_told(ctx: Context, tmp_path: Path) -> None:
    encoder, decoder = by_the_author(tiny())
    folder = tmp_path / "vae_approx"
    save_file(decoder, folder / "taesd_decoder.safetensors")
    save_file(by_the_author(tiny(16))[0], folder / "taesd_encoder.safetensors")
    with pytest.raises(ModelFileError, match="layers are not TAESD's"):
        vae_decode(ctx, Latent(latents()), load_vae(ctx, "taesd"))
    save_file(encoder, folder / "taesd_encoder.safetensors")
    save_file(
        {k: v for k, v in decoder.items() if k != "4.conv.2.weight"}, folder / "taesd_decoder.safetensors"
    )
    with pytest.raises(ModelFileError, match=r"decoder\.4\.conv\.2\.weight is missing"):
        vae_decode(ctx, Latent(latents()), load_vae(ctx, "taesd"))
    save_file({**decoder, "4.pool.0.weight": torch.zeros(8, 8, 1, 1)}, folder / "taesd_decoder.safetensors")
    with pytest.raises(ModelFileError, match="belongs to no layer"):
        vae_decode(ctx, Latent(latents()), load_vae(ctx, "taesd"))


def test_latents_of_another_family_are_told(ctx: Context, tmp_path: Path) -> None:
    save_file(tiny().state_dict(), tmp_path / "vae" / "t.safetensors")
    with pytest.raises(InputError, match="decodes latents of 4 channels"):
        vae_decode(ctx, Latent(latents(16)), load_vae(ctx, "t.safetensors"))


def test_it_is_not_saved_as_a_whole_vae(ctx: Context, tmp_path: Path) -> None:
    save_file(tiny().state_dict(), tmp_path / "vae" / "t.safetensors")
    with pytest.raises(InputError, match="connect a whole VAE"):
        save_vae(ctx, load_vae(ctx, "t.safetensors"))
