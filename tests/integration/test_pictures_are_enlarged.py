"""Networks that enlarge pictures are read under every naming, and enlarge any size tile by tile as they would whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from graphcore import Context, InputError, ModelFileError, detached_context
from graphcore.context import Preview
from nodes.diffusion.codecs import ValueCodec
from nodes.diffusion.conversion.convert import convert_checkpoint
from nodes.diffusion.conversion.single_file import Changes
from nodes.diffusion.upscalers import open_upscaler
from nodes.diffusion.upscaling.compact import SrvggNet
from nodes.diffusion.upscaling.esrgan import RrdbNet
from nodes.pictures.upscaling import load_upscale_model, upscale_image_with_model
from nodes.values import Image
from tests.models import seeded

State = dict[str, Tensor]


def first_naming(state: State, doublings: int) -> State:
    """The names of the first ESRGAN files: places in a row of layers."""
    places = {"conv_first": "model.0", "conv_body": "model.1.sub.2"}
    places |= {f"conv_up{index}": f"model.{3 * index}" for index in range(1, doublings + 1)}
    places |= {"conv_hr": f"model.{3 * doublings + 2}", "conv_last": f"model.{3 * doublings + 4}"}
    found = {}
    for name, tensor in state.items():
        head, _, rest = name.partition(".")
        if head == "body":
            name = re.sub(r"(\d)\.rdb(\d)\.(conv\d)", r"model.1.sub.\1.RDB\2.\3.0", rest)
        else:
            name = f"{places[head]}.{rest}"
        found[name] = tensor
    return found


def middle_naming(state: State, doublings: int) -> State:
    """The names in between: those of ESRGAN's second code."""
    del doublings
    renamed = {"conv_body": "trunk_conv", "conv_hr": "HRconv", "conv_up1": "upconv1", "conv_up2": "upconv2"}
    found = {}
    for name, tensor in state.items():
        head, _, rest = name.partition(".")
        if head == "body":
            name = "RRDB_trunk." + re.sub(r"rdb(\d)", r"RDB\1", rest)
        else:
            name = f"{renamed.get(head, head)}.{rest}"
        found[name] = tensor
    return found


def same_naming(state: State, doublings: int) -> State:
    del doublings
    return state


def rrdb(doublings: int = 2, shuffle: int = 1) -> RrdbNet:
    made = seeded(lambda: RrdbNet(width=8, growth=4, blocks=2, doublings=doublings, shuffle=shuffle))
    assert isinstance(made, RrdbNet)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "upscale_models").mkdir()
    return tmp_path / "upscale_models"


@pytest.fixture
def ctx(folder: Path) -> Context:
    return detached_context(models_dirs=(folder.parent,), device="cpu", dtype="fp32")


def picture(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("naming", [same_naming, middle_naming, first_naming])
@pytest.mark.parametrize(("doublings", "shuffle"), [(2, 1), (1, 1), (0, 1), (2, 2)])
def test_every_naming_of_esrgan(
    folder: Path, naming: Callable[[State, int], State], doublings: int, shuffle: int
) -> None:
    network = rrdb(doublings, shuffle)
    save_file(naming(dict(network.state_dict()), doublings), folder / "x.safetensors")
    opened = open_upscaler(folder / "x.safetensors")
    x = picture(1, 3, 10, 12)
    assert opened.scale == 2**doublings // shuffle
    assert torch.equal(opened.load()(x), network(x))
    assert network(x).shape == (1, 3, 10 * opened.scale, 12 * opened.scale)


def test_one_dense_block_by_its_paper() -> None:
    """Each convolution sees all before it; residuals count a fifth (Wang et al. 2018, figure 4)."""
    block = rrdb().body[0].rdb1
    x = picture(1, 8, 5, 5)
    seen = [x]
    for number in range(1, 5):
        convolution = getattr(block, f"conv{number}")
        assert isinstance(convolution, nn.Conv2d)
        seen.append(functional.leaky_relu(convolution(torch.cat(seen, dim=1)), 0.2))
    assert torch.allclose(block(x), x + 0.2 * block.conv5(torch.cat(seen, dim=1)))


@pytest.mark.parametrize("scale", [2, 4])
def test_the_compact_form(folder: Path, scale: int) -> None:
    network = seeded(lambda: SrvggNet(width=8, convolutions=3, scale=scale))
    save_file(network.state_dict(), folder / "c.safetensors")
    opened = open_upscaler(folder / "c.safetensors")
    x = picture(1, 3, 6, 7)
    assert opened.scale == scale
    assert torch.equal(opened.load()(x), network(x))
    for parameter in network.parameters():
        parameter.zero_()
    assert torch.equal(network(x), functional.interpolate(x, scale_factor=scale))


def test_a_large_picture_tile_by_tile(ctx: Context, folder: Path) -> None:
    """What a network sees ends within the overlap, so that tiles make the whole picture; and each is told."""
    network = seeded(lambda: SrvggNet(width=4, convolutions=1, scale=2))
    save_file(network.state_dict(), folder / "c.safetensors")
    told: list[tuple[int, int]] = []

    def listen(done: int, total: int, preview: Preview | None) -> None:
        told.append((done, total))

    ctx.listener = listen
    pixels = picture(2, 530, 20, 3)
    found = upscale_image_with_model(ctx, load_upscale_model(ctx, "c.safetensors"), Image(pixels)).pixels
    whole = network(pixels.movedim(-1, 1)).movedim(1, -1).clamp(0, 1)
    assert found.shape == (2, 1060, 40, 3)
    assert torch.allclose(found[:, 16:-16], whole[:, 16:-16], atol=0.05)
    assert (found - whole).abs().mean() < 1e-3
    assert told == [(done, 4) for done in range(5)]


def test_where_memory_does_not_suffice_tiles_get_smaller(
    ctx: Context, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(rrdb(1).state_dict(), folder / "x.safetensors")
    sizes: list[int] = []
    forward = RrdbNet.forward

    def limited(self: RrdbNet, x: Tensor) -> Tensor:
        sizes.append(x.shape[-1])
        if x.shape[-1] > 64:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, x)

    monkeypatch.setattr(RrdbNet, "forward", limited)
    found = upscale_image_with_model(
        ctx, load_upscale_model(ctx, "x.safetensors"), Image(picture(1, 40, 200, 3))
    )
    assert found.pixels.shape == (1, 80, 400, 3)
    assert sizes[:2] == [200, 200]
    assert max(sizes[3:]) <= 128


def test_a_pickle_is_refused_and_can_be_converted(ctx: Context, folder: Path) -> None:
    network = rrdb()
    torch.save({"params_ema": network.state_dict()}, folder / "x.pth")
    with pytest.raises(ModelFileError, match="convert-checkpoint"):
        load_upscale_model(ctx, "x.pth")
    convert_checkpoint(folder / "x.pth", folder / "x.safetensors", Changes())
    assert open_upscaler(folder / "x.safetensors").scale == 4


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"some.weight": torch.zeros(2, 2)}, "none of ESRGAN"),
        ({k: v for k, v in rrdb().state_dict().items() if "rdb2.conv3" not in k}, "'body.0.rdb2.conv3"),
        ({**rrdb().state_dict(), "conv_first.weight": torch.zeros(8, 5, 3, 3)}, "takes 5 channels"),
        (
            {"body.0.weight": torch.zeros(8, 3, 3, 3), "body.2.weight": torch.zeros(7, 8, 3, 3)},
            "compact form",
        ),
    ],
)
def test_other_files_are_refused(ctx: Context, folder: Path, tensors: State, message: str) -> None:
    save_file(tensors, folder / "x.safetensors")

    def load() -> None:
        load_upscale_model(ctx, "x.safetensors")
        open_upscaler(folder / "x.safetensors").load()

    with pytest.raises(ModelFileError, match=message):
        load()


def test_no_picture_and_too_large_ones_are_refused(ctx: Context, folder: Path) -> None:
    save_file(rrdb().state_dict(), folder / "x.safetensors")
    model = load_upscale_model(ctx, "x.safetensors")
    with pytest.raises(InputError, match="A picture has the shape"):
        upscale_image_with_model(ctx, model, Image(torch.zeros(1, 8, 8)))
    with pytest.raises(InputError, match="would be too large"):
        upscale_image_with_model(ctx, model, Image(torch.zeros(1, 1, 1, 3).expand(1, 10000, 10000, 3)))


def test_the_value_survives_the_store(ctx: Context, folder: Path) -> None:
    save_file(rrdb().state_dict(), folder / "x.safetensors")
    value = (load_upscale_model(ctx, "x.safetensors"),)
    codec = ValueCodec()
    assert codec.decode(codec.encode(value)) == value
