"""Networks compute in the fastest dtype that is safe on a device, or in the one that was asked for."""

from __future__ import annotations

import pytest
import torch

from graphcore.errors import InputError
from nodes.diffusion import precision
from nodes.diffusion.precision import Precision, choose_device, choose_precision
from nodes.diffusion.store import ModelStore

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, Precision(dtype=torch.bfloat16, channels_last=True)),
        ({"avx512_bf16": True}, Precision(dtype=torch.bfloat16, channels_last=True)),
        ({"avx2": True}, Precision(dtype=torch.float32)),
        ({}, Precision(dtype=torch.float32)),
    ],
)
def test_processors_that_multiply_bfloat16_do(
    capabilities: dict[str, bool], expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision(CPU) == expected


@pytest.mark.parametrize(
    ("choice", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_dtype_that_was_asked_for_is_taken(choice: str, dtype: torch.dtype) -> None:
    assert choose_precision(CPU, choice).dtype == dtype


def test_unknown_dtypes_and_devices_are_told() -> None:
    with pytest.raises(InputError, match="'fp12' is no dtype; use auto, fp32, bf16, fp16"):
        choose_precision(CPU, "fp12")
    with pytest.raises(InputError, match="no device called 'toaster'"):
        choose_device("toaster")
    with pytest.raises(InputError, match="'cuda:99' is not there"):
        choose_device("cuda:99")


@pytest.mark.parametrize(
    ("has_bf16", "choice", "network", "text", "vae"),
    [
        (True, "auto", torch.bfloat16, torch.float32, torch.bfloat16),
        (False, "auto", torch.float32, torch.float32, torch.float32),
        (True, "fp32", torch.float32, torch.float32, torch.float32),
        (True, "fp16", torch.float16, torch.float16, torch.float32),
    ],
)
def test_texts_are_exact_and_autoencoders_never_overflow(
    has_bf16: bool,
    choice: str,
    network: torch.dtype,
    text: torch.dtype,
    vae: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "cpu_multiplies_bfloat16", lambda: has_bf16)
    store = ModelStore(resolve=lambda file: None, device="cpu", dtype=choice, budget_bytes=1)  # type: ignore[arg-type,return-value]
    assert store.precision.dtype == network
    assert store.text_precision.dtype == text
    assert store.vae_precision.dtype == vae
