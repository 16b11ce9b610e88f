"""Directions u at which seminorms of first responses are large: the cutting planes of a search over multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.layers.peeled_scores import PeeledScores
from certify.bounds.rows.direction_search import leaders
from certify.problem import Slopes

RANDOM_STARTS = 64
BEST_STARTS = 64
ASCENT_STEPS = 30
# Most directions kept, those of largest value first.
MOST = 1024
FIRST = 512
# As a share of the largest.
LEAST_REACH = 1e-3


@final
@dataclass(frozen=True, slots=True)
class Witnesses:
    """Directions with their responses.

    Attributes:
        rows: H, (N, k).
        slopes: of σ.
        directions: u, |u| = 1, (s, k).
        responses: σ(H u), (s, N).
    """

    rows: Tensor
    slopes: Slopes
    directions: Tensor
    responses: Tensor

    def reach(self) -> Tensor:
        """Typical size of every response, positive, (N,)."""
        sizes = self.responses.square().mean(0).sqrt()
        return sizes.clamp_min(LEAST_REACH * float(sizes.max()) + 1e-300)

    def values(self, seminorms: list[PeeledScores]) -> Tensor:
        """The largest seminorm at each, (s,)."""
        return torch.stack([form.norms(self.responses) for form in seminorms]).amax(0)

    def refreshed(self, seminorms: list[PeeledScores], generator: torch.Generator) -> tuple[Witnesses, float]:
        """With what ascent finds from the best of them and from random starts; and the largest value then."""
        with torch.no_grad():
            best = self.values(seminorms).topk(min(BEST_STARTS, len(self.directions))).indices
        random = _random(RANDOM_STARTS, self.rows, generator)
        found = self._ascended(torch.cat([self.directions[best], random]), seminorms)
        with torch.no_grad():
            more = _witnesses(self.rows, self.slopes, torch.cat([found, self.directions]))
            values = more.values(seminorms)
            kept = leaders(more.directions, values)[:MOST]
            fresh = Witnesses(self.rows, self.slopes, more.directions[kept], more.responses[kept])
        return fresh, float(values.max())

    def _ascended(self, starts: Tensor, seminorms: list[PeeledScores]) -> Tensor:
        """Ends of gradient ascent on the sphere; a step that does not ascend is undone and shortened."""
        best = starts
        value, gradient = self._gradient(best, seminorms)
        step = torch.full_like(value, 0.5)
        for _ in range(ASCENT_STEPS):
            length = torch.linalg.vector_norm(gradient, dim=1).clamp_min(1e-300)
            trial = torch.nn.functional.normalize(best + (step / length)[:, None] * gradient, dim=1)
            trial_value, trial_gradient = self._gradient(trial, seminorms)
            better = trial_value > value
            best = torch.where(better[:, None], trial, best)
            gradient = torch.where(better[:, None], trial_gradient, gradient)
            value = torch.where(better, trial_value, value)
            step = torch.where(better, step * 1.5, step * 0.4)
        return best

    def _gradient(self, directions: Tensor, seminorms: list[PeeledScores]) -> tuple[Tensor, Tensor]:
        moved = directions.detach().requires_grad_()
        responses = self.slopes.of(moved @ self.rows.T)
        values = torch.stack([form.norms(responses) for form in seminorms]).amax(0)
        (gradient,) = torch.autograd.grad(values.sum(), moved)
        return values.detach(), gradient


def first_witnesses(rows: Tensor, slopes: Slopes, given: Tensor, generator: torch.Generator) -> Witnesses:
    """Given directions (s, k), those of the rows, and random ones."""
    directions = torch.cat([given, rows, -rows, _random(FIRST, rows, generator)])
    directions = directions[torch.linalg.vector_norm(directions, dim=1) > 0]
    return _witnesses(rows, slopes, torch.nn.functional.normalize(directions, dim=1))


def _witnesses(rows: Tensor, slopes: Slopes, directions: Tensor) -> Witnesses:
    return Witnesses(rows, slopes, directions, slopes.of(directions @ rows.T))


def _random(count: int, rows: Tensor, generator: torch.Generator) -> Tensor:
    found = torch.randn(count, rows.shape[1], generator=generator, dtype=rows.dtype).to(rows.device)
    return torch.nn.functional.normalize(found, dim=1)
