"""What the networks of all families share: a diffusers module, and where and in which dtype it computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.network import LatentFormat
from nodes.diffusion.parameterization import Parameterization
from nodes.diffusion.precision import Precision


class ModuleNetwork:
    """The part of a `Network` that does not depend on the family; a family adds `conditions` and `__call__`.

    It may be called from several threads at once. Tensors given to it are on its device and in its dtype.
    """

    def __init__(
        self,
        module: Any,
        *,
        parameterization: Parameterization,
        latent_format: LatentFormat,
        precision: Precision,
    ) -> None:
        self.module = module
        self.parameterization = parameterization
        self.latent_format = latent_format
        self.precision = precision

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, and of what the module is given."""
        return self.precision.dtype

    @property
    def device(self) -> torch.device:
        """Where the module computes."""
        return torch.device(self.module.device)

    def placed(self, conditions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The conditions on the network's device and in its dtype."""
        return {name: tensor.to(self.device, self.dtype) for name, tensor in conditions.items()}
