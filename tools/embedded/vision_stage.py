"""Stage "vision": a CLIP vision tower learns to put a picture where the checkpoint's text encoder puts its caption."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from tools.embedded.captions import FULL, caption
from tools.embedded.drawing import picture_of
from tools.embedded.held_out import HeldOut
from tools.embedded.safety_stage import seen
from tools.embedded.world import PHASES, Draw, Scene

_SHARES = {"one": 0.35, "light": 0.25, "two": 0.2, "pairs": 0.2}
_CANDIDATES = 20
_UNSEEN = 200


class VisionPair(nn.Module):
    """The tower and the learned sharpness of the comparison (CLIP's logit scale, Radford et al. 2021)."""

    def __init__(self, tower: CLIPVisionModelWithProjection) -> None:
        super().__init__()
        self.tower = tower
        self.sharpness = nn.Parameter(torch.tensor(2.6))


def new_tower(
    *, side: int, projection: int, width: int = 128, layers: int = 4, patch: int = 16
) -> CLIPVisionModelWithProjection:
    """A vision transformer that sees `side` pixels in patches of 16 and ends in the text encoder's width."""
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=width * 4,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=side,
        patch_size=patch,
        projection_dim=projection,
        hidden_act="quick_gelu",
    )
    config._attn_implementation = "eager"
    return CLIPVisionModelWithProjection(config)


class VisionStage:
    """Contrast of drawings and their captions; the text encoder stays as it is, so that its vectors keep their use."""

    name = "vision"
    weight_decay = 0.02
    peak_rate = 1e-3

    def __init__(
        self,
        pair: VisionPair,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        *,
        seed: int,
        held_out: HeldOut,
        batch: int = 48,
    ) -> None:
        self.model, self.text_encoder, self.tokenizer = pair, text_encoder.eval(), tokenizer
        self.seed, self.held_out, self.batch = seed, held_out, batch

    def loss(self, step: int) -> Tensor:
        rng = random.Random(f"vision:{self.seed}:{step}")
        scenes = self._scenes(rng, self.batch)
        pictures = self._pictured(scenes, rng)
        texts = self._told([caption(scene, rng) for scene in scenes])
        logits = pictures @ texts.T * self.model.sharpness.exp()
        right = torch.arange(len(scenes), device=logits.device)
        loss: Tensor = (
            functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)
        ) / 2
        return loss

    def measure(self) -> dict[str, float]:
        """Share of unseen drawings whose own caption is nearest among twenty."""
        rng = random.Random("vision: unseen")
        scenes = self._scenes(rng, _UNSEEN)
        with torch.no_grad():
            pictures = self._pictured(scenes, rng)
            texts = self._told([caption(scene, rng, FULL) for scene in scenes])
        near = (pictures @ texts.T).view(-1, _CANDIDATES, _UNSEEN)
        groups = [row[:, k * _CANDIDATES : (k + 1) * _CANDIDATES] for k, row in enumerate(near)]
        right = [(group.argmax(1) == torch.arange(_CANDIDATES)).float().mean() for group in groups]
        return {"own_caption_of_20": float(torch.stack(right).mean())}

    def _scenes(self, rng: random.Random, count: int) -> list[Scene]:
        scenes: list[Scene] = []
        while len(scenes) < count:
            phase = rng.choices(list(_SHARES), list(_SHARES.values()))[0]
            scene = Draw(PHASES[phase], rng).scene()
            if scene.meaning() not in self.held_out.meanings:
                scenes.append(scene)
        return scenes

    def _pictured(self, scenes: Sequence[Scene], rng: random.Random) -> Tensor:
        tower = self.model.tower
        side, device = int(tower.config.image_size), next(tower.parameters()).device
        pictures = [_softened(picture_of(scene), rng) for scene in scenes]
        pixels = torch.stack([seen(picture, side) for picture in pictures]).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            embeddings = tower(pixels).image_embeds
        return functional.normalize(embeddings.float(), dim=1)

    def _told(self, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(list(texts), padding="longest", truncation=True, return_tensors="pt")
        device = next(self.text_encoder.parameters()).device
        with torch.no_grad():
            pooled = self.text_encoder(tokens["input_ids"].to(device)).pooler_output
        return functional.normalize(pooled.float(), dim=1)


def _softened(picture: Image.Image, rng: random.Random) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(rng.choice((0, 0.6, 1.2))))
