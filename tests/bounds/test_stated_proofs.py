"""Stated majorants by the checker's rule, written again in numpy: semidefinite, and no weaker than what was proven."""

import numpy as np
import pytest
import torch

from certify.bounds.proof import Recomputed, ScalarMajorant, VectorMajorant
from certify.bounds.rows.norm_products import norm_product_bound
from certify.bounds.rows.relaxations.first_order import first_order_majorant
from certify.bounds.rows.relaxations.surrogate_methods import majorant_alone
from certify.bounds.stated_proof import SMALLEST_POLAR, stated

from .objectives import RECTIFIERS, branch_of, instance, task_for, task_of

MARGIN = 2.0**-30


def region_of(task, arrays, index):
    """X̃ and ρ."""
    view = task.branch.view
    rows = view.rows.numpy()
    if not view.free_inputs:
        return rows, 1.0
    centered = rows[:, :-1] - arrays["center"]
    norms, column = np.linalg.norm(centered, axis=1), arrays["column"][index]
    widened = np.concatenate([centered, np.full((len(rows), 1), column)], 1)
    return widened, 1 + (norms.max() / column) ** 2


def majorant_of(task, scores, region, multipliers):
    """lin, M and k of one signed column."""
    slopes, (rows, _), (curvatures, means, tilts) = task.branch.kind.slopes, region, multipliers
    rectified = (slopes.positive - slopes.negative) * scores
    convex = rectified + np.maximum(-rectified, np.abs(means) + np.linalg.norm(tilts, axis=1))
    curved = convex > 1e-12 * np.abs(scores).max()
    constant = (convex[curved] ** 2 / (16 * curvatures[curved])).sum()
    linear = rows.T @ ((rectified - means) / 2 + slopes.negative * scores)
    tilted = rows.T @ np.pad(tilts, ((0, 0), (0, rows.shape[1] - tilts.shape[1]))) / 4
    return linear, rows.T @ (curvatures[:, None] * rows) - tilted - tilted.T, constant


def is_semidefinite(matrix):
    return np.linalg.eigvalsh(matrix)[0] >= -1e-13 * np.abs(matrix).max()


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_a_stated_scalar_majorant_is_semidefinite(kind, free):
    for seed in range(3):
        task = task_for(kind, *instance(seed, free, outputs=1), free)
        bound = majorant_alone(task_of(task.branch, task.dual, seconds=0.2))
        assert isinstance(bound.proof, ScalarMajorant)
        proof = stated(task.branch, task.dual, bound, MARGIN)
        assert (proof.kind, proof.steps) == ("scalar-majorant", ())
        assert proof.upper <= max(bound.upper * (1 + 1e-6), SMALLEST_POLAR)
        for index, sign in enumerate((1.0, -1.0)):
            region = region_of(task, proof.arrays, index)
            own = [proof.arrays[name][index] for name in ("curvatures", "slopes")]
            own.append(proof.arrays["tilts"][index] @ proof.arrays["axes"][index])
            linear, quadratic, constant = majorant_of(task, sign * task.scores[:, 0].numpy(), region, own)
            level, last = proof.arrays["levels"][index][[0, -1]]
            assert last >= 0 or not free
            levels = np.diag([level] * (len(linear) - free) + [last] * free)
            top = np.concatenate([levels - quadratic, -linear[:, None] / 2], 1)
            corner = proof.upper - constant - level - (region[1] - 1) * last
            assert is_semidefinite(np.concatenate([top, np.append(-linear / 2, corner)[None]]))


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_a_stated_vector_majorant_dominates(kind, free):
    for seed in range(3):
        task = task_for(kind, *instance(seed, free, outputs=2), free)
        outcome = first_order_majorant(task, steps=30)
        assert isinstance(outcome.multipliers, VectorMajorant)
        bound = majorant_alone(task_of(task.branch, task.dual, seconds=0.2))
        proof = stated(task.branch, task.dual, bound, MARGIN)
        arrays, region = proof.arrays, region_of(task, proof.arrays, 0)
        assert proof.upper <= max(bound.upper * (1 + 1e-6), SMALLEST_POLAR)
        for j, envelope in enumerate(arrays["envelopes"]):
            for index, sign in enumerate((1.0, -1.0)):
                own = arrays["curvatures"][index, :, j], arrays["slopes"][index, :, j]
                scores, mixing = sign * task.scores[:, j].numpy(), arrays["mixings"][index, j]
                linear, quadratic, constant = majorant_of(task, scores, region, (*own, np.zeros((len(scores), 1))))
                square = (1 + 1 / mixing) * np.outer(linear, linear) + 4 * (1 + mixing) * constant * quadratic
                assert is_semidefinite(envelope - square)
        assert proof.upper**2 >= region[1] * np.linalg.eigvalsh(arrays["envelopes"].sum(0))[-1]


def test_no_dual_point_needs_no_proof():
    rows, dual = instance(0)
    task = task_for("relu", rows, torch.zeros_like(dual))
    proof = stated(task.branch, task.dual, norm_product_bound(task), MARGIN)
    assert (proof.kind, proof.steps, proof.upper, proof.arrays) == ("zero", (), 0.0, {})


def test_a_polar_of_zero_is_claimed_to_be_a_little_more():
    rows, dual = instance(0)
    task = task_of(branch_of(RECTIFIERS["relu"], torch.zeros_like(rows)), dual)
    bound = norm_product_bound(task)
    assert bound.proof == Recomputed("norm-products")
    assert stated(task.branch, dual, bound, MARGIN).upper >= SMALLEST_POLAR
