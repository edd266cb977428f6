"""A pack that asks for what is around a node: folders, the server, progress, other nodes."""

from __future__ import annotations

import threading

import comfy.model_management as mm
import comfy.utils
import folder_paths
import torch
from comfy_execution.utils import CurrentNodeContext, get_executing_context

import nodes
from server import PromptServer


@PromptServer.instance.routes.get("/surroundings/hello")
async def hello(request):
    return request


PromptServer.instance.app.router.add_post("/surroundings/other", hello)


class Progress:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"steps": ("INT", {"default": 3}), "how": (["bar", "thread", "interrupt", "raise"],)}
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "work"

    def work(self, steps, how):
        context = get_executing_context()
        if how == "interrupt":
            mm.interrupt_current_processing()
            assert mm.processing_interrupted()
        if how == "raise":
            raise mm.InterruptProcessingException
        mm.throw_exception_if_processing_interrupted()
        bar = comfy.utils.ProgressBar(steps)
        if how == "thread":
            work = threading.Thread(target=self.apart, args=(bar, steps, context))
            work.start()
            work.join()
            assert self.seen == context.node_id
        else:
            for step in range(steps):
                preview = ("JPEG", nodes.NODE_CLASS_MAPPINGS and _picture(), 64)
                bar.update_absolute(step + 1, steps, preview)
        return (f"{context.node_id} {mm.get_torch_device()} {mm.should_use_fp16()}",)

    def apart(self, bar, steps, context):
        assert PromptServer.instance.last_node_id is None
        with CurrentNodeContext(context.prompt_id, context.node_id):
            self.seen = PromptServer.instance.last_node_id
            for _ in range(steps):
                bar.update(1)


def _picture():
    from PIL import Image

    return Image.new("RGB", (128, 64), "red")


class Told:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"message": ("STRING", {"default": ""})}, "hidden": {"unique_id": "UNIQUE_ID"}}

    RETURN_TYPES = ()
    FUNCTION = "tell"
    OUTPUT_NODE = True

    def tell(self, message, unique_id):
        PromptServer.instance.send_sync("surroundings.told", {"message": message, "node": unique_id})
        PromptServer.instance.send_progress_text(message, unique_id)
        assert PromptServer.instance.last_node_id == unique_id
        return ()


class Preview(nodes.SaveImage):
    """The common way to preview: SaveImage, into the temporary folder."""

    def __init__(self):
        self.output_dir = folder_paths.get_temp_directory()
        self.type = "temp"
        self.prefix_append = "_mine"
        self.compress_level = 1

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"images": ("IMAGE",)},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }


class Load(nodes.LoadImage):
    """A picture of the input folder, with its size."""

    RETURN_TYPES = ("IMAGE", "MASK", "STRING")
    FUNCTION = "load"

    def load(self, image):
        pixels, mask = self.load_image(image)
        return pixels, mask, f"{tuple(pixels.shape)} {tuple(mask.shape)}"


class Resize:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "method": (["lanczos", "bislerp", "area", "bilinear"],)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "resize"

    def resize(self, image, method):
        scaled = comfy.utils.common_upscale(image.movedim(-1, 1), 16, 12, method, "center").movedim(1, -1)
        (again,) = nodes.NODE_CLASS_MAPPINGS["ImageInvert"]().invert(image=scaled)
        assert torch.allclose(again, 1 - scaled)
        return (comfy.utils.repeat_to_batch_size(scaled, 3),)


class Folders:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ckpt": (folder_paths.get_filename_list("checkpoints"),)}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "tell"

    def tell(self, ckpt):
        return (folder_paths.get_full_path_or_raise("checkpoints", ckpt),)


NODE_CLASS_MAPPINGS = {
    "PackProgress": Progress,
    "PackTold": Told,
    "PackPreview": Preview,
    "PackLoad": Load,
    "PackResize": Resize,
    "PackFolders": Folders,
}
NODE_DISPLAY_NAME_MAPPINGS = {"PackProgress": "Progress of a pack"}
