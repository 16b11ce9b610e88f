"""The best direction found so far, and what is tried to beat it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from certify.bounds.rows.cones.cone_batch import Cones
from certify.bounds.rows.cones.cone_bound import Majorant, interpolation_sums, penalized, values_at

# Cones of largest bound per batch whose maximizer is tried as a lower bound.
PROBED_MAXIMIZERS = 8
# With a free axis, directions closer to it than this angle are not tried as lower bounds.
SMALLEST_NORM = 1e-12


@dataclass(frozen=True, slots=True)
class Incumbent:
    """Best direction found: value |Q^T s(X u)| / |u| (not rounded down) and u of shape (d,)."""

    value: float
    direction: Tensor

    def probed(self, majorant: Majorant, cones: Cones) -> Incumbent:
        """The best of this one and the maximizers of the cones of largest bound."""
        if len(cones) == 0:
            return self
        top = cones.take(cones.bounds.topk(min(PROBED_MAXIMIZERS, len(cones))).indices)
        points = top.maximizers()
        points = points / points.abs().amax(0).clamp(min=1e-300)
        return self.or_better(majorant, points, interpolation_sums(majorant, points))

    def or_better(self, majorant: Majorant, points: Tensor, sums: Tensor) -> Incumbent:
        """The best of this one and directions (d, B) with their interpolation sums."""
        if points.shape[1] == 0:
            return self
        norms = penalized(points, majorant.free_axis).norm(dim=0)
        usable = norms > SMALLEST_NORM * points.norm(dim=0)
        values = torch.where(usable, values_at(majorant, sums) / norms.clamp(min=1e-300), 0.0)
        best = values.argmax()
        value = float(values[best])
        return Incumbent(value, points[:, best] / norms[best]) if value > self.value else self
