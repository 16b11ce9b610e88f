"""The lower end of a claim: what a dual point proves of every network of every width.

Weak duality (Haeffele and Vidal 2017, Bach 2013): if D lies in dom l*, EᵀD = 0 for every free part E C, the columns of
D sum to zero where a hidden bias is free, and Ω°_b(−D) ≤ λ_b for every branch, then no network has an objective below

    −l*(D) + <D, offset> − Σ_j |E_jᵀD|²/(2 μ_j),   the sum over the parts E_j C_j penalized by μ_j/2 |C_j|².
"""

from __future__ import annotations

import numpy as np

from certify.verify.reals import Array, Reals, sums_to_zero
from certify.verify.rejection import require
from certify.verify.statement.activations import IDENTITY, Square
from certify.verify.statement.certificate import Certificate
from certify.verify.statement.dual_point import DualPoint
from certify.verify.statement.entries import EntryTerm, Places, counts_of
from certify.verify.statement.entry_penalties import EntryFactorNorms, EntryPenalty
from certify.verify.statement.losses import BoundLoss
from certify.verify.statement.penalties import FactorNorms
from certify.verify.statement.problem import Branch, Outside
from certify.verify.statement.unobserved import require_plain, unobserved_cost


def require_supported(certificate: Certificate) -> None:
    """Penalties fit the subnetworks, which lie in their cones, degrees, and no free bias leaves a polar unbounded.

    Raises:
        Rejection: not so, or a free part that this version cannot check.
    """
    arrays, degree = certificate.arrays, certificate.problem.degree
    require_plain(certificate.problem)
    fits = degree is not None and (degree != 2) == bool(certificate.lines)
    require(fits, "degree", f"branches with D = {degree}, and {len(certificate.lines)} lines")
    for place, branch in enumerate(certificate.problem.branches):
        if isinstance(branch.penalty, EntryPenalty):
            order = len(branch.neuron.shape) if isinstance(branch.neuron, EntryTerm) else 0
            branch.penalty.require_fitting(order)
            if isinstance(branch.penalty, EntryFactorNorms):
                branch.penalty.require_inside([arrays[f"F{place}.{axis}"] for axis in range(order)])
            continue
        weights = 0 if isinstance(branch.neuron, EntryTerm) else branch.neuron.weights
        branch.penalty.require_fitting(branch.neuron.activation, weights)
        if isinstance(branch.penalty, FactorNorms):
            first, second = arrays[f"F{place}.0"], arrays[f"F{place}.1"]
            branch.penalty.require_inside(first, arrays.get(f"F{place}.bias"), second)
        if branch.bias == "free":
            require(_bounds_free_bias(branch), "unbounded-polar", f"a free hidden bias of [{branch.neuron.wording}]")
    for block in certificate.problem.outside:
        require(block.decay >= 0, "strength", f"weight decay {block.decay!r} outside the subnetworks")


def _bounds_free_bias(branch: Branch) -> bool:
    """Whether 1ᵀA = 0 leaves nothing of a constant in the hidden values, that this version can bound."""
    neuron = branch.neuron
    if isinstance(neuron, EntryTerm) or neuron.gate is not None or neuron.hops or neuron.tied:
        return False
    if neuron.activation == IDENTITY:
        return not neuron.readout.times_inputs
    return not isinstance(neuron.activation, Square) and neuron.readout.is_plain


def require_dual_point(certificate: Certificate, loss: BoundLoss, point: DualPoint) -> None:
    """The real matrix s A' satisfies everything but the polar constraint.

    Raises:
        Rejection: it does not.
    """
    dual, scale = certificate.arrays["A"], certificate.dual_scale
    require(scale >= 0, "dual-scale", f"s = {scale!r}")
    loss.require_domain(point.values, scale)
    if loss.kind.couples:
        balanced = all(sums_to_zero(row) for row in dual.tolist())
        require(balanced, "dual-row-sums", "a row of A does not sum to zero")
    if certificate.problem.frees_constants:
        balanced = all(sums_to_zero(column) for column in dual.T.tolist())
        require(balanced, "dual-column-sums", "free bias, but a column of A does not sum to zero")
    for axis in certificate.problem.freed_axes:
        order, starts = _by_place(certificate.arrays["X"][:, axis])
        parts = np.split(dual[order, 0], starts)
        balanced = all(sums_to_zero(part.tolist()) for part in parts)
        require(balanced, "dual-group-sums", f"free biases, but A does not sum to zero at a place of axis {axis}")


def _by_place(column: Array) -> tuple[Places, Places]:
    """An order that brings samples of one place together, and where the next place begins."""
    order = np.argsort(column, kind="stable")
    starts: Places = np.flatnonzero(np.diff(column[order])) + 1
    return order, starts


def dual_value(certificate: Certificate, loss: BoundLoss, point: DualPoint) -> Reals:
    """−l*(s A') + <s A', offset> − Σ |Eᵀ s A'|²/(2μ), the sum over what is penalized; less what is not observed."""
    problem, arrays = certificate.problem, certificate.arrays
    dual = point.values * certificate.dual_scale
    value = -loss.conjugate(dual) - unobserved_cost(certificate, certificate.dual_scale, loss.real)
    if problem.offset is not None:
        value = value + (dual * arrays["X" if problem.offset == "inputs" else "offset"]).sum()
    for block in problem.outside:
        if block.features == "axis" and block.decay:
            value = value - _cost_of_places(certificate, block, dual, loss)
        elif block.decay:
            moment = dual.sum(0) if block.features == "ones" else loss.real(arrays["X"].T) @ dual
            value = value - (moment * moment).sum() / (loss.real(block.decay) * 2.0)
    return value


def _cost_of_places(certificate: Certificate, block: Outside, dual: Reals, loss: BoundLoss) -> Reals:
    """Σ_i |sum of s A' over place i|²/(2 μ_i) along an axis."""
    problem = certificate.problem
    extent = problem.entries.shape[block.axis] if problem.entries else 0
    places = certificate.arrays["X"][:, block.axis].astype(np.int64)
    moment = dual[:, 0].grouped(places, extent)
    weights = np.maximum(counts_of(places, extent), 1.0) if block.counted else np.ones(extent)
    return (moment * moment / (loss.real(weights) * block.decay * 2.0)).sum()
