"""Problems of the prover, with lower bounds by every kind of proof."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from certify.bounds.bilinear.spectral import spectral_bound
from certify.bounds.ladder import LowerBound, scaled, trivial_bound
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import PowerTest, ScalarMajorant, VectorMajorant
from certify.bounds.rounding import norm_upper, product_error
from certify.bounds.rows.cones.cone_method import cones
from certify.bounds.rows.norm_products import norm_product_bound
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.sorting import sorting_bound
from certify.bounds.squares.quadratic_form import quadratic_form_bound
from certify.models.loading import Problem
from certify.problem.dual import feasible_dual

from ..soundness.provers import random_products
from .packing import packed, sealed, unpacked

LOSSES = ("mse", "cross-entropy", "binary-cross-entropy", "soft-margin", "huber", "squared-hinge", "poisson")


class Square(torch.nn.Module):
    def forward(self, values):
        return values**2


@dataclass(frozen=True)
class Case:
    problem: Problem

    def bound(self, kind):
        """A lower bound proven by the given kind, at the gradient of a slightly shrunk network."""
        objective = self.problem.objective
        if kind == "zero":
            return trivial_bound(objective)
        evaluation = objective.evaluate(self.problem.network)
        dual = feasible_dual(objective, evaluation.gradient)
        task = PolarTask(objective, 0, dual, 0.0, time.perf_counter() + 3, objective.empty_stacks()[0])
        return scaled(objective, dual, (PROVERS[kind](task),))


def make_case(
    family="linear",
    loss="mse",
    *,
    hidden="absent",
    output="absent",
    penalty="weight-decay",
    reduction="mean",
    scale=1.0,
    weighted=False,
    masked=False,
    skip=None,
    outputs=None,
    samples=12,
    inputs=3,
    seed=0,
):
    """A small random problem, nowhere near trained."""
    generator = torch.Generator().manual_seed(seed)
    c = outputs or (3 if loss == "cross-entropy" else 2)
    x = torch.randn(samples, inputs, dtype=torch.float64, generator=generator)
    y = targets_for(loss, samples, c, generator)
    model = torch.nn.Sequential(
        torch.nn.Linear(inputs, 4, bias=hidden != "absent"),
        {"linear": torch.nn.Identity(), "relu": torch.nn.ReLU(), "quadratic": Square()}[family],
        torch.nn.Linear(4, c, bias=output != "absent"),
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator))
    weights = torch.rand(samples, dtype=torch.float64, generator=generator) if weighted else None
    mask = torch.rand(samples, c, generator=generator) < 0.7 if masked else None
    powers = [2, 1] if family == "quadratic" else [1, 1]
    product = {"product_of_norms": {"strength": 0.05, "norms": [2, 2], "powers": powers}}
    layers = [{"linear": "0"}, *({"relu": ["relu"], "quadratic": ["square"]}.get(family, [])), {"linear": "2"}]
    if skip:
        linear = torch.nn.Linear(inputs, c, bias=False).double()
        linear.weight.data = 0.3 * torch.randn(c, inputs, dtype=torch.float64, generator=generator)
        model.add_module("skip", linear)
        layers.append({"skip": "skip"})
    problem = Problem.from_torch(
        model,
        x,
        y,
        loss=loss,
        reduction=reduction,
        scale=scale,
        biases={"hidden": hidden, "output": output},
        layers=layers,
        sample_weights=weights,
        mask=mask,
        **({"skip": skip} if skip else {}),
        **({"weight_decay": 0.05} if penalty == "weight-decay" and family != "quadratic" else {"penalty": product}),
    )
    return Case(problem)


def soft_thresholded(y, strength):
    """X = I, ½|Z − Y|² + λ |Z|_* at the soft-thresholded singular value decomposition, and its optimum there."""
    left, values, right = torch.linalg.svd(y, full_matrices=False)
    kept = (values - strength).clamp_min(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(y.shape[0], len(kept), bias=False), torch.nn.Linear(len(kept), y.shape[1], bias=False)
    ).double()
    with torch.no_grad():
        model[0].weight.copy_((left * kept.sqrt()).T)
        model[1].weight.copy_((kept.sqrt()[:, None] * right).T)
    identity = torch.eye(y.shape[0], dtype=torch.float64)
    problem = Problem.from_torch(model, identity, y, weight_decay=strength, reduction="sum", scale=0.5)
    removed = values - kept
    return Case(problem), float((removed**2).sum() / 2 + strength * kept.sum())


def targets_for(loss, n, c, generator):
    real = torch.randn(n, c, dtype=torch.float64, generator=generator)
    match loss:
        case "cross-entropy":
            return torch.randint(0, c, (n,), generator=generator)
        case "binary-cross-entropy":
            return real.sigmoid()
        case "soft-margin" | "squared-hinge":
            return torch.where(real > 0, 1.0, -1.0).double()
        case "poisson":
            return real.abs().round()
        case _:
            return real


def _majorant(task):
    view, scores = task.branch.view, task.scores
    generator = torch.Generator().manual_seed(1)
    (n, d), m = view.rows.shape, scores.shape[1]
    center = view.penalized.mean(0) if view.free_inputs else torch.zeros(0, dtype=torch.float64)
    sizes = torch.linalg.vector_norm(view.rows, dim=1)

    def random(*shape):
        return torch.rand(shape, dtype=torch.float64, generator=generator)

    both = torch.stack([scores, -scores])
    slopes = (2 * random(2, n, m) - 1) * (-both).clamp_min(0) * 0.5
    curvatures = (both.abs() + 1e-3) / (4 * sizes[:, None]) * (0.5 + random(2, n, m))
    if m == 1:
        rows = view.penalized
        tilts = (0.3 * (-both).clamp_min(0) / sizes[:, None] * random(2, n, 1)) * rows
        axes = torch.eye(rows.shape[1], dtype=torch.float64).expand(2, -1, -1)
        proof = ScalarMajorant(curvatures[:, :, 0], slopes[:, :, 0], tilts, axes, center, random(2))
    else:
        envelopes = torch.zeros(m, d, d, dtype=torch.float64)
        proof = VectorMajorant(curvatures, slopes, 0.5 + random(2, m), envelopes, center, 1.0)
    upper = majorant_upper(task.form, scores, proof)
    assert math.isfinite(upper)
    return PolarBound(0.0, task.nothing, upper, "surrogate", proof)


def _randomized(task):
    """The randomized test on a matrix that is not too large for anything else."""
    rows = task.branch.view.rows
    moments = rows.T @ task.dual
    error = norm_upper(product_error(rows.T, task.dual))
    edge = (float(torch.linalg.matrix_norm(moments, 2)) + error) * (1 + 1e-9)
    return PolarBound(0.0, task.starts, edge * (1 + 1e-7) + 2 * error, "randomized", PowerTest(edge))


PROVERS = {
    "randomized": _randomized,
    "spectral": spectral_bound,
    "quadratic-form": quadratic_form_bound,
    "norm-products": norm_product_bound,
    "cone-tree": cones,
    "sorting": sorting_bound,
    "majorant": _majorant,
    "products": random_products,
}
KINDS = {
    "linear": ("zero", "spectral", "randomized"),
    "quadratic": ("zero", "quadratic-form"),
    "relu": ("zero", "norm-products", "cone-tree", "majorant", "products"),
}


__all__ = ["KINDS", "LOSSES", "Case", "LowerBound", "make_case", "packed", "sealed", "unpacked"]
