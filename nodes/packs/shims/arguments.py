"""`comfy.cli_args`: ComfyUI's command line as it would be for the engine's settings."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any, Final

from nodes.packs.host import current_host, pack_at_work


class LatentPreviewMethod(Enum):
    """How pictures in the making are shown."""

    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"

    @classmethod
    def from_string(cls, value: str) -> LatentPreviewMethod | None:
        """The method of this name, or None."""
        return next((method for method in cls if method.value == value), None)


class PerformanceFeature(Enum):
    """What makes ComfyUI faster, and its results less exact."""

    Fp16Accumulation = "fp16_accumulation"
    Fp8MatrixMultiplication = "fp8_matrix_mult"
    CublasOps = "cublas_ops"
    AutoTune = "autotune"


_FALSE: Final = (
    "auto_launch",
    "cuda_malloc",
    "disable_all_custom_nodes",
    "disable_api_nodes",
    "disable_auto_launch",
    "disable_cuda_malloc",
    "disable_dynamic_vram",
    "disable_ipex_optimize",
    "disable_pinned_memory",
    "disable_smart_memory",
    "disable_xformers",
    "dont_print_server",
    "dont_upcast_attention",
    "enable_compress_response_body",
    "enable_manager",
    "force_channels_last",
    "force_fp16",
    "force_fp32",
    "force_non_blocking",
    "force_upcast_attention",
    "fp16_text_enc",
    "fp16_unet",
    "fp16_vae",
    "fp32_text_enc",
    "fp32_unet",
    "fp32_vae",
    "fp64_unet",
    "fp8_e4m3fn_text_enc",
    "fp8_e4m3fn_unet",
    "fp8_e5m2_text_enc",
    "fp8_e5m2_unet",
    "bf16_text_enc",
    "bf16_unet",
    "bf16_vae",
    "cpu_vae",
    "cache_classic",
    "cache_none",
    "gpu_only",
    "highvram",
    "log_stdout",
    "lowvram",
    "mmap_torch_files",
    "multi_user",
    "normalvram",
    "novram",
    "quick_test_for_ci",
    "supports_fp8_compute",
    "use_flash_attention",
    "use_quad_cross_attention",
    "use_sage_attention",
    "use_split_cross_attention",
    "windows_standalone_build",
)
_OTHERS: Final = {
    "listen": "127.0.0.1",
    "port": 8188,
    "verbose": "INFO",
    "preview_method": LatentPreviewMethod.NoPreviews,
    "preview_size": 512,
    "use_pytorch_cross_attention": True,
    "directml": None,
    "oneapi_device_selector": None,
    "cuda_device": None,
    "default_device": None,
    "reserve_vram": None,
    "tls_keyfile": None,
    "tls_certfile": None,
    "enable_cors_header": None,
    "extra_model_paths_config": None,
    "front_end_root": None,
    "front_end_version": None,
    "database_url": None,
    "default_hashing_function": "sha256",
    "max_upload_size": 100,
    "cache_lru": 0,
    "cache_ram": 0.0,
    "whitelist_custom_nodes": (),
    "async_offload": None,
}


class Arguments(SimpleNamespace):
    """ComfyUI's options by name; packs may set them, which changes nothing in the engine."""

    def __getattr__(self, name: str) -> Any:
        settings = current_host().settings
        if name in _FALSE:
            return False
        if name in _OTHERS:
            return _OTHERS[name]
        told: dict[str, Any] = {
            "cpu": settings.device == "cpu",
            "deterministic": settings.deterministic,
            "disable_metadata": not settings.metadata,
            "base_directory": None,
            "input_directory": str(settings.input_dir.absolute()),
            "output_directory": str(settings.output_dir.absolute()),
            "temp_directory": None if settings.temp_dir is None else str(settings.temp_dir.absolute()),
            "user_directory": None,
            "fast": set(),
        }
        if name not in told:
            raise AttributeError(
                f"ComfyUI's option '{name}' is not known here, and {pack_at_work()} asks for it.", name=name
            )
        return told[name]


args: Final = Arguments()


def enables_dynamic_vram() -> bool:
    """False: the model store leases weights whole."""
    return False


args_parsing = False


def enable_args_parsing(enable: bool = True) -> None:
    """Accepted, and without effect: options are the engine's settings."""
    del enable
