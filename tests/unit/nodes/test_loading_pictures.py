"""LoadImage reads what cameras, editors and other tools write, and says clearly what it cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from graphcore import Context, InputError, ResourceError, detached_context
from nodes.pictures.files import load_image, load_image_mask, load_image_output


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return detached_context(input_dir=tmp_path / "in", output_dir=tmp_path / "out")


def test_colours_and_no_mask(ctx: Context) -> None:
    Pillow.new("RGB", (6, 4), (255, 51, 0)).save(ctx.files.input_dir / "a.png")
    read = load_image(ctx, "a.png")
    assert read.image.pixels.shape == (1, 4, 6, 3)
    assert torch.allclose(read.image.pixels[0, 0, 0], torch.tensor([1.0, 0.2, 0.0]))
    assert read.mask.values.shape == (1, 4, 6)
    assert not read.mask.values.any()


def test_the_mask_is_what_is_transparent(ctx: Context) -> None:
    picture = Pillow.new("RGBA", (2, 1), (10, 20, 30, 255))
    picture.putpixel((1, 0), (10, 20, 30, 51))
    picture.save(ctx.files.input_dir / "a.png")
    read = load_image(ctx, "a.png")
    assert torch.allclose(read.mask.values, torch.tensor([[[0.0, 0.8]]]))
    assert torch.equal(load_image_mask(ctx, "a.png", "alpha").values, read.mask.values)
    assert float(load_image_mask(ctx, "a.png", "green").values[0, 0, 0]) == pytest.approx(20 / 255)


def test_a_palette_with_transparency(ctx: Context) -> None:
    picture = Pillow.new("P", (2, 1), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.putpixel((1, 0), 1)
    picture.save(ctx.files.input_dir / "a.png", transparency=0)
    read = load_image(ctx, "a.png")
    assert read.mask.values[0, 0].tolist() == [1.0, 0.0]
    assert read.image.pixels[0, 0, 1].tolist() == [1.0, 0.0, 0.0]


def test_photos_are_turned_as_the_camera_says(ctx: Context) -> None:
    picture = Pillow.new("RGB", (8, 4))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    picture.save(ctx.files.input_dir / "a.jpg", exif=exif)
    assert load_image(ctx, "a.jpg").image.pixels.shape == (1, 8, 4, 3)


def test_frames_become_a_batch(ctx: Context) -> None:
    frames = [Pillow.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(ctx.files.input_dir / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    pixels = load_image(ctx, "a.webp").image.pixels
    assert pixels[:, 0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_sixteen_bits(ctx: Context) -> None:
    levels = np.array([[0, 32768, 65535]], dtype=np.uint16)
    Pillow.fromarray(levels).save(ctx.files.input_dir / "a.png")
    grey = load_image(ctx, "a.png").image.pixels[0, 0, :, 0]
    assert torch.allclose(grey, torch.tensor([0.0, 0.5, 1.0]), atol=1 / 255)


def test_dark_sixteen_bits_stay_dark(ctx: Context) -> None:
    Pillow.fromarray(np.array([[0, 200]], dtype=np.uint16)).save(ctx.files.input_dir / "a.png")
    assert float(load_image(ctx, "a.png").image.pixels.max()) < 2 / 255


def test_floats_from_zero_to_one(ctx: Context) -> None:
    Pillow.fromarray(np.array([[0.0, 1.0]], dtype=np.float32)).save(ctx.files.input_dir / "a.tiff")
    assert load_image(ctx, "a.tiff").image.pixels[0, 0, :, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK", "YCbCr", "F", "I"])
def test_every_mode_becomes_rgb(ctx: Context, mode: str) -> None:
    Pillow.new(mode, (3, 2)).save(ctx.files.input_dir / "a.tiff")
    assert load_image(ctx, "a.tiff").image.pixels.shape == (1, 2, 3, 3)


def test_the_output_folder_can_be_read(ctx: Context) -> None:
    (ctx.files.output_dir / "sub").mkdir()
    Pillow.new("RGB", (2, 2)).save(ctx.files.output_dir / "sub" / "a.png")
    assert load_image(ctx, "sub/a.png [output]").image.pixels.shape == (1, 2, 2, 3)
    assert load_image_output(ctx, "sub/a.png").image.pixels.shape == (1, 2, 2, 3)
    assert load_image_output(ctx, "sub/a.png [output]").image.pixels.shape == (1, 2, 2, 3)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "missing.png", "..\\secret.png"])
def test_names_stay_in_the_folder(ctx: Context, name: str) -> None:
    Pillow.new("RGB", (2, 2)).save(ctx.files.input_dir.parent / "secret.png")
    with pytest.raises(ResourceError, match="There is no file"):
        load_image(ctx, name)


@pytest.mark.parametrize("keep", [0, 4, 60, 120])
def test_damaged_files_are_told(ctx: Context, keep: int) -> None:
    path = ctx.files.input_dir / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Pillow.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"'a\.png' cannot be read as a picture"):
        load_image(ctx, "a.png")


def test_a_picture_that_unpacks_to_too_much_is_refused(ctx: Context) -> None:
    Pillow.new("1", (40_000, 40_000)).save(ctx.files.input_dir / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png"):
        load_image(ctx, "bomb.png")


def test_editors_name_outputs_with_their_folder(ctx: Context) -> None:
    from graphcore import Engine, Graph
    from tests.tiny_engine import all_nodes

    Pillow.new("RGB", (2, 2)).save(ctx.files.output_dir / "a.png")
    for type_name in ("LoadImage", "LoadImageOutput"):
        graph = Graph(all_nodes())
        graph.output("image", graph.add(type_name, image="a.png [output]").image)
        with Engine(all_nodes(), settings=ctx.settings) as engine:
            assert engine.run(graph.workflow()).succeeded
