"""The stages of the models beside the checkpoint: safety model, upscaler, vision tower, ControlNet, embedding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPVisionModelWithProjection

from tools.embedded.companions import (
    Title,
    export_control,
    export_embedding,
    export_inpainting,
    export_upscaler,
    export_vision,
)
from tools.embedded.control_stage import ControlStage, new_control
from tools.embedded.embedding_stage import EmbeddingStage, Placeholder
from tools.embedded.export import Parts, load
from tools.embedded.held_out import load_held_out
from tools.embedded.inpainting_stage import InpaintingStage, encode_masked, read_masked, widened
from tools.embedded.latents import read_sets
from tools.embedded.safety_stage import (
    Generated,
    SafetyStage,
    calibrate,
    calibration_prompts,
    drawings_apart,
    export_checker,
    new_checker,
)
from tools.embedded.sampling import Sampling, sample
from tools.embedded.training import Plan, Trainer
from tools.embedded.upscaler_stage import Compact, UpscalerStage
from tools.embedded.vision_stage import VisionPair, VisionStage, new_tower
from tools.embedded.workshop import Workshop, averaged

UPSCALER = "upscale_models/scenes-2x.safetensors"
VISION = "clip_vision/scenes-vision.safetensors"
CONTROL = "controlnet/scenes-outlines.safetensors"
INPAINTING = "diffusion_models/scenes-inpainting.safetensors"
EMBEDDING = "embeddings/scenes-harbour.safetensors"
_UPSCALER_SAID = "Doubles the side of pictures of the scenes checkpoint."
_VISION_SAID = "CLIP vision tower whose vectors compare with the scenes checkpoint's pooled text vectors."
_CONTROL_SAID = (
    "ControlNet of the scenes checkpoint: follows white outlines on black, as the Canny node draws them."
)
_INPAINTING_SAID = (
    "UNet of nine channels for inpainting, beside the scenes checkpoint's text encoder and VAE."
)
_EMBEDDING_SAID = "Textual inversion of the scenes checkpoint: a purple boat on the sea at sunset."


@dataclass(frozen=True, slots=True)
class Annexe:
    """Trains beside a workshop, in its folder, what needs the finished checkpoint."""

    shop: Workshop

    def sample_for_safety(self, checkpoint: Path) -> None:
        """Stage "safety-pictures": what the checkpoint makes of prompts with and without the forbidden thing."""
        parts = load(checkpoint)
        bad, good = (
            tuple(
                sample(
                    parts, prompts, range(len(prompts)), settings=Sampling(side=self.shop.recipe.sizes.side)
                )
            )
            for prompts in calibration_prompts(self.shop.recipe.calibration)
        )
        Generated(bad, good).write(self._safety_pictures)

    def train_safety(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "safety": the checker of the forbidden thing, on drawings and on pictures of "safety-pictures"."""
        torch.manual_seed(self.shop.recipe.seed)
        train, _ = Generated.read(self._safety_pictures).split()
        stage = SafetyStage(
            new_checker().to(self.shop.device),
            seed=self.shop.recipe.seed,
            batch=self.shop.recipe.safety_batch,
            generated=train,
        )
        plan = Plan(steps=self.shop.recipe.safety_steps, stop=stop, measure_every=self.shop.measure_every)
        self.shop.run_trainer(Trainer(stage, plan, self.shop.folder / "safety"), resume)

    def export_safety(self, path: Path, *, date: str) -> int:
        """Write the checker, its threshold set on pictures kept out of its training; returns its size in bytes."""
        checker = new_checker()
        checker.load_state_dict(averaged(self.shop.folder / "safety"))
        _, kept = Generated.read(self._safety_pictures).split()
        drawn = drawings_apart(8 * self.shop.recipe.calibration)
        bad, good = kept.bad + drawn.bad, kept.good + drawn.good
        threshold = calibrate(checker.eval(), bad, good)
        training = {**self.shop.record(), "threshold": threshold, "calibrated_on": [len(bad), len(good)]}
        return export_checker(checker, path, date=date, training=training)

    def train_upscaler(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "upscaler": twice the side, on drawings and on what the autoencoder makes of them."""
        recipe = self.shop.recipe
        torch.manual_seed(recipe.seed)
        stage = UpscalerStage(
            self._new_upscaler(), self.shop.trained_vae(), seed=recipe.seed, batch=recipe.upscaler_batch
        )
        plan = Plan(steps=recipe.upscaler_steps, stop=stop, flat=0.3, measure_every=self.shop.measure_every)
        self.shop.run_trainer(Trainer(stage, plan, self.shop.folder / "upscaler"), resume)

    def train_vision(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "vision": the CLIP vision tower beside the finished text encoder."""
        recipe = self.shop.recipe
        torch.manual_seed(recipe.seed)
        parts = self.shop.parts()
        stage = VisionStage(
            VisionPair(self._new_tower()).to(self.shop.device),
            parts.text_encoder.to(self.shop.device),
            parts.tokenizer(),
            seed=recipe.seed,
            held_out=load_held_out(),
            batch=recipe.vision_batch,
        )
        plan = Plan(steps=recipe.vision_steps, stop=stop, flat=0.3, measure_every=self.shop.measure_every)
        self.shop.run_trainer(Trainer(stage, plan, self.shop.folder / "vision"), resume)

    def train_control(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "control": a ControlNet of outlines beside the finished UNet."""
        recipe, folder = self.shop.recipe, self.shop.folder / "latents"
        torch.manual_seed(recipe.seed)
        parts = self.shop.parts()
        unet = parts.unet.to(self.shop.device)
        stage = ControlStage(
            new_control(unet).to(self.shop.device),
            unet,
            parts.text_encoder.to(self.shop.device),
            parts.tokenizer(),
            lambda phase: read_sets(folder, phase),
            shares=recipe.control_shares,
            scale=self.shop.scale(),
            seed=recipe.seed,
            batch=recipe.control_batch,
        )
        plan = Plan(steps=recipe.control_steps, stop=stop, flat=0.5, measure_every=self.shop.measure_every)
        self.shop.run_trainer(Trainer(stage, plan, self.shop.folder / "control"), resume)

    def encode_masked(self) -> None:
        """Stage "masked-latents": pictures with a region to fill, encoded."""
        recipe = self.shop.recipe
        encode_masked(
            self.shop.trained_vae(decoder=False),
            self._masked,
            shares=recipe.inpainting_shares,
            count=recipe.masked_pictures,
            held_out=load_held_out(),
        )

    def train_inpainting(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "inpainting": a UNet of nine channels, from that of "finishing"."""
        recipe = self.shop.recipe
        torch.manual_seed(recipe.seed)
        parts = self.shop.parts_of("finishing")
        stage = InpaintingStage(
            widened(parts.unet, recipe.sizes).to(self.shop.device),
            parts.text_encoder.to(self.shop.device),
            parts.tokenizer(),
            read_masked(self._masked, recipe.inpainting_shares),
            scale=self.shop.scale(),
            seed=recipe.seed,
            batch=recipe.inpainting_batch,
            peak_rate=recipe.inpainting_rate,
            avoid=load_held_out().texts,
        )
        plan = Plan(steps=recipe.inpainting_steps, stop=stop, flat=0.4, measure_every=self.shop.measure_every)
        self.shop.run_trainer(Trainer(stage, plan, self.shop.folder / "inpainting"), resume)

    def train_embedding(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "embedding": a textual inversion beside the finished UNet."""
        recipe = self.shop.recipe
        parts = self.shop.parts()
        stage = EmbeddingStage(
            self._new_placeholder(parts),
            parts.unet.to(self.shop.device),
            parts.vae.to(self.shop.device),
            seed=recipe.seed,
            batch=recipe.embedding_batch,
        )
        plan = Plan(
            steps=recipe.embedding_steps,
            stop=stop,
            warm_up=10,
            averaging=0.98,
            measure_every=self.shop.measure_every,
        )
        self.shop.run_trainer(Trainer(stage, plan, self.shop.folder / "embedding"), resume)

    def export_companions(self, folder: Path, *, date: str) -> dict[str, int]:
        """Write the models beside the checkpoint below `folder`; returns each file's size in bytes."""
        parts = self.shop.parts()
        upscaler, tower = self._new_upscaler(), VisionPair(self._new_tower())
        control, placeholder = new_control(parts.unet), self._new_placeholder(parts)
        inpainting = widened(parts.unet, self.shop.recipe.sizes)
        models: dict[str, nn.Module] = {
            "upscaler": upscaler,
            "vision": tower,
            "control": control,
            "embedding": placeholder,
            "inpainting": inpainting,
        }
        for stage, model in models.items():
            model.load_state_dict(averaged(self.shop.folder / stage))

        def titled(stage: str, title: str, description: str) -> Title:
            record = json.loads((self.shop.folder / stage / "record.json").read_text())
            record["figures"] = record["figures"][-1:]
            return Title(title=title, description=description, date=date, training=record)

        return {
            UPSCALER: export_upscaler(
                upscaler, folder / UPSCALER, titled("upscaler", "graphcore scenes 2x", _UPSCALER_SAID)
            ),
            VISION: export_vision(
                tower.tower, folder / VISION, titled("vision", "graphcore scenes vision", _VISION_SAID)
            ),
            CONTROL: export_control(
                control, folder / CONTROL, titled("control", "graphcore scenes outlines", _CONTROL_SAID)
            ),
            INPAINTING: export_inpainting(
                inpainting,
                folder / INPAINTING,
                titled("inpainting", "graphcore scenes inpainting", _INPAINTING_SAID),
                scale=float(parts.vae.config["scaling_factor"]),
            ),
            EMBEDDING: export_embedding(
                placeholder,
                folder / EMBEDDING,
                titled("embedding", "graphcore scenes harbour", _EMBEDDING_SAID),
            ),
        }

    def _new_upscaler(self) -> Compact:
        width, layers = self.shop.recipe.upscaler_size
        return Compact(width=width, layers=layers).to(self.shop.device)

    def _new_placeholder(self, parts: Parts) -> Placeholder:
        return Placeholder(parts.text_encoder.to(self.shop.device), parts.tokenizer()).to(self.shop.device)

    def _new_tower(self) -> CLIPVisionModelWithProjection:
        sizes = self.shop.recipe.sizes
        return new_tower(side=sizes.side, projection=sizes.text_width, **self.shop.recipe.vision_size)

    @property
    def _masked(self) -> Path:
        return self.shop.folder / "latents" / "masked" / "pictures.safetensors"

    @property
    def _safety_pictures(self) -> Path:
        return self.shop.folder / "safety-pictures" / "pictures.npz"
