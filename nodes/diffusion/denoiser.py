"""denoise(x, sigma): the one place that calls the network.

At each sigma, the active entries of all wanted branches are put into as few forward passes as their shapes
allow, and the predictions of each branch are averaged by weight, as ComfyUI weighs areas, masks and strengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from graphcore.errors import InputError
from nodes.conditioning.hook_values import Hooks
from nodes.diffusion.context_windows import Window, weights_of, windows_at
from nodes.diffusion.entries import Entry, rows_for
from nodes.diffusion.guidance import NEGATIVE, Branch, Guide, Predictions
from nodes.diffusion.network import FOR_HINTS, ForwardPass, HintNetwork, Network
from nodes.diffusion.samplers.protocol import DenoisedPair
from nodes.diffusion.step_reuse import StepReuse
from nodes.video.context_options import ContextOption

MOST_REPEATS = 4
"""How often the shortest context may be repeated to share a pass with a longer one."""

MAPPED = "map:mid"
"""The perturbation that changes nothing and asks for the map of the middle self-attention."""
_NOTHING = 1e-37


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    branch: Branch
    entry: Entry


@dataclass(slots=True, kw_only=True, eq=False)
class Denoiser:
    """The guided prediction of x0, from a network and conditionings by name ("positive", "negative", ...).

    `check_cancelled` is called before every forward pass and may raise. With `windows`, a longer batch is predicted in
    windows that overlap.
    """

    network: Network
    guide: Guide
    entries: Mapping[str, Sequence[Entry]]
    needs_uncond: bool = False
    check_cancelled: Callable[[], None] = lambda: None
    windows: ContextOption | None = None
    hooked: Callable[[Hooks, float], Network] | None = None
    reuse: StepReuse | None = None
    _parts: dict[Window, Denoiser] = field(default_factory=dict)
    _joined: dict[tuple[int, ...], dict[str, Tensor]] = field(default_factory=dict)
    _attention: dict[Branch, Tensor] = field(default_factory=dict)

    def __call__(self, x: Tensor, sigma: Tensor, step: int) -> DenoisedPair:
        """The guided prediction for x (batch, channels, height, width) at sigma (0-d), and the unconditional one.

        Where no unconditional prediction is made, the guided one stands for it.
        """
        share = self.network.parameterization.share(sigma)
        known = self.reuse.guess(x, share) if self.reuse is not None else None
        if known is not None:
            return known
        branches = list(self.guide.branches(share))
        if self.needs_uncond and NEGATIVE not in branches and self.entries.get(NEGATIVE.conditioning):
            branches.append(NEGATIVE)
        self._attention.clear()
        predictions = Predictions(
            x=x,
            sigma=sigma,
            step=step,
            share=share,
            denoised=self.predict(x, sigma, branches, step),
            flow=self.network.parameterization.process.flow,
            again=lambda other, wanted: self.predict(other, sigma, wanted, step),
            attention=self._attention,
        )
        denoised = self.guide(predictions)
        pair = DenoisedPair(denoised, predictions.denoised.get(NEGATIVE, denoised))
        if self.reuse is not None:
            self.reuse.learn(x, pair)
        return pair

    @property
    def fits_any_size(self) -> bool:
        """True if nothing was made for one size of the latent: no area, mask, hint or picture."""
        return all(
            entry.region is None
            and not isinstance(entry.weight, Tensor)
            and not entry.hints
            and "concat" not in entry.tensors
            for entries in self.entries.values()
            for entry in entries
        )

    def predict(
        self, x: Tensor, sigma: Tensor, branches: Sequence[Branch], step: int = 0
    ) -> dict[Branch, Tensor]:
        """The prediction of x0 of each branch; zeros where no entry of a branch is active."""
        if self.windows is not None and len(x) > self.windows.length:
            return self._in_windows(self.windows, x, sigma, branches, step)
        jobs = [
            _Job(branch, entry)
            for branch in branches
            for entry in self._entries_of(branch)
            if entry.acts(float(sigma))
        ]
        found = {branch: _WeightedSum(x) for branch in branches}
        for group in _groups(jobs, x, float(sigma)):
            for job, denoised in zip(group, self._forward(group, x, sigma), strict=True):
                found[job.branch].add(denoised, job.entry)
        return {branch: total.mean() for branch, total in found.items()}

    def _in_windows(
        self, option: ContextOption, x: Tensor, sigma: Tensor, branches: Sequence[Branch], step: int
    ) -> dict[Branch, Tensor]:
        """The weighted means of what windows over the batch predict."""
        frames = len(x)
        total = {branch: torch.zeros_like(x) for branch in branches}
        weights = x.new_zeros(frames, 1, 1, 1)
        maps: dict[Branch, Tensor] = {}
        for window in windows_at(option, frames, step):
            part = self._part(window, frames)
            rows = torch.tensor(window, device=x.device)
            share = weights_of(option, window, frames).to(x)[:, None, None, None]
            weights.index_add_(0, rows, share)
            for branch, found in part.predict(x[rows], sigma, branches).items():
                total[branch].index_add_(0, rows, found * share)
            for branch, attention in part._attention.items():
                seen = maps.setdefault(branch, attention.new_zeros(frames, attention.shape[1]))
                seen.index_add_(0, rows, attention * share[:, :, 0, 0].to(attention))
            part._attention.clear()
        flat = weights[:, :, 0, 0]
        self._attention.update({branch: seen / flat.to(seen) for branch, seen in maps.items()})
        return {branch: summed / weights for branch, summed in total.items()}

    def _part(self, window: Window, frames: int) -> Denoiser:
        """The denoiser of some rows of the batch."""
        if window not in self._parts:
            known: dict[int, HintNetwork] = {}
            entries = {
                name: [entry.of_rows(window, frames, known) for entry in entries]
                for name, entries in self.entries.items()
            }
            self._parts[window] = replace(
                self, entries=entries, windows=None, _parts={}, _joined={}, _attention={}
            )
        return self._parts[window]

    def _entries_of(self, branch: Branch) -> Sequence[Entry]:
        try:
            return self.entries[branch.conditioning]
        except KeyError:
            raise InputError(
                f"This guidance needs a conditioning called {branch.conditioning!r}; connect one.",
                code="missing-conditioning",
            ) from None

    def _forward(self, group: Sequence[_Job], x: Tensor, sigma: Tensor) -> tuple[Tensor, ...]:
        """One pass for all jobs of a group; x0 for each, within its region."""
        self.check_cancelled()
        network = self._network(group[0].entry, sigma)
        batch = len(x)
        seen = torch.cat([job.entry.seen(x) for job in group])
        scaled = network.parameterization.scale_input(seen, sigma).to(network.dtype)
        timestep = network.parameterization.timestep(sigma).to(x.device).expand(len(seen))
        conditions = self._conditions([job.entry for job in group], batch)
        residuals = None
        forward = ForwardPass(
            x=scaled,
            timestep=timestep,
            conditions=_seen_by_hints(conditions),
            batch=batch,
            regions=[job.entry.region for job in group],
        )
        for hint in group[0].entry.hints:
            if hint.acts(float(sigma)):
                added = hint.network(forward)
                residuals = added if residuals is None else residuals + added
        if residuals is not None:
            self.check_cancelled()
        perturbation = group[0].branch.perturbation
        maps: list[Tensor] = []
        prediction = network(
            scaled,
            timestep,
            conditions,
            residuals=residuals,
            perturbation=perturbation,
            **({"attention": maps} if perturbation == MAPPED else {}),
        )
        self._keep_attention(group, maps, batch)
        denoised = network.parameterization.denoised(seen, prediction.to(x.dtype), sigma)
        return torch.split(denoised, batch)

    def _network(self, entry: Entry, sigma: Tensor) -> Network:
        """The network, with the hooks of an entry."""
        if entry.hooks is None or self.hooked is None:
            return self.network
        return self.hooked(entry.hooks, self.network.parameterization.share(sigma))

    def _keep_attention(self, group: Sequence[_Job], maps: Sequence[Tensor], batch: int) -> None:
        """Attention to the whole latent, of the first entry of each branch that sees all of it."""
        for each in maps:
            for job, rows in zip(group, torch.split(each, batch), strict=True):
                if job.entry.region is None:
                    self._attention.setdefault(job.branch, rows)

    def _conditions(self, entries: Sequence[Entry], batch: int) -> dict[str, Tensor]:
        """The rows of a pass; they are the same at each step, so they are kept."""
        key = tuple(id(entry) for entry in entries)
        if key not in self._joined:
            self._joined[key] = join_conditions([entry.tensors for entry in entries], batch)
        return self._joined[key]


def _seen_by_hints(conditions: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The conditions with those that are meant for hints in their places."""
    own = {
        name.removeprefix(FOR_HINTS): tensor
        for name, tensor in conditions.items()
        if name.startswith(FOR_HINTS)
    }
    return {**conditions, **own} if own else conditions


class _WeightedSum:
    """Predictions of one branch, averaged by weight; one alone that covers everything is taken as it is."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._waiting: list[tuple[Tensor, Entry]] = []

    def add(self, denoised: Tensor, entry: Entry) -> None:
        """One more prediction, with its entry's region and weight."""
        self._waiting.append((denoised, entry))

    def mean(self) -> Tensor:
        """The average; zeros where there is nothing."""
        if len(self._waiting) == 1 and not self._waiting[0][1].default:
            denoised, entry = self._waiting[0]
            if entry.region is None and not isinstance(entry.weight, Tensor) and entry.weight != 0:
                return denoised
        total = torch.zeros_like(self._like)
        weights = torch.full_like(self._like, _NOTHING)
        for denoised, entry in self._waiting:
            if not entry.default:
                entry.seen(total).add_(denoised * entry.weight)
                entry.seen(weights).add_(entry.weight)
        rest = (1 - weights).clamp_min(0)
        for denoised, entry in self._waiting:
            if entry.default:
                share = entry.seen(rest) * entry.weight
                entry.seen(total).add_(denoised * share)
                entry.seen(weights).add_(share)
        return total / weights


def _groups(jobs: Sequence[_Job], x: Tensor, sigma: float) -> list[list[_Job]]:
    """Jobs that can share a forward pass, in order of their first."""
    groups: list[list[_Job]] = []
    for job in jobs:
        for group in groups:
            if _alike(group[0], job, x, sigma) and _contexts_fit([*group, job]):
                group.append(job)
                break
        else:
            groups.append([job])
    return groups


def _alike(one: _Job, other: _Job, x: Tensor, sigma: float) -> bool:
    active = [tuple(id(hint.network) for hint in job.entry.hints if hint.acts(sigma)) for job in (one, other)]
    return (
        one.branch.perturbation == other.branch.perturbation
        and active[0] == active[1]
        and one.entry.hooks == other.entry.hooks
        and one.entry.size(x) == other.entry.size(x)
        and _shapes(one.entry) == _shapes(other.entry)
    )


def _shapes(entry: Entry) -> dict[str, tuple[int, ...]]:
    """What two entries must have in common: names, and sizes but for rows and a context's tokens."""
    return {
        name: tuple(tensor.shape[2:] if name == "context" else tensor.shape[1:])
        for name, tensor in entry.tensors.items()
    }


def _contexts_fit(jobs: Sequence[_Job]) -> bool:
    tokens = [job.entry.tensors["context"].shape[1] for job in jobs]
    return math.lcm(*tokens) // min(tokens) <= MOST_REPEATS


def join_conditions(entries: Sequence[Mapping[str, Tensor]], batch: int) -> dict[str, Tensor]:
    """The tensors of several entries as rows of one batch, `batch` rows each.

    Contexts are repeated along their tokens to the least common multiple, which leaves cross-attention's
    result the same: each token is there equally often.
    """
    tokens = math.lcm(*(entry["context"].shape[1] for entry in entries))
    joined = {}
    for name in entries[0]:
        rows = []
        for entry in entries:
            tensor = rows_for(entry[name], batch)
            if name == "context":
                tensor = tensor.repeat(1, tokens // tensor.shape[1], 1)
            rows.append(tensor)
        joined[name] = torch.cat(rows)
    return joined
