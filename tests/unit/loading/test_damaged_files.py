"""D1, D2, D4: a damaged, cut or dishonest file is told in one sentence, whatever its bytes; no pickle is opened."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphcore.errors import ModelFileError
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.safetensors_header import read_header
from nodes.diffusion.weights import load
from tests import models
from tests.models import TinyModels

DATA = bytes(range(16))


def packed(header: Any, data: bytes = DATA, *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: Any = "F32", shape: Any = (4,), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


GOOD = {"a": entry()}
DAMAGED = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "length beyond the file": packed(GOOD, length=2**40),
    "length beyond 64 bits of sense": packed(GOOD, length=2**64 - 1),
    "cut in the header": packed(GOOD)[:20],
    "cut in the weights": packed(GOOD)[:-1],
    "one byte too many": packed(GOOD) + b"x",
    "not JSON": packed(b"{'a': 1}"),
    "not UTF-8": packed(b'{"\xff": 1}'),
    "a list": packed([1, 2]),
    "JSON 100,000 deep": packed(b"[" * 100_000),
    "a huge number": packed(
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 16]}}'
    ),
    "a name twice": packed(
        b'{"a": %b, "a": %b}' % (json.dumps(entry()).encode(), json.dumps(entry()).encode())
    ),
    "an entry that is text": packed({"a": "F32"}),
    "an unknown dtype": packed({"a": entry(dtype="F7")}),
    "a dtype that is a list": packed({"a": entry(dtype=["F32"])}),
    "a negative side": packed({"a": entry(shape=(-4,))}),
    "a side that is no number": packed({"a": entry(shape=(4.0,))}),
    "a shape that is true": packed({"a": entry(shape=(True, 4))}),
    "offsets the wrong way round": packed({"a": entry(offsets=(16, 0))}),
    "three offsets": packed({"a": entry(offsets=(0, 8, 16))}),
    "shape and bytes that disagree": packed({"a": entry(shape=(3,))}),
    "two tensors in one place": packed({"a": entry(), "b": entry()}),
    "tensors that overlap": packed(
        {"a": entry(shape=(3,), offsets=(0, 12)), "b": entry(shape=(2,), offsets=(8, 16))}
    ),
    "a gap": packed({"a": entry(shape=(1,), offsets=(0, 4)), "b": entry(shape=(2,), offsets=(8, 16))}),
    "offsets beyond the file": packed({"a": entry(shape=(8,), offsets=(0, 32))}),
    "metadata that are no text": packed({"__metadata__": {"a": 1}, **GOOD}),
    "sizes that overflow": packed({"a": entry(shape=(2**62, 2**62), offsets=(0, 16))}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_each_kind_of_damage_is_one_sentence(name: str, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(DAMAGED[name])
    with pytest.raises(ModelFileError) as raised:
        open_checkpoint(file)
    message = raised.value.message
    assert "model.safetensors" in message
    assert "\n" not in message
    assert message.endswith("again.")
    assert len(message) < 400


def test_a_sound_header_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(
        packed({"__metadata__": {"title": "x"}, "empty": entry(shape=(0,), offsets=(0, 0)), **GOOD})
    )
    header = read_header(file)
    assert header.metadata == {"title": "x"}
    assert header.tensors["a"].shape == (4,)
    assert header.tensors["a"].bytes == 16
    assert header.tensors["empty"].bytes == 0


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".PT"])
def test_pickles_are_refused_before_they_are_opened(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"model{suffix}"
    with pytest.raises(ModelFileError, match="convert-checkpoint") as raised:
        open_checkpoint(file)
    assert raised.value.code == "pickle-refused"


def test_a_pickle_under_another_name_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(3)}, file)
    with pytest.raises(ModelFileError, match="pickle under another name"):
        open_checkpoint(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.safetensors"):
        open_checkpoint(tmp_path / "nothing.safetensors")


def test_a_file_of_no_known_family_says_which_are_known(tmp_path: Path) -> None:
    file = models.write(tmp_path / "lora.safetensors", {"lora_unet_down.weight": torch.zeros(2)})
    with pytest.raises(ModelFileError, match=r"no known model family .*Stable Diffusion 1\.x"):
        open_checkpoint(file)


@pytest.mark.parametrize("part", ["unet", "vae", "clip_l"])
def test_missing_left_over_and_misshapen_tensors_are_named(part: str, tmp_path: Path) -> None:
    prefix = {
        "unet": "model.diffusion_model.",
        "vae": "first_stage_model.",
        "clip_l": "cond_stage_model.transformer.",
    }
    victim = {
        "unet": "time_embed.2.bias",
        "vae": "decoder.norm_out.bias",
        "clip_l": "text_model.final_layer_norm.bias",
    }
    name = prefix[part] + victim[part]

    def refused(state: models.State) -> str:
        file = models.write(tmp_path / "model.safetensors", state)
        with pytest.raises(ModelFileError) as raised:
            load(open_checkpoint(file).part(part))
        return raised.value.message

    whole = models.sd1_state()
    without = {key: tensor for key, tensor in whole.items() if key != name}
    assert f"{name} is missing" in refused(without)
    assert f"{name} ([3] instead of" in refused({**whole, name: torch.zeros(3)})
    extra = f"{name}.extra"
    assert f"{extra} belongs to no layer" in refused({**whole, extra: torch.zeros(3)})


def test_a_configuration_that_builds_nothing_is_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    for said in (
        {"block_out_channels": "many"},
        {"norm_num_groups": 7},
        {"down_block_types": ["Nonsense", "DownBlock2D"]},
    ):
        file = models.write(
            tmp_path / "m.safetensors", models.sd1_state(), metadata={"graphcore.config": {"unet": said}}
        )
        with pytest.raises(ModelFileError, match="configuration"):
            load(open_checkpoint(file).part("unet"))


@pytest.mark.parametrize(
    "said",
    [{"layers_per_block": 10**9}, {"block_out_channels": [32] * 10**4}, {"cross_attention_dim": 10**12}],
)
def test_a_configuration_larger_than_any_model_is_not_built(said: dict[str, Any], tmp_path: Path) -> None:
    metadata = {"graphcore.config": {"unet": said}}
    file = models.write(tmp_path / "m.safetensors", models.sd1_state(), metadata=metadata)
    with pytest.raises(ModelFileError, match="more than any model has"):
        load(open_checkpoint(file).part("unet"))


def test_a_controlnet_is_no_checkpoint(tmp_path: Path) -> None:
    state = models.sd1_parts().unet.state_dict()
    control = {name: tensor for name, tensor in state.items() if name.startswith(("conv_in", "down_blocks"))}
    with pytest.raises(ModelFileError, match="if it is a LoRA, an embedding or a ControlNet"):
        open_checkpoint(models.write(tmp_path / "control.safetensors", control))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"GGUF\x03\0\0\0" + bytes(64), "is a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a pointer of Git LFS"),
        (b"<!DOCTYPE html><title>404</title>", "is a web page"),
        (b"<html>", "no safetensors file: it has only 6 bytes"),
    ],
)
def test_other_kinds_of_files_are_told_by_their_names(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match=told):
        read_header(tmp_path / "m.safetensors")


def test_a_short_file_whose_length_looks_like_text_is_read(tmp_path: Path) -> None:
    """60 is the code of '<'."""
    header = json.dumps({"a": entry()}).encode()
    (tmp_path / "m.safetensors").write_bytes(packed(header.ljust(60)))
    assert list(read_header(tmp_path / "m.safetensors").tensors) == ["a"]


def test_a_side_car_that_is_not_json_is_told(tmp_path: Path) -> None:
    file = models.write(tmp_path / "m.safetensors", models.sd1_state())
    for text in ("{", "[]", '{"unet": 3}', "[" * 100_000):
        (tmp_path / "m.safetensors.json").write_text(text)
        with pytest.raises(ModelFileError, match="is not a JSON object"):
            open_checkpoint(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_to_a_header_is_refused_or_harmless(data: st.DataObject, tmp_path: Path) -> None:
    names = ["dtype", "shape", "data_offsets"]
    header: dict[str, Any] = {
        "decoder.conv_in.weight": entry("F32", [2], [0, 8]),
        "encoder.conv_in.weight": entry("F16", [2, 2], [8, 16]),
    }
    victim = data.draw(st.sampled_from(sorted(header)))
    action = data.draw(st.sampled_from(["field", "drop", "entry", "rename", "cut", "flip"]))
    if action == "field":
        header[victim][data.draw(st.sampled_from(names))] = data.draw(JSON)
    elif action == "drop":
        del header[victim][data.draw(st.sampled_from(names))]
    elif action == "entry":
        header[victim] = data.draw(JSON)
    elif action == "rename":
        header[data.draw(st.text(max_size=8))] = header.pop(victim)
    content = bytearray(packed(header))
    if action == "cut":
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    elif action == "flip":
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file = tmp_path / "m.safetensors"
    file.write_bytes(bytes(content))
    try:
        read = read_header(file)
    except ModelFileError:
        return
    assert sum(info.bytes for info in read.tensors.values()) == len(DATA)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_to_a_real_header_loads_rightly_or_is_refused(
    data: st.DataObject, tiny_models: TinyModels, tmp_path: Path
) -> None:
    content = tiny_models.sd1(dtype=torch.float16).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    place = data.draw(st.integers(0, 8 + length - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    file = tmp_path / "m.safetensors"
    file.write_bytes(bytes(changed))
    try:
        checkpoint = open_checkpoint(file)
        loaded = [load(part) for part in checkpoint.parts.values()]
    except ModelFileError:
        return
    assert all(not tensor.is_meta for module in loaded for tensor in module.state_dict().values())
