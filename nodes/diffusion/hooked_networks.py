"""A model's network under the hooks of conditionings: patched anew where their strengths change in a run."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from graphcore import Context
from nodes.conditioning.hook_values import Hooks, hooks_of
from nodes.diffusion.lora_fit import require_fit
from nodes.diffusion.merge_fit import require_models_fit
from nodes.diffusion.network import Network
from nodes.diffusion.store import ModelStore
from nodes.values import Conditioning, Model, Patch


def require_hooks_fit(ctx: Context, model: Model, conditionings: Iterable[Conditioning]) -> None:
    """Raise ModelFileError for hooks that were made for another family; reads headers alone."""
    entries = [entry for conditioning in conditionings for entry in conditioning.entries]
    groups = {hooks for entry in entries if (hooks := hooks_of(entry)) is not None}
    for hook in {hook for hooks in groups for hook in hooks.hooks if hook.strength_model}:
        if hook.lora is not None:
            require_fit(ctx, hook.lora, model, None)
        elif hook.model is not None:
            require_models_fit(ctx, model, hook.model)


@dataclass(slots=True, eq=False)
class _Open:
    patches: tuple[Patch, ...]
    network: Network
    lease: ExitStack


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HookedNetworks:
    """The networks of one run by their hooks; each is leased until its strengths change, or `stack` closes."""

    store: ModelStore
    stack: ExitStack
    model: Model
    _open: dict[Hooks, _Open] = field(default_factory=dict)

    def __call__(self, hooks: Hooks, share: float) -> Network:
        """The network with these hooks at a share of the run."""
        found = (hook.model_patch(share) for hook in hooks.hooks)
        patches = tuple(patch for patch in found if patch is not None)
        current = self._open.get(hooks)
        if current is not None and current.patches == patches:
            return current.network
        if current is not None:
            current.lease.close()
        lease = self.stack.enter_context(ExitStack())
        network = lease.enter_context(
            self.store.network(replace(self.model, patches=(*self.model.patches, *patches)))
        )
        self._open[hooks] = _Open(patches, network, lease)
        return network
