"""A family that this library does not know is added as docs/adding-a-family.md says, and nothing else is touched.

The toy here is a UNet with sixteen latent channels that predicts v and reads OpenCLIP alone.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcore import Context, DeclarationError, ModelFileError, detached_context
from nodes.conditioning.text import clip_encode
from nodes.diffusion.checkpoint import open_checkpoint
from nodes.diffusion.families import FAMILIES, Evidence, Families, Family, FolderEvidence, PartPlace, Tower
from nodes.diffusion.families import known as families_module
from nodes.diffusion.families.family import diffusion
from nodes.diffusion.network import LatentFormat
from nodes.diffusion.parameterization import DiscreteDiffusion
from nodes.models.loaders import load_checkpoint, load_diffusers_folder
from nodes.sampling.ksamplers import k_sampler
from nodes.values import Latent
from tests import models

CHANNELS = 16
SCALES = {"scaling_factor": 0.5, "shift_factor": 0.1}


def recognises(evidence: Evidence) -> bool:
    return evidence.network.get("input_blocks.0.0.weight", (0, 0))[1] == CHANNELS


def fits_folder(evidence: FolderEvidence) -> bool:
    return evidence.made_by == "UNet2DConditionModel" and evidence.config.get("in_channels") == CHANNELS


TOY = Family(
    name="toy",
    title="Toy Diffusion",
    towers=(Tower(part="clip_t", folder="text_encoder", layer=-2, pads_with_end=False, activation="gelu"),),
    places=(
        PartPlace(name="unet", kind="unet", prefixes=("model.diffusion_model.",)),
        PartPlace(name="vae", kind="vae", prefixes=("first_stage_model.",)),
        PartPlace(name="clip_t", kind="clip", prefixes=("toy_text.",), layout="openclip"),
    ),
    latent=LatentFormat(channels=CHANNELS, scale_factor=0.5, shift_factor=0.1),
    conditioning="text",
    recognises=recognises,
    fits_folder=fits_folder,
    parameterization=lambda scheduler: diffusion({"prediction_type": "v_prediction", **scheduler}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("toy")
    channels = {"in_channels": CHANNELS, "out_channels": CHANNELS, "cross_attention_dim": 128}
    network = models.seeded(lambda: models.make_unet(**{**models.SD1_UNET, **channels}))
    vae = models.seeded(
        lambda: models.make_vae(**{**models.VAE_CONFIG, "latent_channels": CHANNELS, **SCALES}), 1
    )
    text = models.sd2_parts().texts["clip_h"]
    state = (
        models.prefixed("model.diffusion_model.", models.unet_state(network))
        | models.prefixed("first_stage_model.", models.vae_state(vae))
        | models.prefixed("toy_text.", models.openclip_state(text))
    )
    tokenizer = {"graphcore.tokenizer": models.byte_tokenizer()}
    models.write(made / "checkpoints" / "toy.safetensors", state, metadata=tokenizer)
    parts = models.TinyParts(network, vae, {"clip_t": text})
    models.write_folder(made / "diffusers" / "toy", parts, {"prediction_type": "v_prediction"})
    (made / "diffusers" / "toy" / "model_index.json").write_text("{}")
    return made


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package said `[project.entry-points."graphcore.families"] toy = "...:TOY"`."""
    announce(monkeypatch, "TOY")


def announce(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    entry = EntryPoint(name="toy", value=f"{__name__}:{name}", group="graphcore.families")
    monkeypatch.setattr(
        families_module, "entry_points", lambda *, group: [entry] if entry.group == group else []
    )


def context(folder: Path) -> Context:
    return detached_context(models_dirs=(folder,), device="cpu", dtype="fp32")


def test_it_is_unknown_as_long_as_nobody_says_so(folder: Path) -> None:
    found = open_checkpoint(folder / "checkpoints" / "toy.safetensors")
    assert found.family is not None
    assert found.family.name != "toy"


@pytest.mark.parametrize("place", ["checkpoints/toy.safetensors", "diffusers/toy"])
def test_files_and_folders_of_it_are_recognised(folder: Path, place: str) -> None:
    found = open_checkpoint(folder / place, FAMILIES.before(TOY))
    assert found.family is TOY
    assert isinstance(found.parameterization, DiscreteDiffusion)
    assert found.parameterization.prediction == "v_prediction"
    assert {"unet", "vae"} <= found.parts.keys()


@pytest.mark.usefixtures("installed")
def test_an_installed_package_brings_it_to_every_node(folder: Path) -> None:
    ctx = context(folder)
    loaded = load_checkpoint(ctx, "toy.safetensors")
    network = load_diffusers_folder(ctx, "toy").model
    results = []
    for model in (loaded.model, network):
        sampled = k_sampler(
            ctx,
            model=model,
            seed=1,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            scheduler="normal",
            positive=clip_encode(ctx, "a cat", loaded.clip),
            negative=clip_encode(ctx, "", loaded.clip),
            latent_image=Latent(torch.zeros(1, CHANNELS, 8, 8)),
        )
        results.append(sampled.samples)
    assert results[0].shape == (1, CHANNELS, 8, 8)
    assert torch.allclose(*results, atol=1e-5)


def test_the_known_families_are_as_before_and_one_of_the_same_name_gives_way() -> None:
    assert FAMILIES.before(TOY).names == ("toy", *FAMILIES.names)
    assert FAMILIES.before(FAMILIES["sd1"]).names[0] == "sd1"
    assert len(FAMILIES.before(FAMILIES["sd1"]).members) == len(FAMILIES.members)


def test_an_entry_point_that_is_no_family_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "CHANNELS")
    with pytest.raises(DeclarationError, match=r"'toy' of graphcore\.families is no Family"):
        FAMILIES.with_installed()


def test_what_no_family_recognises_is_refused(folder: Path) -> None:
    nobody: Any = Families(())
    with pytest.raises(ModelFileError, match="no known model family"):
        open_checkpoint(folder / "checkpoints" / "toy.safetensors", nobody)
