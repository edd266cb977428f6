"""ComfyUI's modules, by name: what each offers to node packs, and which of our modules it is written in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ROOTS: Final = frozenset({"comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfy_config"})

ABSENT: Final = "(absent)"

_FOLDERS: Final = """
    add_model_folder_path annotated_filepath base_path exists_annotated_filepath extension_mimetypes_cache
    filename_list_cache filter_files_content_types filter_files_extensions folder_names_and_paths
    get_annotated_filepath get_directory_by_type get_filename_list get_folder_paths get_full_path
    get_full_path_or_raise get_input_directory get_input_subfolders get_output_directory
    get_public_user_directory get_save_image_path get_system_user_directory get_temp_directory
    get_user_directory input_directory invalidate_cache map_legacy models_dir output_directory
    recursive_search set_input_directory set_output_directory set_temp_directory supported_pt_extensions
    temp_directory user_directory
"""
_RESIZING: Final = """
    bislerp common_upscale get_tiled_scale_steps lanczos repeat_to_batch_size reshape_mask
    resize_to_batch_size tiled_scale tiled_scale_multidim
"""
_WEIGHTS: Final = """
    calculate_parameters copy_to_param get_attr load_torch_file safetensors_header save_torch_file set_attr
    set_attr_param state_dict_key_replace state_dict_prefix_replace string_to_seed weight_dtype
"""
_PROGRESS: Final = """
    PROGRESS_BAR_ENABLED PROGRESS_BAR_HOOK ProgressBar model_trange set_progress_bar_enabled
    set_progress_bar_global_hook
"""
_DEVICES: Final = """
    CPUState InterruptProcessingException OOM_EXCEPTION VRAMState XFORMERS_IS_AVAILABLE cast_to
    cast_to_device cpu_mode cpu_state current_loaded_models device_supports_non_blocking
    directml_enabled dtype_size flash_attention_enabled get_autocast_device get_torch_device
    get_torch_device_name interrupt_current_processing intermediate_device intermediate_dtype is_amd
    is_device_cpu is_device_cuda is_device_mps is_device_type is_directml_enabled is_intel_xpu is_nvidia
    lowvram_available module_size mps_mode processing_interrupted pytorch_attention_enabled
    sage_attention_enabled should_use_bf16 should_use_fp16 supports_fp8_compute text_encoder_device
    text_encoder_dtype text_encoder_initial_device text_encoder_offload_device
    throw_exception_if_processing_interrupted unet_dtype unet_inital_load_device unet_manual_cast
    unet_offload_device vae_device vae_dtype vae_offload_device vram_state xformers_enabled
    xformers_enabled_vae
"""
_MEMORY: Final = """
    cleanup_ggml cleanup_models cleanup_models_gc extra_reserved_memory free_memory get_free_memory
    get_total_memory load_model_gpu load_models_gpu loaded_models maximum_vram_for_weights
    minimum_inference_memory soft_empty_cache unload_all_models
"""
_SAMPLERS: Final = """
    CFGGuider KSAMPLER_NAMES KSampler SAMPLER_NAMES SCHEDULER_HANDLERS SCHEDULER_NAMES beta_scheduler
    calculate_sigmas ddim_scheduler ksampler linear_quadratic_schedule normal_scheduler sampler_object
    simple_scheduler
"""
_SAMPLE: Final = """
    cleanup_additional_models fix_empty_latent_channels prepare_mask prepare_noise sample sample_custom
"""
_ANNOTATIONS: Final = """
    CheckLazyMixin ComfyNodeABC ControlNetBase FileLocator HiddenInputTypeDict IO InputTypeDict
    InputTypeOptions UnetApplyFunction UnetParams UnetWrapperFunction
"""
_CHECKPOINTS: Final = """
    CLIP CLIPType VAE load_checkpoint_guess_config load_clip load_diffusion_model load_lora_for_models
    load_unet load_vae
"""
_LATEST: Final = "ComfyAPI ComfyAPISync ComfyExtension Input InputImpl Types"
_GRAPHS: Final = "ExecutionBlocker GraphBuilder Node add_graph_prefix is_link"
_NODE_VALUES: Final = """
    conditioning_set_values conditioning_set_values_with_timestep_range hasher image_alpha_fix pillow
    string_to_torch_dtype
"""
_EMPTY: Final = """
    comfy comfy.ldm comfy.ldm.modules comfy.ldm.modules.diffusionmodules
    comfy.ldm.modules.diffusionmodules.openaimodel comfy.ldm.modules.diffusionmodules.util comfy.ldm.util
    comfy.ldm.common_dit comfy.ldm.flux comfy.ldm.flux.layers comfy.ldm.flux.math comfy.ldm.flux.model
    comfy.model_detection comfy.model_patcher comfy.model_sampling comfy.patcher_extension
    comfy.lora comfy.lora_convert comfy.controlnet comfy.clip_vision comfy.conds comfy.hooks comfy.ops
    comfy.float comfy.gligen comfy.supported_models comfy.supported_models_base comfy.sd1_clip
    comfy.sdxl_clip comfy.sampler_helpers comfy.extra_samplers comfy.extra_samplers.uni_pc comfy.cldm
    comfy.cldm.cldm comfy.t2i_adapter comfy.t2i_adapter.adapter comfy.taesd comfy.taesd.taesd
    comfy.text_encoders comfy.weight_adapter comfy.quant_ops comfy.diffusers_load comfy.diffusers_convert
    comfy.checkpoint_pickle comfy.rmsnorm comfy.context_windows comfy.nested_tensor
    comfy_execution comfy_execution.caching comfy_execution.cache_provider comfy_extras comfy_api comfy_config
"""


def _offered(places: Mapping[str, str]) -> Mapping[str, str]:
    """Where each name is written: `places` lists names by module."""
    found = {}
    for module, names in places.items():
        for name in names.split():
            found[name] = f"{module if '.' in module else f'nodes.packs.shims.{module}'}:{name}"
    return MappingProxyType(found)


def _shims() -> dict[str, Mapping[str, str]]:
    media = _offered({"nodes.packs.v3_media": "AudioInput ImageInput LatentInput MaskInput VideoInput"})
    made = _offered({"nodes.packs.v3_media": "VideoFromComponents VideoFromFile"})
    types = _offered({"nodes.packs.v3_media": "VideoCodec VideoComponents VideoContainer"})
    whole = {"io": "nodes.packs.v3_io:", "ui": "nodes.packs.v3_ui:"}
    latest = {**_offered({"nodes.packs.v3": _LATEST}), **whole}
    found: dict[str, Mapping[str, str]] = {name: MappingProxyType({}) for name in _EMPTY.split()}
    for version in ("latest", "v0_0_2", "v0_0_1"):
        found[f"comfy_api.{version}"] = MappingProxyType(latest)
        found[f"comfy_api.{version}._io"] = MappingProxyType({"*": "nodes.packs.v3_io"})
        found[f"comfy_api.{version}._ui"] = MappingProxyType({"*": "nodes.packs.v3_ui"})
        for part, offered in (("_input", media), ("_input_impl", made), ("_util", types)):
            found[f"comfy_api.{version}.{part}"] = offered
    found |= {"comfy_api.input": media, "comfy_api.input_impl": made, "comfy_api.util": types}
    for package, offered in (("input", media), ("input_impl", made), ("util", types)):
        for part in ("basic_types", "video_types"):
            found[f"comfy_api.{package}.{part}"] = offered
            found[f"comfy_api.latest._{package}.{part}"] = offered
    found["comfy_api.torch_helpers"] = MappingProxyType({})
    return found | _modules()


def _modules() -> dict[str, Mapping[str, str]]:
    return {
        "comfyui_server_names": _offered({"nodes.packs.prompt_server": "BinaryEventTypes PromptServer"}),
        "folder_paths": _offered({"folders": _FOLDERS}),
        "node_helpers": _offered({"node_values": _NODE_VALUES}),
        "latent_preview": _offered({"sampling": "prepare_callback"}),
        "execution": _offered(
            {
                "graphs": "DependencyCycleError ExecutionBlocker",
                "nodes.packs.dynamic_prompt": "DynamicPrompt",
            }
        ),
        "comfyui_version": _offered({"versions": "__version__"}),
        "comfy.utils": _offered({"resizing": _RESIZING, "weights": _WEIGHTS, "progress": _PROGRESS}),
        "comfy.model_management": _offered({"devices": _DEVICES, "memory": _MEMORY}),
        "comfy.samplers": _offered({"sampling": _SAMPLERS}),
        "comfy.sample": _offered({"sampling": _SAMPLE}),
        "comfy.k_diffusion": MappingProxyType({}),
        "comfy.k_diffusion.sampling": _offered(
            {"sampling": "get_sigmas_exponential get_sigmas_karras", "progress": "model_trange"}
        ),
        "comfy.k_diffusion.utils": _offered({"resizing": "append_dims"}),
        "comfy.model_base": _offered(
            {"nodes.packs.network_face": "BaseModel ModelType SD3 SDXL SDXLRefiner"}
        ),
        "comfy.sd": _offered({"checkpoints": _CHECKPOINTS}),
        "comfy.comfy_types": _offered({"annotations": _ANNOTATIONS}),
        "comfy.comfy_types.node_typing": _offered({"annotations": _ANNOTATIONS}),
        "comfy.cli_args": _offered(
            {"arguments": "LatentPreviewMethod PerformanceFeature args enables_dynamic_vram"}
        ),
        "comfy.options": _offered({"arguments": "args_parsing enable_args_parsing"}),
        "comfy.latent_formats": _offered({"latent_formats": "Flux LatentFormat SD15 SD3 SDXL"}),
        "comfy.ldm.modules.attention": _offered(
            {
                "attention": "attention_basic attention_pytorch default exists optimized_attention "
                "optimized_attention_for_device optimized_attention_masked"
            }
        ),
        "comfy_execution.graph_utils": _offered({"graphs": _GRAPHS}),
        "comfy_execution.graph": _offered(
            {
                "graphs": "DependencyCycleError ExecutionBlocker NodeInputError get_input_info is_link",
                "nodes.packs.dynamic_prompt": "DynamicPrompt NodeNotFoundError",
            }
        ),
        "comfy_execution.utils": _offered(
            {"progress": "CurrentNodeContext ExecutionContext get_executing_context"}
        ),
        "comfy_execution.progress": _offered({"progress": "get_progress_state"}),
        "comfy_execution.validation": _offered({"graphs": "validate_node_input"}),
    }


_ABSENT: Final = MappingProxyType(
    {
        "comfy.cldm.cldm": "ControlNet",
        "comfy.clip_vision": "ClipVisionModel Output clip_preprocess load",
        "comfy.conds": "CONDConstant CONDCrossAttn CONDNoiseShape CONDRegular",
        "comfy.controlnet": """
            ControlBase ControlLora ControlNet ControlNetSD35 T2IAdapter load_controlnet
            load_controlnet_state_dict load_t2i_adapter broadcast_image_to
        """,
        "comfy.gligen": "Gligen load_gligen",
        "comfy.hooks": "Hook HookGroup HookKeyframe HookKeyframeGroup WeightHook",
        "comfy.k_diffusion.sampling": """
            BatchedBrownianTree BrownianTreeNoiseSampler default_noise_sampler get_ancestral_step
            get_sigmas_polyexponential sample_dpmpp_2m sample_dpmpp_2m_sde sample_dpmpp_sde sample_euler
            sample_euler_ancestral to_d trange
        """,
        "comfy.ldm.common_dit": "pad_to_patch_size",
        "comfy.ldm.flux.layers": "DoubleStreamBlock EmbedND SingleStreamBlock timestep_embedding",
        "comfy.ldm.flux.math": "apply_rope attention rope",
        "comfy.ldm.flux.model": "Flux",
        "comfy.ldm.modules.attention": "BasicTransformerBlock CrossAttention FeedForward SpatialTransformer",
        "comfy.ldm.modules.diffusionmodules.openaimodel": """
            Downsample ResBlock Timestep TimestepEmbedSequential UNetModel Upsample apply_control
            forward_timestep_embed timestep_embedding
        """,
        "comfy.ldm.modules.diffusionmodules.util": "timestep_embedding",
        "comfy.lora": "calculate_weight load_lora model_lora_keys_clip model_lora_keys_unet weight_decompose",
        "comfy.lora_convert": "convert_lora",
        "comfy.model_base": "Flux SVD_img2vid",
        "comfy.model_detection": "model_config_from_unet unet_prefix_from_state_dict",
        "comfy.model_patcher": """
            ModelPatcher set_model_options_patch_replace set_model_options_post_cfg_function
            set_model_options_pre_cfg_function
        """,
        "comfy.model_sampling": """
            CONST EDM EPS ModelSamplingContinuousEDM ModelSamplingContinuousV ModelSamplingDiscrete
            ModelSamplingDiscreteFlow ModelSamplingFlux V_PREDICTION X0
        """,
        "comfy.ops": "cast_bias_weight disable_weight_init manual_cast",
        "comfy.patcher_extension": "CallbacksMP PatcherInjection WrapperExecutor WrappersMP",
        "comfy.sampler_helpers": "convert_cond get_additional_models prepare_mask prepare_sampling",
        "comfy.samplers": """
            CFGNoisePredictor KSAMPLER KSamplerX0Inpaint Sampler calc_cond_batch cfg_function process_conds
            sampling_function wrap_model
        """,
        "comfy.sd": "StyleModel load_clip_vision load_gligen load_style_model",
        "comfy.sd1_clip": """
            ClipTokenWeightEncoder SD1ClipModel SD1Tokenizer SDClipModel SDTokenizer escape_important
            gen_empty_tokens load_embed parse_parentheses token_weights unescape_important
        """,
        "comfy.sdxl_clip": "SDXLClipModel SDXLRefinerClipModel SDXLTokenizer",
        "comfy.t2i_adapter.adapter": "Adapter Adapter_light",
        "comfy.taesd.taesd": "TAESD",
        "execution": "PromptExecutor PromptQueue validate_inputs validate_prompt",
        "latent_preview": "Latent2RGBPreviewer LatentPreviewer TAESDPreviewerImpl get_previewer",
    }
)


def _with_absent(shims: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """The modules with the names that may be imported there, and not used."""
    return {
        name: MappingProxyType({**dict.fromkeys(_ABSENT.get(name, "").split(), ABSENT), **offered})
        for name, offered in shims.items()
    }


SHIMS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(_with_absent(_shims()))
