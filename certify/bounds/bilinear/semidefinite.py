"""Upper bounds of uᵀG v over any two balls and cones by quadratic forms, uᵀG v ≤ uᵀA u + vᵀB v ≤ U.

A and B are multiples of I at first (norms compared with Euclidean ones; G₊ in place of G where both factors are
nonnegative), and then what the semidefinite relaxation leaves, repaired: its own bound is within √(π/2) of the polar
for one norm l∞ (Nesterov 1998), within 1.783 for two (Grothendieck's constant; Krivine 1979), and doubly nonnegative
for cones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.bounds.bilinear.alternating import alternating_search
from certify.bounds.bilinear.coupling import Norms, coupling_error, coupling_of, extents_of, norms_of
from certify.bounds.bilinear.splitting import Relaxation
from certify.bounds.eigenvalue import is_positive_semidefinite
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import FactorForms
from certify.bounds.rounding import norm_upper
from certify.problem import EUCLIDEAN, SideNorm

# Largest side of the matrix that the relaxation decomposes again and again, and of the one that is proven.
MOST_RELAXED, MOST_PROVEN = 700, 6000
# Most multipliers looked at, and those without a gain after which it ends; a share by which bounds count as equal.
MOST_LOOKS, PATIENCE = 400, 12
CLOSE = 1e-9
# First share of the diagonals that is added until Cholesky proves the bound; doubled.
FIRST_SHARE = 2.0**-44
# So many times what is found is claimed, since another machine, and the checker, round otherwise.
ROOM = 4
# Forms are at least this share of those for G as it is, so that there is something to raise.
LEAST_SHARE = 2.0**-40
# Norms of G below this count as this.
SMALLEST = 2.0**-300
# The claim exceeds the computed bound by this share, for the rounding of its sums.
SUM_SHARE = 2.0**-38


def semidefinite_applies(task: PolarTask) -> bool:
    """Whether the matrix fits, and nothing cheaper is exact."""
    sides = task.branch.sides
    if len(sides) > 2 or any(side.is_l1 for side in sides):
        return False
    return set(sides) != {EUCLIDEAN} and sum(extents_of(task)) <= MOST_PROVEN


def semidefinite_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar."""
    form, moments, error, size = _data(task)
    found, best = alternating_search(task), plain_forms(form, moments, size)
    if sum(moments.shape) <= MOST_RELAXED and math.isfinite(size):
        best = _relaxed(task, form, moments / size, found.value / size, size)
    return _bound(form, moments, error, best, found)


def bound_from_multiplier(task: PolarTask, multiplier: Tensor) -> PolarBound:
    """Both ends of the polar, from K itself up to repair, (h + m, h + m), and whatever else is cheap."""
    form, moments, error, size = _data(task)
    plain, h = plain_forms(form, moments, size), len(moments)
    y = multiplier.clone()
    y[:h, h:], y[h:, :h] = y[:h, h:] + moments / 2, y[h:, :h] + moments.T / 2
    best = min(plain, _repaired(form, moments, y), key=lambda forms: forms_value(form, forms))
    return _bound(form, moments, error, best, alternating_search(task))


def _data(task: PolarTask) -> tuple[Norms, Tensor, float, float]:
    """The form, G, a bound on its rounding errors, and about its norm."""
    moments, error = coupling_of(task.branch, task.scores), norm_upper(coupling_error(task.branch, task.scores))
    return norms_of(task), moments, error, max(float(torch.linalg.matrix_norm(moments, 2)), 2 * error, SMALLEST)


def _bound(form: Norms, moments: Tensor, error: float, forms: FactorForms, found: PolarEstimate) -> PolarBound:
    size = max(float(torch.linalg.matrix_norm(moments, 2)), 2 * error, SMALLEST)
    upper, proof = _proven(form, moments, error, forms, plain_forms(form, moments, size))
    return PolarBound(found.value, found.witness, upper, "semidefinite", proof)


def plain_forms(form: Norms, moments: Tensor, size: float) -> FactorForms:
    """Multiples of I, from the largest singular value of G, or of G₊."""
    h, m = moments.shape
    cross = (-moments).clamp_min(0) if form.left.nonnegative and form.right.nonnegative else None
    if cross is not None:
        convex = max(float(torch.linalg.matrix_norm(moments + cross, 2)), LEAST_SHARE * size)
        cross, size = (cross, convex) if convex < size else (torch.zeros_like(cross), size)
    radii = form.left.radius(h), form.right.radius(m)
    levels = size * radii[1] / radii[0] / 2, size * radii[0] / radii[1] / 2
    left, right = (level * torch.eye(n).to(moments) for level, n in zip(levels, (h, m), strict=True))
    return FactorForms(left, right, _levels(form, levels), cross)


def forms_value(form: Norms, forms: FactorForms) -> float:
    """What the forms are at most, as far as floats go."""
    return form.left.form_upper(forms.left, forms.levels[0]) + form.right.form_upper(forms.right, forms.levels[1])


def raised(form: Norms, forms: FactorForms, by: tuple[float, float]) -> FactorForms:
    """The forms A and B with so many I added to each."""
    left = forms.left + by[0] * torch.eye(len(forms.left)).to(forms.left)
    right = forms.right + by[1] * torch.eye(len(forms.right)).to(forms.right)
    return FactorForms(left, right, _levels(form, (forms.levels[0] + by[0], forms.levels[1] + by[1])), forms.cross)


def _proven(
    form: Norms, moments: Tensor, error: float, forms: FactorForms, plain: FactorForms
) -> tuple[float, FactorForms]:
    """U, and the forms with as much more on their diagonals as it takes to prove it; +inf where nothing does."""
    units, share = (float(plain.left[0, 0]), float(plain.right[0, 0])), FIRST_SHARE
    while share < 1:
        tried = raised(form, forms, (share * units[0], share * units[1]))
        if is_positive_semidefinite(_whole(tried, moments), error * math.sqrt(0.5)):
            claimed = raised(form, forms, (ROOM * share * units[0], ROOM * share * units[1]))
            return forms_value(form, claimed) * (1 + SUM_SHARE), claimed
        share *= 2
    return math.inf, forms


def _levels(form: Norms, levels: tuple[float, float]) -> tuple[float, float]:
    return (0.0 if form.left.linf else levels[0]), (0.0 if form.right.linf else levels[1])


def _whole(forms: FactorForms, moments: Tensor) -> Tensor:
    """K."""
    coupling = (moments if forms.cross is None else moments + forms.cross) / -2
    return torch.cat([torch.cat([forms.left, coupling], 1), torch.cat([coupling.T, forms.right], 1)])


def _relaxed(task: PolarTask, form: Norms, moments: Tensor, lower: float, size: float) -> FactorForms:
    """The best forms that the relaxation of G of norm 1 leads to by the deadline, times the size."""
    best = plain_forms(form, size * moments, size)
    value, idle = forms_value(form, best) / size, 0
    radii = form.left.radius(moments.shape[0]), form.right.radius(moments.shape[1])
    scale, unit = radii[0] * radii[1], Norms(_scaled(form.left, radii[0]), _scaled(form.right, radii[1]))
    core = _compressed(unit, moments)
    for looks, y in enumerate(Relaxation(core, unit.left, unit.right).multipliers()):
        forms = _repaired(unit, core, y)
        found = scale * forms_value(unit, forms)
        idle = 0 if found < value * (1 - CLOSE) else idle + 1
        if found < value:
            value, best = found, _unscaled(forms, moments.shape, radii, size * scale)
        done = value * size <= task.target or value <= lower * (1 + CLOSE)
        if done or idle >= PATIENCE or looks >= MOST_LOOKS or task.seconds_left == 0:
            break
    return best


def _scaled(side: SideNorm, radius: float) -> SideNorm:
    """The norm of u/r, whose ball reaches to 1."""
    return SideNorm(side.l1 * radius, side.l2 * radius, side.linf * radius, side.nonnegative)


def _compressed(form: Norms, moments: Tensor) -> Tensor:
    """A smaller G: a round ball may be turned, and what G does not reach left out."""
    h, m = moments.shape
    core = moments
    if form.left.is_l2 and not form.left.nonnegative and h > m:
        core = torch.linalg.qr(core).R
    if form.right.is_l2 and not form.right.nonnegative and m > h:
        core = torch.linalg.qr(core.T).R.T
    return core


def _repaired(form: Norms, moments: Tensor, y: Tensor) -> FactorForms:
    """Forms from a multiplier of the relaxation, of equal bounds."""
    k, m = moments.shape
    cross = None
    if form.left.nonnegative and form.right.nonnegative:
        cross = (-(y[:k, k:] + y[k:, :k].T)).clamp_min(0)
    left, right = _lifted(form.left, y[:k, :k]), _lifted(form.right, y[k:, k:])
    forms = FactorForms(left[0], right[0], (left[1], right[1]), cross)
    missing = max(0.0, -float(torch.linalg.eigvalsh(_whole(forms, moments))[0]))
    eye, other = torch.eye(k).to(y), torch.eye(m).to(y)
    levels = _levels(form, (left[1] + missing, right[1] + missing))
    forms = FactorForms(left[0] + missing * eye, right[0] + missing * other, levels, cross)
    ends = form.left.form_upper(forms.left, levels[0]), form.right.form_upper(forms.right, levels[1])
    turn = math.sqrt(ends[1] / ends[0]) if min(ends) > 0 else 1.0
    return FactorForms(forms.left * turn, forms.right / turn, (levels[0] * turn, levels[1] / turn), cross)


def _lifted(side: SideNorm, block: Tensor) -> tuple[Tensor, float]:
    """A block of a multiplier with the largest diagonal that costs no more, and its τ."""
    block = (block + block.T) / 2
    diagonal, product, _ = side.squares(len(block))
    lifted = block.clone()
    if side.linf:
        lifted.diagonal().clamp_min_(0)
        return lifted, 0.0
    weights = product + diagonal * torch.eye(len(block)).to(block)
    felt = (side.felt(block) if side.nonnegative else block.abs()) / weights.clamp_min(1e-300)
    if product == 0:
        felt = felt.diagonal()
        lifted = lifted.clamp_max(0) if side.nonnegative else torch.zeros_like(lifted)
    level = float(felt.max())
    lifted.diagonal().fill_(level * (diagonal + product))
    return lifted, level * diagonal


def _unscaled(forms: FactorForms, sizes: torch.Size, radii: tuple[float, float], scale: float) -> FactorForms:
    """The forms of u and v themselves, for G times a scale."""
    left, right = _widened(forms.left, sizes[0]), _widened(forms.right, sizes[1])
    shares = scale / radii[0] ** 2, scale / radii[1] ** 2
    levels = forms.levels[0] * shares[0], forms.levels[1] * shares[1]
    cross = None if forms.cross is None else forms.cross * (scale / (radii[0] * radii[1]))
    return FactorForms(left * shares[0], right * shares[1], levels, cross)


def _widened(matrix: Tensor, size: int) -> Tensor:
    """The same multiple of I in more dimensions."""
    return matrix if len(matrix) == size else torch.eye(size).to(matrix) * matrix[0, 0]
