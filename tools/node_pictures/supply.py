"""Values to try a node with: sample pictures, masks and sounds, the embedded checkpoint and what comes beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from graphcore.builder import Graph, NodeHandle, Output

SAMPLES: Final = Path(__file__).parent / "samples"
PICTURES: Final = ("boat.png", "castle.png", "balloon.png")
MASKS: Final = ("disc.png", "castle-mask.png")
SOUNDS: Final = ("bell.wav", "swell.wav")
PROMPTS: Final = (
    "a red boat in the middle on the water by day, clouds",
    "a yellow house in the middle on the grass by day, clouds",
)
REFUSED: Final = ""
FILES: Final[Mapping[str, str]] = {
    "checkpoints": "scenes-v1.safetensors",
    "clip_vision": "scenes-vision.safetensors",
    "controlnet": "scenes-outlines.safetensors",
    "input": PICTURES[0],
    "loras": "scenes-teal.safetensors",
    "safety": "scenes-safety.safetensors",
    "upscale_models": "scenes-2x.safetensors",
}
"""A file of each kind that comes along."""
SIDE: Final = 128
SEED: Final = 3
STEPS: Final = 16
CFG: Final = 5.0


class Supply:
    """Adds nodes to a graph that give a value of a type; the same one each time it is asked for."""

    def __init__(self, graph: Graph, prompts: Sequence[str] = PROMPTS, cfg: float = CFG) -> None:
        self.graph = graph
        self.prompts = prompts
        self.cfg = cfg
        self._made: dict[tuple[str, str], NodeHandle] = {}

    def of(self, kind: str, index: int = 0, *, negative: bool = False) -> Output | None:
        """A value of a socket type, or None where nothing that comes along gives one; `index` counts different ones."""
        if kind == "CONDITIONING":
            return self.prompt(REFUSED if negative else self.prompts[index % len(self.prompts)])
        make = self._makers.get(kind)
        return make(index) if make is not None else None

    @property
    def _makers(self) -> Mapping[str, Callable[[int], Output]]:
        return {
            "IMAGE": self.picture,
            "MASK": self.mask,
            "AUDIO": lambda index: self._one("LoadAudio", audio=SOUNDS[index % len(SOUNDS)])[0],
            "LATENT": self.latent,
            "MODEL": lambda _: self.checkpoint.model,
            "CLIP": lambda _: self.checkpoint.clip,
            "VAE": lambda _: self.checkpoint.vae,
            "CONTROL_NET": lambda _: self._one("LoadControlNet", control_net_name=FILES["controlnet"])[0],
            "CLIP_VISION": lambda _: self._one("LoadCLIPVision", clip_name=FILES["clip_vision"])[0],
            "UPSCALE_MODEL": lambda _: self._one("LoadUpscaleModel", model_name=FILES["upscale_models"])[0],
            "LATENT_OPERATION": lambda _: self._one("LatentOperationSharpen", alpha=0.2)[0],
            "SAMPLER": lambda _: self._one("KSamplerSelect", sampler_name="dpmpp_2m")[0],
            "SIGMAS": lambda _: self.sigmas,
            "NOISE": lambda _: self._one("RandomNoise", noise_seed=SEED)[0],
            "GUIDER": lambda _: self._one("CFGGuider", **self.guidance)[0],
        }

    @property
    def checkpoint(self) -> NodeHandle:
        return self._one("LoadCheckpoint", ckpt_name=FILES["checkpoints"])

    @property
    def guidance(self) -> dict[str, object]:
        """What a sampler wants beside its latent."""
        return {
            "model": self.checkpoint.model,
            "positive": self.prompt(self.prompts[0]),
            "negative": self.prompt(REFUSED),
            "cfg": self.cfg,
        }

    @property
    def sigmas(self) -> Output:
        model = self.checkpoint.model
        return self._one("BasicScheduler", model=model, scheduler="karras", steps=STEPS)[0]

    def empty_latent(self, width: int = SIDE) -> Output:
        return self._one("EmptyLatentImage", width=width, height=SIDE, batch_size=1)[0]

    def picture(self, index: int) -> Output:
        return self._one("LoadImage", image=PICTURES[index % len(PICTURES)]).image

    def mask(self, index: int) -> Output:
        return self._one("LoadImageMask", image=MASKS[index % len(MASKS)], channel="red")[0]

    def latent(self, index: int) -> Output:
        return self._one("VAEEncode", pixels=self.picture(index), vae=self.checkpoint.vae)[0]

    def special(self, name: str) -> Output:
        """A sample that only some nodes want, by its name."""
        soft = {"mask": self.mask(0), "left": 64, "top": 64, "right": 64, "bottom": 64}
        made: Mapping[str, Callable[[], Output]] = {
            "outlines": lambda: self._one(
                "Canny", image=self.picture(0), low_threshold=0.2, high_threshold=0.4
            )[0],
            "inverted_mask": lambda: self._one("InvertMask", mask=self.mask(0))[0],
            "picture": lambda: self.picture(0),
            "cutout": lambda: self._one("JoinImageWithAlpha", image=self.picture(1), alpha=self.mask(1))[0],
            "soft_mask": lambda: self._one("FeatherMask", **soft)[0],
            "brightness": lambda: self._plane(0),
            "blueness": lambda: self._plane(1),
            "redness": lambda: self._plane(2),
        }
        return made[name]()

    def _plane(self, index: int) -> Output:
        return self._one("ImageRGBToYUV", image=self.picture(0))[index]

    def prompt(self, text: str, clip: Output | None = None) -> Output:
        return self._one("CLIPEncode", clip=clip or self.checkpoint.clip, text=text)[0]

    def _one(self, type_name: str, **inputs: object) -> NodeHandle:
        key = (type_name, repr(sorted(inputs.items(), key=lambda pair: pair[0])))
        if key not in self._made:
            self._made[key] = self.graph.add(type_name, inputs)
        return self._made[key]
