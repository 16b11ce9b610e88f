"""Rounding margins: the objective rounded up and the dual value rounded down.

With γ_m = m u/(1 − m u): outputs carry an error of at most 2 γ_m times the outputs of the magnitudes
Z_0 + φ(|H|; |W|) + |E||C|, m = d + r + k + 16 (Higham 2002, chapter 3; twice, for an activation of degree 2). Through
the loss it acts with slope |∇l| and curvature ≤ `curvature` · ω. Atoms themselves are evaluated to a few ulps of
the magnitudes that enter them; ATOM_ULPS is a generous count of those.
"""

from __future__ import annotations

import math

from torch import Tensor

from certify.problem import Evaluation, Objective, ParallelNetwork
from certify.problem.dual import DualPoint
from certify.problem.objective import squared_norm
from certify.problem.rounding import UNIT_ROUNDOFF, rounded_sum

ATOM_ULPS = 64
# xlog is Hölder, not Lipschitz, at 0: an ulp δ of its argument moves it by δ|log δ| < 40 δ.
CONJUGATE_ULPS = 64 * 40


def objective_upper(objective: Objective, network: ParallelNetwork, evaluation: Evaluation) -> float:
    """The objective with every rounding error counted against it."""
    outputs = objective.convex.absolute().outputs(network.coefficients.abs())
    terms = network.coefficients.shape[0] + 16
    for branch, stack in zip(objective.branches, network.stacks, strict=True):
        outputs = outputs + branch.kind.magnitudes(branch.view, stack)
        terms += branch.kind.terms(branch.view, objective.outputs, len(stack[0]))
    if objective.offset is not None:
        outputs = outputs + objective.offset.abs()
    shift = outputs * (2 * terms * UNIT_ROUNDOFF * 1.01)
    loss = objective.loss
    curvature = loss.curvature if math.isfinite(loss.curvature) else float(evaluation.outputs.exp().max()) * 1.01
    moved = evaluation.gradient.abs() * shift + curvature * loss.weights * shift**2
    sizes = loss.weights * (1 + evaluation.outputs.abs()) * (1 + loss.targets.abs())
    sizes_sum = _total(sizes) + _total(loss.value_terms(evaluation.outputs).abs())
    penalty = evaluation.penalty * (terms + 32) * UNIT_ROUNDOFF
    rounding = _total(moved) + ATOM_ULPS * UNIT_ROUNDOFF * sizes_sum + penalty
    return evaluation.objective + 1.01 * (rounding + _unobserved_rounding(objective, network, evaluation.outputs))


def _unobserved_rounding(objective: Objective, network: ParallelNetwork, outputs: Tensor) -> float:
    """Of κ (|Z|² − Σ z²): sums of products of sums, and the error of the outputs twice."""
    if not objective.unobserved:
        return 0.0
    (stack,) = network.stacks
    terms = sum(f.shape[1] for f in stack) + 4 * len(stack[0]) + 64
    sizes = squared_norm(tuple(f.abs() for f in stack)) + (outputs**2).sum()
    return 4 * terms * UNIT_ROUNDOFF * objective.unobserved * float(sizes)


def dual_value_lower(objective: Objective, point: DualPoint) -> float:
    """The dual value with every rounding error counted against it."""
    dual = point.scale * point.values
    weights = objective.loss.weights
    sizes = (weights + dual.abs()) * (1 + objective.loss.targets.abs())
    slopes = dual.abs() * (dual.abs() / weights.clamp_min(1e-300)).clamp_max(1e300) * (weights > 0)
    margin = CONJUGATE_ULPS * UNIT_ROUNDOFF * (_total(sizes) + _total(slopes))
    moments = objective.convex.conjugate(dual)
    magnitude = moments + _moment_spread(objective, dual)
    if objective.offset is not None:
        magnitude += float((objective.offset * dual).abs().sum())
    margin += (objective.samples + 16) * UNIT_ROUNDOFF * 4 * (moments + magnitude)
    return point.value - 1.01 * margin


def _moment_spread(objective: Objective, dual: Tensor) -> float:
    """Σ_j |E_j|ᵀ|A| |E_jᵀA|/μ_j over the penalized rows: how far rounding moves the ridge term, in units of γ_n."""
    convex = objective.convex
    penalized = ~convex.free
    moments, ridge = convex.moments(dual)[penalized], convex.ridge[penalized, None]
    magnitude = convex.absolute().moments(dual.abs())[penalized]
    return _total(magnitude**2 * UNIT_ROUNDOFF / ridge) + _total(magnitude * moments.abs() / ridge)


def _total(terms: Tensor) -> float:
    return rounded_sum(terms.flatten().tolist())
