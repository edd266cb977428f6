"""The part of `comfy.model_management` that is about devices, dtypes and interruption."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from graphcore.errors import Cancelled
from nodes.packs.host import current_host, running

if TYPE_CHECKING:
    import torch


class VRAMState(Enum):
    """How much memory a GPU has."""

    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    """What kind of device computes."""

    GPU = 0
    CPU = 1
    MPS = 2


class InterruptProcessingException(Cancelled):
    """Raised in a node whose run was interrupted; a node that raises it interrupts its run."""

    def __init__(self, reason: str = "interrupted") -> None:
        super().__init__(reason)


def interrupt_current_processing(value: bool = True) -> None:
    """Cancel the run that the caller is part of."""
    run = running()
    if run is not None and value:
        run.context.token.cancel("interrupted by a node pack")


def processing_interrupted() -> bool:
    """True if the run that the caller is part of was cancelled."""
    run = running()
    return run is not None and run.context.token.cancelled


def throw_exception_if_processing_interrupted() -> None:
    """Raise InterruptProcessingException if the run that the caller is part of was cancelled."""
    run = running()
    if run is not None and run.context.token.reason is not None:
        raise InterruptProcessingException(run.context.token.reason)


def _device_name() -> str:
    run = running()
    return run.context.device if run is not None else current_host().settings.device


def get_torch_device() -> torch.device:
    """The device that computes."""
    from nodes.diffusion.precision import choose_device

    return choose_device(_device_name())


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


def intermediate_device() -> torch.device:
    """Where results are: on the CPU."""
    return _cpu()


def unet_offload_device() -> torch.device:
    """Where networks wait: on the CPU."""
    return _cpu()


def unet_inital_load_device(parameters: int, dtype: Any, cpu_device: bool = False) -> torch.device:
    """Where a network is put first; the spelling is ComfyUI's."""
    del parameters, dtype
    return _cpu() if cpu_device else get_torch_device()


def text_encoder_device() -> torch.device:
    """Where prompts are encoded."""
    return get_torch_device()


def text_encoder_offload_device() -> torch.device:
    """Where text encoders wait."""
    return _cpu()


def text_encoder_initial_device(load_device: Any, offload_device: Any, model_size: int = 0) -> Any:
    """Where a text encoder is put first."""
    del load_device, model_size
    return offload_device


def vae_device() -> torch.device:
    """Where autoencoders compute."""
    return get_torch_device()


def vae_offload_device() -> torch.device:
    """Where autoencoders wait."""
    return _cpu()


def get_autocast_device(dev: Any) -> str:
    """The kind of a device, as torch.autocast takes it."""
    return str(getattr(dev, "type", "cuda"))


def is_device_type(device: Any, kind: str) -> bool:
    """True if a device is of this kind."""
    return getattr(device, "type", None) == kind


def is_device_cpu(device: Any) -> bool:
    """True for the CPU."""
    return is_device_type(device, "cpu")


def is_device_mps(device: Any) -> bool:
    """True for Apple's GPU."""
    return is_device_type(device, "mps")


def is_device_cuda(device: Any) -> bool:
    """True for an NVIDIA (or AMD) GPU."""
    return is_device_type(device, "cuda")


def cpu_mode() -> bool:
    """True if the CPU computes."""
    return is_device_cpu(get_torch_device())


def mps_mode() -> bool:
    """True if Apple's GPU computes."""
    return is_device_mps(get_torch_device())


def is_nvidia() -> bool:
    """True if an NVIDIA GPU computes."""
    import torch

    return is_device_cuda(get_torch_device()) and torch.version.hip is None


def is_amd() -> bool:
    """True if an AMD GPU computes."""
    import torch

    return is_device_cuda(get_torch_device()) and torch.version.hip is not None


def is_intel_xpu() -> bool:
    """False: Intel's GPUs are not used here."""
    return False


def is_directml_enabled() -> bool:
    """False: DirectML is not used here."""
    return False


def should_use_fp16(device: Any = None, *args: object, **kwargs: object) -> bool:
    """True where half precision is safe and faster: on GPUs."""
    del args, kwargs
    return not is_device_cpu(device if device is not None else get_torch_device())


def should_use_bf16(device: Any = None, *args: object, **kwargs: object) -> bool:
    """True where bfloat16 is fast."""
    import torch

    del args, kwargs
    chosen = device if device is not None else get_torch_device()
    if is_device_cuda(chosen):
        return torch.cuda.get_device_capability(chosen) >= (8, 0)
    return False


def supports_fp8_compute(device: Any = None) -> bool:
    """False: 8-bit products are not used here."""
    del device
    return False


def _dtype() -> Any:
    from nodes.diffusion.precision import choose_precision

    run = running()
    settings = run.context.settings if run is not None else current_host().settings
    return choose_precision(get_torch_device(), settings.dtype).dtype


def unet_dtype(*args: object, **kwargs: object) -> Any:
    """What networks compute in."""
    del args, kwargs
    return _dtype()


def unet_manual_cast(*args: object, **kwargs: object) -> None:
    """None: weights are cast when they are loaded."""
    del args, kwargs


def vae_dtype(device: Any = None, allowed_dtypes: Iterable[Any] = ()) -> Any:
    """What autoencoders compute in."""
    del device, allowed_dtypes
    import torch

    chosen = _dtype()
    return torch.bfloat16 if chosen is torch.float16 else chosen


def text_encoder_dtype(device: Any = None) -> Any:
    """What text encoders compute in."""
    del device
    return _dtype()


def intermediate_dtype() -> Any:
    """What results are: float32."""
    import torch

    return torch.float32


def dtype_size(dtype: Any) -> int:
    """The bytes of one number."""
    return int(dtype.itemsize)


def module_size(module: Any) -> int:
    """The bytes of a module's weights."""
    return sum(tensor.nelement() * tensor.element_size() for tensor in module.state_dict().values())


def cast_to(
    weight: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    **rest: object,
) -> Any:
    """A tensor in another dtype, on another device."""
    del rest
    return weight.to(device=device, dtype=dtype or weight.dtype, non_blocking=non_blocking, copy=copy)


def cast_to_device(tensor: Any, device: Any, dtype: Any, copy: bool = False) -> Any:
    """A tensor on another device, in another dtype."""
    return tensor.to(device=device, dtype=dtype, copy=copy)


def device_supports_non_blocking(device: Any) -> bool:
    """True where copies may overlap with work."""
    return is_device_cuda(device)


def xformers_enabled() -> bool:
    """False: attention is torch's."""
    return False


xformers_enabled_vae = sage_attention_enabled = flash_attention_enabled = xformers_enabled


def pytorch_attention_enabled() -> bool:
    """True: attention is torch's."""
    return True


def get_torch_device_name(device: Any) -> str:
    """The name of a device, for people."""
    import torch

    return f"{device} {torch.cuda.get_device_name(device)}" if is_device_cuda(device) else str(device)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name == "OOM_EXCEPTION":
        import torch

        return torch.OutOfMemoryError
    if name == "cpu_state":
        return CPUState.CPU if cpu_mode() else CPUState.MPS if mps_mode() else CPUState.GPU
    if name == "vram_state":
        return VRAMState.DISABLED if cpu_mode() else VRAMState.NORMAL_VRAM
    values = {
        "XFORMERS_IS_AVAILABLE": False,
        "current_loaded_models": [],
        "directml_enabled": False,
        "lowvram_available": True,
    }
    if name not in values:
        raise AttributeError(name)
    return values[name]
