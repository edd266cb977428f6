"""An invisible watermark: a short text in the low frequencies of a picture's lightness.

Spread spectrum in the DCT domain (Cox, Kilian, Leighton and Shamoon 1997, "Secure spread spectrum watermarking for
multimedia"), with the host's own share of each bit cancelled when it is written (Malvar and Florêncio 2003, "Improved
spread spectrum"). DCT coefficients of low order, divided by the square root of the number of pixels, hardly change when
a picture is resized or its quality is lowered, so nothing needs to be lined up to read them.

    text ──CRC-16──> 64 bits ──each over 60 coefficients, chosen and signed by the key──> DCT ──> lightness
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from graphcore.errors import InputError

Array = NDArray[np.float64]
MAX_BYTES: Final = 6
MIN_SIDE: Final = 96
_BITS: Final = (MAX_BYTES + 2) * 8
_LOW, _HIGH = 14, 88
_LUMA: Final = np.array((0.299, 0.587, 0.114))
_ROUNDS: Final = 6
MARGIN: Final = 0.001
"""How far from 0 a bit's share is put, for pictures in [0, 1]: with all bits together some 40 dB below the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMark:
    """What a picture says: `text` is None where no watermark of this key is whole.

    `clearness` is how far the faintest bit lies from doubt, as a share of the mean: about 0 without a watermark, and 1
    where all are alike.
    """

    text: str | None
    clearness: float


def marked(pixels: Array, text: str, *, key: int = 0, strength: float = 1.0) -> Array:
    """A picture (height, width, 3) in [0, 1] that carries `text`, exact in 8 bits.

    Raises InputError if the text has more than six bytes, or the picture is too small to hold it.
    """
    bits = _bits_of(text)
    _require_room(pixels)
    signs, places = _pattern(key)
    targets = (2.0 * bits - 1) * strength * MARGIN
    current = np.round(pixels.astype(np.float64) * 255) / 255
    for _ in range(_ROUNDS):
        spectrum = dctn(current @ _LUMA, norm="ortho") / _scale(current)
        projections = _projected(spectrum, signs, places)
        short = np.where(bits == 1, targets - projections, projections - targets)
        missing = np.where(short > 0, targets - projections, 0.0)
        if not missing.any():
            break
        change = np.zeros_like(spectrum)
        change[places] = signs * missing[:, None] / np.sqrt(signs.shape[1])
        moved = idctn(change * _scale(current), norm="ortho")
        current = np.round(np.clip(current + moved[..., None], 0, 1) * 255) / 255
    return current


def read_mark(pixels: Array, *, key: int = 0) -> FoundMark:
    """The watermark of a picture (height, width, 3) in [0, 1]."""
    if min(pixels.shape[:2]) < MIN_SIDE:
        return FoundMark(text=None, clearness=0.0)
    spectrum = dctn(pixels.astype(np.float64) @ _LUMA, norm="ortho") / _scale(pixels)
    signs, places = _pattern(key)
    projections = _projected(spectrum, signs, places)
    sizes = np.abs(projections)
    clearness = float(sizes.min() / sizes.mean()) if sizes.any() else 0.0
    return FoundMark(text=_text_of((projections > 0).astype(np.uint8)), clearness=clearness)


def _scale(pixels: Array) -> float:
    return float(np.sqrt(pixels.shape[0] * pixels.shape[1]))


def _projected(spectrum: Array, signs: Array, places: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Array:
    """The share of each bit's pattern in a spectrum."""
    found: Array = (spectrum[places] * signs).sum(axis=1) / np.sqrt(signs.shape[1])
    return found


@lru_cache(maxsize=8)
def _pattern(key: int) -> tuple[Array, tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each bit its coefficients (rows, columns) and their signs, drawn from the key; no two bits share any."""
    stream = np.random.Generator(np.random.PCG64(key))
    rows, columns = np.mgrid[0:_HIGH, 0:_HIGH]
    radius = np.hypot(rows, columns)
    inside = np.argwhere((radius >= _LOW) & (radius < _HIGH))
    count = len(inside) // _BITS
    chosen = stream.permutation(len(inside))[: count * _BITS].reshape(_BITS, count)
    signs: Array = (stream.integers(0, 2, size=chosen.shape) * 2 - 1).astype(np.float64)
    places = inside[chosen]
    return signs, (places[..., 0], places[..., 1])


def _bits_of(text: str) -> NDArray[np.uint8]:
    data = text.encode("utf-8")
    if len(data) > MAX_BYTES:
        raise InputError(
            f"The watermark's text has {len(data)} bytes; it holds {MAX_BYTES} at most.",
            code="watermark-too-long",
        )
    if "\0" in text:
        raise InputError(
            "The watermark's text holds a NUL character; leave it out.", code="watermark-too-long"
        )
    whole = data.ljust(MAX_BYTES, b"\0")
    checked = whole + binascii.crc_hqx(whole, 0xFFFF).to_bytes(2, "big")
    return np.unpackbits(np.frombuffer(checked, dtype=np.uint8))


def _text_of(bits: NDArray[np.uint8]) -> str | None:
    data = np.packbits(bits).tobytes()
    whole, check = data[:MAX_BYTES], int.from_bytes(data[MAX_BYTES:], "big")
    if binascii.crc_hqx(whole, 0xFFFF) != check:
        return None
    try:
        return whole.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        return None


def _require_room(pixels: Array) -> None:
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"The picture has {width}x{height} pixels; a watermark needs {MIN_SIDE} a side at least.",
            code="picture-too-small",
        )
