"""The Lipschitz bound: responses of dense layers, however many, vary no faster than the rows.

In K layers with Π|W_k| ≤ 1, a column g of the last responses is a function of the row with g(0) = 0 and Lipschitz
constant L = s^(K−1), s = max(|s₊|, |s₋|). So qᵀg is at most L times
    max qᵀg over |g_i − g_j| ≤ |x_i − x_j|, |g_i| ≤ |x_i|, and g ≥ 0 where σ ≥ 0,
a linear program. Any flow f ≥ 0 between rows proves, with what it leaves over, e_i = q_i − Σ_j f_ij + Σ_j f_ji,
    qᵀg = Σ f_ij (g_i − g_j) + Σ e_i g_i ≤ Σ f_ij |x_i − x_j| + Σ_i |e_i| |x_i|,   (e_i)_+ for |e_i| where g ≥ 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_array
from torch import Tensor

from certify.problem import Slopes


@final
@dataclass(frozen=True, slots=True)
class Flow:
    """A flow for one column.

    Attributes:
        ends: rows i and j, (2, F).
        amounts: f ≥ 0, (F,).
    """

    ends: Tensor
    amounts: Tensor


def lipschitz_upper(rows: Tensor, column: Tensor, slopes: Slopes, layers: int, flow: Flow) -> float:
    """What a flow proves of max qᵀg for a column q (N,) and rows (N, k), up to rounding."""
    first, second = flow.ends
    left = column.index_add(0, first, -flow.amounts).index_add(0, second, flow.amounts)
    left = left.clamp_min(0) if _is_nonnegative(slopes) else left.abs()
    apart = torch.linalg.vector_norm(rows[first] - rows[second], dim=1)
    total = flow.amounts @ apart + left @ torch.linalg.vector_norm(rows, dim=1)
    return slopes.steepest ** (layers - 1) * float(total)


def best_flow(rows: Tensor, column: Tensor, slopes: Slopes) -> Flow:
    """The flow that proves most, from the multipliers of the linear program; none if that was not solved."""
    n = len(rows)
    pairs = torch.combinations(torch.arange(n)).T
    first, second = (np.concatenate(ends) for ends in ((pairs[0], pairs[1]), (pairs[1], pairs[0])))
    count = np.arange(len(first))
    data = np.concatenate([np.ones(len(first)), -np.ones(len(first))])
    differences = csr_array((data, (np.concatenate([count, count]), np.concatenate([first, second]))), (len(first), n))
    apart = torch.linalg.vector_norm(rows[first] - rows[second], dim=1)
    lengths = torch.linalg.vector_norm(rows, dim=1)
    low = torch.zeros_like(lengths) if _is_nonnegative(slopes) else -lengths
    found = linprog(
        -column.numpy(), A_ub=differences, b_ub=apart.numpy(), bounds=np.stack([low, lengths], 1), method="highs"
    )
    amounts = torch.from_numpy(-found.ineqlin.marginals) if found.success else torch.zeros(len(first)).to(rows)
    used = amounts > 0
    return Flow(torch.from_numpy(np.stack([first, second]))[:, used], amounts[used])


def lipschitz_bound(rows: Tensor, scores: Tensor, slopes: Slopes, layers: int) -> float:
    """The bound for scores S (N, m), both signs of every column, up to rounding."""
    squares = 0.0
    for column in scores.T:
        both = [lipschitz_upper(rows, q, slopes, layers, best_flow(rows, q, slopes)) for q in (column, -column)]
        squares += max(both) ** 2
    return math.sqrt(squares)


def _is_nonnegative(slopes: Slopes) -> bool:
    """Whether σ ≥ 0."""
    return slopes.positive >= 0 >= slopes.negative
