"""Optima in closed form of planted problems with other targets, scales or λ; and a quadratic problem without one."""

from __future__ import annotations

import copy

import numpy as np

from certify.models.loading import Problem

from .factored import centered
from .layers import number
from .planted import Array, Planted, quadratic_instance
from .planted_tied import thresholded


def closed_form(statement: dict, arrays: dict[str, Array], family: str) -> float:
    """The optimum of a planted problem (see `planted`) with other targets, scale or λ."""
    loss, penalty = statement["loss"], statement["branches"][0]["penalty"]
    kappa = 2 * number(loss["scale"])
    if loss["reduction"] == "mean":
        kappa /= arrays["Y"].size
    own = penalty.get("strengths") or [penalty["strength"]] * 2
    if family == "tied":
        return kappa * thresholded(arrays["X"], arrays["Y"], number(own[0]) / 2 / kappa)[0]
    y, strength = arrays["Y"], np.sqrt(number(own[0])) * np.sqrt(number(own[1])) / kappa
    if family.startswith("entries"):
        sizes, strength = _entries(statement, arrays, family, strength)
    elif family == "linear":
        sizes = np.linalg.svd(y, compute_uv=False)
    elif family == "quadratic":
        sizes = np.abs(y[:, 0])
    else:
        sizes = np.array([np.linalg.norm(np.maximum(y, 0)), np.linalg.norm(np.maximum(-y, 0))])
    kept = np.maximum(sizes - strength, 0)
    return kappa * float((np.minimum(sizes, strength) ** 2).sum() / 2 + strength * kept.sum())


def _entries(statement: dict, arrays: dict[str, Array], family: str, strength: float) -> tuple[Array, float]:
    """Singular values of a full matrix, and their threshold (see `factored`)."""
    matrix = np.zeros(statement["branches"][0]["layers"][0]["shape"])
    matrix[tuple(arrays["X"].T.astype(int))] = arrays["Y"][:, 0]
    inner = centered(matrix) if family.endswith("centered") else matrix
    return np.linalg.svd(inner, compute_uv=False), strength * (
        np.sqrt(matrix.size) if family.endswith("counted") else 1
    )


def alike(one: dict, other: dict) -> bool:
    """Whether two statements differ in what `closed_form` takes into account alone, and in tolerances."""
    return _bare(one) == _bare(other)


def _bare(statement: dict) -> dict:
    found = copy.deepcopy(statement) | {"tolerance": None}
    for section in [found["loss"], *(branch["penalty"] for branch in found["branches"])]:
        for key in ("scale", "reduction", "strength", "strengths"):
            section.pop(key, None)
    return found


def quadratics_with_two_outputs(seed: int) -> Problem:
    """The quadratic family with two outputs; the optimum is not known."""
    rng = np.random.default_rng([42, seed])
    one = quadratic_instance(rng)
    targets = np.column_stack([one.targets, rng.standard_normal(len(one.targets))])
    sizes = np.linalg.norm(targets, axis=1)
    root = np.maximum(sizes - one.strength, 1e-3) ** (1 / 3)
    second = targets / sizes[:, None] * root[:, None]
    made = Planted("quadratic", one.inputs, targets, one.strength, np.nan, one.inputs * root[:, None], second)
    return made.problem(made.first, made.second)
