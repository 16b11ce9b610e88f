"""The polar of a bilinear form where a ball is the hull of its vertices ±e_i: max_i N'°(±G_i), exact.

G_i are the rows of G for the norm l1 of u, or its columns for that of v, and N'° the dual norm of the other factor,
over its cone; the vertices −e_i are not in a cone.
"""

from __future__ import annotations

import torch

from certify.bounds.bilinear.alternating import alternating_search
from certify.bounds.bilinear.bilinear_form import bilinear_form
from certify.bounds.bilinear.moments import moments_error, moments_of
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rounding import gamma


def vertices_apply(task: PolarTask) -> bool:
    """Whether a norm is l1."""
    form = bilinear_form(task)
    return form.left.is_l1 or form.right.is_l1


def vertices_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar."""
    form, found = bilinear_form(task), alternating_search(task)
    rows, scores = form.view.rows, task.scores
    moments, error = moments_of(rows, scores), moments_error(rows, scores)
    side, other = form.left, form.right
    if not side.is_l1:
        moments, error, side, other = moments.T, error.T, other, side
    ends = [other.felt(moments).abs() + error]
    ends += [] if side.nonnegative else [other.felt(-moments).abs() + error]
    sizes = other.dual_norm(torch.cat(ends)) / side.l1
    upper = float(sizes.max()) * (1 + gamma(4 * moments.shape[1] + 64))
    return PolarBound(found.value, found.witness, upper, "vertices", Recomputed("vertices"))
