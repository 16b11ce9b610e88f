"""What the rounding of the scores S of a dual point may hide of the polar.

Bounds take S as computed. With |S_ij − exact| ≤ E_ij and |σ(h·u)||v| ≤ reach(h) for θ ≤ 1 the exact polar is larger by
at most Σ_i |E_i| reach(h_i). Nothing is lost where the readout only picks and negates entries of A.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import assert_never

import torch
from torch import Tensor

from certify.bounds.polar import PolarBound
from certify.bounds.rounding import SLACK, gamma, sum_upper
from certify.problem import (
    Bilinear,
    Branch,
    Entries,
    Layers,
    Multilinear,
    Path,
    PolarForm,
    Rows,
    Squares,
    Symmetric,
)


def with_score_rounding(branch: Branch, dual: Tensor, bound: PolarBound) -> PolarBound:
    """The bound for the exact scores of A (n, c), from one for the scores as computed."""
    rest = _rest(branch, dual)
    return bound if rest == 0 else replace(bound, upper=(bound.upper + rest) * (1 + gamma(2)))


def _rest(branch: Branch, dual: Tensor) -> float:
    if isinstance(branch.view, Entries):
        return 0.0  # the scores are the entries of −A
    view = branch.view
    weights = view.readout.weights
    if weights is None or _picks(weights):
        return 0.0
    if view.free_inputs:
        # Scores of a free bias must sum to zero exactly, which rounded ones do not.
        return math.inf
    terms = weights.shape[-3] + 4
    errors = view.readout.absolute().scores(dual.abs()) * gamma(terms)
    reach = _deep_reach(branch.form) if isinstance(view, Path) else _reach(branch, view.rows, errors.shape[1])
    sizes = torch.linalg.vector_norm(errors, dim=1) * reach
    return sum_upper(sizes) * (1 + gamma(errors.shape[1] + 8)) * SLACK


def _picks(weights: Tensor) -> bool:
    """Whether every score is one entry of A or its negative, or 0."""
    units = (weights == 0) | (weights.abs() == 1)
    return bool(units.all()) and bool(((weights != 0).sum(-3) <= 1).all())


def _reach(branch: Branch, rows: Tensor, entries: int) -> Tensor:
    """The largest |σ(h·u)||v| over θ(u, v) ≤ 1, v of so many entries, for rows h (N, h) without a free bias, (N,)."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1) * (1 + gamma(rows.shape[1] + 4))
    match branch.form:
        case Bilinear(left=left, right=right):
            return lengths * (left.radius(rows.shape[1]) * right.radius(entries) * (1 + gamma(8)))
        case Rows(slopes=slopes):
            return lengths * slopes.steepest
        case Squares() | Symmetric():
            return lengths**2
        case Multilinear() | Layers():
            raise TypeError("there are no rows")
        case other:
            assert_never(other)


def _deep_reach(form: PolarForm) -> Tensor:
    """An upper bound on the norm of what the last weight reads at each position, (n P,), for weights of norm 1.

    A weight read at Q positions takes a norm of values to at most √Q times it, averages A to |A|_F times it.
    """
    if not isinstance(form, Layers):
        raise TypeError("not of several layers")
    path = form.path
    sizes = torch.linalg.vector_norm(path.view.rows.reshape(path.samples, -1), dim=1)
    factor = math.prod(slopes.steepest for slopes in form.slopes)
    for hop in path.hops:
        averages = 1.0 if hop.averages is None else max(1.0, float(hop.averages.norm()))
        factor *= math.sqrt(len(hop.windows)) * averages
    positions = path.readout.positions
    reach: Tensor = sizes * (factor * (1 + gamma(path.view.rows.numel() + 64)))
    return reach.repeat_interleave(positions)
