"""A saved picture tells how it was made, is made again from itself alone, and says what has changed since."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import save_file

from graphcore import DocumentError, Engine, Graph, Registry, Secret, Settings, Workflow, node, read_workflow
from graphcore.formats.pictures import read_metadata
from graphcore.provenance.verify import read_record, verify_picture
from nodes import pack
from nodes.values import Image
from tests.models import TinyModels, sd1_parts


@node("Locked", category="test")
def locked(images: Image, password: Annotated[str, Secret()] = "") -> Image:
    """Takes a secret."""
    assert password == "open sesame"
    return images


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    pack.register(registry)
    registry.add(locked)
    return registry


@pytest.fixture
def models(tiny_models: TinyModels, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "loras").mkdir()
    shutil.copy(tiny_models.sd1(), folder / "checkpoints" / "tiny.safetensors")
    write_lora(folder / "loras" / "style.safetensors", seed=1)
    return folder


def write_lora(path: Path, seed: int) -> None:
    weight = sd1_parts().unet.state_dict()["conv_in.weight"]
    source = torch.Generator().manual_seed(seed)
    save_file({"diffusion_model.input_blocks.0.0.diff": torch.randn(weight.shape, generator=source)}, path)


def settings(models: Path, folder: Path, **more: object) -> Settings:
    return Settings(
        models_dirs=(models,),
        output_dir=folder / "output",
        temp_dir=folder / "temp",
        dtype="fp32",
        **more,  # type: ignore[arg-type]
    )


def workflow(registry: Registry, saver: str = "SaveImage", **options: object) -> Workflow:
    g = Graph(registry)
    checkpoint = g.LoadCheckpoint(ckpt_name="tiny.safetensors")
    styled = g.LoRA(model=checkpoint.model, clip=checkpoint.clip, lora_name="style.safetensors")
    positive = g.CLIPEncode(text="a red house", clip=styled.clip)
    negative = g.CLIPEncode(text="night", clip=styled.clip)
    sampler = g.KSampler(
        model=styled.model, seed=7, steps=2, cfg=2.0, sampler_name="dpmpp_2m", scheduler="karras",
        positive=positive, negative=negative, latent_image=g.EmptyLatentImage(width=64, height=64, batch_size=2),
        denoise=1.0,
    )  # fmt: skip
    images = g.VAEDecode(samples=sampler, vae=checkpoint.vae)
    g.add(saver, images=images, filename_prefix="made", **options)
    g.input("prompt", (positive, "text"))
    g.input("seed", (sampler, "seed"))
    return g.workflow()


@pytest.fixture
def engine(registry: Registry, models: Path, tmp_path: Path) -> Iterator[Engine]:
    with Engine(registry, settings=settings(models, tmp_path)) as engine:
        yield engine


def pictures(engine: Engine) -> list[Path]:
    return sorted(path for path in engine.settings.output_dir.glob("made*") if path.suffix != ".json")


def test_the_record_says_what_the_picture_was_made_of(engine: Engine, registry: Registry) -> None:
    engine.run(workflow(registry), prompt="a blue boat", seed=9)
    first, second = pictures(engine)
    record = read_record(first.read_bytes())
    assert record["inputs"] == {"prompt": "a blue boat", "seed": 9}
    assert list(record["seeds"].values()) == [9]
    assert {(used["kind"], used["name"]) for used in record["files"]} == {
        ("checkpoints", "tiny.safetensors"),
        ("loras", "style.safetensors"),
    }
    assert all(used["digest"].startswith("sha256:") for used in record["files"])
    assert record["environment"]["torch"].startswith("2.13.0")
    assert record["environment"]["dtype"] == "fp32"
    assert read_record(second.read_bytes())["index"] == 1
    assert all(node["source"] == "run" for node in record["nodes"].values())


def test_the_record_tells_what_came_from_a_cache(engine: Engine, registry: Registry) -> None:
    engine.run(workflow(registry), seed=9)
    for path in pictures(engine):
        path.unlink()
    engine.run(workflow(registry), seed=9)
    record = read_record(pictures(engine)[0].read_bytes())
    assert "cache" in {node["source"] for node in record["nodes"].values()}


@pytest.mark.parametrize(
    ("saver", "options"),
    [
        ("SaveImage", {}),
        ("ExportImage", {"format": "webp"}),
        ("ExportImage", {"format": "webp", "lossless": True}),
        ("ExportImage", {"format": "jpeg", "sidecar": True}),
        ("ExportImage", {"format": "png"}),
    ],
)
def test_a_picture_is_made_again_from_itself_alone(
    engine: Engine, registry: Registry, models: Path, tmp_path: Path, saver: str, options: dict[str, object]
) -> None:
    engine.run(workflow(registry, saver, **options))
    for path in pictures(engine):
        moved = tmp_path / f"elsewhere{path.suffix}"
        shutil.copy(path, moved)
        with Engine(registry, settings=settings(models, tmp_path / "other")) as fresh:
            verdict = verify_picture(moved, fresh)
        assert verdict.same
        assert verdict.differences == ()


def test_a_changed_lora_is_told_and_measured(engine: Engine, registry: Registry, models: Path) -> None:
    engine.run(workflow(registry))
    write_lora(models / "loras" / "style.safetensors", seed=2)
    verdict = verify_picture(pictures(engine)[0], engine)
    assert not verdict.same
    assert [difference.what for difference in verdict.differences] == ["file loras/style.safetensors"]
    assert verdict.largest is not None
    assert verdict.largest > 0
    assert verdict.share is not None
    assert 0 < verdict.share <= 1


def test_a_retouched_picture_is_found_out(engine: Engine, registry: Registry, tmp_path: Path) -> None:
    engine.run(workflow(registry))
    path = pictures(engine)[0]
    with Picture.open(path) as picture:
        picture.load()
        picture.putpixel((3, 3), (255, 0, 255))
        texts = picture.info
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        for name, text in texts.items():
            info.add_text(name, str(text))
        picture.save(tmp_path / "retouched.png", pnginfo=info)
    verdict = verify_picture(tmp_path / "retouched.png", engine)
    assert not verdict.same
    assert verdict.differences == ()
    assert verdict.share == pytest.approx(1 / (64 * 64))


def test_another_dtype_is_told(engine: Engine, registry: Registry, models: Path, tmp_path: Path) -> None:
    engine.run(workflow(registry))
    changed = settings(models, tmp_path)
    with Engine(registry, settings=Settings(models_dirs=changed.models_dirs, dtype="bf16")) as other:
        verdict = verify_picture(pictures(engine)[0], other)
    assert [(found.what, found.then, found.now) for found in verdict.differences] == [
        ("dtype", "fp32", "bf16")
    ]


def test_the_picture_is_a_workflow_in_every_format(engine: Engine, registry: Registry) -> None:
    document = workflow(registry)
    engine.run(document)
    found = read_metadata(pictures(engine)[0].read_bytes())
    assert found.prompt is not None
    assert found.parameters is not None
    assert found.graphcore is not None
    assert {entry["class_type"] for entry in json.loads(found.prompt).values()} >= {"KSampler", "SaveImage"}
    assert found.parameters.splitlines()[0] == "a red house"
    assert found.parameters.splitlines()[1] == "Negative prompt: night"
    assert (
        "Steps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 2.0, Seed: 7, Size: 64x64"
        in found.parameters
    )
    assert read_workflow(pictures(engine)[0], registry).nodes == document.nodes


def test_metadata_can_be_turned_off(registry: Registry, models: Path, tmp_path: Path) -> None:
    with Engine(registry, settings=settings(models, tmp_path, metadata=False)) as engine:
        engine.run(workflow(registry))
        with Picture.open(pictures(engine)[0]) as picture:
            assert picture.info == {}
        with pytest.raises(DocumentError):
            verify_picture(pictures(engine)[0], engine)


def test_a_side_car_holds_the_same_texts(engine: Engine, registry: Registry) -> None:
    engine.run(workflow(registry, "ExportImage", format="jpeg", sidecar=True))
    path = pictures(engine)[0]
    beside = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert beside["graphcore_record"] == dict(read_record(path.read_bytes()))


def test_webp_and_jpeg_say_that_an_algorithm_made_them(engine: Engine, registry: Registry) -> None:
    for kind in ("webp", "jpeg"):
        engine.run(workflow(registry, "ExportImage", format=kind))
    for path in pictures(engine):
        assert b"trainedAlgorithmicMedia" in path.read_bytes()


def test_secrets_stay_out_of_pictures(engine: Engine, registry: Registry) -> None:
    g = Graph(registry)
    plain = g.EmptyImage(width=8, height=8, batch_size=1, color=0)
    g.SaveImage(images=g.Locked(images=plain, password="open sesame"), filename_prefix="made")
    engine.run(g.workflow())
    data = pictures(engine)[0].read_bytes()
    assert b"graphcore_record" in data
    assert b"open sesame" not in data
