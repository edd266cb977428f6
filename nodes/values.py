"""What travels on the wires of diffusion workflows.

Values are immutable. Pictures and latents hold tensors; models are references: a file, the part of it that is
meant, and what is to be done to it (patches, options). Weights live in the model store alone, so that loading a
checkpoint or adding a LoRA costs nothing until somebody computes with it. No torch is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphcore.sockets import socket

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyVerdict:
    """What the safety filter said of one picture: flagged or not, and the score of each concept."""

    flagged: bool
    scores: tuple[float, ...]
    action: str


@socket("IMAGE")
@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A batch of pictures: float32 RGB in [0, 1], sRGB, shape (batch, height, width, 3).

    `verdicts`, one a picture, are there when a safety filter has looked at them.
    """

    pixels: Tensor
    verdicts: tuple[SafetyVerdict, ...] = ()


@socket("AUDIO")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Audio:
    """Sound: float32 in [-1, 1], shape (channels, samples), at `sample_rate` samples a second."""

    waveform: Tensor
    sample_rate: int


@socket("VIDEO")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Video:
    """Frames that follow each other at `fps` a second, with sound or without."""

    frames: Image
    fps: float
    audio: Audio | None = None


@socket("MASK")
@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A batch of masks: float32 in [0, 1], shape (batch, height, width); 1 is the part to change."""

    values: Tensor


@socket("LATENT")
@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """A batch of latents as the VAE gives them, before its scaling factor: shape (batch, channels, height, width).

    `noise_mask` (batch, height, width) in [0, 1]: where 0, sampling keeps the latent as it is.
    `batch_index` numbers the samples for their noise, when they were cut from a larger batch.
    """

    samples: Tensor
    noise_mask: Tensor | None = None
    batch_index: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """A file in one of the model folders: its kind ("checkpoints"), its name there, and its fingerprint."""

    kind: str
    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Base of what changes weights when a model is used: LoRA, hypernetwork, merge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPatch(Patch):
    """An adapter file (LoRA, LoHa, LoKr, DoRA ...), applied with a strength."""

    file: FileRef
    strength: float


@socket("LORA_MODEL")
@dataclass(frozen=True, slots=True, kw_only=True)
class LoraWeights:
    """A trained adapter that no file holds yet: tensors by the names of LoRA files, and what its file will say of it.

    `digest` stands for the content; `steps` is how long it was trained.
    """

    digest: str
    steps: int
    tensors: Mapping[str, Tensor] = field(compare=False, repr=False)
    metadata: Mapping[str, str] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedPatch(Patch):
    """A trained adapter, applied with a strength."""

    lora: LoraWeights
    strength: float


@socket("LOSS_MAP")
@dataclass(frozen=True, slots=True, kw_only=True)
class LossCurve:
    """The loss of each step of a training."""

    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOption:
    """Base of what changes how a model is sampled; of two of one kind, the later holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionOption(ModelOption):
    """What a diffusion network predicts, whatever its file says: "eps", "v_prediction", "lcm" or "x0".

    `zero_snr`: it was trained up to noise without any signal.
    """

    prediction: str
    zero_snr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowShiftOption(ModelOption):
    """How far the time of a rectified flow is moved towards noise."""

    shift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RescaleOption(ModelOption):
    """Classifier-free guidance brings contrast back to that of the positive prediction, by this share."""

    multiplier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbedAttentionOption(ModelOption):
    """Guidance also leads away from what the network predicts without its self-attention, by this scale."""

    scale: float


GuidanceFunction = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GuidanceFunctions(ModelOption):
    """Functions of other people's nodes that take part in guidance; each is given a dictionary, as ComfyUI's are.

    `combine` makes one prediction of the positive and the negative one, `before` are called before that, `after`
    change its result. With `always_both` the negative prediction is made even where guidance would not need it.
    `options` is what those nodes keep with the model.
    """

    combine: GuidanceFunction | None = None
    before: tuple[GuidanceFunction, ...] = ()
    after: tuple[GuidanceFunction, ...] = ()
    always_both: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def acts(self) -> bool:
        """True if anything is changed."""
        return self.combine is not None or bool(self.before) or bool(self.after)


@socket("MODEL")
@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A diffusion network, by reference."""

    file: FileRef
    part: str = "unet"
    patches: tuple[Patch, ...] = ()
    options: tuple[ModelOption, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class T5Padding:
    """How texts are filled up for T5: by `more` tokens in any case, then to `least` tokens in all."""

    more: int = 0
    least: int = 77


@socket("CLIP")
@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A model's text encoders, by reference; several files where a family keeps them apart.

    `stop_at_layer` counts from the end: -1 is the last hidden layer, -2 the one before it; None is the family's own.
    `carried` goes along into the `extra` of what it encodes. `t5_padding` is for texts that T5 reads.
    """

    files: tuple[FileRef, ...]
    family: str | None = None
    patches: tuple[Patch, ...] = ()
    stop_at_layer: int | None = None
    carried: tuple[tuple[str, object], ...] = ()
    t5_padding: T5Padding = T5Padding()


@socket("VAE")
@dataclass(frozen=True, slots=True, kw_only=True)
class Vae:
    """A variational autoencoder, by reference."""

    file: FileRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A rectangle of the latent that a conditioning is limited to, in latent cells, or in shares of its size (0-1)."""

    x: float
    y: float
    width: float
    height: float
    relative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlHint:
    """Base of what steers the network beside the text: ControlNet, T2I-Adapter, GLIGEN, IP-Adapter."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConditioningEntry:
    """One text (or other) embedding and where, when and how strongly it acts.

    `embeddings` has shape (batch, tokens, width), `pooled` (batch, width). `start` and `end` are shares of the
    sampling schedule (0 is its noisy beginning). `size` holds what SDXL's extra embedding takes, in its order.
    """

    embeddings: Tensor
    pooled: Tensor | None = None
    area: Area | None = None
    strength: float = 1.0
    mask: Tensor | None = None
    mask_strength: float = 1.0
    mask_bounds: bool = False
    start: float = 0.0
    end: float = 1.0
    size: tuple[float, ...] | None = None
    concat_latent: Tensor | None = None
    concat_mask: Tensor | None = None
    hints: tuple[ControlHint, ...] = ()
    extra: tuple[tuple[str, object], ...] = field(default=())


@socket("CONDITIONING")
@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """What guides sampling: one or more entries, combined by their areas, masks and strengths."""

    entries: tuple[ConditioningEntry, ...]


@socket("SIGMAS")
@dataclass(frozen=True, slots=True, eq=False)
class Sigmas:
    """A noise schedule: float32, shape (steps + 1,), falling; the last is 0 for a finished picture."""

    values: Tensor


@socket("SAMPLER")
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """A sampling algorithm by name, with its options (eta, s_noise, ...) as pairs."""

    name: str
    options: tuple[tuple[str, float | int | str | bool], ...] = ()


@socket("NOISE")
@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Where the starting noise comes from: a seed, or none at all."""

    seed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """Base of how predictions become one: plain, classifier-free, with two texts, rescaled ..."""


@socket("GUIDER")
@dataclass(frozen=True, slots=True, kw_only=True)
class Guider:
    """A model with the conditionings and the guidance that it is sampled with."""

    model: Model
    conditionings: tuple[Conditioning, ...]
    guidance: Guidance
