"""A pack that computes with models, text encoders and VAEs through ComfyUI's modules."""

from __future__ import annotations

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.utils
import folder_paths
import latent_preview
import node_helpers
import torch
from comfy.comfy_types import IO, ComfyNodeABC

import nodes


def inputs(**kinds):
    return {"required": {name: kind if isinstance(kind, tuple) else (kind,) for name, kind in kinds.items()}}


SAMPLING = {"model": "MODEL", "positive": "CONDITIONING", "negative": "CONDITIONING", "latent": "LATENT"}


class Encode(ComfyNodeABC):
    """As CLIPTextEncode, from tokens."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(clip=IO.CLIP, text=(IO.STRING, {"multiline": True}))

    RETURN_TYPES = (IO.CONDITIONING,)
    FUNCTION = "encode"

    def encode(self, clip, text):
        tokens = clip.tokenize(text)
        assert all(isinstance(rows[0][0], tuple) for rows in tokens.values())
        cond, pooled = clip.encode_from_tokens(tokens, return_pooled=True)
        scheduled = clip.encode_from_tokens_scheduled(tokens)
        assert torch.equal(scheduled[0][0], cond)
        return (
            node_helpers.conditioning_set_values([[cond, {"pooled_output": pooled}]], {"flavour": "sweet"}),
        )


class Sample:
    """As KSampler, by common_ksampler."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(
            **SAMPLING,
            sampler=(comfy.samplers.KSampler.SAMPLERS,),
            scheduler=(comfy.samplers.KSampler.SCHEDULERS,),
        )

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "sample"

    def sample(self, model, positive, negative, latent, sampler, scheduler):
        assert isinstance(latent, dict)
        assert positive[0][1]["flavour"] == "sweet"
        return nodes.common_ksampler(model, 3, 3, 5.0, sampler, scheduler, positive, negative, latent)


class SampleByHand(Sample):
    """As KSampler, with noise and callback of its own."""

    def sample(self, model, positive, negative, latent, sampler, scheduler):
        samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
        noise = comfy.sample.prepare_noise(samples, 3)
        kept = {}
        out = comfy.sample.sample(
            model,
            noise,
            3,
            5.0,
            sampler,
            scheduler,
            positive,
            negative,
            samples,
            seed=3,
            callback=latent_preview.prepare_callback(model, 3, kept),
            noise_mask=latent.get("noise_mask"),
        )
        assert kept["x0"].shape == out.shape
        return ({**latent, "samples": out, "by": "hand"},)


class SampleByClass(nodes.KSampler):
    """As KSampler, by its class."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(
            **SAMPLING, sampler=(comfy.samplers.SAMPLER_NAMES,), scheduler=(comfy.samplers.SCHEDULER_NAMES,)
        )

    FUNCTION = "again"

    def again(self, model, positive, negative, latent, sampler, scheduler):
        return self.sample(model, 3, 3, 5.0, sampler, scheduler, positive, negative, latent)


class SampleByGuider(Sample):
    """As KSampler, by a guider, a sampler and sigmas."""

    def sample(self, model, positive, negative, latent, sampler, scheduler):
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), scheduler, 3)
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(5.0)
        noise = comfy.sample.prepare_noise(latent["samples"], 3)
        out = guider.sample(noise, latent["samples"], comfy.samplers.sampler_object(sampler), sigmas, seed=3)
        return ({"samples": out},)


class Guide:
    """Classifier-free guidance, by a function."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(model="MODEL", share=("FLOAT", {"default": 1.0}))

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"

    def patch(self, model, share):
        def combine(args):
            assert args["cond"].shape == args["input"].shape
            assert args["sigma"].ndim == 1
            return args["uncond"] + (args["cond"] - args["uncond"]) * args["cond_scale"]

        def after(args):
            return args["denoised"] * share

        patched = model.clone()
        patched.set_model_sampler_cfg_function(combine)
        patched.set_model_sampler_post_cfg_function(after)
        assert model.model_options == {"transformer_options": {}}
        assert patched.is_clone(model)
        assert model.model.model_type == comfy.model_base.ModelType.EPS
        assert isinstance(model.model, comfy.model_base.BaseModel)
        assert not isinstance(model.model, comfy.model_base.SDXL)
        assert model.model.latent_format.scale_factor == comfy.latent_formats.SD15().scale_factor
        return (patched,)


class Decode:
    """As VAEDecode, then back and forth again."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(vae="VAE", latent="LATENT")

    RETURN_TYPES = ("IMAGE", "IMAGE", "LATENT")
    FUNCTION = "decode"

    def decode(self, vae, latent):
        pixels = vae.decode(latent["samples"])
        (again,) = nodes.VAEDecode().decode(vae=vae, samples=latent)
        assert torch.equal(pixels, again)
        assert pixels.shape[1] == latent["samples"].shape[2] * vae.downscale_ratio
        return (
            pixels,
            vae.decode_tiled(latent["samples"], tile_x=64),
            {"samples": vae.encode(pixels[:, :, :, :3])},
        )


class Patches:
    """Something that there is no way to do here."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(model="MODEL", how=(["method", "wrapper"],))

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"

    def patch(self, model, how):
        patched = model.clone()
        if how == "method":
            patched.set_model_attn1_patch(lambda *args: args)
        patched.model_options["model_function_wrapper"] = lambda *args: None
        return (patched,)


class Adapt:
    """As LoraLoader, by the file's tensors."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(
            model="MODEL",
            clip="CLIP",
            name=(folder_paths.get_filename_list("loras"),),
            how=(["file", "tensors"],),
        )

    RETURN_TYPES = ("MODEL", "CLIP")
    FUNCTION = "adapt"

    def adapt(self, model, clip, name, how):
        lora = comfy.utils.load_torch_file(folder_paths.get_full_path("loras", name), safe_load=True)
        if how == "tensors":
            lora = dict(lora)
        return comfy.sd.load_lora_for_models(model, clip, lora, 0.5, 0.25)


NODE_CLASS_MAPPINGS = {
    "PackAdapt": Adapt,
    "PackEncode": Encode,
    "PackSample": Sample,
    "PackSampleByHand": SampleByHand,
    "PackSampleByClass": SampleByClass,
    "PackSampleByGuider": SampleByGuider,
    "PackGuide": Guide,
    "PackDecode": Decode,
    "PackPatches": Patches,
}
