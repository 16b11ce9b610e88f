"""The best multipliers at a given dual point, by a barrier method where they are few.

Minimize t over t I − C − Σ_p c_p N_p ⪰ 0, C = [[0, G], [Gᵀ, 0]]: Newton's method for t/μ − log det of that matrix, μ
falling until side · μ, what is lost at its minimum, is small (Boyd and Vandenberghe 2004, section 11.3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.multilinear.entry_form import entry_form, is_round_tensor
from certify.bounds.multilinear.pair_multipliers import vanishing
from certify.bounds.multilinear.symmetric_bound import across, symmetric_upper
from certify.bounds.multilinear.unfoldings import Sides, blocks, pairings, side_of
from certify.bounds.polar import PolarBound, PolarTask
from certify.bounds.proof import SymmetricUnfolding

# Numbers of all forms N_p together.
LARGEST_FORMS = 2**21
# Share of t that is lost at the end, by which μ falls, and Newton steps for each μ.
ACCURACY, FALL, NEWTON_STEPS = 1e-9, 0.1, 30
# Newton's decrement below which a step is the last.
DECREMENT = 1e-3
LEAST_STEP = 1e-6


def program_applies(task: PolarTask) -> bool:
    """Whether multipliers are few for some unfolding."""
    return is_round_tensor(task) and bool(_few(task))


def symmetric_program(task: PolarTask) -> PolarBound:
    """The best bound of all unfoldings with few multipliers."""
    found = PolarBound(0.0, task.nothing, math.inf, "symmetric program", SymmetricUnfolding((), ()))
    for sides in _few(task):
        proof = SymmetricUnfolding(sides, best_multipliers(task, sides))
        upper = symmetric_upper(task, task.dual, proof)
        if upper < found.upper:
            found = PolarBound(0.0, task.nothing, upper, "symmetric program", proof)
        if found.upper <= task.target or task.seconds_left == 0:
            break
    return found


def best_multipliers(task: PolarTask, sides: Sides) -> tuple[Tensor, ...]:
    """C of N and N' for the smallest bound at the dual point of a task."""
    matrix, shape = across(task, task.dual, sides), entry_form(task).entries.shape
    sizes = [_sizes(pair) for _, pair in blocks(shape, sides)]
    forms = _forms(matrix, shape, sides)
    size = float(torch.linalg.matrix_norm(matrix, 2)) or 1.0
    matrix = matrix / size
    point = _minimized(matrix, torch.cat([torch.eye(len(matrix)).to(matrix)[None], -forms]), task)
    parts = torch.split(size * point[1:], [rows * columns for rows, columns in sizes])
    return tuple(part.reshape(pair) for part, pair in zip(parts, sizes, strict=True))


def _minimized(matrix: Tensor, forms: Tensor, task: PolarTask) -> Tensor:
    """(t, c) for a matrix of norm 1; the forms are I and −N_p."""
    flat, side = forms.flatten(1), len(matrix)
    point = matrix.new_zeros(len(forms))
    point[0], barrier = 2.0, 1.0
    while side * barrier > ACCURACY and task.seconds_left > 0:
        barrier *= FALL
        for _ in range(NEWTON_STEPS):
            inverse = torch.cholesky_inverse(torch.linalg.cholesky(_slack(matrix, flat, point)))
            gradient = -flat @ inverse.flatten()
            gradient[0] += 1 / barrier
            hessian = (inverse @ forms @ inverse).flatten(1) @ flat.T
            step = -torch.linalg.solve(hessian, gradient)
            decrement = math.sqrt(max(0.0, -float(step @ gradient)))
            length = _step_length(matrix, flat, point, step / (1 + decrement) if decrement > 0.25 else step)
            if length is None:
                return point
            point = length
            if decrement < DECREMENT:
                break
    return point


def _step_length(matrix: Tensor, flat: Tensor, point: Tensor, step: Tensor) -> Tensor | None:
    """Where a step leads that keeps the matrix positive definite; None where none does."""
    share = 1.0
    while share > LEAST_STEP:
        moved = point + share * step
        if int(torch.linalg.cholesky_ex(_slack(matrix, flat, moved)).info) == 0:
            return moved
        share /= 2
    return None


def _slack(matrix: Tensor, flat: Tensor, point: Tensor) -> Tensor:
    found: Tensor = (point @ flat).reshape(matrix.shape) - matrix
    return found


def _few(task: PolarTask) -> list[Sides]:
    entries = entry_form(task).entries
    counts = {
        sides: sum(math.prod(_sizes(pair)) for _, pair in blocks(entries.shape, sides)) for sides in pairings(entries)
    }
    numbers = {sides: count * side_of(entries, sides) ** 2 for sides, count in counts.items()}
    return sorted((sides for sides, number in numbers.items() if number <= LARGEST_FORMS), key=numbers.__getitem__)


def _sizes(pair: tuple[int, int]) -> tuple[int, int]:
    return pair[0] * (pair[0] - 1) // 2, pair[1] * (pair[1] - 1) // 2


def _forms(matrix: Tensor, shape: tuple[int, ...], sides: Sides) -> Tensor:
    """N_p of all multipliers, (p, side, side)."""
    found = [matrix.new_zeros(0, *matrix.shape)]
    for end, pair in blocks(shape, sides):
        rows, columns = _sizes(pair)
        for unit in torch.eye(rows * columns).to(matrix):
            form = torch.zeros_like(matrix)
            form[end, end] = vanishing(unit.reshape(rows, columns), pair)
            found.append(form[None])
    return torch.cat(found)
