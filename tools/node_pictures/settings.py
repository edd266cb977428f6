"""Which nodes get an example picture, and with which values where what they do at first cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphcore.spec import NodeSpec

CHOSEN: Final[Mapping[str, Mapping[str, object]]] = {
    "AdjustBrightness": {"factor": 1.5},
    "AdjustContrast": {"factor": 1.8},
    "Canny": {"low_threshold": 0.2, "high_threshold": 0.4},
    "AudioAdjustVolume": {"volume": -9},
    "CLIPSetLastLayer": {"stop_at_clip_layer": -2},
    "CenterCropImages": {"width": 72, "height": 72},
    "ConditioningAverage": {"conditioning_to_strength": 0.5},
    "ConditioningSetArea": {"width": 128, "height": 128},
    "ConditioningSetAreaPercentage": {"width": 0.5, "height": 1.0},
    "ConditioningSetAreaStrength": {"strength": 1.0},
    "ConditioningSetTimestepRange": {"start": 0.25},
    "ContactSheet": {"labels": ["boat", "castle", "balloon"], "columns": 3},
    "CropMask": {"x": 24, "y": 24, "width": 64, "height": 64},
    "DynamicThresholdingFull": {"mimic_scale": 2.0, "threshold_percentile": 0.9},
    "DynamicThresholdingSimple": {"mimic_scale": 2.0, "threshold_percentile": 0.9},
    "EmbedWatermark": {"text": "boat"},
    "EmptyImage": {"width": 128, "height": 128, "color": 0x3D7A9E},
    "EpsilonScaling": {"scaling_factor": 1.015},
    "FeatherMask": {"left": 40, "top": 40, "right": 40, "bottom": 40},
    "FlyThroughPictures": {
        "prompts": "0: a red boat in the middle on the water by day",
        "frames": 9,
        "width": 128,
        "height": 128,
        "steps": 12,
        "cfg": 5.0,
        "zoom": "0:(1.15)",
        "strength": "0:(0.6)",
    },
    "FreSca": {"scale_high": 2.5},
    "FreeU": {"b1": 1.1, "b2": 1.2, "s1": 0.95, "s2": 0.8},
    "FreeU_V2": {"b1": 1.1, "b2": 1.2, "s1": 0.95, "s2": 0.8},
    "GrowMask": {"expand": 12},
    "ImageAddNoise": {"strength": 0.25},
    "ImageBlend": {"blend_factor": 0.5, "blend_mode": "normal"},
    "ImageBlur": {"blur_radius": 6, "sigma": 3.0},
    "ImageColorToMask": {"color": 0x2674AA},
    "ImageCrop": {"width": 72, "height": 72, "x": 28, "y": 44},
    "ImageFlip": {"flip_method": "y-axis: horizontally"},
    "ImageGrid": {"columns": 3, "cell_width": 96, "cell_height": 96},
    "ImagePadForOutpaint": {"left": 32, "right": 32, "feathering": 16},
    "ImageQuantize": {"colors": 12, "dither": "none"},
    "ImageRotate": {"rotation": "90 degrees"},
    "ImageScale": {"upscale_method": "bicubic", "width": 128, "height": 64, "crop": "disabled"},
    "ImageScaleBy": {"upscale_method": "lanczos", "scale_by": 0.5},
    "ImageScaleToMaxDimension": {"upscale_method": "area", "largest_size": 64},
    "ImageScaleToTotalPixels": {"upscale_method": "area", "megapixels": 0.01},
    "ImageSharpen": {"sharpen_radius": 3, "sigma": 1.5, "alpha": 0.6},
    "ImageSheet": {"columns": 3},
    "ImageToMask": {"channel": "red"},
    "LatentComposite": {"x": 64, "y": 40, "feather": 16},
    "LatentCrop": {"width": 72, "height": 72, "x": 24, "y": 48},
    "LatentCut": {"dim": "x", "index": 5, "amount": 8},
    "LatentCutToBatch": {"dim": "x", "slice_size": 8},
    "LatentFlip": {"flip_method": "y-axis: horizontally"},
    "LatentInterpolate": {"ratio": 0.5},
    "LatentMultiply": {"multiplier": 0.5},
    "LatentRotate": {"rotation": "90 degrees"},
    "LatentUpscale": {"upscale_method": "bislerp", "width": 256, "height": 256, "crop": "disabled"},
    "LatentUpscaleBy": {"upscale_method": "bislerp", "scale_by": 2.0},
    "LoRAFromText": {
        "text": "<lora:scenes-teal:1> a yellow house in the middle on the grass by day, teal print"
    },
    "ManualSigmas": {"sigmas": "14.6, 7, 3, 1.2, 0.5, 0.2, 0"},
    "MaskComposite": {"operation": "subtract"},
    "Morphology": {"operation": "dilate", "kernel_size": 7},
    "PerturbedAttentionGuidance": {"scale": 8.0},
    "PorterDuffImageComposite": {"mode": "SRC_OVER"},
    "RandomCropImages": {"width": 72, "height": 72, "seed": 4},
    "ResizeAndPadImage": {"target_width": 128, "target_height": 72, "padding_color": "black"},
    "ResizeImageOrMask": {
        "resize_type": "scale dimensions",
        "resize_type.width": 128,
        "resize_type.height": 72,
        "resize_type.crop": "center",
    },
    "ResizeImagesByLongerEdge": {"longer_edge": 64},
    "ResizeImagesByShorterEdge": {"shorter_edge": 64},
    "RepeatImageBatch": {"amount": 4},
    "RepeatLatentBatch": {"amount": 4},
    "SDTurboScheduler": {"steps": 4},
    "SelfAttentionGuidance": {"scale": 2.5},
    "SetFirstSigma": {"sigma": 24.0},
    "SolidMask": {"value": 0.6, "width": 128, "height": 128},
    "SplitSigmas": {"step": 6},
    "SplitSigmasDenoise": {"denoise": 0.5},
    "TrimAudioDuration": {"start_index": 0.1, "duration": 0.4},
    "ThresholdMask": {"value": 0.5},
    "UNetCrossAttentionMultiply": {"q": 2.0},
    "UNetSelfAttentionMultiply": {"q": 3.0},
    "XYGrid": {"row_labels": ["plain"], "column_labels": ["boat", "castle", "balloon"]},
}
"""Values of nodes' inputs."""
BESIDE: Final[Mapping[str, Mapping[str, object]]] = {
    "ConditioningSetArea": {"width": 128, "height": 128, "x": 128},
    "ConditioningSetAreaPercentage": {"width": 0.5, "height": 1.0, "x": 0.5},
    "ConditioningSetAreaStrength": {"strength": 0.3},
    "ConditioningSetMask": {"set_cond_area": "default"},
    "ConditioningSetTimestepRange": {"end": 0.25},
}
"""Nodes whose conditioning is shown beside a second one, for which the same node is set like this."""
_STYLED: Final = ("a yellow house in the middle on the grass by day, teal print",)
_REGIONS: Final = (
    "a red house in the middle on the grass by day",
    "a yellow tree in the middle on the grass by day",
)
PROMPTED: Final[Mapping[str, tuple[str, ...]]] = {
    "ConditioningSetArea": _REGIONS,
    "ConditioningSetAreaPercentage": _REGIONS,
    "ConditioningSetMask": _REGIONS,
    "LoRA": _STYLED,
    "LoRAFromText": _STYLED,
    "LoRAModelOnly": _STYLED,
}
"""Nodes that are tried with prompts of their own."""
WIDE: Final = frozenset({"ConditioningSetArea", "ConditioningSetAreaPercentage"})
"""Nodes that are tried with a picture of two squares beside each other."""
SCALES: Final[Mapping[str, float]] = {
    "SamplerEulerAncestralCFGPP": 1.5,
    "SamplerEulerCFGpp": 1.5,
    "advanced/": 12.0,
    "model_patches/": 12.0,
}
"""Guidance scales of nodes, and of categories whose nodes are of use where guidance is strong."""
TRIED_WITH: Final[Mapping[str, Mapping[str, str]]] = {
    "ControlNetApply": {"image": "outlines"},
    "ControlNetApplyAdvanced": {"image": "outlines"},
    "ImageYUVToRGB": {"Y": "brightness", "U": "blueness", "V": "redness"},
    "ResizeImageOrMask": {"input": "picture"},
    "SplitImageWithAlpha": {"image": "cutout"},
    "ThresholdMask": {"mask": "soft_mask"},
}
"""Inputs that want a particular sample, by its name."""
SKIPPED: Final = frozenset(
    {
        *("APG", "CLIPAttentionMultiply", "DisableNoise", "DualCFGGuider", "LoadTrainingDataset"),
        *("PerpNegGuider", "RandomNoise", "SamplerSASolver", "ResolutionBucket"),
        *("CLIPEncodeControlNet", "CLIPEncodeSD3", "ConditioningZeroOut", "DifferentialDiffusion", "PerpNeg"),
        *("CLIPEncodeSDXL", "CLIPEncodeSDXLRefiner", "CLIPMergeAdd", "CLIPMergeSimple", "CLIPMergeSubtract"),
        *(
            "ContextWindowsManual",
            "ControlNetApplySD3",
            "ControlNetInpaintingAliMamaApply",
            "DepthConditioning",
        ),
        *("EmptySD3LatentImage", "ImageBatch", "ImageFromBatch", "ImageOnlyCheckpointLoader"),
        *(
            "InpaintModelConditioning",
            "InstructPixToPixConditioning",
            "JoinImages",
            "JoinLatents",
            "JoinMasks",
        ),
        *(
            "ConditioningSetDefaultCombine",
            "ConditioningSetProperties",
            "ConditioningSetPropertiesAndCombine",
        ),
        *("PairConditioningCombine", "PairConditioningSetDefaultCombine", "PairConditioningSetProperties"),
        *("PairConditioningSetPropertiesAndCombine", "SetClipHooks"),
        *("EmptyAudio", "LoadAudio", "UNetTemporalAttentionMultiply"),
        *("EmptyLatentImage", "ImageDeduplication", "LatentBatchSeedBehavior", "NormalizeVideoLatentStart"),
        *("ReplaceVideoLatentFrames", "ShuffleDataset", "ShuffleImageTextDataset", "TrimVideoLatent"),
        *("LatentBatch", "LatentFromBatch", "LoadCheckpoint", "LoadImage", "LoadImageDataSetFromFolder"),
        *("LoadImageMask", "LoadImageTextDataSetFromFolder", "LoadLatent", "LoadUnCLIPCheckpoint"),
        *(
            "LotusConditioning",
            "MakeTrainingDataset",
            "MergeImageLists",
            "ModelComputeDtype",
            "ModelMergeAdd",
        ),
        *("ModelMergeBlocks", "ModelMergeSD1", "ModelMergeSD2", "ModelMergeSD35_Large", "ModelMergeSD3_2B"),
        *("ModelMergeSDXL", "ModelMergeSimple", "ModelMergeSubtract", "ModelSamplingAuraFlow"),
        *("ModelSamplingContinuousEDM", "ModelSamplingContinuousV", "ModelSamplingDiscrete"),
        *("ModelSamplingFlux", "ModelSamplingSD3", "RebatchImages", "RebatchLatents", "SafetyFilter"),
        *("SVD_img2vid_Conditioning", "SkipLayerGuidanceDiT", "SkipLayerGuidanceDiTSimple"),
        *("SkipLayerGuidanceSD3", "SplitImages", "SplitLatents", "SplitMasks", "StableZero123_Conditioning"),
        *("StableZero123_Conditioning_Batched", "TrainLoRA", "TrainLoraNode", "VAEDecode", "VAEDecodeTiled"),
        *("VideoLinearCFGGuidance", "VideoTriangleCFGGuidance"),
    }
)
"""Nodes whose picture would say nothing."""


def scale_of(spec: NodeSpec, usual: float) -> float:
    """The guidance scale that a node is tried with."""
    by_category = (scale for begin, scale in SCALES.items() if spec.category.startswith(begin))
    return SCALES.get(spec.name) or next(by_category, usual)


def chosen_values(spec: NodeSpec) -> tuple[tuple[str, object], ...]:
    """The values that a node's example is made with instead of its defaults."""
    return tuple(CHOSEN.get(spec.name, {}).items())
