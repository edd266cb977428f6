"""Tiny models under the names of the files that shipped workflows ask for, and a picture for those that take one."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from PIL import Image as PillowImage

from tests import models
from tests.integration.video.test_animatediff_equals_its_pipeline import adapter as motion_adapter
from tests.integration.video.test_animatediff_equals_its_pipeline import original as motion_state
from tests.models import TinyModels
from tests.steering_models import (
    control_net,
    control_state,
    gligen_state,
    image_adapter,
    put,
    unclip_state,
    vision_tower,
)
from tests.video_models import svd_state

T5_METADATA = {
    "graphcore.tokenizer": models.byte_tokenizer(),
    "graphcore.tokenizer_t5": models.t5_tokenizer(),
}


def put_embedded(folder: Path, tiny: TinyModels) -> None:
    """Stand-ins for the checkpoint that comes along and what was trained for it."""
    _checkpoint(folder, "scenes-v1.safetensors", tiny.sd1())
    put(folder, "scenes-outlines.safetensors", control_state(control_net()))
    put(folder, "scenes-vision.safetensors", vision_tower().state_dict(), kind="clip_vision")
    put(folder, "scenes-teal.safetensors", lora_state(), kind="loras")


def put_published(folder: Path, tiny: TinyModels) -> None:
    """Stand-ins for the files that people download."""
    _checkpoint(folder, "v1-5-pruned-emaonly.safetensors", tiny.sd1())
    _checkpoint(folder, "sd_xl_base_1.0.safetensors", tiny.sdxl())
    _checkpoint(folder, "sd_xl_refiner_1.0.safetensors", tiny.refiner())
    put(folder, "512-inpainting-ema.safetensors", models.sd2_state(in_channels=9), kind="checkpoints")
    put(folder, "instruct-pix2pix-00-22000.safetensors", models.sd1_state(in_channels=8), kind="checkpoints")
    put(folder, "sd21-unclip-h.safetensors", unclip_state(), kind="checkpoints")
    put(folder, "svd.safetensors", svd_state(), kind="checkpoints")
    _put_sd35(folder)
    put(folder, "mm_sd15_v3.safetensors", motion_state(motion_adapter()), kind="motion_modules")
    vision = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
    put(folder, vision, vision_tower().state_dict(), kind="clip_vision")
    put(folder, "ip-adapter_sd15.safetensors", image_adapter(), kind="ipadapter")
    put(folder, "gligen_sd14_textbox_pruned.safetensors", gligen_state(), kind="gligen")
    put(folder, "control_v11p_sd15_canny_fp16.safetensors", control_state(control_net()))
    put(folder, "first-style.safetensors", lora_state(), kind="loras")
    put(folder, "second-style.safetensors", lora_state(), kind="loras")


def _put_sd35(folder: Path) -> None:
    """SD 3.5 as it is published: the checkpoint without text encoders, and these in files of their own."""
    state = {name: tensor for name, tensor in models.sd3_state().items() if "text_encoders." not in name}
    models.write(folder / "checkpoints" / "sd3.5_medium.safetensors", state)
    texts = models.sd3_parts().texts
    states = {
        "clip_l.safetensors": models.sdxl_parts().texts["clip_l"].state_dict(),
        "clip_g.safetensors": models.clip_state(texts["clip_g"]),
        "t5xxl_fp16.safetensors": texts["t5"].state_dict(),
    }
    for name, state in states.items():
        models.write(folder / "text_encoders" / name, state, metadata=T5_METADATA)


def _checkpoint(folder: Path, name: str, file: Path) -> None:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    shutil.copy(file, folder / "checkpoints" / name)


def lora_state() -> dict[str, torch.Tensor]:
    """A LoRA of one matrix of the tiny SD 1.x, in kohya's naming."""
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    return {
        f"{name}.lora_down.weight": torch.randn(2, 32),
        f"{name}.lora_up.weight": torch.randn(32, 2),
        f"{name}.alpha": torch.tensor(2.0),
    }


def put_picture(folder: Path) -> None:
    """A picture of 100 x 80 pixels with a transparent rectangle, as `picture.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = PillowImage.linear_gradient("L").resize((100, 80)).convert("RGBA")
    picture.paste((0, 0, 0, 0), (40, 24, 72, 56))
    picture.save(folder / "picture.png")
