"""Predictions used again where they hardly change (Zhou et al. 2025, arXiv 2507.02860, "EasyCache").

How much the prediction changes for a change of x is measured whenever it is computed. While the changes that are to be
expected add up to less than a threshold, what the last prediction added to x is added again.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nodes.diffusion.samplers.protocol import DenoisedPair


@dataclass(slots=True, kw_only=True, eq=False)
class StepReuse:
    """The memory of one run. `threshold` is a share of the prediction; it acts between two shares of the schedule."""

    threshold: float
    start: float
    end: float
    _x: Tensor | None = None
    _pair: DenoisedPair | None = None
    _rate: float | None = None
    _expected: float = 0.0

    def guess(self, x: Tensor, share: float) -> DenoisedPair | None:
        """The prediction for x if it need not be computed, else None."""
        last, pair, rate = self._x, self._pair, self._rate
        if last is None or pair is None or rate is None or x.shape != last.shape:
            return None
        if not self.start <= share <= self.end:
            return None
        size = float(pair.denoised.abs().mean())
        self._expected += rate * float((x - last).abs().mean()) / size if size else self.threshold
        if self._expected >= self.threshold:
            self._expected = 0.0
            return None
        return DenoisedPair(x + (pair.denoised - last), x + (pair.uncond_denoised - last))

    def learn(self, x: Tensor, pair: DenoisedPair) -> None:
        """Remember a prediction that was computed."""
        if self._x is not None and self._pair is not None and x.shape == self._x.shape:
            moved = float((x - self._x).abs().mean())
            changed = float((pair.denoised - self._pair.denoised).abs().mean())
            self._rate = changed / moved if moved else None
        self._x, self._pair = x, pair
