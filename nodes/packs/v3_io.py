"""`comfy_api.latest.io`: the names that nodes describe themselves with."""

from __future__ import annotations

from typing import Any, Final

from nodes.packs.v3_dynamic import Autogrow, DynamicCombo, DynamicInput, DynamicSlot
from nodes.packs.v3_inputs import (
    ComfyTypeI,
    ComfyTypeIO,
    ControlAfterGenerate,
    Custom,
    FolderType,
    Input,
    NumberDisplay,
    Output,
    RemoteOptions,
    UploadType,
    WidgetInput,
    comfytype,
    plain_type,
    widget_type,
)
from nodes.packs.v3_node import ComfyNode
from nodes.packs.v3_schema import Hidden, HiddenHolder, NodeInfoV1, NodeOutput, NodeReplace, Schema
from nodes.packs.v3_types import AnyType, MatchType, MultiType
from nodes.packs.v3_widgets import Boolean, Combo, Float, Int, MultiCombo, String, Webcam

Image = plain_type("Image", "IMAGE")
WanCameraEmbedding = plain_type("WanCameraEmbedding", "WAN_CAMERA_EMBEDDING")
Mask = plain_type("Mask", "MASK")
Latent = plain_type("Latent", "LATENT", dict)
Conditioning = plain_type("Conditioning", "CONDITIONING", list)
Sampler = plain_type("Sampler", "SAMPLER")
Sigmas = plain_type("Sigmas", "SIGMAS")
Noise = plain_type("Noise", "NOISE")
Guider = plain_type("Guider", "GUIDER")
Clip = plain_type("Clip", "CLIP")
CLIP = Clip
ControlNet = plain_type("ControlNet", "CONTROL_NET")
Vae = plain_type("Vae", "VAE")
VAE = Vae
Model = plain_type("Model", "MODEL")
ModelPatch = plain_type("ModelPatch", "MODEL_PATCH")
ClipVision = plain_type("ClipVision", "CLIP_VISION")
ClipVisionOutput = plain_type("ClipVisionOutput", "CLIP_VISION_OUTPUT")
AudioEncoder = plain_type("AudioEncoder", "AUDIO_ENCODER")
AudioEncoderOutput = plain_type("AudioEncoderOutput", "AUDIO_ENCODER_OUTPUT")
StyleModel = plain_type("StyleModel", "STYLE_MODEL")
Gligen = plain_type("Gligen", "GLIGEN")
UpscaleModel = plain_type("UpscaleModel", "UPSCALE_MODEL")
LatentUpscaleModel = plain_type("LatentUpscaleModel", "LATENT_UPSCALE_MODEL")
Audio = plain_type("Audio", "AUDIO", dict)
Video = plain_type("Video", "VIDEO")
SVG = plain_type("SVG", "SVG")
LoraModel = plain_type("LoraModel", "LORA_MODEL", dict)
LossMap = plain_type("LossMap", "LOSS_MAP", dict)
Voxel = plain_type("Voxel", "VOXEL")
Mesh = plain_type("Mesh", "MESH")
File3DAny = plain_type("File3DAny", "FILE_3D")
File3DGLB = plain_type("File3DGLB", "FILE_3D_GLB")
File3DGLTF = plain_type("File3DGLTF", "FILE_3D_GLTF")
File3DFBX = plain_type("File3DFBX", "FILE_3D_FBX")
File3DOBJ = plain_type("File3DOBJ", "FILE_3D_OBJ")
File3DSTL = plain_type("File3DSTL", "FILE_3D_STL")
File3DUSDZ = plain_type("File3DUSDZ", "FILE_3D_USDZ")
Hooks = plain_type("Hooks", "HOOKS")
HookKeyframes = plain_type("HookKeyframes", "HOOK_KEYFRAMES")
TimestepsRange = plain_type("TimestepsRange", "TIMESTEPS_RANGE", tuple)
LatentOperation = plain_type("LatentOperation", "LATENT_OPERATION")
FlowControl = plain_type("FlowControl", "FLOW_CONTROL", tuple)
Accumulation = plain_type("Accumulation", "ACCUMULATION", dict)
Load3DCamera = plain_type("Load3DCamera", "LOAD3D_CAMERA", dict)
Load3D = plain_type("Load3D", "LOAD_3D", dict)
Load3DAnimation = plain_type("Load3DAnimation", "LOAD_3D_ANIMATION", dict)
Photomaker = plain_type("Photomaker", "PHOTOMAKER")
Point = plain_type("Point", "POINT")
FaceAnalysis = plain_type("FaceAnalysis", "FACE_ANALYSIS")
BBOX = plain_type("BBOX", "BBOX")
SEGS = plain_type("SEGS", "SEGS")
Tracks = plain_type("Tracks", "TRACKS", dict)
Histogram = plain_type("Histogram", "HISTOGRAM", list)
Color = widget_type("Color", "COLOR", str)
BoundingBox = widget_type("BoundingBox", "BOUNDING_BOX", dict)
Curve = widget_type("Curve", "CURVE", list)
ImageCompare = widget_type("ImageCompare", "IMAGECOMPARE", list)

_UIOutput: Final[Any] = object
_ComfyNodeInternal = ComfyNode
_NodeOutputInternal = NodeOutput

__all__ = [
    "BBOX", "CLIP", "SEGS", "SVG", "VAE", "Accumulation", "AnyType", "Audio", "AudioEncoder", "AudioEncoderOutput",
    "Autogrow", "Boolean", "BoundingBox", "Clip", "ClipVision", "ClipVisionOutput", "Color", "Combo", "ComfyNode",
    "ComfyTypeI", "ComfyTypeIO", "Conditioning", "ControlAfterGenerate", "ControlNet", "Curve", "Custom",
    "DynamicCombo", "DynamicInput", "DynamicSlot", "FaceAnalysis", "File3DAny", "File3DFBX", "File3DGLB", "File3DGLTF",
    "File3DOBJ", "File3DSTL", "File3DUSDZ", "Float", "FlowControl", "FolderType", "Gligen", "Guider", "Hidden",
    "HiddenHolder", "Histogram", "HookKeyframes", "Hooks", "Image", "ImageCompare", "Input", "Int", "Latent",
    "LatentOperation", "LatentUpscaleModel", "Load3D", "Load3DAnimation", "Load3DCamera", "LoraModel", "LossMap",
    "Mask", "MatchType", "Mesh", "Model", "ModelPatch", "MultiCombo", "MultiType", "NodeInfoV1", "NodeOutput",
    "NodeReplace", "Noise", "NumberDisplay", "Output", "Photomaker", "Point", "RemoteOptions", "Sampler", "Schema",
    "Sigmas", "String", "StyleModel", "TimestepsRange", "Tracks", "UploadType", "UpscaleModel", "Vae", "Video",
    "Voxel", "WanCameraEmbedding", "Webcam", "WidgetInput", "comfytype",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from nodes.packs.host import pack_at_work

    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"ComfyUI's 'comfy_api.latest.io.{name}' is not offered to node packs here, and {pack_at_work()} asks for it.",
        name=name,
    )
