"""Each architecture of upscalers is recognised by its file, computes what its authors' code does, and takes any size.

`golden/upscalers.json` holds the tensors' shapes in each architecture's files, and what the reference implementations
(spandrel 0.4.2) make of a picture with weights by formula (`tests.formula_weights`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphcore import Context, ModelFileError, detached_context
from nodes.diffusion.companion_inspection import COMPANIONS
from nodes.diffusion.precision import Precision
from nodes.diffusion.upscalers import open_upscaler, upscaled
from nodes.pictures.upscaling import load_upscale_model, upscale_image_with_model
from nodes.values import Image
from tests.formula_weights import picture, weights

State = dict[str, Tensor]
GOLDEN: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "upscalers.json").read_text(encoding="utf-8")
)
ONE_OF_EACH = [
    "SwinIR classical",
    "HAT",
    "DAT",
    "DRCT",
    "SPAN without centring",
    "PLKSR",
    "RealPLKSR with sampling",
    "Omni-SR",
]


def state_of(name: str) -> State:
    """What a file of this kind holds."""
    case = GOLDEN[name]
    state = weights(case["shapes"])
    for tensor, values in case["values"].items():
        state[tensor] = torch.tensor(values).reshape(case["shapes"][tensor])
    return state


def written(folder: Path, state: State) -> Path:
    path = folder / "upscale_models" / "x.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(state, path)
    return path


def context(folder: Path, dtype: str = "fp32") -> Context:
    return detached_context(models_dirs=(folder,), device="cpu", dtype=dtype)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_picture_is_that_of_the_reference(tmp_path: Path, name: str) -> None:
    case = GOLDEN[name]
    opened = open_upscaler(written(tmp_path, state_of(name)))
    result = opened.load()(picture(*case["size"]))[0]
    assert opened.title == name.partition(" ")[0].removeprefix("Real")
    assert list(result.shape) == case["output"]
    assert opened.scale == case["output"][1] // case["size"][0]
    flat = result.flatten()
    pixels = torch.stack([flat[int(place * (len(flat) - 1) / 11)] for place in range(12)])
    size = case["deviation"] + abs(case["mean"])
    torch.testing.assert_close(pixels, torch.tensor(case["pixels"]), atol=1e-5 * size, rtol=1e-4)
    assert float(result.mean()) == pytest.approx(case["mean"], abs=1e-4 * size)
    assert float(result.std()) == pytest.approx(case["deviation"], rel=1e-4)


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize("size", [(1, 1), (3, 17), (16, 16)])
def test_any_size(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    written(tmp_path, state_of(name))
    ctx = context(tmp_path)
    model = load_upscale_model(ctx, "x.safetensors")
    given = picture(*size).movedim(1, -1)
    pixels = upscale_image_with_model(ctx, model, Image(given)).pixels
    scale = GOLDEN[name]["output"][1] // GOLDEN[name]["size"][0]
    assert pixels.shape == (1, size[0] * scale, size[1] * scale, 3)
    assert torch.isfinite(pixels).all()


@pytest.mark.parametrize(
    ("name", "last"),
    [("SwinIR against noise", "conv_last"), ("SwinIR against JPEG", "conv_last"), ("PLKSR", "feats.2")],
)
def test_networks_that_add_nothing_keep_the_picture(tmp_path: Path, name: str, last: str) -> None:
    """With zeros in the last layer a picture comes out as it went in, or with each pixel repeated."""
    state = state_of(name)
    state |= {f"{last}.{kind}": torch.zeros_like(state[f"{last}.{kind}"]) for kind in ("weight", "bias")}
    written(tmp_path, state)
    ctx = context(tmp_path)
    model = load_upscale_model(ctx, "x.safetensors")
    given = picture(300, 19)
    found = upscale_image_with_model(ctx, model, Image(given.movedim(1, -1))).pixels.movedim(-1, 1)
    scale = GOLDEN[name]["output"][1] // GOLDEN[name]["size"][0]
    expected = given.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["SwinIR classical", "PLKSR"])
def test_tiles_make_the_whole(tmp_path: Path, name: str) -> None:
    opened = open_upscaler(written(tmp_path, state_of(name)))
    network, given = opened.load(), picture(40, 100).movedim(1, -1)

    def made(tile: int) -> Tensor:
        return upscaled(
            network,
            opened.scale,
            given,
            device=torch.device("cpu"),
            precision=Precision(dtype=torch.float32),
            tile=tile,
            progress=lambda done, total: None,
        )

    assert (made(64) - made(512)).abs().mean() < 1e-2


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_short_dtypes_stay_close(tmp_path: Path, name: str, dtype: str) -> None:
    """Files in half precision, computed in half precision, or in full where fp16 overflows."""
    written(tmp_path, {k: v.half() if v.is_floating_point() else v for k, v in state_of(name).items()})

    def made(chosen: str) -> Tensor:
        ctx = context(tmp_path, chosen)
        model = load_upscale_model(ctx, "x.safetensors")
        return upscale_image_with_model(ctx, model, Image(picture(12, 12).movedim(1, -1))).pixels

    assert (made(dtype) - made("fp32")).abs().mean() < 0.03


@pytest.mark.parametrize("prefix", ["module.", "params_ema."])
def test_what_training_programs_put_before_names(tmp_path: Path, prefix: str) -> None:
    state = {f"{prefix}{k}": v for k, v in state_of("PLKSR").items()}
    opened = open_upscaler(written(tmp_path, state))
    assert opened.title == "PLKSR"
    assert opened.load()(picture(4, 4)).shape == (1, 3, 16, 16)


def test_blocks_of_pixels_first(tmp_path: Path) -> None:
    """A SwinIR that makes channels of 2x2 pixels, computes on a quarter of them, and enlarges twice as much."""
    state = state_of("SwinIR lightweight")
    first = state.pop("conv_first.weight")
    state["conv_first.1.weight"] = first.repeat(1, 4, 1, 1)
    state["conv_first.1.bias"] = state.pop("conv_first.bias")
    opened = open_upscaler(written(tmp_path, state))
    assert opened.scale == 2
    assert opened.load()(picture(13, 11)).shape == (1, 3, 26, 22)


@pytest.mark.parametrize(
    ("name", "makes"), [("HAT", "4 times as many pixels a side"), ("SwinIR against noise", "mends pictures")]
)
def test_files_are_described(tmp_path: Path, name: str, makes: str) -> None:
    told = COMPANIONS["upscale_models"](written(tmp_path, state_of(name)))
    assert told == {"kind": f"{name.partition(' ')[0]} upscaler", "makes": makes}


def changed(name: str, **tensors: Tensor | None) -> State:
    """A file with tensors put in, or taken out."""
    state = state_of(name)
    for key, tensor in tensors.items():
        if tensor is None:
            del state[key]
        else:
            state[key] = tensor
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed("SwinIR classical", absolute_pos_embed=torch.zeros(1, 256, 8)), "has no place"),
        (changed("HAT", absolute_pos_embed=torch.zeros(1, 256, 12)), "at one size only"),
        (changed("SwinIR classical", **{"conv_first.weight": torch.zeros(8, 1, 3, 3)}), "takes 1 channels"),
        (changed("DAT", **{"layers.0.blocks.0.attn.attns.0.rpe_biases": None}), "how large its windows are"),
        (changed("PLKSR", **{"feats.1.lk.convs.0.weight": torch.zeros(4, 4, 5, 5)}), "sparse kernels"),
        (
            changed("DRCT", **{"layers.0.swin3.norm1.weight": None}),
            r"'layers.0.swin3.norm1.weight' is missing",
        ),
        (changed("HAT", **{"conv_last.weight": None}), "layers are not those of HAT"),
        (
            changed(
                "HAT",
                **{"layers.0.residual_group.overlap_attn.relative_position_bias_table": torch.zeros(4, 2)},
            ),
            "layers are not those of HAT",
        ),
        (
            changed("SwinIR classical", **{"layers.99999999.conv.weight": torch.zeros(1)}),
            "not those of SwinIR",
        ),
        (
            changed("DAT", **{"layers.0.blocks.0.attn.attns.0.rpe_biases": torch.full((21, 2), 1e9)}),
            "those of DAT",
        ),
        (changed("SPAN", **{"upsampler.0.weight": torch.zeros(2, 8, 3, 3)}), "not those of SPAN|channels"),
    ],
)
def test_files_of_other_kinds_are_told(tmp_path: Path, state: State, message: str) -> None:
    path = written(tmp_path, state)
    with pytest.raises(ModelFileError, match=message) as raised:
        open_upscaler(path).load()
    assert raised.value.code == "not-an-upscaler"
    assert "\n" not in raised.value.message
