"""Where ComfyUI has a node, ours takes the same inputs in the same order, and gives the same outputs."""

from __future__ import annotations

from typing import Any

import pytest

from graphcore import Registry
from graphcore.formats.object_info import node_info
from nodes.pack import register

REGISTRY = Registry()
register(REGISTRY)

INTERFACES = {
    "CheckpointLoaderSimple": ("ckpt_name", "MODEL CLIP VAE"),
    "CLIPTextEncode": ("text clip", "CONDITIONING"),
    "CLIPSetLastLayer": ("clip stop_at_clip_layer", "CLIP"),
    "EmptyLatentImage": ("width height batch_size", "LATENT"),
    "KSampler": (
        "model seed steps cfg sampler_name scheduler positive negative latent_image denoise",
        "LATENT",
    ),
    "KSamplerAdvanced": (
        (
            "model add_noise noise_seed steps cfg sampler_name scheduler positive negative latent_image "
            "start_at_step end_at_step return_with_leftover_noise"
        ),
        "LATENT",
    ),
    "VAEDecode": ("samples vae", "IMAGE"),
    "VAEEncode": ("pixels vae", "LATENT"),
    "VAEDecodeTiled": ("samples vae tile_size overlap temporal_size temporal_overlap", "IMAGE"),
    "VAEEncodeForInpaint": ("pixels vae mask grow_mask_by", "LATENT"),
    "VAELoader": ("vae_name", "VAE"),
    "LoadImage": ("image", "IMAGE MASK"),
    "LoadImageMask": ("image channel", "MASK"),
    "SaveImage": ("images filename_prefix", ""),
    "PreviewImage": ("images", ""),
    "SaveLatent": ("samples filename_prefix", ""),
    "LoadLatent": ("latent", "LATENT"),
    "PrimitiveInt": ("value", "INT"),
    "PrimitiveString": ("value", "STRING"),
    "LatentUpscale": ("samples upscale_method width height crop", "LATENT"),
    "LatentUpscaleBy": ("samples upscale_method scale_by", "LATENT"),
    "ImageScale": ("image upscale_method width height crop", "IMAGE"),
    "ImagePadForOutpaint": ("image left top right bottom feathering", "IMAGE MASK"),
    "ConditioningSetArea": ("conditioning width height x y strength", "CONDITIONING"),
    "ConditioningAverage": ("conditioning_to conditioning_from conditioning_to_strength", "CONDITIONING"),
    "SamplerCustom": (
        "model add_noise noise_seed cfg positive negative sampler sigmas latent_image",
        "LATENT LATENT",
    ),
    "SamplerCustomAdvanced": ("noise guider sampler sigmas latent_image", "LATENT LATENT"),
    "BasicScheduler": ("model scheduler steps denoise", "SIGMAS"),
    "CFGGuider": ("model positive negative cfg", "GUIDER"),
    "TrainLoraNode": (
        (
            "model latents positive batch_size grad_accumulation_steps steps learning_rate rank optimizer "
            "loss_function seed training_dtype lora_dtype algorithm gradient_checkpointing existing_lora bucket_mode"
        ),
        "MODEL LORA_MODEL LOSS_MAP INT",
    ),
    "LoraModelLoader": ("model lora strength_model", "MODEL"),
    "SaveLoRA": ("lora prefix steps", ""),
    "LossGraphNode": ("loss filename_prefix", ""),
    "LoadImageDataSetFromFolder": ("folder", "IMAGE"),
    "LoadImageTextDataSetFromFolder": ("folder", "IMAGE STRING"),
    "SaveImageDataSetToFolder": ("images folder_name filename_prefix", ""),
    "SaveImageTextDataSetToFolder": ("images texts folder_name filename_prefix", ""),
    "MakeTrainingDataset": ("images vae clip texts", "LATENT CONDITIONING"),
    "SaveAnimatedWEBP": ("images filename_prefix fps lossless quality method", ""),
    "SaveAnimatedPNG": ("images filename_prefix fps compress_level", ""),
    "SaveWEBM": ("images filename_prefix codec fps crf", ""),
    "LoadVideo": ("file", "VIDEO"),
    "CreateVideo": ("images fps audio", "VIDEO"),
    "SaveVideo": ("video filename_prefix format codec", ""),
    "GetVideoComponents": ("video", "IMAGE AUDIO FLOAT"),
    "ImageOnlyCheckpointLoader": ("ckpt_name", "MODEL CLIP_VISION VAE"),
    "SVD_img2vid_Conditioning": (
        "clip_vision init_image vae width height video_frames motion_bucket_id fps augmentation_level",
        "CONDITIONING CONDITIONING LATENT",
    ),
    "StableZero123_Conditioning": (
        "clip_vision init_image vae width height batch_size elevation azimuth",
        "CONDITIONING CONDITIONING LATENT",
    ),
    "StableZero123_Conditioning_Batched": (
        (
            "clip_vision init_image vae width height batch_size elevation azimuth elevation_batch_increment "
            "azimuth_batch_increment"
        ),
        "CONDITIONING CONDITIONING LATENT",
    ),
    "LoraLoader": ("model clip lora_name strength_model strength_clip", "MODEL CLIP"),
    "LoraLoaderModelOnly": ("model lora_name strength_model", "MODEL"),
    "ModelSamplingDiscrete": ("model sampling zsnr", "MODEL"),
    "ModelSamplingSD3": ("model shift", "MODEL"),
    "RescaleCFG": ("model multiplier", "MODEL"),
    "PerturbedAttentionGuidance": ("model scale", "MODEL"),
    "JoinImages": ("images", "IMAGE"),
    "RebatchImages": ("images batch_size", "IMAGE"),
    "RebatchLatents": ("latents batch_size", "LATENT"),
    "JoinImageWithAlpha": ("image alpha", "IMAGE"),
    "SplitImageWithAlpha": ("image", "IMAGE MASK"),
    "PorterDuffImageComposite": ("source source_alpha destination destination_alpha mode", "IMAGE MASK"),
    "ImageStitch": (
        "image1 direction match_image_size spacing_width spacing_color image2",
        "IMAGE",
    ),
    "ResizeAndPadImage": ("image target_width target_height padding_color interpolation", "IMAGE"),
    "ImageAddNoise": ("image seed strength", "IMAGE"),
    "ImageQuantize": ("image colors dither", "IMAGE"),
    "Morphology": ("image operation kernel_size", "IMAGE"),
    "ImageRGBToYUV": ("image", "IMAGE IMAGE IMAGE"),
    "ImageYUVToRGB": ("Y U V", "IMAGE"),
    "MaskPreview": ("mask", ""),
    "CustomCombo": ("choice", "STRING"),
    "LatentConcat": ("samples1 samples2 dim", "LATENT"),
    "LatentCut": ("samples dim index amount", "LATENT"),
    "LatentCutToBatch": ("samples dim slice_size", "LATENT"),
    "CaseConverter": ("string mode", "STRING"),
    "RegexExtract": (
        "string regex_pattern mode case_insensitive multiline dotall group_index",
        "STRING",
    ),
    "RegexMatch": ("string regex_pattern case_insensitive multiline dotall", "BOOLEAN"),
    "RegexReplace": (
        "string regex_pattern replace case_insensitive multiline dotall count",
        "STRING",
    ),
    "StringCompare": ("string_a string_b mode case_sensitive", "BOOLEAN"),
    "StringContains": ("string substring case_sensitive", "BOOLEAN"),
    "StringSubstring": ("string start end", "STRING"),
    "StringTrim": ("string mode", "STRING"),
    "SamplerEulerAncestral": ("eta s_noise", "SAMPLER"),
    "SamplerEulerAncestralCFGPP": ("eta s_noise", "SAMPLER"),
    "SamplerEulerCFGpp": ("version", "SAMPLER"),
    "SamplerLMS": ("order", "SAMPLER"),
    "SamplerDPMPP_2S_Ancestral": ("eta s_noise", "SAMPLER"),
    "SamplerDPMPP_SDE": ("eta s_noise r noise_device", "SAMPLER"),
    "SamplerDPMPP_2M_SDE": ("solver_type eta s_noise noise_device", "SAMPLER"),
    "SamplerDPMPP_3M_SDE": ("eta s_noise noise_device", "SAMPLER"),
    "SamplerDPMAdaptative": (
        "order rtol atol h_init pcoeff icoeff dcoeff accept_safety eta s_noise",
        "SAMPLER",
    ),
    "SamplerER_SDE": ("solver_type max_stage eta s_noise", "SAMPLER"),
    "SamplerSEEDS2": ("solver_type eta s_noise r", "SAMPLER"),
    "SamplerSASolver": (
        (
            "model eta sde_start_percent sde_end_percent s_noise predictor_order corrector_order use_pece "
            "simple_order_2"
        ),
        "SAMPLER",
    ),
    "TripleCLIPLoader": ("clip_name1 clip_name2 clip_name3", "CLIP"),
    "DiffusersLoader": ("model_path", "MODEL CLIP VAE"),
    "CheckpointLoader": ("config_name ckpt_name", "MODEL CLIP VAE"),
    "InstructPixToPixConditioning": ("positive negative vae pixels", "CONDITIONING CONDITIONING LATENT"),
    "ModelMergeSimple": ("model1 model2 ratio", "MODEL"),
    "ModelMergeSubtract": ("model1 model2 multiplier", "MODEL"),
    "ModelMergeAdd": ("model1 model2", "MODEL"),
    "ModelMergeBlocks": ("model1 model2 input middle out", "MODEL"),
    "CLIPMergeSimple": ("clip1 clip2 ratio", "CLIP"),
    "CLIPMergeAdd": ("clip1 clip2", "CLIP"),
    "CLIPMergeSubtract": ("clip1 clip2 multiplier", "CLIP"),
    "CheckpointSave": ("model clip vae filename_prefix", ""),
    "CLIPSave": ("clip filename_prefix", ""),
    "VAESave": ("vae filename_prefix", ""),
    "ModelSave": ("model filename_prefix", ""),
    "LoraSave": ("filename_prefix rank lora_type bias_diff model_diff text_encoder_diff", ""),
    "HypernetworkLoader": ("model hypernetwork_name strength", "MODEL"),
    "FreeU": ("model b1 b2 s1 s2", "MODEL"),
    "FreeU_V2": ("model b1 b2 s1 s2", "MODEL"),
    "SelfAttentionGuidance": ("model scale blur_sigma", "MODEL"),
    "HyperTile": ("model tile_size swap_size max_depth scale_depth", "MODEL"),
    "PatchModelAddDownscale": (
        (
            "model block_number downscale_factor start_percent end_percent downscale_after_skip "
            "downscale_method upscale_method"
        ),
        "MODEL",
    ),
    "TomePatchModel": ("model ratio", "MODEL"),
    "CFGZeroStar": ("model", "MODEL"),
    "APG": ("model eta norm_threshold momentum", "MODEL"),
    "SkipLayerGuidanceSD3": ("model layers scale start_percent end_percent", "MODEL"),
    "SkipLayerGuidanceDiT": (
        "model double_layers single_layers scale start_percent end_percent rescaling_scale",
        "MODEL",
    ),
    "SkipLayerGuidanceDiTSimple": ("model double_layers single_layers start_percent end_percent", "MODEL"),
    "TCFG": ("model", "MODEL"),
    "CFGNorm": ("model strength", "MODEL"),
    "ModelSamplingContinuousEDM": ("model sampling sigma_max sigma_min", "MODEL"),
    "ModelSamplingContinuousV": ("model sampling sigma_max sigma_min", "MODEL"),
    "ModelSamplingAuraFlow": ("model shift", "MODEL"),
    "ModelSamplingFlux": ("model max_shift base_shift width height", "MODEL"),
    "ModelComputeDtype": ("model dtype", "MODEL"),
    "Mahiro": ("model", "MODEL"),
    "DifferentialDiffusion": ("model strength", "MODEL"),
    "LatentOperationTonemapReinhard": ("multiplier", "LATENT_OPERATION"),
    "LatentOperationSharpen": ("sharpen_radius sigma alpha", "LATENT_OPERATION"),
    "LatentApplyOperation": ("samples operation", "LATENT"),
    "LatentApplyOperationCFG": ("model operation", "MODEL"),
    "VideoLinearCFGGuidance": ("model min_cfg", "MODEL"),
    "VideoTriangleCFGGuidance": ("model min_cfg", "MODEL"),
    "UpscaleModelLoader": ("model_name", "UPSCALE_MODEL"),
    "ImageUpscaleWithModel": ("upscale_model image", "IMAGE"),
    "PerpNegGuider": ("model positive negative empty_conditioning cfg neg_scale", "GUIDER"),
    "CLIPAttentionMultiply": ("clip q k v out", "CLIP"),
    "UNetSelfAttentionMultiply": ("model q k v out", "MODEL"),
    "UNetCrossAttentionMultiply": ("model q k v out", "MODEL"),
    "Epsilon Scaling": ("model scaling_factor", "MODEL"),
    "ExtendIntermediateSigmas": ("sigmas steps start_at_sigma end_at_sigma spacing", "SIGMAS"),
    "SamplingPercentToSigma": ("model sampling_percent return_actual_sigma", "FLOAT"),
    "ResizeImageMaskNode": ("input resize_type scale_method", "*"),
    "AddTextPrefix": ("texts prefix", "STRING"),
    "ReplaceText": ("texts find replace", "STRING"),
    "TruncateText": ("texts max_length", "STRING"),
    "MergeImageLists": ("images", "IMAGE"),
    "NormalizeImages": ("images mean std", "IMAGE"),
    "RandomCropImages": ("images width height seed", "IMAGE"),
    "ImageGrid": ("images columns cell_width cell_height padding", "IMAGE"),
    "LotusConditioning": ("", "CONDITIONING"),
    "ComfySwitchNode": ("switch on_false on_true", "*"),
    "CLIPTextEncodeControlnet": ("clip conditioning text", "CONDITIONING"),
    "EasyCache": ("model reuse_threshold start_percent end_percent verbose", "MODEL"),
    "LazyCache": ("model reuse_threshold start_percent end_percent verbose", "MODEL"),
    "T5TokenizerOptions": ("clip min_padding min_length", "CLIP"),
    "CreateHookLora": ("lora_name strength_model strength_clip prev_hooks", "HOOKS"),
    "CreateHookLoraModelOnly": ("lora_name strength_model prev_hooks", "HOOKS"),
    "CreateHookModelAsLora": ("ckpt_name strength_model strength_clip prev_hooks", "HOOKS"),
    "CreateHookModelAsLoraModelOnly": ("ckpt_name strength_model prev_hooks", "HOOKS"),
    "CombineHooks4": ("hooks_A hooks_B hooks_C hooks_D", "HOOKS"),
    "CreateHookKeyframe": ("strength_mult start_percent prev_hook_kf", "HOOK_KEYFRAMES"),
    "CreateHookKeyframesInterpolated": (
        (
            "strength_start strength_end interpolation start_percent end_percent keyframes_count print_keyframes "
            "prev_hook_kf"
        ),
        "HOOK_KEYFRAMES",
    ),
    "SetHookKeyframes": ("hooks hook_kf", "HOOKS"),
    "SetClipHooks": ("clip apply_to_conds schedule_clip hooks", "CLIP"),
    "ConditioningTimestepsRange": (
        "start_percent end_percent",
        "TIMESTEPS_RANGE TIMESTEPS_RANGE TIMESTEPS_RANGE",
    ),
    "ConditioningSetProperties": ("cond_NEW strength set_cond_area mask hooks timesteps", "CONDITIONING"),
    "ConditioningSetPropertiesAndCombine": (
        "cond cond_NEW strength set_cond_area mask hooks timesteps",
        "CONDITIONING",
    ),
    "ConditioningSetDefaultCombine": ("cond cond_DEFAULT hooks", "CONDITIONING"),
    "PairConditioningCombine": (
        "positive_A negative_A positive_B negative_B",
        "CONDITIONING CONDITIONING",
    ),
    "PairConditioningSetProperties": (
        "positive_NEW negative_NEW strength set_cond_area mask hooks timesteps",
        "CONDITIONING CONDITIONING",
    ),
    "PairConditioningSetPropertiesAndCombine": (
        "positive negative positive_NEW negative_NEW strength set_cond_area mask hooks timesteps",
        "CONDITIONING CONDITIONING",
    ),
    "PairConditioningSetDefaultCombine": (
        "positive negative positive_DEFAULT negative_DEFAULT hooks",
        "CONDITIONING CONDITIONING",
    ),
    "LoadAudio": ("audio", "AUDIO"),
    "SaveAudio": ("audio filename_prefix", ""),
    "SaveAudioMP3": ("audio filename_prefix quality", ""),
    "SaveAudioOpus": ("audio filename_prefix quality", ""),
    "PreviewAudio": ("audio", ""),
    "EmptyAudio": ("duration sample_rate channels", "AUDIO"),
    "TrimAudioDuration": ("audio start_index duration", "AUDIO"),
    "SplitAudioChannels": ("audio", "AUDIO AUDIO"),
    "AudioConcat": ("audio1 audio2 direction", "AUDIO"),
    "AudioMerge": ("audio1 audio2 merge_method", "AUDIO"),
    "AudioAdjustVolume": ("audio volume", "AUDIO"),
    "UNetTemporalAttentionMultiply": (
        "model self_structural self_temporal cross_structural cross_temporal",
        "MODEL",
    ),
    "SamplerLCMUpscale": ("scale_ratio scale_steps upscale_method", "SAMPLER"),
    "ImageOnlyCheckpointSave": ("model clip_vision vae filename_prefix", ""),
    "CLIPTextEncodeSD3": ("clip clip_l clip_g t5xxl empty_padding", "CONDITIONING"),
    "TrimVideoLatent": ("samples trim_amount", "LATENT"),
    "ReplaceVideoLatentFrames": ("destination index source", "LATENT"),
    "NormalizeVideoLatentStart": ("latent start_frame_count reference_frame_count", "LATENT"),
    "ShuffleDataset": ("images seed", "IMAGE"),
    "ShuffleImageTextDataset": ("images texts seed", "IMAGE STRING"),
    "ImageDeduplication": ("images similarity_threshold", "IMAGE"),
    "SaveTrainingDataset": ("latents conditioning folder_name shard_size", ""),
    "LoadTrainingDataset": ("folder_name", "LATENT CONDITIONING"),
    "ResolutionBucket": ("latents conditioning", "LATENT CONDITIONING"),
    "RenormCFG": ("model cfg_trunc renorm_cfg", "MODEL"),
    "TemporalScoreRescaling": ("model tsr_k tsr_sigma", "MODEL"),
    "PerpNeg": ("model empty_conditioning neg_scale", "MODEL"),
    "ContextWindowsManual": (
        (
            "model context_length context_overlap context_schedule context_stride closed_loop fuse_method dim "
            "freenoise"
        ),
        "MODEL",
    ),
}


@pytest.mark.parametrize("name", INTERFACES)
def test_inputs_and_outputs(name: str) -> None:
    spec = REGISTRY.get(name)
    assert spec is not None
    inputs, outputs = INTERFACES[name]
    assert [declared.name for declared in spec.inputs] == inputs.split()
    assert [output.type.name for output in spec.outputs] == outputs.split()


def options(name: str, input_name: str) -> Any:
    spec = REGISTRY.get(name)
    assert spec is not None
    info: Any = node_info(spec)
    return info["input"]["required"][input_name]


def test_ranges_and_defaults() -> None:
    assert options("KSampler", "seed")[1] == {
        "default": 0,
        "min": 0,
        "max": 2**64 - 1,
        "control_after_generate": True,
    }
    assert options("KSampler", "cfg")[1] == {
        "default": 8.0,
        "min": 0.0,
        "max": 100.0,
        "step": 0.1,
        "round": 0.01,
    }
    assert options("EmptyLatentImage", "width")[1] == {"default": 512, "min": 16, "max": 16384, "step": 8}
    assert options("KSampler", "scheduler")[0][:3] == ["simple", "sgm_uniform", "karras"]
    assert options("CLIPTextEncode", "text") == ["STRING", {"multiline": True, "dynamicPrompts": True}]


def test_every_node_is_described() -> None:
    for spec in REGISTRY:
        assert spec.description, spec.name
        assert spec.title, spec.name
        assert spec.category, spec.name
