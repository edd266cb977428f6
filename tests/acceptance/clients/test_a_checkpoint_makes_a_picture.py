"""ComfyUI's first prompt with a tiny checkpoint: previews, the picture, what the picture says of itself."""

from __future__ import annotations

import io
import json
import shutil
import struct
from pathlib import Path
from typing import Any

from PIL import Image

from server.comfy.routes import comfy_routes
from tests.comfy_client import ComfyClient, messages, pictures, step
from tests.models import TinyModels
from tests.served import Served, settings_in


def first_prompt(checkpoint: str) -> dict[str, Any]:
    return {
        "3": step(
            "KSampler",
            seed=8566257,
            steps=4,
            cfg=7,
            sampler_name="euler",
            scheduler="normal",
            denoise=1,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "4": step("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "5": step("EmptyLatentImage", batch_size=1, height=64, width=64),
        "6": step("CLIPTextEncode", clip=["4", 1], text="a red cat"),
        "7": step("CLIPTextEncode", clip=["4", 1], text="blurred"),
        "8": step("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": step("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }


def test_comfyuis_first_prompt(tmp_path: Path, tiny_models: TinyModels) -> None:
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(tiny_models.sd1(), folder / "tiny.safetensors")
    settings = settings_in(
        tmp_path, packs=None, node_module=(), models_dir=(tmp_path / "models",), device=("cpu",), dtype="fp32"
    )
    prompt = first_prompt("tiny.safetensors")
    extra: dict[str, Any] = {
        "preview_method": "latent2rgb",
        "extra_pnginfo": {"workflow": {"nodes": [], "version": 0.4}},
    }
    with Served(settings, modules=(comfy_routes,)) as server:
        server.ready()
        with ComfyClient(server) as client:
            frames = client.run(prompt, extra_data=extra)
            again = client.run(prompt, extra_data=extra)
        (picture,) = messages(frames, "executed")[0]["output"]["images"]
        shown = server.get(f"/view?filename={picture['filename']}&subfolder=&type=output")
        prompt["3"]["inputs"]["seed"] = 1
        with ComfyClient(server, features={"supports_preview_metadata": True}) as client:
            known = client.run(prompt, extra_data=extra)

    assert messages(frames, "progress")[-1]["max"] == 4
    assert {struct.unpack(">I", frame[:4])[0] for frame in pictures(frames)} == {1}
    assert {struct.unpack(">I", frame[:4])[0] for frame in pictures(known)} == {4}
    made = Image.open(io.BytesIO(shown.body))
    assert made.size == (64, 64)
    assert json.loads(made.info["workflow"]) == extra["extra_pnginfo"]["workflow"]
    written = json.loads(made.info["prompt"])
    assert {node: entry["class_type"] for node, entry in written.items()} == {
        node: entry["class_type"] for node, entry in prompt.items()
    }
    assert messages(again, "executed")[0]["output"]["images"] == [picture]
    assert sorted(messages(again, "execution_cached")[0]["nodes"]) == sorted(prompt)
