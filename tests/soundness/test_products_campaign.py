"""Release gate: no product of rows proves less than a polar that brute force finds, or more than a planted optimum.

Multipliers are random numbers and iterates of the splitting, of any age, precision and penalty; iterates also meet
scores that they were not made for, and signs that are not allowed where these would help most.
"""

import math
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.bounds.ladder import scaled
from certify.bounds.polar import PolarTask
from certify.bounds.proof import DoublyNonnegative, ProductMultipliers
from certify.bounds.rows.relaxations.direction_region import center_of, direction_region
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import products
from certify.bounds.rows.relaxations.doubly_nonnegative.proven import doubly_nonnegative_upper
from certify.bounds.rows.relaxations.doubly_nonnegative.splitting import Splitting
from certify.bounds.score_rounding import with_score_rounding
from certify.problem.dual import InfeasibleDualError, feasible_dual
from certify.workflows.certificate_of import settled_certificate

from ..bounds.exact_polars import exact_on_circle, value
from ..bounds.objectives import RECTIFIERS, branch_of, task_of
from .enumerated import FREE_TARGETS, enumerated_instance, polar_by_faces, polar_with_bias

PARTS, COUNT, FEW = 2, 60, 6
PLANTED_PARTS, PLANTED_COUNT, SECONDS = 4, 25, 0.5
POLICIES = ("absent", "penalized", "free")
ANGLES = 20_000
# Rounding of values by brute force, in units of Σ |s_i| |h_i|, and of a planted optimum, in units of 1 + |optimum|.
BRUTE_ERROR, PLANTED_ERROR = 1e-12, 1e-11


def polar_on_grid(rows, scores, slopes):
    """Rank 2: the largest value on a fine grid of angles with both sides of every kink."""
    kinks = np.arctan2(rows[:, 0], -rows[:, 1])
    angles = np.concatenate([np.linspace(0, 2 * np.pi, ANGLES), kinks, kinks + np.pi])
    return float(value(rows, scores, np.stack([np.cos(angles), np.sin(angles)]), slopes).max())


def brute_force(form, scores):
    """The polar, attained but for rounding."""
    rows, slopes = form.view.rows.numpy(), (form.slopes.positive, form.slopes.negative)
    if form.view.free_inputs:
        return polar_with_bias(rows[:, :-1], scores.numpy(), "free", slopes)[0]
    if rows.shape[1] == 2:
        return max(polar_on_grid(rows, scores.numpy(), slopes), exact_on_circle(rows, scores.numpy(), slopes))
    return polar_by_faces(rows, scores.numpy(), slopes)[0]


def instance(rng, kind, d, outputs, free):
    """The task of one branch with d penalized inputs at a random dual point."""
    n = int(rng.integers(2, 30 if d == 2 and not free else 7))
    rows = rng.standard_normal((n, d)) * 10 ** rng.uniform(-2, 2)
    if rng.random() < 0.3:
        rows[n // 2 :] = rows[: n - n // 2]
    rows = np.column_stack([rows, np.ones(n)]) if free else rows
    # Multiples of 1/16, so that columns can sum to zero exactly.
    dual = np.round(16 * rng.standard_normal((n, outputs))) / 16
    if free:
        dual[-1] -= dual.sum(0)
    return task_of(branch_of(RECTIFIERS[kind], torch.from_numpy(rows), free), torch.from_numpy(dual))


def random_multipliers(rng, task):
    """Numbers of every sign."""
    (n, m), width = task.scores.shape, task.branch.view.penalized.shape[1]
    size = 10 ** rng.uniform(-3, 1)
    split = 1 if m == 1 else int(rng.integers(min(m, 2) + 1))
    shapes = [(n, n)] * 3 + [(2, n, split), *([(2, n, width)] if m == 1 else [])]
    signs = []
    for _ in range(2**split):
        drawn = [torch.from_numpy(size * rng.standard_normal(shape)) for shape in shapes]
        signs.append(ProductMultipliers(*drawn, *([] if m == 1 else [None])))
    return tuple(signs)


def iterate(rng, task, inputs):
    """Multipliers and scores of an iterate; the scores of the task where its dual point is none."""
    precision = torch.float64 if rng.random() < 0.5 else torch.float32
    splitting = Splitting(task.objective, (inputs,), precision)
    splitting.rescale(10 ** rng.uniform(-2, 3))
    for _ in range(int(10 ** rng.uniform(0, 2))):
        splitting.step()
    try:
        scores = task.branch.scores(feasible_dual(task.objective, splitting.gradient))
    except InfeasibleDualError:
        scores = task.scores
    return splitting.parts[0].multipliers(), scores


def good_direction(form, scores):
    """A direction of a large value among many, (h,)."""
    rows, free = form.view.rows.numpy(), form.view.free_inputs
    drawn = np.random.default_rng(0).standard_normal((ANGLES, rows.shape[1]))
    drawn = np.concatenate([drawn, rows, -rows])
    sizes = np.linalg.norm(drawn[:, : rows.shape[1] - free], axis=1)
    drawn = (drawn / np.maximum(sizes, 1e-9)[:, None]).T
    return drawn[:, value(rows, scores.numpy(), drawn, (form.slopes.positive, form.slopes.negative)).argmax()]


def forbidden(form, scores, signs):
    """Multipliers less what they may not be, as much as would halve the bound if a good direction were all.

    Negative ones of z₊z₊ᵀ, z₊z₋ᵀ and z₋z₋ᵀ, and tilts against u beyond their heights.
    """
    rows, slopes = form.view.rows, (form.slopes.positive, form.slopes.negative)
    direction = good_direction(form, scores)
    responses = rows @ torch.from_numpy(direction)
    above, below = (
        values / values.norm().clamp_min(1e-300) ** 2 for values in (responses.clamp_min(0), -responses.clamp_max(0))
    )
    share = float(value(rows.numpy(), scores.numpy(), direction, slopes)) / 2
    found = []
    for sign in signs:
        changed = {
            name: getattr(sign, name) - share * torch.outer(left, right)
            for name, left, right in (("both", above, above), ("cross", above, below), ("none", below, below))
        }
        if sign.tilts is not None:
            against = torch.from_numpy(direction)[: sign.tilts.shape[2]]
            changed["tilts"] = sign.tilts - share * torch.stack([above, below])[:, :, None] * against
        found.append(replace(sign, **changed))
    return tuple(found)


def attempt(rng, task):
    """Ratios of bounds to polars: random multipliers, an iterate, it at scores not its own, and it with bad signs."""
    view = task.branch.view
    center = center_of(view, torch.ones(len(view.rows), dtype=torch.bool))
    own, scores = iterate(rng, task, direction_region(view, center, 1.0).inputs)
    ratios = {}
    cases = {"random": (random_multipliers(rng, task), task.scores), "own": (own, scores), "other": (own, task.scores)}
    cases["forbidden"] = forbidden(task.form, scores, own), scores
    for name, (signs, at) in cases.items():
        upper, _ = doubly_nonnegative_upper(task.form, at, DoublyNonnegative(signs, center))
        polar = brute_force(task.form, at)
        magnitude = float(torch.linalg.vector_norm(at, dim=1) @ torch.linalg.vector_norm(view.rows, dim=1))
        assert upper >= polar - BRUTE_ERROR * magnitude, (name, task)
        ratios[name] = upper / max(polar, BRUTE_ERROR * magnitude, 1e-300)
    return ratios


def campaign(rng, kind, outputs, count):
    """Ratios over inputs 2 and 3, biases free or not."""
    found = {"random": [], "own": [], "other": [], "forbidden": []}
    for index in range(count):
        task = instance(rng, kind, 2 + index % 2, outputs, index // 2 % 2)
        for name, ratio in attempt(rng, task).items():
            found[name].append(ratio)
    return found


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_some_products_prove_no_less_than_brute_force_finds(kind, outputs):
    found = campaign(np.random.default_rng([70, outputs, len(kind)]), kind, outputs, FEW)
    assert all(min(ratios) < math.inf for ratios in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("kind", sorted(RECTIFIERS))
def test_no_products_prove_less_than_brute_force_finds(kind, outputs, part):
    found = campaign(np.random.default_rng([71, outputs, part, len(kind)]), kind, outputs, COUNT)
    medians = ", ".join(f"{name} {np.median(ratios):.3g}" for name, ratios in found.items())
    print(f"{kind}, {outputs} outputs, part {part}: {COUNT} problems, medians of bound / polar: {medians}")  # noqa: T201
    assert np.median(found["own"]) < math.inf


def test_the_ways_to_a_polar_agree():
    rng = np.random.default_rng(72)
    for kind in RECTIFIERS.values():
        rows, scores = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
        slopes = kind.slopes.positive, kind.slopes.negative
        exact = polar_by_faces(rows, scores, slopes)[0]
        assert exact_on_circle(rows, scores, slopes) == pytest.approx(exact, rel=1e-12)
        # Between two angles at most the cosine of half their distance is lost.
        assert polar_on_grid(rows, scores, slopes) == pytest.approx(exact, rel=(math.pi / ANGLES) ** 2)


def judged(rng, loss, policies, inputs, verdicts):
    """One planted problem, at its optimal network or near it, bounded by products alone and checked."""
    made = enumerated_instance(rng, loss, *policies, int(rng.integers(2, 5)), inputs)
    problem = made.problem.problem(made.weights.noisy(rng, rng.choice([0.0, 1e-6, 1e-2])))
    objective, stacks = problem.objective, problem.objective.empty_stacks()
    dual = feasible_dual(objective, objective.evaluate(problem.network).gradient)
    network = problem.network.stacks[0] if rng.random() < 0.5 else ()
    task = PolarTask(objective, 0, dual, 0.0, time.perf_counter() + SECONDS, stacks[0], network=network)
    found = products(task)
    if not found:
        verdicts["nothing"] += 1
        return
    ((dual, polar),) = found
    bound = scaled(objective, dual, (with_score_rounding(objective.branches[0], dual, polar),))
    verdict = settled_certificate(problem, bound).verdict
    slack = PLANTED_ERROR * (1 + abs(made.optimum))
    assert verdict.status == "valid"
    assert verdict.lower <= made.optimum + slack, made
    exact = polar_with_bias(made.problem.inputs, -dual.numpy(), made.problem.hidden)[0]
    assert polar.upper >= exact * (1 - BRUTE_ERROR), made
    within = made.optimum - verdict.lower <= 1e-2 * abs(made.optimum) + slack
    verdicts["within 1%" if within else "looser"] += 1


@pytest.mark.parametrize("inputs", [2, 4])
def test_some_planted_optima_of_vectors_are_reached_and_not_exceeded(inputs):
    rng, verdicts = np.random.default_rng([73, inputs]), Counter()
    for index in range(FEW):
        policies = (POLICIES[index % 3], POLICIES[index // 2 % 3])
        judged(rng, FREE_TARGETS[index % len(FREE_TARGETS)], policies, inputs, verdicts)
    assert verdicts["within 1%"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PLANTED_PARTS))
@pytest.mark.parametrize("inputs", [2, 3, 4, 5, 6])
def test_no_certificate_of_products_exceeds_a_planted_optimum_of_vectors(inputs, part):
    rng, verdicts = np.random.default_rng([74, inputs, part]), Counter()
    for index in range(PLANTED_COUNT):
        policies = (POLICIES[index % 3], POLICIES[index // 3 % 3])
        judged(rng, FREE_TARGETS[index % len(FREE_TARGETS)], policies, inputs, verdicts)
    print(f"products, {inputs} inputs, part {part}: {PLANTED_COUNT} models, {dict(verdicts)}")  # noqa: T201
    assert verdicts["within 1%"] > 0
