"""Which samples, sides of guidance, parts of the latent and weights a ControlNet works with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.diffusion.control_networks import AdapterControl, UNetControl
from nodes.diffusion.network import ForwardPass
from nodes.diffusion.region import Region
from tests.integration.steering.steered import assert_alike, model_folder, ours, picture, saved
from tests.integration.test_whole_images import PROMPT
from tests.models import TinyModels, sd1_parts
from tests.steering_models import adapter, control_net, control_state, put


@pytest.fixture
def place(tmp_path: Path, tiny_models: TinyModels) -> tuple[Path, Path, str]:
    """A folder, its models with "control.safetensors", and the checkpoint's name."""
    models, checkpoint = model_folder(tmp_path, tiny_models, "sd1")
    put(models, "control.safetensors", control_state(control_net()))
    for number in range(2):
        saved(tmp_path, picture(number)[0], f"{number}.png")
    return tmp_path, models, checkpoint


def apply(graph: Any, parts: Any, image: Any, **changes: Any) -> tuple[Any, Any]:
    inputs: dict[str, Any] = {
        "positive": parts.positive,
        "negative": parts.negative,
        "control_net": graph.ControlNetLoader(control_net_name="control.safetensors"),
        "strength": 1.0,
        "start_percent": 0.0,
        "end_percent": 1.0,
        **changes,
    }
    both = graph.ControlNetApplyAdvanced(image=image, **inputs)
    return both.positive, both.negative


def test_each_sample_follows_its_own_picture(place: tuple[Path, Path, str]) -> None:
    def with_batch(graph: Any, parts: Any) -> tuple[Any, Any]:
        pictures = [graph.LoadImage(image=f"{number}.png").image for number in range(2)]
        return apply(graph, parts, graph.ImageBatch(image1=pictures[0], image2=pictures[1]))

    def with_one(graph: Any, parts: Any) -> tuple[Any, Any]:
        return apply(graph, parts, graph.LoadImage(image="0.png").image)

    each, same = ours(*place, with_batch, batch_size=2), ours(*place, with_one, batch_size=2)
    assert_alike(each[:1], same[:1])
    assert (each[1:] - same[1:]).abs().max() > 0.01


def test_on_one_side_it_works_on_both(place: tuple[Path, Path, str]) -> None:
    """As ComfyUI's older node: the negative follows too, unless it has a picture of its own."""

    def old(graph: Any, parts: Any) -> tuple[Any, Any]:
        steered = graph.ControlNetApply(
            conditioning=parts.positive,
            control_net=graph.ControlNetLoader(control_net_name="control.safetensors"),
            image=graph.LoadImage(image="0.png").image,
            strength=0.6,
        )
        return steered, parts.negative

    def new(graph: Any, parts: Any) -> tuple[Any, Any]:
        return apply(graph, parts, graph.LoadImage(image="0.png").image, strength=0.6)

    assert torch.equal(ours(*place, old), ours(*place, new))


@pytest.mark.parametrize("changes", [{"strength": 0.0}, {"start_percent": 0.9, "end_percent": 0.95}])
def test_without_strength_or_time_it_does_nothing(
    changes: dict[str, Any], place: tuple[Path, Path, str]
) -> None:
    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        return apply(graph, parts, graph.LoadImage(image="0.png").image, **changes)

    plain = ours(*place, lambda graph, parts: (parts.positive, parts.negative))
    assert torch.equal(ours(*place, steer), plain)


def test_a_picture_of_another_size_is_cut_and_resized(place: tuple[Path, Path, str]) -> None:
    """Twice as large, with black at the sides: the middle is what is seen."""

    def padded(graph: Any, parts: Any) -> tuple[Any, Any]:
        large = graph.ImageScale(
            image=graph.LoadImage(image="0.png").image,
            upscale_method="nearest-exact",
            width=128,
            height=128,
            crop="disabled",
        )
        wide = graph.ImagePadForOutpaint(image=large, left=32, right=32, top=0, bottom=0, feathering=0)
        return apply(graph, parts, wide.image)

    def plain(graph: Any, parts: Any) -> tuple[Any, Any]:
        return apply(graph, parts, graph.LoadImage(image="0.png").image)

    assert torch.equal(ours(*place, padded), ours(*place, plain))


def test_with_inpainting_and_picture_to_picture(place: tuple[Path, Path, str]) -> None:
    """Outside the mask the latent stays; inside, the ControlNet has its say."""

    def inpaint(controlled: bool) -> Any:
        def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
            image = graph.LoadImage(image="1.png").image
            encoded = graph.VAEEncode(pixels=image, vae=parts.checkpoint.vae)
            whole = graph.SolidMask(value=0.0, width=64, height=64)
            square = graph.SolidMask(value=1.0, width=32, height=32)
            mask = graph.MaskComposite(destination=whole, source=square, x=0, y=0, operation="add")
            parts.latent = graph.SetLatentNoiseMask(samples=encoded, mask=mask)
            if controlled:
                return apply(graph, parts, graph.LoadImage(image="0.png").image)
            return parts.positive, parts.negative

        return ours(*place, steer, denoise=0.6)

    with_control, without = inpaint(True), inpaint(False)
    changed = (with_control - without).abs().amax(dim=1)[0]
    assert changed[:4, :4].max() > 0.01
    assert changed[4:].max() < 1e-4
    assert changed[:, 4:].max() < 1e-4


def test_regional_prompts_with_control_masks_and_times(place: tuple[Path, Path, str]) -> None:
    """Area, mask, time range and ControlNet together run, and each has its say."""

    def regional(control: bool = True, area: bool = True, mask: bool = True) -> Tensor:
        def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
            left = graph.CLIPEncode(text="a dog", clip=parts.checkpoint.clip)
            if area:
                left = graph.ConditioningSetArea(
                    conditioning=left, width=64, height=64, x=0, y=0, strength=1.0
                )
            right = graph.CLIPEncode(text="red", clip=parts.checkpoint.clip)
            if mask:
                right = graph.ConditioningSetMask(
                    conditioning=right,
                    mask=graph.SolidMask(value=0.5, width=16, height=16),
                    strength=1.0,
                    set_cond_area="mask bounds",
                )
            early = graph.ConditioningSetTimestepRange(conditioning=parts.positive, start=0.0, end=0.5)
            both = graph.ConditioningCombine(conditioning_1=left, conditioning_2=right)
            positive = graph.ConditioningCombine(conditioning_1=both, conditioning_2=early)
            if not control:
                return positive, parts.negative
            parts.positive = positive
            return apply(graph, parts, graph.LoadImage(image="0.png").image)

        return ours(*place, steer)

    everything = regional()
    assert torch.isfinite(everything).all()
    assert (everything - regional(control=False)).abs().max() > 0.01
    assert (everything - regional(mask=False)).abs().max() > 1e-3


def test_where_the_network_sees_a_part_so_does_the_controlnet() -> None:
    """Two regions of one size in one pass: each with its own part of the picture."""
    stream = torch.Generator().manual_seed(0)
    shown = picture()[:1].movedim(-1, 1)
    regions = (
        Region(top=0, left=0, height=4, width=4),
        Region(top=4, left=4, height=4, width=4),
    )
    x = torch.randn(2, 4, 4, 4, generator=stream)
    steps = torch.full((2,), 300.0)
    conditions = {"context": torch.randn(2, 7, 64, generator=stream)}
    acts = {"strength": 1.0, "start": 0.0, "end": 1.0, "factor": 8}
    for kind, module in ((UNetControl, control_net()), (AdapterControl, adapter())):
        both = ForwardPass(x=x, timestep=steps, conditions=conditions, batch=1, regions=regions)
        together = kind(module=module, picture=shown, **acts)(both)
        corners = (shown[..., :32, :32], shown[..., 32:, 32:])
        for row, corner in enumerate(corners):
            one_row = ForwardPass(
                x=x[row : row + 1],
                timestep=steps[:1],
                conditions={"context": conditions["context"][row : row + 1]},
                batch=1,
                regions=(None,),
            )
            alone = kind(module=module, picture=corner, **acts)(one_row)
            for one, other in zip(
                together.down + together.intrablock, alone.down + alone.intrablock, strict=True
            ):
                torch.testing.assert_close(one[row : row + 1], other, atol=1e-5, rtol=1e-5)


def test_differences_are_added_to_their_model(place: tuple[Path, Path, str]) -> None:
    folder, models, checkpoint = place
    module = control_net()
    whole, base = module.state_dict(), sd1_parts().unet.state_dict()
    module_of_differences = {
        name: tensor - base[name] if name in base else tensor for name, tensor in whole.items()
    }
    put(
        models,
        "difference.safetensors",
        {**control_state_of(module, module_of_differences), "difference": torch.ones(1)},
    )

    def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
        loaded = graph.DiffControlNetLoader(model=parts.model, control_net_name="difference.safetensors")
        return apply(graph, parts, graph.LoadImage(image="0.png").image, control_net=loaded)

    def plain(graph: Any, parts: Any) -> tuple[Any, Any]:
        return apply(graph, parts, graph.LoadImage(image="0.png").image)

    assert_alike(ours(folder, models, checkpoint, steer), ours(folder, models, checkpoint, plain))


def control_state_of(module: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Other weights of a ControlNet in ldm's layout."""
    from nodes.diffusion.layouts import controlnet
    from nodes.diffusion.layouts.rules import to_original
    from tests.models import prefixed

    return prefixed("control_model.", to_original(state, controlnet.rules(dict(module.config), state)))


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_prompt_of_their_own(
    family: str, tmp_path: Path, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, checkpoint = model_folder(tmp_path, tiny_models, family)
    put(models, "control.safetensors", control_state(control_net(family)))
    saved(tmp_path, picture(0)[0], "0.png")
    seen: list[dict[str, Tensor]] = []
    plain = UNetControl.__call__

    def recorded(self: UNetControl, forward: ForwardPass) -> Any:
        seen.append(dict(forward.conditions))
        return plain(self, forward)

    monkeypatch.setattr(UNetControl, "__call__", recorded)

    def told(text: str | None) -> Any:
        def steer(graph: Any, parts: Any) -> tuple[Any, Any]:
            positive, negative = apply(graph, parts, graph.LoadImage(image="0.png").image)
            if text is None:
                return positive, negative
            clip = parts.checkpoint.clip
            return tuple(
                graph.CLIPTextEncodeControlnet(clip=clip, conditioning=side, text=text)
                for side in (positive, negative)
            )

        return steer

    usual = ours(tmp_path, models, checkpoint, told(None))
    first = dict(seen[0])
    seen.clear()
    other = ours(tmp_path, models, checkpoint, told("a boat at night"))
    context = seen[0]["context"]
    assert len(context) == 2, "both sides in one pass"
    assert torch.equal(context[0], context[1])
    assert not torch.allclose(context, first["context"])
    assert ("pooled" in first) == (family == "sdxl")
    if family == "sdxl":
        assert torch.equal(seen[0]["pooled"][0], seen[0]["pooled"][1])
    assert (other - usual).abs().max() > 1e-3
    assert_alike(
        ours(tmp_path, models, checkpoint, told(PROMPT), cfg=1.0),
        ours(tmp_path, models, checkpoint, told(None), cfg=1.0),
    )
