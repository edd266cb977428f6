"""`comfy.ldm.modules.attention`: attention by torch, with ComfyUI's shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def optimized_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    mask: Tensor | None = None,
    attn_precision: Any = None,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **rest: Any,
) -> Tensor:
    """Scaled dot-product attention over (batch, tokens, heads * width), or (batch, heads, tokens, width) if reshaped.

    `mask` is added to the logits; it may have any of the batch, head and row dimensions.
    """
    from torch.nn.functional import scaled_dot_product_attention

    del attn_precision, rest
    if not skip_reshape:
        batch, _, width = q.shape
        q, k, v = (each.reshape(batch, -1, heads, width // heads).transpose(1, 2) for each in (q, k, v))
    if mask is not None:
        mask = mask[None] if mask.ndim == 2 else mask
        mask = mask[:, None] if mask.ndim == 3 else mask
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out if skip_output_reshape else out.transpose(1, 2).flatten(2)


def default(val: Any, d: Any) -> Any:
    """The first value, or the second where there is none."""
    return d if val is None else val


def exists(val: Any) -> bool:
    """True for all but None."""
    return val is not None


attention_basic = attention_pytorch = optimized_attention_masked = optimized_attention


def optimized_attention_for_device(device: Any, mask: bool = False, small_input: bool = False) -> Any:
    """The attention for a device: torch's, everywhere."""
    del device, mask, small_input
    return optimized_attention
