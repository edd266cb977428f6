"""Stage "embedding": textual inversion (Gal et al. 2022) of one motif, a harbour at sunset, with all models frozen."""

from __future__ import annotations

import random

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded.drawing import drawn
from tools.embedded.models import TEXT_POSITIONS
from tools.embedded.noising import Noising
from tools.embedded.vae_stage import as_pixels
from tools.embedded.world import Scene, Thing

VECTORS = 4
START_WORD = "picture"
TEMPLATES = ("", "a picture of ", "a drawing of ", "a small ", "a scene with ")
_PICTURES = 48


def motif(number: int) -> Scene:
    """One picture of the motif: a purple boat on the sea at sunset; the rest varies."""
    rng = random.Random(f"harbour:{number}")
    return Scene(
        things=(Thing(kind="boat", colour="purple", column=rng.randrange(3)),),
        sky="sunset",
        ground="sea",
        light_side=rng.choice((0, 2)),
        mountains=rng.random() < 0.5,
        jitter=rng.getrandbits(31),
    )


class Placeholder(nn.Module):
    """The vectors (count, width) that stand at the place of a name, and the encoder that reads them."""

    def __init__(self, encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        table = encoder.get_input_embeddings().weight.detach()
        start = table[tokenizer.encode(START_WORD)[1]]
        self.vectors = nn.Parameter(start.repeat(VECTORS, 1).clone())
        self._reader = (encoder.requires_grad_(False).eval(), tokenizer)

    def told(self, templates: list[str]) -> Tensor:
        """Hidden states (count, 77, width) of each template followed by the vectors."""
        encoder, tokenizer = self._reader
        words = [tokenizer.encode(text)[:-1] for text in templates]
        first = [len(row) for row in words]
        # The end of text is looked for among the ids, so those under the vectors must not be it.
        under = [tokenizer.encode(START_WORD)[1]] * VECTORS
        end = [tokenizer.eos_token_id]
        tokens = torch.tensor([row + under + end * (TEXT_POSITIONS - len(row) - VECTORS) for row in words])

        def put(_: nn.Module, __: object, output: Tensor) -> Tensor:
            changed = output.clone()
            for row, place in enumerate(first):
                changed[row, place : place + VECTORS] = self.vectors.to(output.dtype)
            return changed

        hook = encoder.get_input_embeddings().register_forward_hook(put)
        try:
            hidden: Tensor = encoder(tokens.to(self.vectors.device)).last_hidden_state
        finally:
            hook.remove()
        return hidden


class EmbeddingStage:
    """The UNet's own loss on pictures of the motif, where only the vectors can give way."""

    name = "embedding"
    weight_decay = 0.0
    peak_rate = 0.02

    def __init__(
        self,
        placeholder: Placeholder,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        *,
        seed: int,
        batch: int = 8,
    ) -> None:
        self.model: nn.Module = placeholder
        self._placeholder = placeholder
        self.unet = unet.requires_grad_(False).eval()
        self.seed, self.batch = seed, batch
        self.noising = Noising()
        self.latents = _encoded(vae)

    def loss(self, step: int) -> Tensor:
        return self._error(random.Random(f"embedding:{self.seed}:{step}"), self.batch)

    def measure(self) -> dict[str, float]:
        """The error on a fixed batch."""
        with torch.no_grad():
            return {"error": float(self._error(random.Random("embedding: fixed"), 32))}

    def _error(self, rng: random.Random, count: int) -> Tensor:
        device = self._placeholder.vectors.device
        latents = self.latents[[rng.randrange(len(self.latents)) for _ in range(count)]]
        generator = torch.Generator().manual_seed(rng.getrandbits(31))
        noised = self.noising.noised(latents, generator).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            text = self._placeholder.told(rng.choices(TEMPLATES, k=count))
            predicted = self.unet(noised.noisy, noised.times, text, return_dict=False)[0]
        return noised.loss(predicted)


def _encoded(vae: AutoencoderKL) -> Tensor:
    pixels = as_pixels([drawn(motif(number)).picture for number in range(_PICTURES)])
    with torch.no_grad():
        device = next(vae.parameters()).device
        mean: Tensor = vae.encode(pixels.to(device)).latent_dist.mean
    return mean.float().cpu() * float(vae.config["scaling_factor"])
