"""Activation cells of neurons with one kink: where a subnetwork's response is linear in its input weights.

The cell of a direction u is the closed cone K = {v : s_i h_i v ≥ 0 for all i} with s_i = ±1 as h_i u > 0 or not; on it
σ(H v) = D H v with D the diagonal of the slopes s₊ where s_i > 0 and s₋ elsewhere (Pilanci and Ergen 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from certify.problem import Bilinear, Factors, Rows

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
        slopes: the diagonal of D, (b, n).
        walls: the nonzero rows of H at norm 1, (q, d).
        signs: s of the walls, (b, q) of ±1.
        outgoing: output directions of norm 1, (b, m).
        interior: a direction of norm 1 strictly inside each cell, (b, d).
        start: sum of the given subnetworks that lie in each pair, as input weights, (b, d).
    """

    slopes: Tensor
    walls: Tensor
    signs: Tensor
    outgoing: Tensor
    interior: Tensor
    start: Tensor


def unit_rows(rows: Tensor) -> Tensor:
    """The nonzero rows of H at norm 1, (n′, d): the walls of all cells."""
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    units: Tensor = rows / norms.clamp_min(torch.finfo(rows.dtype).tiny)
    return units[norms[:, 0] > 0]


def cells_of(form: Rows, directions: Factors, scales: Tensor) -> Cells:
    """The cells of subnetworks α φ(u, v), those in one cell with one output direction together.

    A direction on a kink, or within rounding of one, lies in the closures of several cells: one is taken where it has a
    scale, and two on opposite sides of its kinks where it is new. Flat cells are left out.

    Args:
        form: rows H, (n, d), and slopes.
        directions: u (r, d) and v (r, m) with θ = 1.
        scales: α ≥ 0, (r,).
    """
    rows, (first, second) = form.view.rows, directions
    fresh = scales == 0
    sides = _sides(rows, first)
    first, second = torch.cat([sides[0], sides[1][fresh]]), torch.cat([second, second[fresh]])
    preactivations, walls = first @ rows.T, unit_rows(rows)
    interiors: dict[bytes, Tensor | None] = {}
    members: dict[bytes, list[list[int]]] = {}
    for index, pattern in enumerate((preactivations > 0).cpu()):
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
    weights = torch.cat([scales[:, None] * directions[0], directions[0].new_zeros(int(fresh.sum()), rows.shape[1])])
    return Cells(
        slopes=form.slopes.at(preactivations[leaders]),
        walls=walls,
        signs=torch.where(first[leaders] @ walls.T > 0, 1.0, -1.0).to(rows),
        outgoing=second[leaders],
        interior=torch.stack([inside for _, inside in found]) if found else first[:0],
        start=torch.stack([weights[block].sum(0) for block, _ in found]) if found else first[:0],
    )


def one_cell(form: Bilinear, directions: Factors, scales: Tensor) -> Cells:
    """The same where responses are linear everywhere, so that there are no walls."""
    rows, (first, second) = form.view.rows, directions
    return Cells(
        slopes=rows.new_ones(len(first), len(rows)),
        walls=rows.new_zeros(0, rows.shape[1]),
        signs=rows.new_zeros(len(first), 0),
        outgoing=second,
        interior=torch.zeros_like(first),
        start=scales[:, None] * first,
    )


def _sides(rows: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Every direction moved off its kinks, to one side and to the opposite one, (r, d) each."""
    walls = unit_rows(rows)
    units = torch.nn.functional.normalize(first, dim=1)
    if not len(walls):
        return units, units
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
