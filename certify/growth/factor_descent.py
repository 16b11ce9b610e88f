"""Growth of factorizations: new terms by one step along their sum, then alternating least squares or L-BFGS.

For the squared error every factor is the solution of one ridge regression for each place, given the others,

    minimize over u   Σ_e ω_e (f_e·u + rest_e − y_e)² + (λ/2)|u|²,   f_e = a_e Π_{l ≠ k} u_l[i_l],

plus κ Σ_j (f_j·u)² over the places j that are not observed: over all of them, by one matrix Σ_j f_j f_jᵀ for every u,
less that over the observed ones (Hu, Koren and Volinsky 2008),

with the balanced penalty λ |u||v| = (λ/2)(|u|² + |v|²) at equal norms (Hastie, Mazumder, Lee and Zadeh 2015); biases
likewise. It needs two factors: with more the balanced penalty is no square. Nonnegative factors are improved one entry
of each place at a time (hierarchical alternating least squares; Cichocki and Phan 2009).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from certify.growth.balance import balanced, rescaled
from certify.growth.corrective import corrected
from certify.growth.descent import descend, is_smooth
from certify.growth.directions import joined, subnetworks_of
from certify.growth.merge import without_dead
from certify.problem import Entries, Factors, Objective, ParallelNetwork
from certify.problem.entries import products_with
from certify.problem.losses.mean_squared_error import MeanSquaredError
from certify.problem.objective import squared_norm
from certify.problem.unobserved import anchored

# Sweeps end when one gains less than this share of what is hoped for, or else of the objective.
LEAST_SHARE, LEAST_GAIN = 1e-2, 1e-9
# Up to so many entries times terms quasi-Newton steps finish what sweeps began; they cost more and end closer.
FINISHED = 2**21
# Entries of padded systems that are held at once.
HELD = 2**18
# Sweeps from one look at the objective to the next.
LOOK = 4
# Places join a bucket that they fill by this share.
LEAST_FILLED = 0.8
# Steps along new terms are looked for up to this multiple of the first guess.
LARGEST_STEP = 64.0


def grows_by_factors(objective: Objective) -> bool:
    """Whether the objective is that of a factorization."""
    return len(objective.branches) == 1 and isinstance(objective.branches[0].view, Entries)


def factors_descended(
    objective: Objective,
    network: ParallelNetwork,
    directions: tuple[Factors, ...],
    deadline: float,
    steps: int,
    hoped: float = 0.0,
) -> ParallelNetwork:
    """A network with these terms added and all of them moved, whose objective is not higher.

    Where norms are not smooth, the terms are first combined in the best way.

    Args:
        objective: of a factorization.
        network: to start from.
        directions: terms with θ = 1 of every branch, stacked, (s, ·); s may be 0.
        deadline: `time.perf_counter()` value at which to stop.
        steps: most sweeps, or quasi-Newton steps.
        hoped: how much might be gained in all, absolute; 0 if nobody knows.
    """
    moved = wide = _with_terms(objective, network, directions[0]) if len(directions[0][0]) else network
    sides = objective.branches[0].sides
    squares = isinstance(objective.loss, MeanSquaredError) and len(sides) == 2 and all(side.is_l2 for side in sides)
    if not is_smooth(objective) and _is_small(objective, wide) and not objective.convex.groups:
        moved = without_dead(objective, corrected(objective, network, directions, deadline))
    if squares:
        moved = _alternated(objective, wide, deadline, steps, LEAST_SHARE * hoped)
    if not squares or _is_small(objective, moved):
        moved = descend(objective, moved, deadline, steps)
    return min((network, wide, moved), key=lambda candidate: objective.evaluate(candidate).objective)


def _is_small(objective: Objective, network: ParallelNetwork) -> bool:
    return objective.samples * max(network.width, 1) <= FINISHED


def _with_terms(objective: Objective, network: ParallelNetwork, directions: Factors) -> ParallelNetwork:
    """The network with a multiple of Σ_i (<−A, φ_i> − λ)₊ φ_i added, the best one."""
    branch, stack = objective.branches[0], network.stacks[0]
    base = objective.forward(network)
    own = anchored(objective, network)
    slopes = own.loss.gradient(own.forward(network))
    pull = (own.branches[0].pairing(slopes, directions) - branch.strength).clamp_min(0)
    if not bool(pull.any()):
        return network
    sizes = pull / pull.sum()
    along = (directions[0] * sizes[:, None], *directions[1:])
    ray = branch.forward(along)
    rest = objective.unobserved * (squared_norm(along) - (ray**2).sum())
    tilt = 2 * objective.unobserved * (products_with(stack, along).sum() - (base * ray).sum())

    def value(step: float) -> float:
        observed = float(objective.loss.value_terms(base + step * ray).sum())
        return observed + float(tilt * step + rest * step**2) + branch.strength * step

    curvature = float((objective.loss.weights * ray**2).sum()) * objective.loss.curvature + 2 * float(rest)
    guess = float((pull * sizes).sum()) / max(curvature, 1e-300)
    bounds = (0.0, LARGEST_STEP * guess)
    step = float(minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-3 * guess}).x)
    added = subnetworks_of(branch, directions, step * sizes)
    return replace(network, stacks=(joined(stack, tuple(f[sizes > 0] for f in added)),))


def _alternated(
    objective: Objective, network: ParallelNetwork, deadline: float, sweeps: int, least: float = 0.0
) -> ParallelNetwork:
    """Sweeps over the factors and the biases, until one gains less than `least`, absolute."""
    branch = objective.branches[0]
    view = branch.view
    if not isinstance(view, Entries):
        raise TypeError("no entries")
    factors = list(rescaled(branch, network.stacks[0], (1.0,) * len(network.stacks[0])))
    coefficients, plans = network.coefficients, [_Buckets(view.indices[:, k], view.shape[k]) for k in range(2)]
    best = float("inf")
    for sweep in range(sweeps):
        if time.perf_counter() > deadline:
            break
        outside = objective.convex.outputs(coefficients)
        outside = outside if objective.offset is None else outside + objective.offset
        for axis, plan in enumerate(plans):
            wanted = (objective.loss.targets - outside)[:, 0]
            factors[axis] = _ridge(objective, view, plan, axis, factors, wanted)
        if not len(coefficients) and sweep % LOOK:
            continue
        product = view.sums(tuple(factors))[:, None]
        coefficients = _with_biases(objective, coefficients, product)
        value = _balanced_value(objective, factors, coefficients, product)
        if not best - value > max(least, LEAST_GAIN * abs(value)):
            break
        best = value
    return balanced(objective, ParallelNetwork((tuple(factors),), coefficients))


def _balanced_value(objective: Objective, factors: list[Tensor], coefficients: Tensor, product: Tensor) -> float:
    outputs = product + objective.convex.outputs(coefficients)
    outputs = outputs if objective.offset is None else outputs + objective.offset
    squares = sum(float((f**2).sum()) for f in factors)
    ridge = float((objective.convex.ridge[:, None] / 2 * coefficients**2).sum())
    network = ParallelNetwork((tuple(factors),), coefficients)
    loss = objective.loss.value_terms(outputs).sum() + objective.unobserved_loss(network, outputs)
    return float(loss) + objective.branches[0].strength / 2 * squares + ridge


class _Buckets:
    """Entries by their place along an axis: places with similar numbers of entries together, padded to the same."""

    def __init__(self, index: Tensor, extent: int) -> None:
        counts = torch.bincount(index, minlength=extent)
        self.order, self.counts, self.extent = torch.argsort(index, stable=True), counts, extent
        self.starts, self.by_size = torch.cumsum(counts, 0) - counts, torch.argsort(counts, descending=True)

    def __call__(self, width: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Places (b,) and their entries (b, l), −1 where there are fewer, for systems of a width."""
        at, ends = 0, self.counts[self.by_size].tolist()
        while at < self.extent and ends[at] > 0:
            longest = ends[at]
            size = max(HELD // (longest * max(width, 1)), 1)
            places = self.by_size[at : at + size]
            places = places[self.counts[places] > longest * LEAST_FILLED]
            offsets = torch.arange(longest, device=places.device)
            entries = self.order[(self.starts[places, None] + offsets).clamp_max(len(self.order) - 1)]
            yield places, torch.where(offsets < self.counts[places, None], entries, -1)
            at += len(places)


def _ridge(
    objective: Objective, view: Entries, plan: _Buckets, axis: int, factors: list[Tensor], wanted: Tensor
) -> Tensor:
    """The best factor (r, n) along an axis for targets (N,), given the other one (r, m); a better one in a cone."""
    other, factor, cone = 1 - axis, factors[1 - axis], objective.branches[0].sides[axis].nonnegative
    width, weights = len(factor), 2 * objective.loss.weights[:, 0]
    weights = weights if view.coefficients is None else weights * view.coefficients**2
    everywhere = 2 * objective.unobserved
    wanted = wanted if view.coefficients is None else wanted / view.coefficients
    found = factor.new_zeros(plan.extent, width)
    start = objective.branches[0].strength * torch.eye(width, dtype=factor.dtype, device=factor.device)
    start = start + everywhere * (factor @ factor.T)
    # Entries that are not there, at −1, read the last row, of zeros.
    rows = torch.cat([factor.T, factor.new_zeros(1, width)])
    places_of = torch.cat([view.indices[:, other], view.indices.new_tensor([view.shape[other]])])
    pulls, alike = torch.cat([weights * wanted, wanted.new_zeros(1)]), bool((weights == weights[0]).all())
    weights = weights - everywhere
    for places, entries in plan(width):
        features = rows[places_of[entries]]
        pulled = features if alike else features * weights[entries, None]
        bend = weights[0] if alike else 1.0
        system = bend * (features.transpose(1, 2) @ pulled) + start
        right = features.transpose(1, 2) @ pulls[entries, None]
        if cone:
            found[places] = _inside(system, right[:, :, 0], factors[axis].T[places])
        else:
            found[places] = torch.linalg.solve(system, right)[:, :, 0]
    return found.T.contiguous()


def _inside(systems: Tensor, right: Tensor, start: Tensor) -> Tensor:
    """Better x ≥ 0 (b, r) of xᵀS x/2 − c·x than the start, one entry after the other."""
    found = start.clone()
    for entry in range(found.shape[1]):
        bend = systems[:, entry, entry]
        slope = (systems[:, entry] * found).sum(1) - right[:, entry]
        found[:, entry] = (found[:, entry] - slope / bend).clamp_min(0)
    return found


def _with_biases(objective: Objective, coefficients: Tensor, product: Tensor) -> Tensor:
    """One sweep over the bias of all entries and those of the groups, given the product (N, 1)."""
    convex, weights = objective.convex, 2 * objective.loss.weights
    if not len(convex.ridge):
        return coefficients
    found = coefficients.clone()
    base = objective.loss.targets - product
    base = base if objective.offset is None else base - objective.offset
    # Of every block of coefficients EᵀV for values V, and the diagonal of EᵀΩE; the columns of a block do not overlap.
    blocks = [(_of_column(column), column[None] ** 2 @ weights) for column in convex.features.T]
    blocks += [(group.sums, group.sums(weights)) for group in convex.groups]
    start = 0
    for moments, bends in blocks:
        place = slice(start, start + len(bends))
        start += len(bends)
        pull = moments(weights * (base - convex.outputs(found))) - convex.ridge[place, None] * found[place]
        bend = bends + convex.ridge[place, None]
        found[place] = found[place] + pull / torch.where(bend > 0, bend, 1.0)
    return found


def _of_column(column: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda values: column[None] @ values
