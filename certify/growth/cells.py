"""Activation cells of a two-layer ReLU network: where a subnetwork's response is linear in its input weights.

The cell of a direction u is the closed cone K = {v : s_i h_i v ≥ 0 for all i} with s_i = ±1 as h_i u > 0 or not; on it
relu(H v) = D H v with D = diag(s_i > 0) (Pilanci and Ergen 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from certify.problem import Factors

# A cell whose largest inscribed margin, for rows of norm 1 and |v|_inf ≤ 1, is below this counts as flat.
FLAT = 1e-11
# A wall is touched at a relative margin below this; steps off it are this share of the margin to the next wall.
KINK = 1e-9
STEP_ASIDE = 0.5
# Output directions this close (1 − cosine) within one cell make one block.
SAME_DIRECTION = 1e-9


@final
@dataclass(frozen=True, slots=True)
class Cells:
    """Distinct pairs of a cell and an output direction.

    Attributes:
        patterns: D, (b, n) booleans.
        outgoing: output directions of norm 1, (b, c).
        interior: a direction of norm 1 strictly inside each cell, (b, d).
        start: sum of the given subnetworks that lie in each pair, as input weights, (b, d).
    """

    patterns: Tensor
    outgoing: Tensor
    interior: Tensor
    start: Tensor

    @property
    def count(self) -> int:
        """Number b of pairs."""
        return self.patterns.shape[0]


def unit_rows(inputs: Tensor) -> Tensor:
    """The nonzero rows of H at norm 1, (n′, d): the walls of all cells."""
    norms = torch.linalg.vector_norm(inputs, dim=1, keepdim=True)
    rows: Tensor = inputs / norms.clamp_min(torch.finfo(inputs.dtype).tiny)
    return rows[norms[:, 0] > 0]


def cells_of(inputs: Tensor, directions: Factors, scales: Tensor) -> Cells:
    """The cells of subnetworks α relu(H u) vᵀ, those in one cell with one output direction together.

    A direction on a kink, or within rounding of one, lies in the closures of several cells: one is taken where it has a
    scale, and two on opposite sides of its kinks where it is new. Flat cells are left out.

    Args:
        inputs: H, (n, d).
        directions: u (r, d) and v (r, c) with θ = 1.
        scales: α ≥ 0, (r,).
    """
    first, second = directions
    fresh = scales == 0
    sides = _sides(inputs, first)
    first, second = torch.cat([sides[0], sides[1][fresh]]), torch.cat([second, second[fresh]])
    patterns, walls = first @ inputs.T > 0, unit_rows(inputs)
    interiors: dict[bytes, Tensor | None] = {}
    members: dict[bytes, list[list[int]]] = {}
    for index, pattern in enumerate(patterns.cpu()):
        key = pattern.numpy().tobytes()
        if key not in interiors:
            interiors[key] = _interior(walls, walls @ first[index] > 0)
        group = members.setdefault(key, [])
        same = [block for block in group if float(second[block[0]] @ second[index]) > 1 - SAME_DIRECTION]
        if same:
            same[0].append(index)
        elif interiors[key] is not None:
            group.append([index])
    found = [
        (block, inside) for key, group in members.items() for block in group if (inside := interiors[key]) is not None
    ]
    leaders = [block[0] for block, _ in found]
    weights = torch.cat([scales[:, None] * directions[0], directions[0].new_zeros(int(fresh.sum()), inputs.shape[1])])
    return Cells(
        patterns=patterns[leaders],
        outgoing=second[leaders],
        interior=torch.stack([inside for _, inside in found]) if found else first[:0],
        start=torch.stack([weights[block].sum(0) for block, _ in found]) if found else first[:0],
    )


def _sides(inputs: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Every direction moved off its kinks, to one side and to the opposite one, (r, d) each."""
    walls = unit_rows(inputs)
    units = torch.nn.functional.normalize(first, dim=1)
    margins = (units @ walls.T).abs()
    clear = torch.where(margins > KINK, margins, 1.0).amin(1, keepdim=True)
    generator = torch.Generator().manual_seed(0)
    sides = torch.randn(first.shape, generator=generator, dtype=first.dtype).to(first)
    move = torch.where(margins.amin(1, keepdim=True) > KINK, 0.0, STEP_ASIDE * clear) * torch.nn.functional.normalize(
        sides, dim=1
    )
    return units + move, units - move


def _interior(walls: Tensor, positive: Tensor) -> Tensor | None:
    """Direction of norm 1 with the largest least margin to the walls, None in a flat cell."""
    signed = np.where(positive.cpu().numpy(), 1.0, -1.0)[:, None] * walls.cpu().numpy()
    n, d = signed.shape
    margin = np.concatenate([-signed, np.ones((n, 1))], 1)
    goal = np.concatenate([np.zeros(d), [-1.0]])
    limits = [(-1.0, 1.0)] * d + [(0.0, None)]
    found = linprog(goal, A_ub=margin, b_ub=np.zeros(n), bounds=limits, method="highs")
    if found.status != 0 or not found.x[-1] > FLAT:
        return None
    return torch.nn.functional.normalize(torch.from_numpy(found.x[:d]).to(walls), dim=0)
