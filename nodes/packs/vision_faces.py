"""Networks that look at pictures, or enlarge them, as node packs use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nodes.control.steering import ClipVision, ClipVisionOutput
from nodes.packs.faces import Face, run_context
from nodes.pictures.upscaling import UpscaleModel

if TYPE_CHECKING:
    from torch import Tensor


class ClipVisionFace(Face[ClipVision]):
    """A CLIP image encoder, as ComfyUI's CLIP_VISION objects are used."""

    comfy_name = "CLIP_VISION"

    def __init__(self, value: ClipVision) -> None:
        self.value = value

    def encode_image(self, image: Tensor, crop: bool | str = True) -> ClipVisionOutputFace:
        """What it sees in pictures (batch, height, width, 3); `crop` cuts their middle."""
        from nodes.conditioning.clip_vision import clip_vision_encode
        from nodes.values import Image

        cut = "none" if crop in (False, "none") else "center"
        pixels = Image(image.detach().float().cpu())
        return ClipVisionOutputFace(
            clip_vision_encode(run_context(), clip_vision=self.value, image=pixels, crop=cut)  # type: ignore[arg-type]
        )


class ClipVisionOutputFace(Face[ClipVisionOutput]):
    """What CLIP sees: `image_embeds`, `last_hidden_state`, `penultimate_hidden_states`; by attribute or by key."""

    comfy_name = "CLIP_VISION_OUTPUT"

    def __init__(self, value: ClipVisionOutput) -> None:
        self.value = value
        self.image_embeds = value.embeds
        self.last_hidden_state = value.last_hidden
        self.penultimate_hidden_states = value.penultimate_hidden

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class UpscaleModelFace(Face[UpscaleModel]):
    """A network that enlarges pictures, as ComfyUI's UPSCALE_MODEL objects are called."""

    comfy_name = "UPSCALE_MODEL"

    def __init__(self, value: UpscaleModel) -> None:
        self.value = value

    @property
    def scale(self) -> int:
        """How many times it enlarges."""
        from nodes.diffusion.store import ModelStore
        from nodes.diffusion.upscalers import open_upscaler

        return int(run_context().service(ModelStore).opened(self.value.file, open_upscaler).scale)

    def __call__(self, image: Tensor) -> Tensor:
        """Pictures (batch, channels, height, width) enlarged."""
        from nodes.pictures.upscaling import upscale_image_with_model
        from nodes.values import Image

        pixels = Image(image.detach().float().cpu().movedim(1, -1).contiguous())
        made = upscale_image_with_model(run_context(), self.value, pixels)
        return made.pixels.movedim(-1, 1).to(image)

    def to(self, *args: object, **kwargs: object) -> UpscaleModelFace:
        """The same: weights are where they compute."""
        del args, kwargs
        return self

    def cpu(self) -> UpscaleModelFace:
        """The same: weights wait on the CPU when nobody uses them."""
        return self

    def eval(self) -> UpscaleModelFace:
        """The same: it is not trained."""
        return self
