"""What the options of a model change inside its network while it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from graphcore.errors import InputError
from nodes.diffusion.block_hooks import Downscale, FreeU
from nodes.diffusion.hypernetworks import install, open_hypernetwork
from nodes.diffusion.model_options import context_windows
from nodes.diffusion.network import Network
from nodes.diffusion.token_hooks import HyperTile, MergedTokens, TokenHook, hook_self_attention
from nodes.diffusion.unet_network import UNetNetwork
from nodes.diffusion.unet_walk import BlockHook
from nodes.guidance.network_options import (
    DownscaleOption,
    FreeUOption,
    HypernetworksOption,
    HyperTileOption,
    MergedTokensOption,
)
from nodes.values import FileRef, ModelOption
from nodes.video.motion_options import MotionOption

_KINDS = (
    FreeUOption,
    DownscaleOption,
    HyperTileOption,
    MergedTokensOption,
    HypernetworksOption,
    MotionOption,
)


def changes_network(options: Sequence[ModelOption]) -> bool:
    """Whether any option changes the network, so that it needs a module of its own."""
    return any(isinstance(option, _KINDS) for option in options)


def change_network(
    network: Network, options: Sequence[ModelOption], resolve: Callable[[FileRef], Path]
) -> None:
    """Change a network that nobody else uses as the options say; raises InputError if it is no UNet."""
    if not isinstance(network, UNetNetwork):
        raise not_for_transformers()
    hooks: list[BlockHook] = []
    for option in options:
        match option:
            case FreeUOption():
                hooks.append(FreeU(option, int(network.module.config.block_out_channels[0])))
            case DownscaleOption():
                hooks.append(_downscale(option, network))
            case HyperTileOption():
                hooks.append(HyperTile(option))
            case MergedTokensOption() if option.ratio > 0:
                hooks.append(MergedTokens(option.ratio))
            case HypernetworksOption():
                for each in option.networks:
                    install(network.module, open_hypernetwork(resolve(each.file)), each.strength)
            case MotionOption():
                from nodes.diffusion.motion import animate

                animate(network, option, resolve, context_windows(options))
    for hook in hooks:
        if isinstance(hook, TokenHook):
            hook_self_attention(network.module, hook)
    network.hooks = tuple(hooks)


def not_for_transformers() -> InputError:
    """The error for what only UNets have."""
    return InputError(
        "This is for UNets (SD 1.x, SD 2.x, SDXL), and this model is a transformer; take the node away.",
        code="unsupported-choice",
    )


def _downscale(option: DownscaleOption, network: UNetNetwork) -> Downscale:
    import torch

    space = network.parameterization
    first, last = (
        float(space.timestep(torch.tensor(max(space.sigma_at(share), 1e-10))))
        for share in (option.start, option.end)
    )
    return Downscale(option, first=first, last=last)
