"""The meta-algorithm of Haeffele and Vidal 2017, one round at a time: descend, test, add violating subnetworks.

Every network was evaluated and objectives never increase. On the way dual candidates are collected: the gradient at
each round's network.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from certify.certificates.gap import relative_gap
from certify.growth.balance import balanced
from certify.growth.convex import refit_convex_part
from certify.growth.corrective import corrected
from certify.growth.descent import descend, is_smooth
from certify.growth.directions import inside, joined, subnetworks_of
from certify.growth.factor_descent import factors_descended, grows_by_factors
from certify.growth.merge import without_dead
from certify.growth.polish import polish_applies, polished
from certify.growth.shift import violating_shifts
from certify.growth.stages import Candidate, Improvement, Stage, find_candidate, more_hopeful, sobered, stage_of
from certify.problem import Branch, Factors, Objective, ParallelNetwork

# Quasi-Newton steps at the given width, and after each fully corrective step.
FIRST_DESCENT_STEPS = 400
DESCENT_STEPS_PER_ROUND = 200
# Most directions that one round adds to a branch.
MOST_DIRECTIONS = 24
# Far from the optimum, by this share of the objective, rounds move subnetworks by quasi-Newton steps, which cross cells
# cheaply, from random ones besides; near it they solve the restricted problem over cells. The first few rounds count as
# far until they are close.
FAR_GAP = 1e-2
CLOSE_GAP = 1e-3
FIRST_ROUNDS = 3
# A quasi-Newton round that gains less than this share of the hoped-for gap is followed by the restricted problem.
SLOW_SHARE = 0.1
SCATTERED = 64  # in all branches
SCATTERED_SIZE = 1e-2
TIED_SHARE = 1e-7
# A direction violates the polar condition if its pairing exceeds λ of its branch by this share.
VIOLATION = 1e-9


def begin(objective: Objective, network: ParallelNetwork, seconds: float, resolution: float, seed: int) -> Improvement:
    """Balance and descend at the given width, for half of the seconds at most.

    There is no descent where balancing alone comes within the resolution, absolute, of the hoped-for bound.
    """
    started = time.perf_counter()
    start = stage_of(objective, network)
    even = start.better(stage_of(objective, balanced(objective, network)))
    first = find_candidate(objective, even.network, started + seconds, seed)
    found = Improvement(start, even, even, even, first, first, 0)
    if found.hoped_gap <= resolution or network.width == 0 and len(objective.convex.ridge) == 0:
        return found
    moved = _moved(objective, even.network, started + seconds / 2)
    local = even.better(stage_of(objective, moved))
    latest = find_candidate(objective, local.network, started + seconds, seed)
    return Improvement(start, even, local, local, latest, more_hopeful(first, latest), 0)


def advance(
    objective: Objective, found: Improvement, hints: tuple[Factors, ...] | None, deadline: float, seed: int
) -> Improvement:
    """One round of growth until the deadline, a value of `time.perf_counter()`.

    Hints are further directions with θ = 1 of every branch, stacked (s, ·), such as those that a bound left open.
    """
    if not objective.branches:
        better = found.best.better(stage_of(objective, refit_convex_part(objective, found.best.network, deadline)))
        latest = find_candidate(objective, better.network, deadline, seed)
        candidate = more_hopeful(found.candidate, latest)
        return replace(found, best=better, latest=latest, candidate=candidate, rounds=found.rounds + 1)
    violating, shifts = _violating(objective, found.latest, hints), violating_shifts(objective, found.best.network)
    directions = tuple(joined(*pair) for pair in zip(violating, shifts, strict=True))
    stage = trial = found.best
    far = _is_far(found) and not grows_by_factors(objective)
    solvable = polish_applies(objective, stage.network, directions)
    if far or not solvable:
        scattered = _scattered(objective, stage.network, seed) if far and is_smooth(objective) else stage.network
        trial = _trimmed(objective, _descended(objective, scattered, directions, deadline, found.hoped_gap))
        stage = stage.better(trial)
    if solvable and found.best.objective - stage.objective < SLOW_SHARE * found.hoped_gap:
        trial = _trimmed(objective, polished(objective, stage.network, directions, deadline))
        stage = stage.better(trial)
    # A network that is as good, but for rounding, may have the better dual point.
    tied = trial.objective <= stage.objective + TIED_SHARE * abs(stage.objective)
    latest = find_candidate(objective, (trial if tied else stage).network, deadline, seed)
    candidate = found.candidate
    if candidate is not None and hints is not None:
        candidate = sobered(candidate, hints)
    return replace(found, best=stage, latest=latest, candidate=more_hopeful(candidate, latest), rounds=found.rounds + 1)


def _violating(
    objective: Objective, latest: Candidate | None, hints: tuple[Factors, ...] | None
) -> tuple[Factors, ...]:
    """Of every branch the most violating of all known directions, at most `MOST_DIRECTIONS`."""
    given = objective.empty_stacks() if hints is None else hints
    if latest is None:
        return tuple(tuple(f[:MOST_DIRECTIONS] for f in stack) for stack in given)
    triples = zip(latest.objective.branches, latest.polars, given, strict=True)
    return tuple(_most_violating(branch, latest.dual, joined(polar.witness, stack)) for branch, polar, stack in triples)


def _most_violating(branch: Branch, dual: Tensor, known: Factors) -> Factors:
    pairings = branch.pairing(dual, known)
    order = pairings.argsort(descending=True)[:MOST_DIRECTIONS]
    order = order[pairings[order] > branch.strength * (1 + VIOLATION)]
    return tuple(f[order] for f in known)


def _is_far(found: Improvement) -> bool:
    share = relative_gap(found.hoped_gap, found.best.objective)
    return share > (CLOSE_GAP if found.rounds < FIRST_ROUNDS else FAR_GAP)


def _trimmed(objective: Objective, network: ParallelNetwork) -> Stage:
    return stage_of(objective, without_dead(objective, network))


def _descended(
    objective: Objective, network: ParallelNetwork, directions: tuple[Factors, ...], deadline: float, hoped: float
) -> ParallelNetwork:
    if grows_by_factors(objective):
        return factors_descended(objective, network, directions, deadline, DESCENT_STEPS_PER_ROUND, hoped)
    wide = without_dead(objective, corrected(objective, network, directions, deadline))
    return descend(objective, wide, deadline, DESCENT_STEPS_PER_ROUND)


def _moved(objective: Objective, network: ParallelNetwork, deadline: float) -> ParallelNetwork:
    """Local descent at the given width."""
    if grows_by_factors(objective):
        return factors_descended(objective, network, objective.empty_stacks(), deadline, FIRST_DESCENT_STEPS)
    return descend(objective, network, deadline, FIRST_DESCENT_STEPS)


def _scattered(objective: Objective, network: ParallelNetwork, seed: int) -> ParallelNetwork:
    """The network with small random subnetworks added."""
    generator, count = torch.Generator().manual_seed(seed), SCATTERED // len(objective.branches)
    stacks = []
    for branch, stack in zip(objective.branches, network.stacks, strict=True):
        size = SCATTERED_SIZE * (float(branch.products(stack).mean()) if len(stack[0]) else 1.0)
        drawn = (torch.randn(count, f.shape[1], generator=generator, dtype=f.dtype).to(f) for f in stack)
        units = tuple(torch.nn.functional.normalize(f, dim=1) for f in inside(branch, tuple(drawn)))
        stacks.append(joined(stack, subnetworks_of(branch, units, stack[0].new_full((count,), size))))
    return ParallelNetwork(tuple(stacks), network.coefficients)
