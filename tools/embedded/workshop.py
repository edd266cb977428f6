"""Runs the stages in one folder: each reads what earlier stages left there and continues where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel

from tools.embedded.diffusion_stage import DiffusionStage, Emphasis, Lesson, Pair
from tools.embedded.drawing import SIDE
from tools.embedded.export import Parts, export
from tools.embedded.held_out import load_held_out
from tools.embedded.latents import PROBE_FIRST, LatentSet, encode_set, read_sets, set_path, spread
from tools.embedded.models import new_text_encoder, new_unet, new_vae
from tools.embedded.probes import build_probes
from tools.embedded.recipe import Recipe
from tools.embedded.sharpening_stage import SharpeningStage
from tools.embedded.text_stage import SHARES, TextPair, TextStage
from tools.embedded.tokenizer import vocabulary
from tools.embedded.training import Plan, Trainer
from tools.embedded.vae_stage import VaeStage

_LARGER_FIRST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A folder of training state, a recipe and a device ("cpu" or "cuda")."""

    folder: Path
    recipe: Recipe
    device: str = "cpu"
    measure_every: int = 250

    def train_vae(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "vae": encoder and decoder from nothing."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed)
        stage = VaeStage(
            new_vae(recipe.sizes).to(self.device),
            steps=recipe.vae_steps,
            growth=recipe.growth,
            seed=1000 * recipe.seed,
            peak_rate=recipe.vae_rate,
        )
        self.run_trainer(
            Trainer(
                stage,
                Plan(steps=recipe.vae_steps, stop=stop, warm_up=40, measure_every=self.measure_every),
                self.folder / "vae",
            ),
            resume,
        )

    def encode(self, phase: str, *, part: int = 0, parts: int = 1, side: int = SIDE) -> None:
        """Stage "latents": draw and encode the pictures of a phase; "probe-one" and "probe-two" serve measuring."""
        vae = self.trained_vae(decoder=False)
        probe = phase.startswith("probe-")
        real = phase.removeprefix("probe-")
        pictures = self.recipe.pictures if side == SIDE else self.recipe.larger_pictures[side]
        count = self.recipe.probes if probe else dict(pictures)[real] // parts
        first = PROBE_FIRST if probe else 2 * count * part + (0 if side == SIDE else side * _LARGER_FIRST)
        path = set_path(self.folder / "latents", phase, side, part)
        encode_set(vae, real, path, first=first, count=count, held_out=load_held_out(), side=side)

    def train_text(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "text": the text encoder from nothing, on captions alone."""
        torch.manual_seed(self.recipe.seed)
        self._train_text("text", TextPair(self._new_text_encoder()), self.recipe.text_rate, resume, stop)

    def reread(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "rereading": the text encoder of "diffusion" learns captions again, before "refining"."""
        pair = TextPair(self._new_text_encoder())
        state = averaged(self.folder / "diffusion")
        pair.load_state_dict({name: state[name] for name in pair.state_dict()})
        self._train_text("rereading", pair, self.recipe.rereading_rate, resume, stop, seed=1)

    def read_pairs(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "pair-reading": the text encoder of "refining" learns captions of two things, before "finishing"."""
        pair = TextPair(self._new_text_encoder())
        state = averaged(self.folder / "refining")
        pair.load_state_dict({name: state[name] for name in pair.state_dict()})
        recipe = self.recipe
        self._train_text(
            "pair-reading",
            pair,
            recipe.pair_reading_rate,
            resume,
            stop,
            steps=recipe.pair_reading_steps,
            seed=3,
            shares=recipe.pair_reading,
        )

    def _train_text(
        self,
        name: str,
        pair: TextPair,
        rate: float,
        resume: bool,
        stop: int | None,
        *,
        steps: int | None = None,
        seed: int = 0,
        shares: Mapping[str, float] = SHARES,
    ) -> None:
        recipe = self.recipe
        stage = TextStage(
            pair.to(self.device),
            vocabulary().tokenizer(),
            seed=recipe.seed + seed,
            held_out=load_held_out(),
            batch=recipe.text_batch,
            peak_rate=rate,
            shares=shares,
        )
        stage.name = name
        plan = Plan(
            steps=steps or recipe.text_steps,
            stop=stop,
            warm_up=40,
            flat=0.4,
            averaging=0.995,
            measure_every=self.measure_every,
        )
        self.run_trainer(Trainer(stage, plan, self.folder / name), resume)

    def train_diffusion(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "diffusion": the UNet from nothing with the text encoder, one lesson after another."""
        recipe = self.recipe
        pair = self._new_pair()
        text = averaged(self.folder / "text")
        pair.load_state_dict(pair.state_dict() | text)
        stage = self._diffusion_stage(pair, recipe.lessons, seed=recipe.seed, rate=recipe.diffusion_rate)
        plan = Plan(steps=recipe.diffusion_steps, stop=stop, flat=0.55, measure_every=self.measure_every)
        self.run_trainer(Trainer(stage, plan, self.folder / "diffusion"), resume)

    def refine_diffusion(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "refining": goes on from "diffusion" and "rereading" with a fresh optimiser."""
        recipe = self.recipe
        stage = self._next_stage(
            "refining",
            ("diffusion", "rereading"),
            (recipe.refining,),
            seed=recipe.seed + 1,
            rate=recipe.refining_rate,
            emphasis=recipe.refining_emphasis,
        )
        plan = Plan(steps=recipe.refining_steps, stop=stop, flat=0.3, measure_every=self.measure_every)
        self.run_trainer(Trainer(stage, plan, self.folder / stage.name), resume)

    def finish_diffusion(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "finishing": goes on from "refining" and "pair-reading", with more shapes and more pairs."""
        recipe = self.recipe
        stage = self._next_stage(
            "finishing",
            ("refining", "pair-reading"),
            recipe.finishing,
            seed=recipe.seed + 2,
            rate=recipe.finishing_rate,
            emphasis=recipe.finishing_emphasis,
        )
        plan = Plan(steps=recipe.finishing_steps, stop=stop, flat=0.4, measure_every=self.measure_every)
        self.run_trainer(Trainer(stage, plan, self.folder / stage.name), resume)

    def polish_diffusion(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "polishing": the UNet of "finishing" learns larger pictures and dwells on the forms of things."""
        recipe = self.recipe
        stage = self._next_stage(
            "polishing",
            ("finishing",),
            (recipe.polishing,),
            seed=recipe.seed + 3,
            rate=recipe.polishing_rate,
            emphasis=recipe.polishing_emphasis,
            unet_only=True,
        )
        plan = Plan(steps=recipe.polishing_steps, stop=stop, flat=0.4, measure_every=self.measure_every)
        self.run_trainer(Trainer(stage, plan, self.folder / stage.name), resume)

    def train_decoder(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "decoder": the decoder alone, on whole pictures, latents unchanged."""
        recipe = self.recipe
        growth = ((1.0, recipe.sizes.side, recipe.decoder_batch),)
        stage = VaeStage(
            self.trained_vae(decoder=False),
            steps=recipe.decoder_steps,
            growth=growth,
            seed=1000 * recipe.seed + 500_000,
            decoder_only=True,
            peak_rate=recipe.decoder_rate,
        )
        plan = Plan(steps=recipe.decoder_steps, stop=stop, flat=0.3, measure_every=self.measure_every)
        self.run_trainer(Trainer(stage, plan, self.folder / "decoder"), resume)

    def sharpen_decoder(self, *, resume: bool, stop: int | None = None) -> None:
        """Stage "sharpening": the decoder of "decoder" dwells on the forms of things."""
        recipe, folder = self.recipe, self.folder / "latents"
        vae = new_vae(recipe.sizes)
        vae.load_state_dict(averaged(self.folder / "decoder"))
        stage = SharpeningStage(
            vae.to(self.device),
            lambda phase, side: read_sets(folder, phase, side),
            recipe.sharpening,
            seed=recipe.seed,
            peak_rate=recipe.sharpening_rate,
        )
        plan = Plan(steps=recipe.sharpening_steps, stop=stop, flat=0.4, measure_every=self.measure_every)
        self.run_trainer(Trainer(stage, plan, self.folder / "sharpening"), resume)

    def trained_vae(self, *, decoder: bool = True) -> AutoencoderKL:
        """The autoencoder so far, averaged weights; with `decoder`, its last decoder if one was trained alone."""
        vae = new_vae(self.recipe.sizes)
        stages = ("sharpening", "decoder", "vae") if decoder else ("vae",)
        stage = next(name for name in stages if (self.folder / name / "state.pt").exists())
        vae.load_state_dict(averaged(self.folder / stage))
        return vae.to(self.device)

    def parts(self) -> Parts:
        """The checkpoint as trained so far: the last diffusion stage begun, averaged weights."""
        stages = ("polishing", "finishing", "refining", "diffusion")
        return self.parts_of(next(name for name in stages if (self.folder / name / "state.pt").exists()))

    def parts_of(self, stage: str) -> Parts:
        """The checkpoint with UNet and text encoder of one stage, averaged weights."""
        pair = self._new_pair()
        pair.load_state_dict(averaged(self.folder / stage))
        vae = self.trained_vae().cpu()
        vae.register_to_config(scaling_factor=round(self.scale(), 5))
        return Parts(
            unet=pair.unet.cpu().eval(),
            vae=vae.eval(),
            text_encoder=pair.text_encoder.cpu().eval(),
            vocabulary=vocabulary(),
        )

    def export(self, path: Path, *, title: str, date: str) -> int:
        """Write the checkpoint so far; returns its size in bytes."""
        return export(self.parts(), path, title=title, date=date, training=self.record())

    def record(self) -> dict[str, Any]:
        """What was run: the recipe, and steps, seconds and last figures of each stage."""
        stages = {}
        for path in sorted(self.folder.glob("*/record.json")):
            record = json.loads(path.read_text())
            record["figures"] = record["figures"][-1:]
            stages[path.parent.name] = record
        return {"recipe": asdict(self.recipe), "stages": stages, "device": self.device}

    def run_trainer(self, trainer: Trainer, resume: bool) -> None:
        """Train to the end of the plan, from the saved state if `resume`."""
        if resume:
            trainer.resume()
        trainer.run()

    def _new_text_encoder(self) -> CLIPTextModel:
        return new_text_encoder(self.recipe.sizes, vocabulary=len(vocabulary().tokens))

    def _new_pair(self) -> Pair:
        torch.manual_seed(self.recipe.seed)
        text_encoder = self._new_text_encoder()
        return Pair(new_unet(self.recipe.sizes), text_encoder).to(self.device)

    def _next_stage(
        self,
        name: str,
        before: tuple[str, ...],
        lessons: tuple[Lesson, ...],
        *,
        seed: int,
        rate: float,
        emphasis: Emphasis,
        unet_only: bool = False,
    ) -> DiffusionStage:
        """A stage that goes on from the averaged weights of those before it; of each weight, the last counts."""
        pair = self._new_pair()
        start: dict[str, torch.Tensor] = {}
        for stage in before:
            start |= averaged(self.folder / stage)
        pair.load_state_dict(start)
        made = self._diffusion_stage(
            pair, lessons, seed=seed, rate=rate, emphasis=emphasis, unet_only=unet_only
        )
        made.name = name
        return made

    def _diffusion_stage(
        self,
        pair: Pair,
        lessons: tuple[Lesson, ...],
        *,
        seed: int,
        rate: float,
        emphasis: Emphasis | None = None,
        unet_only: bool = False,
    ) -> DiffusionStage:
        folder = self.folder / "latents"
        probes = build_probes(self._probe_set("one"), self._probe_set("two"))
        return DiffusionStage(
            pair,
            vocabulary().tokenizer(),
            lambda phase, side: read_sets(folder, phase, side),
            lessons,
            scale=self.scale(),
            seed=seed,
            avoid=load_held_out().texts,
            probes=probes,
            emphasis=emphasis or Emphasis(),
            peak_rate=rate,
            unet_only=unet_only,
        )

    def _probe_set(self, phase: str) -> LatentSet:
        return replace(read_sets(self.folder / "latents", f"probe-{phase}"), phase=phase)

    def scale(self) -> float:
        """What latents are multiplied with to have unit deviation."""
        return 1 / spread([self._probe_set("two")])


def averaged(folder: Path) -> dict[str, torch.Tensor]:
    """The model's state with the averaged weights of the stage saved in `folder`."""
    saved = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
    state = dict(saved["model"])
    state.update(zip(saved["names"], saved["average"], strict=True))
    return state
