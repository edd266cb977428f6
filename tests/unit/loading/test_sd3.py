"""Stable Diffusion 3: transformer and text encoders, with T5 or without, equal diffusers and transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from graphcore.errors import InputError, ModelFileError
from nodes.conditioning.text import t5_tokenizer_options
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.network import LatentScene, Residuals
from nodes.diffusion.parameterization import RectifiedFlow
from nodes.diffusion.store import ModelStore
from nodes.diffusion.weights import load
from nodes.values import Clip, ConditioningEntry, FileRef, Model
from tests import models
from tests.models import TinyModels


def reference(file: Path) -> FileRef:
    return FileRef(kind="checkpoints", name=str(file), fingerprint="test")


@pytest.fixture
def store() -> ModelStore:
    return ModelStore(resolve=lambda file: Path(file.name), device="cpu", dtype="fp32", budget_bytes=10**9)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def test_every_tensor_comes_back(tiny_models: TinyModels) -> None:
    checkpoint = open_checkpoint(tiny_models.sd3())
    parts = models.sd3_parts()
    assert checkpoint.family is not None
    assert checkpoint.family.name == "sd3"
    assert set(checkpoint.parts) == {"unet", "vae", "clip_l", "clip_g", "t5"}
    for name, module in {"unet": parts.unet, "vae": parts.vae, **parts.texts}.items():
        loaded, written = load(checkpoint.part(name)).state_dict(), module.state_dict()
        assert loaded.keys() == written.keys()
        assert all(torch.equal(loaded[key], written[key]) for key in written), name


def test_the_transformer_equals_diffusers_single_file_reader(
    tiny_models: TinyModels, tmp_path: Path, no_network: None
) -> None:
    import diffusers

    models.sd3_parts().unet.save_config(tmp_path / "transformer")
    theirs = diffusers.SD3Transformer2DModel.from_single_file(
        str(tiny_models.sd3()), config=str(tmp_path), subfolder="transformer", local_files_only=True
    ).state_dict()
    ours = load(open_checkpoint(tiny_models.sd3()).part("unet")).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_it_is_a_rectified_flow_with_sixteen_shifted_channels(tiny_models: TinyModels) -> None:
    checkpoint = open_checkpoint(tiny_models.sd3())
    assert isinstance(checkpoint.parameterization, RectifiedFlow)
    assert checkpoint.parameterization.shift == 3.0
    assert checkpoint.latent_format is not None
    assert (checkpoint.latent_format.channels, checkpoint.latent_format.shift_factor) == (16, 0.0609)


@torch.no_grad()
def test_texts_are_joined_as_sd3_wants_them(store: ModelStore, tiny_models: TinyModels) -> None:
    parts = models.sd3_parts()
    with store.text_encoder(Clip(files=(reference(tiny_models.sd3()),))) as encoder:
        encoded = encoder.encode("a red cat")
        rows = [torch.tensor([tower.chunks("a red cat", "comfy")[0].tokens]) for tower in encoder.towers]
    t5 = T5EncoderModel(T5Config(**models.T5)).eval()
    state = parts.texts["t5"].state_dict()
    t5.load_state_dict({**state, "encoder.embed_tokens.weight": state["shared.weight"]})
    assert rows[2][0, :5].tolist() == [3, 4, 5, 1, 0]
    assert encoded.embeddings.shape == (1, 77 + 77, 192)
    torch.testing.assert_close(
        encoded.embeddings[:, 77:], t5(rows[2]).last_hidden_state, atol=1e-5, rtol=1e-4
    )
    clips = [parts.texts[name] for name in ("clip_l", "clip_g")]
    hidden = [
        module(module.embed(row), layer=-2, final_norm=False, ends=torch.tensor([row[0].tolist().index(519)]))
        for module, row in zip(clips, rows[:2], strict=True)
    ]
    torch.testing.assert_close(encoded.embeddings[:, :77], torch.cat([out.hidden for out in hidden], dim=-1))
    torch.testing.assert_close(encoded.pooled, torch.cat([out.pooled for out in hidden], dim=-1))


def test_without_t5_zeros_stand_in_its_place(store: ModelStore, tiny_models: TinyModels) -> None:
    with store.text_encoder(Clip(files=(reference(tiny_models.sd3()),))) as encoder:
        whole = encoder.encode("a red cat")
    with store.text_encoder(Clip(files=(reference(tiny_models.sd3(with_t5=False)),))) as encoder:
        encoded = encoder.encode("a red cat")
    assert torch.equal(encoded.embeddings[:, :77], whole.embeddings[:, :77])
    assert torch.equal(encoded.embeddings[:, 77:], torch.zeros(1, 77, 192))
    assert encoded.pooled is not None
    assert encoded.pooled.shape == (1, 128)


def test_weights_act_on_t5_too(store: ModelStore, tiny_models: TinyModels) -> None:
    with store.text_encoder(Clip(files=(reference(tiny_models.sd3()),))) as encoder:
        plain, empty, weighted = (
            encoder.encode(text).embeddings for text in ("a red cat", "", "a (red:1.5) cat")
        )
    place = 77 + 1
    expected = empty[0, place] + 1.5 * (plain[0, place] - empty[0, place])
    torch.testing.assert_close(weighted[0, place], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(weighted[0, place + 1], plain[0, place + 1], atol=1e-5, rtol=1e-4)


def test_long_prompts_stay_one_row_for_t5(store: ModelStore, tiny_models: TinyModels) -> None:
    with store.text_encoder(Clip(files=(reference(tiny_models.sd3()),))) as encoder:
        assert encoder.encode("cat " * 100).embeddings.shape == (1, 2 * 77 + 101, 192)


@torch.no_grad()
@pytest.mark.parametrize(
    ("more", "least", "length"), [(0, 256, 256), (0, 0, 4), (5, 0, 9), (5, 7, 9), (0, 77, 77)]
)
def test_texts_are_filled_up_for_t5_as_told(
    more: int, least: int, length: int, store: ModelStore, tiny_models: TinyModels
) -> None:
    """256 is what diffusers' pipeline fills up to."""
    clip = t5_tokenizer_options(Clip(files=(reference(tiny_models.sd3()),)), more, least)
    with store.text_encoder(clip) as encoder:
        found = encoder.encode("a red cat").embeddings[:, 77:]
    t5 = T5EncoderModel(T5Config(**models.T5)).eval()
    state = models.sd3_parts().texts["t5"].state_dict()
    t5.load_state_dict({**state, "encoder.embed_tokens.weight": state["shared.weight"]})
    row = torch.tensor([[3, 4, 5, 1, *[0] * (length - 4)]])
    torch.testing.assert_close(found, t5(row).last_hidden_state, atol=1e-5, rtol=1e-4)


def test_a_t5_without_its_tokenizer_is_told(store: ModelStore, tmp_path: Path) -> None:
    metadata = {"graphcore.tokenizer": models.byte_tokenizer()}
    file = models.write(tmp_path / "sd3.safetensors", models.sd3_state(), metadata=metadata)
    with (
        pytest.raises(ModelFileError, match=r"No tokenizer for the T5 .*tokenizer_3.*tokenizer\.json"),
        store.text_encoder(Clip(files=(reference(file),))),
    ):
        pass
    (tmp_path / "tokenizer_3").mkdir()
    (tmp_path / "tokenizer_3" / "tokenizer.json").write_text(models.t5_tokenizer())
    with store.text_encoder(Clip(files=(reference(file),))) as encoder:
        assert encoder.encode("a cat").embeddings.shape == (1, 154, 192)


def test_three_files_make_the_text_encoders(
    store: ModelStore, tiny_models: TinyModels, tmp_path: Path
) -> None:
    metadata = {
        "graphcore.tokenizer": models.byte_tokenizer(),
        "graphcore.tokenizer_t5": models.t5_tokenizer(),
    }
    parts = models.sd3_parts().texts
    files = [
        models.write(
            tmp_path / "l.safetensors", models.sdxl_parts().texts["clip_l"].state_dict(), metadata=metadata
        ),
        models.write(tmp_path / "g.safetensors", models.clip_state(parts["clip_g"]), metadata=metadata),
        models.write(tmp_path / "t5.safetensors", parts["t5"].state_dict(), metadata=metadata),
    ]
    clip = Clip(files=tuple(reference(file) for file in files), family="sd3")
    with store.text_encoder(clip) as encoder:
        encoded = encoder.encode("a red cat")
    assert encoded.embeddings.shape == (1, 154, 192)
    assert encoded.pooled is not None
    assert encoded.pooled.shape == (1, 128)


def test_a_model_without_any_text_encoder_is_told(store: ModelStore, tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in models.sd3_state().items() if "text_encoders" not in name}
    file = models.write(tmp_path / "sd3.safetensors", state)
    with (
        pytest.raises(
            ModelFileError, match=r"No text encoder of Stable Diffusion 3 is in .*sd3\.safetensors"
        ),
        store.text_encoder(Clip(files=(reference(file),))),
    ):
        pass


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_the_network_equals_diffusers(
    size: tuple[int, int], store: ModelStore, tiny_models: TinyModels
) -> None:
    x, context, pooled = noise(2, 16, *size), noise(1, 154, 192), noise(1, 128)
    steps = torch.tensor([10.0, 730.0])
    module = models.sd3_parts().unet
    wrapped = torch.nn.functional.pad(x, (0, size[1] % 2, 0, size[0] % 2), mode="circular")
    arguments = {
        "encoder_hidden_states": context.expand(2, -1, -1),
        "pooled_projections": pooled.expand(2, -1),
        "timestep": steps,
    }
    expected = module(wrapped, **arguments).sample[..., : size[0], : size[1]]
    with store.network(Model(file=reference(tiny_models.sd3()))) as network:
        scene = LatentScene(latent=x, noise=x)
        conditions = network.conditions(ConditioningEntry(embeddings=context, pooled=pooled), scene)
        both = {name: tensor.expand(2, *tensor.shape[1:]) for name, tensor in conditions.items()}
        torch.testing.assert_close(network(x, steps, both), expected)
        tokens = wrapped.shape[-2] * wrapped.shape[-1] // 4
        added = Residuals(blocks=(noise(2, tokens, 64),))
        assert not torch.allclose(network(x, steps, both, residuals=added), expected)
        with pytest.raises(InputError, match="pooled text vector 128 wide, but there is none"):
            network.conditions(ConditioningEntry(embeddings=context), scene)
        with pytest.raises(InputError, match="text embeddings 192 wide, but they are 768"):
            network.conditions(ConditioningEntry(embeddings=noise(1, 77, 768), pooled=pooled), scene)
        wide = LatentScene(latent=noise(1, 16, 2, 50), noise=noise(1, 16, 2, 50))
        with pytest.raises(InputError, match="at most 384 pixels a side"):
            network.conditions(ConditioningEntry(embeddings=context, pooled=pooled), wide)
