"""The transformer of Stable Diffusion 3 as sampling sees it (`Network`)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from graphcore.errors import InputError
from nodes.diffusion.module_network import ModuleNetwork
from nodes.diffusion.network import LatentScene, Residuals
from nodes.values import ConditioningEntry


class MmditNetwork(ModuleNetwork):
    """An SD3Transformer2DModel that satisfies `Network`."""

    def conditions(self, entry: ConditioningEntry, scene: LatentScene) -> dict[str, Tensor]:
        """What this network takes of an entry: "context" and "pooled" (see `Network`).

        Raises InputError too if the picture is larger than the network's table of places.
        """
        config = self.module.config
        largest = config.pos_embed_max_size * config.patch_size
        if max(scene.latent.shape[-2:]) > largest:
            side = largest * self.latent_format.downscale
            raise InputError(
                f"This model makes pictures of at most {side} pixels a side; ask for a smaller one."
            )
        wanted = {
            "text embeddings": config.joint_attention_dim,
            "pooled text vector": config.pooled_projection_dim,
        }
        given = {"text embeddings": entry.embeddings, "pooled text vector": entry.pooled}
        for name, width in wanted.items():
            tensor = given[name]
            if tensor is None or tensor.shape[-1] != width:
                found = "there is none" if tensor is None else f"they are {tensor.shape[-1]} wide"
                raise InputError(
                    f"This model takes {name} {width} wide, but {found}; encode the prompt with the text encoders of "
                    "the same model."
                )
        assert entry.pooled is not None
        return self.placed({"context": entry.embeddings, "pooled": entry.pooled})

    def __call__(
        self,
        x: Tensor,
        timestep: Tensor,
        conditions: Mapping[str, Tensor],
        *,
        residuals: Residuals | None = None,
        perturbation: str | None = None,
        attention: list[Tensor] | None = None,
    ) -> Tensor:
        """The flow for rows of scaled latents (see `Network`); sides that no patch divides are wrapped around."""
        skipped = self._skipped(perturbation)
        height, width = x.shape[-2:]
        patch = self.module.config.patch_size
        wrapped = functional.pad(x, (0, -width % patch, 0, -height % patch), mode="circular")
        blocks = list(residuals.blocks) if residuals is not None and residuals.blocks else None
        flow: Tensor = self.module(
            hidden_states=wrapped,
            timestep=timestep,
            encoder_hidden_states=conditions["context"],
            pooled_projections=conditions["pooled"],
            block_controlnet_hidden_states=blocks,
            skip_layers=skipped,
            return_dict=False,
        )[0]
        return flow[..., :height, :width]

    def _skipped(self, perturbation: str | None) -> list[int] | None:
        """The layers that "skip:7,8" names. Raises InputError for others, or layers that are not there."""
        if perturbation is None:
            return None
        kind, _, listed = perturbation.partition(":")
        if kind != "skip":
            raise InputError(
                f"This model knows no perturbation '{perturbation}'; it can skip layers alone.",
                code="unsupported-choice",
            )
        layers = [int(layer) for layer in listed.split(",") if layer]
        count = int(self.module.config.num_layers)
        if any(layer >= count for layer in layers):
            raise InputError(
                f"This model has the layers 0 to {count - 1}, and {max(layers)} was to be skipped; name others.",
                code="no-such-layer",
            )
        return layers
