"""A diffusion network as node packs use it: cloned, given options, asked about its sigmas."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, overload

from graphcore.errors import InputError
from nodes.packs.faces import Face, run_context
from nodes.packs.host import running, running_in
from nodes.packs.network_face import NetworkFace
from nodes.values import GuidanceFunctions, Model, Patch

_FOREIGN: Final = ("model_function_wrapper", "denoise_mask_function", "sampler_calc_cond_batch_function")
_FOREIGN_PATCHES: Final = (
    "patches",
    "patches_replace",
    "wrappers",
    "callbacks",
    "optimized_attention_override",
)


class ModelFace(Face[Model]):
    """A diffusion network, as ComfyUI's `ModelPatcher` is used.

    `model_options` is a dictionary that clones copy; packs keep things in it. Functions of guidance change the
    sampling; what patches the network itself is not offered.
    """

    comfy_name = "MODEL"

    def __init__(self, value: Model, model_options: dict[str, Any] | None = None) -> None:
        kept = [option.options for option in value.options if isinstance(option, GuidanceFunctions)]
        self._model = value
        self.model_options: dict[str, Any] = (
            _copied(dict(kept[-1]) if kept else {"transformer_options": {}})
            if model_options is None
            else model_options
        )

    @property
    def value(self) -> Model:  # type: ignore[override]
        """The reference behind the face, with the functions that packs have set.

        Raises InputError if a pack has set functions that sampling here could not call.
        """
        options = self.model_options
        _require_known(options)
        functions = GuidanceFunctions(
            combine=_in_this_run(options.get("sampler_cfg_function")),
            before=tuple(_in_this_run(each) for each in options.get("sampler_pre_cfg_function", ())),
            after=tuple(_in_this_run(each) for each in options.get("sampler_post_cfg_function", ())),
            always_both=bool(options.get("disable_cfg1_optimization", False)),
            options={**options, "model": NetworkFace(self._model)},
        )
        others = tuple(option for option in self._model.options if not isinstance(option, GuidanceFunctions))
        if options == {"transformer_options": {}}:
            return replace(self._model, options=others)
        return replace(self._model, options=(*others, functions))

    def clone(self, *args: object, **kwargs: object) -> ModelFace:
        """The same network; options set on one leave the other as it is."""
        del args, kwargs
        return ModelFace(self._model, _copied(self.model_options))

    def with_patch(self, patch: Patch) -> ModelFace:
        """The same network with one more patch."""
        patched = replace(self._model, patches=(*self._model.patches, patch))
        return ModelFace(patched, _copied(self.model_options))

    def is_clone(self, other: object) -> bool:
        """True if both are of one file's network."""
        return isinstance(other, ModelFace) and other._model.file == self._model.file

    @property
    def model(self) -> NetworkFace:
        """The network itself."""
        return NetworkFace(self.value)

    def get_model_object(self, name: str) -> Any:
        """A part of the network by name: "model_sampling" and "latent_format" are there."""
        return getattr(self.model, name)

    @property
    def load_device(self) -> Any:
        """Where it computes."""
        from nodes.diffusion.store import ModelStore

        return run_context().service(ModelStore).device

    @property
    def offload_device(self) -> Any:
        """Where it waits: on the CPU."""
        import torch

        return torch.device("cpu")

    def model_dtype(self) -> Any:
        """What it computes in."""
        from nodes.diffusion.store import ModelStore

        return run_context().service(ModelStore).precision.dtype

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Let a function combine the predictions.

        It is given a dictionary with `cond` and `uncond` (noise: x less the prediction), `cond_denoised`,
        `uncond_denoised`, `cond_scale`, `timestep`, `sigma`, `input`, `model_options`; x less what it returns is taken.
        """
        self.model_options["sampler_cfg_function"] = sampler_cfg_function
        self._both(disable_cfg1_optimization)

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Let a function change the combined prediction, which it is given as `denoised`, and return another."""
        chain = [*self.model_options.get("sampler_post_cfg_function", ()), post_cfg_function]
        self.model_options["sampler_post_cfg_function"] = chain
        self._both(disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Let a function change the list of predictions (`conds_out`) before they are combined."""
        chain = [*self.model_options.get("sampler_pre_cfg_function", ()), pre_cfg_function]
        self.model_options["sampler_pre_cfg_function"] = chain
        self._both(disable_cfg1_optimization)

    def _both(self, wanted: bool) -> None:
        if wanted:
            self.model_options["disable_cfg1_optimization"] = True


def _require_known(options: dict[str, Any]) -> None:
    patches = options.get("transformer_options", {})
    foreign = [name for name in _FOREIGN if options.get(name)]
    foreign += [name for name in _FOREIGN_PATCHES if patches.get(name)]
    if foreign:
        raise InputError(
            f"A node pack has given the model its own '{foreign[0]}', which sampling here cannot call; use a pack that "
            "does without it.",
            code="unsupported-model-option",
        )


@overload
def _in_this_run(function: None) -> None: ...
@overload
def _in_this_run(function: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]: ...
def _in_this_run(function: Callable[..., Any] | None) -> Callable[[dict[str, Any]], Any] | None:
    """The function, which will be called by a sampler, with the run that it was set in."""
    run = running()
    if function is None or run is None:
        return function
    context = run.context

    def call(arguments: dict[str, Any]) -> Any:
        with running_in(context):
            return function(arguments)

    return call


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    """A copy in which lists and dictionaries are new, and what they hold is not."""
    return {
        name: _copied(value)
        if isinstance(value, dict)
        else copy.copy(value)
        if isinstance(value, list)
        else value
        for name, value in options.items()
    }
