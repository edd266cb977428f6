"""A small workflow that shows what one node does, put together from the types of its sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from graphcore.builder import Graph, NodeHandle, Output
from graphcore.registry import Registry
from graphcore.spec import InputSpec, NodeSpec
from graphcore.workflow import Workflow
from tools.node_pictures.settings import BESIDE, CHOSEN, PROMPTED, SKIPPED, TRIED_WITH, WIDE, scale_of
from tools.node_pictures.supply import CFG, FILES, PROMPTS, REFUSED, SEED, SIDE, STEPS, Supply

BEFORE, AFTER = "before", "after"
_SHOWN: Final = {"IMAGE", "MASK", "SIGMAS", "AUDIO"}
_SAMPLED: Final = {"MODEL", "CLIP", "CONDITIONING"}
_WANTED: Final = {"mask", "image2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A workflow whose outputs `before0`, `before1` ... and `after0` ... hold pictures, masks, sigmas or sounds."""

    node: str
    workflow: Workflow


class Unshowable(Exception):
    """Nothing that comes along shows what the node does."""


def example_of(spec: NodeSpec, registry: Registry) -> Example | None:
    """The example of a node, or None if it has none."""
    if spec.name in SKIPPED:
        return None
    try:
        return _Trial(spec, registry).example()
    except Unshowable:
        return None


class _Trial:
    """One node with its inputs, what they look like, and what comes out."""

    def __init__(self, spec: NodeSpec, registry: Registry) -> None:
        self.spec = spec
        self.graph = Graph(registry)
        self.supply = Supply(self.graph, PROMPTED.get(spec.name, PROMPTS), scale_of(spec, CFG))
        self.given: dict[str, Output] = {}

    def example(self) -> Example:
        handle = self.graph.add(self.spec.name, dict(self._inputs()))
        after = list(self._after(handle))
        if not after:
            raise Unshowable(self.spec.name)
        for index, shown in enumerate(self._before()):
            self.graph.output(f"{BEFORE}{index}", shown)
        for index, shown in enumerate(after):
            self.graph.output(f"{AFTER}{index}", shown)
        return Example(node=self.spec.name, workflow=self.graph.workflow())

    def _inputs(self) -> Iterator[tuple[str, object]]:
        chosen = CHOSEN.get(self.spec.name, {})
        counts: dict[str, int] = {}
        for declared in self.spec.inputs:
            if declared.name in chosen:
                yield declared.name, chosen[declared.name]
            elif declared.gather and declared.required:
                yield declared.name, [self._value(declared, index) for index in range(3)]
            elif declared.required or declared.name in _WANTED:
                kind = declared.type.name
                value = self._value(declared, counts.get(kind, 0))
                counts[kind] = counts.get(kind, 0) + (not _is_negative(declared))
                yield declared.name, value
        yield from ((name, value) for name, value in chosen.items() if name not in self.spec.by_name)

    def _value(self, declared: InputSpec, index: int) -> object:
        if declared.file is not None:
            if declared.file.kind not in FILES:
                raise Unshowable(declared.name)
            return FILES[declared.file.kind]
        if declared.choices:
            return declared.choices[0]
        if declared.type.name == "STRING":
            return self.supply.prompts[0]
        found = self._source(declared, index)
        if found is None:
            raise Unshowable(declared.name)
        self.given[f"{declared.name}{index}"] = found
        return found

    def _source(self, declared: InputSpec, index: int) -> Output | None:
        kind = declared.type.name
        special = TRIED_WITH.get(self.spec.name, {}).get(declared.name)
        if special is not None:
            return self.supply.special(special)
        if kind == "LATENT" and self._samples():
            return self.supply.empty_latent()
        return self.supply.of(kind, index, negative=_is_negative(declared))

    def _samples(self) -> bool:
        """True if the node itself makes pictures from noise."""
        return bool({"GUIDER", "CONDITIONING"} & {declared.type.name for declared in self.spec.inputs})

    def _before(self) -> Iterator[Output]:
        """What goes in: pictures as they are, models and prompts by what is sampled with them."""
        kinds = {output.type.name for output in self.spec.outputs}
        for output in self.given.values():
            kind = output.type.name
            if kind in _SHOWN:
                yield output
            elif kind == "LATENT" and not self._samples():
                yield self._decoded(output)
        prompts = [name for name, output in self.given.items() if output.type.name == "CONDITIONING"]
        wanted = [self.given[name] for name in prompts if not name.startswith(("negative", "empty"))]
        if "CONDITIONING" in kinds:
            other = [self.supply.prompt(self.supply.prompts[1])] if self.spec.name in BESIDE else []
            yield from (self._sampled(positive=prompt) for prompt in (*wanted, *other))
        elif kinds & {"MODEL", "CLIP"}:
            yield self._sampled()

    def _after(self, handle: NodeHandle) -> Iterator[Output]:
        by_type: dict[str, list[Output]] = {}
        for output in handle:
            by_type.setdefault(output.type.name, []).append(output)
        if by_type.keys() & _SAMPLED:
            yield self._sampled_with(by_type)
        elif "SAMPLER" in by_type:
            yield self._custom(sampler=by_type["SAMPLER"][0])
        elif "GUIDER" in by_type or "NOISE" in by_type:
            yield self._advanced(by_type)
        else:
            for output in handle:
                if output.type.name == "LATENT":
                    yield self._from_latent(output)
                elif output.type.name in _SHOWN or (output.type.is_any and self.spec.name in TRIED_WITH):
                    yield output

    def _from_latent(self, latent: Output) -> Output:
        """A latent as a picture; one with a noise mask is sampled first, which is what the mask is for."""
        if self.spec.category == "latent/inpaint":
            return self._sampled(latent=latent, positive=self.supply.prompt(self.supply.prompts[1]))
        return self._decoded(latent)

    def _sampled_with(self, found: dict[str, list[Output]]) -> Output:
        supply = self.supply
        clip = found.get("CLIP", [None])[0]
        positive, *more = found.get("CONDITIONING", [supply.prompt(supply.prompts[0], clip)])
        positive = self._beside(positive) if self.spec.name in BESIDE else positive
        negative = more[0] if more else supply.prompt(REFUSED, clip)
        return self._sampled(
            model=found.get("MODEL", [supply.checkpoint.model])[0],
            positive=positive,
            negative=negative,
            latent=supply.empty_latent(2 * SIDE)
            if self.spec.name in WIDE
            else found.get("LATENT", [None])[0],
        )

    def _beside(self, conditioning: Output) -> Output:
        """A conditioning together with that of another prompt, which the same node treats otherwise."""
        inputs: dict[str, object] = {
            "conditioning": self.supply.prompt(self.supply.prompts[1]),
            **BESIDE[self.spec.name],
        }
        if "mask" in self.spec.by_name:
            inputs["mask"] = self.supply.special("inverted_mask")
        other = self.graph.add(self.spec.name, inputs)
        return self.graph.ConditioningCombine(conditioning_1=conditioning, conditioning_2=other)[0]

    def _sampled(
        self,
        *,
        model: Output | None = None,
        positive: Output | None = None,
        negative: Output | None = None,
        latent: Output | None = None,
    ) -> Output:
        supply = self.supply
        handle = self.graph.KSampler(
            model=model or supply.checkpoint.model,
            positive=positive or supply.prompt(supply.prompts[0]),
            negative=negative or supply.prompt(REFUSED),
            latent_image=latent or supply.empty_latent(),
            seed=SEED,
            steps=STEPS,
            cfg=supply.cfg,
            sampler_name="dpmpp_2m",
            scheduler="karras",
            denoise=1.0,
        )
        return self._decoded(handle[0])

    def _custom(self, *, sampler: Output) -> Output:
        handle = self.graph.SamplerCustom(
            add_noise=True,
            noise_seed=SEED,
            sampler=sampler,
            sigmas=self.supply.sigmas,
            latent_image=self.supply.empty_latent(),
            **self.supply.guidance,
        )
        return self._decoded(handle[0])

    def _advanced(self, found: dict[str, list[Output]]) -> Output:
        handle = self.graph.SamplerCustomAdvanced(
            noise=found.get("NOISE", [self.supply.of("NOISE")])[0],
            guider=found.get("GUIDER", [self.supply.of("GUIDER")])[0],
            sampler=self.supply.of("SAMPLER"),
            sigmas=self.supply.sigmas,
            latent_image=self.supply.empty_latent(),
        )
        return self._decoded(handle[0])

    def _decoded(self, latent: Output) -> Output:
        return self.graph.VAEDecode(samples=latent, vae=self.supply.checkpoint.vae)[0]


def _is_negative(declared: InputSpec) -> bool:
    return declared.name.startswith(("negative", "empty"))
