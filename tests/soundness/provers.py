"""Bounds on the polar of one branch by every kind of proof, at a given dual point; and those that choose the point."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from certify.bounds.bilinear.semidefinite import semidefinite_bound
from certify.bounds.bilinear.spectral import spectral_bound, tested_at_random
from certify.bounds.bilinear.vertices import vertices_bound
from certify.bounds.layers.peel_method import deep_spectral, joint_peeling, peeling
from certify.bounds.multilinear.entry_vertices import vertices_bound as entry_vertices_bound
from certify.bounds.multilinear.sparse_spectral import sparse_spectral
from certify.bounds.multilinear.symmetric_bound import symmetric_upper
from certify.bounds.multilinear.symmetric_method import symmetric_unfolding
from certify.bounds.multilinear.symmetric_program import symmetric_program
from certify.bounds.multilinear.unfolding_bound import unfolding_bound
from certify.bounds.multilinear.unfoldings import blocks
from certify.bounds.polar import PolarBound, PolarEstimate
from certify.bounds.proof import (
    DoublyNonnegative,
    Hubs,
    PowerTest,
    ProductMultipliers,
    ScalarMajorant,
    SymmetricUnfolding,
    VectorMajorant,
)
from certify.bounds.rounding import norm_upper, product_error
from certify.bounds.rows.cones.cone_method import cones
from certify.bounds.rows.norm_products import norm_product_bound
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products
from certify.bounds.rows.relaxations.doubly_nonnegative.proven import doubly_nonnegative_upper
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.surrogate_methods import first_order, hubs, joint, majorant_alone
from certify.bounds.rows.signs.sign_method import signs
from certify.bounds.rows.sorting import sorting_bound
from certify.bounds.squares.quadratic_form import quadratic_form_bound
from certify.bounds.symmetric.eigenvalue_bound import eigenvalue_bound


def _majorant(task):
    """Multipliers at random."""
    view, slopes, scores = task.branch.view, task.form.slopes, task.scores
    n, m = scores.shape
    generator = torch.Generator().manual_seed(1)
    free = view.free_inputs > 0
    center = view.rows[:, :-1].mean(0) if free else torch.zeros(0, dtype=torch.float64)
    q, sizes = slopes.bend * scores, torch.linalg.vector_norm(view.rows, dim=1) + 1e-300

    def random(*shape):
        return torch.rand(shape, dtype=torch.float64, generator=generator)

    both = torch.stack([q, -q])
    linear = (2 * random(2, n, m) - 1) * (-both).clamp_min(0) * 0.5
    curvatures = (both.abs() + 1e-3) / (4 * sizes[:, None]) * (0.5 + random(2, n, m))
    if m == 1:
        rows = view.penalized
        tilts = (0.3 * (-both).clamp_min(0) / sizes[:, None] * random(2, n, 1)) * rows
        axes = torch.eye(rows.shape[1], dtype=torch.float64).expand(2, -1, -1)
        proof = ScalarMajorant(curvatures[:, :, 0], linear[:, :, 0], tilts, axes, center, random(2))
    else:
        h = view.rows.shape[1]
        envelopes = torch.zeros(m, h, h, dtype=torch.float64)
        proof = VectorMajorant(curvatures, linear, 0.5 + random(2, m), envelopes, center, 1.0)
    upper = majorant_upper(task.form, scores, proof)
    assert math.isfinite(upper)
    return PolarBound(0.0, task.nothing, upper, "surrogate", proof)


def random_hubs(task):
    """Products with three hubs at random, smaller than scores, pairs such that their block is definite."""
    bound, generator = _majorant(task), torch.Generator().manual_seed(2)
    proof, size, (n, h) = bound.proof, float(task.scores.abs().mean()), task.branch.view.rows.shape
    free, rank = int(task.branch.view.free_inputs > 0), proof.tilts.shape[2]

    def random(*shape):
        return 0.1 * size * torch.rand(shape, dtype=torch.float64, generator=generator)

    links, products = random(2, 4, n, 3) * (torch.rand(n, 1, generator=generator) < 0.5), random(2, 6, 6)
    products = products + products.mT
    most = 4 * float(size + products.sum() + (links.sum((1, 3)) ** 2 / (16 * proof.curvatures)).sum())
    for place in range(3):
        products[:, place, place + 3] = products[:, place + 3, place] = -most
    directions = torch.randn(2, 3, h, dtype=torch.float64, generator=generator)
    hubs = Hubs(directions, links, random(2, n, rank), products, random(2, 6, h - free))
    proof = replace(proof, hubs=hubs)
    upper = majorant_upper(task.form, task.scores, proof)
    assert math.isfinite(upper)
    return PolarBound(0.0, task.nothing, upper, "hubs", proof)


def random_products(task):
    """Products with multipliers at random, but for the levels and the diagonal of C."""
    view, scores = task.branch.view, task.scores
    (n, m), free = scores.shape, view.free_inputs > 0
    width = view.rows.shape[1] - free
    generator, size = torch.Generator().manual_seed(1), float(scores.abs().mean())

    def random(*shape):
        return size * torch.rand(shape, dtype=torch.float64, generator=generator)

    signs = []
    split = min(m, 1 + n % 2)
    for _ in range(2**split):
        lifts = random(2, n, split), random(2, n, width) - size / 2 if m == 1 else None
        signs.append(ProductMultipliers(random(n, n), random(n, n), random(n, n), *lifts, (0.0, 0.0), 1.0))
    center = view.rows[:, :-1].mean(0) if free else torch.zeros(0, dtype=torch.float64)
    upper, proof = doubly_nonnegative_upper(task.form, scores, DoublyNonnegative(tuple(signs), center))
    assert math.isfinite(upper)
    return PolarBound(0.0, task.nothing, upper, "doubly nonnegative", proof)


def _randomized(task):
    """The randomized test on a matrix that is not too large for anything else."""
    rows, scores = task.branch.view.rows, task.scores
    error = norm_upper(product_error(rows.T, scores))
    edge = (float(torch.linalg.matrix_norm(rows.T @ scores, 2)) + error) * (1 + 1e-9)
    return PolarBound(0.0, task.nothing, edge * (1 + 1e-7) + 2 * error, "randomized", PowerTest(edge))


def _entries_at_random(task):
    """The randomized test on the matrix of entries."""
    found = sparse_spectral(task)
    return tested_at_random(PolarEstimate(found.lower, found.witness), 0.0, found.upper - found.lower)


def _random_multipliers(task):
    """Two axes of rows, with multipliers at random."""
    shape = task.form.entries.shape
    sides = tuple(axis < 2 for axis in range(len(shape)))
    generator, size = torch.Generator().manual_seed(2), float(task.scores.abs().mean())
    sizes = [(n * (n - 1) // 2, m * (m - 1) // 2) for _, (n, m) in blocks(shape, sides)]
    drawn = [torch.randn(pair, dtype=torch.float64, generator=generator) * size / 4 for pair in sizes]
    proof = SymmetricUnfolding(sides, tuple(drawn))
    return PolarBound(0.0, task.nothing, symmetric_upper(task, task.dual, proof), "symmetric unfolding", proof)


PROVERS = {
    "deep spectral": deep_spectral,
    "peeling": peeling,
    "unfolding": unfolding_bound,
    "symmetric program": symmetric_program,
    "random multipliers": _random_multipliers,
    "entries": sparse_spectral,
    "entries at random": _entries_at_random,
    "entry vertices": entry_vertices_bound,
    "randomized": _randomized,
    "spectral": spectral_bound,
    "vertices": vertices_bound,
    "semidefinite": semidefinite_bound,
    "quadratic-form": quadratic_form_bound,
    "eigenvalue": eigenvalue_bound,
    "norm-products": norm_product_bound,
    "cone-tree": cones,
    "sorting": sorting_bound,
    "signs": signs,
    "majorant": _majorant,
    "first-order majorant": majorant_alone,
    "random products": random_products,
    "random hubs": random_hubs,
}
MOVING = {
    "joint peeling": joint_peeling,
    "joint": joint,
    "first-order": first_order,
    "products": products,
    "hubs": hubs,
    "symmetric unfolding": symmetric_unfolding,
}
