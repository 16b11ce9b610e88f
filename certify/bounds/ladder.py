"""The ladder: climb from cheap to dear bounds until the dual value is decisive or the budget is spent.

Every rung returns dual points with proven upper bounds U_b ≥ Ω_b°(−A); scaling A by s ≤ min_b λ_b/U_b makes it
feasible, so that bounds on all branches together yield a lower bound on the optimum. With one branch every rung does by
itself, the largest is kept, and a rung may move A (the convex surrogate does). With several, rungs leave A where it is;
then products of rows choose a better one for all branches together, where the rungs are climbed once more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.bounds.labor import ALONE, Labor
from certify.bounds.methods import METHODS, Method
from certify.bounds.polar import Cut, PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rows.cones.cone_method import is_comfortable
from certify.bounds.rows.relaxations.doubly_nonnegative.product_method import joint_products, joint_products_apply
from certify.bounds.scaling import capped, target_of, useful_ratio
from certify.bounds.score_rounding import with_score_rounding
from certify.bounds.search import shared_deadline
from certify.problem import Factors, Objective, Rows
from certify.problem.dual import DualPoint, dual_value
from certify.progress import Listener, Progress, silent

# A method that leaves more than this share of its time has ended by itself.
SPARED_SHARE = 0.1

# With several branches: the share of the time that the rungs at the given dual point may take, where cones settle all
# rows there and elsewhere; and the share of the rest for products.
SETTLED_SHARE, GIVEN_SHARE, JOINT_SHARE = 0.7, 0.3, 0.7


@final
@dataclass(frozen=True, slots=True)
class LowerBound:
    """A proven lower bound on the objective of every network of any width.

    Attributes:
        value: the bound.
        point: dual point that attains it.
        polars: proven interval of the polar at `point.values` of every branch.
        objective: what the point is a dual point of: the objective, or with the anchor of the point.
        exhausted: whether the methods ended by themselves, so that more time would not have raised it.
        cuts: dual points that prove it together, where the penalty has a smaller degree than the subnetworks; `point`
            is then one of them.
        slope: what λ is multiplied by in the polar condition at `point`.
    """

    value: float
    point: DualPoint
    polars: tuple[PolarBound, ...]
    objective: Objective
    exhausted: bool = False
    cuts: tuple[Cut, ...] = ()
    slope: float = 1.0


def trivial_bound(objective: Objective) -> LowerBound:
    """Inf l, the dual value of A = 0, whose polars are 0."""
    zero = torch.zeros_like(objective.loss.targets)
    point = DualPoint(zero, 1.0, dual_value(objective, zero))
    polars = tuple(PolarBound(0.0, stack, 0.0, "zero", Recomputed("zero")) for stack in objective.empty_stacks())
    cuts = () if objective.exponent == 1 else (Cut(zero, polars, (0.0,)),)
    return LowerBound(point.value, point, polars, objective, cuts=cuts)


def scaled(objective: Objective, dual: Tensor, polars: tuple[PolarBound, ...]) -> LowerBound:
    """The lower bound that a dual point and upper bounds on its polars, one a branch, give together."""
    point = capped(objective, dual, tuple(polar.upper for polar in polars))
    return LowerBound(point.value, point, polars, objective)


def scaled_estimate(objective: Objective, dual: Tensor, estimates: tuple[PolarEstimate, ...]) -> float:
    """The lower bound that a dual point would prove if the estimates were its polars."""
    return capped(objective, dual, tuple(estimate.value for estimate in estimates)).value


def climb(  # noqa: PLR0913
    objective: Objective,
    dual: Tensor,
    stacks: tuple[Factors, ...],
    needed: float,
    deadline: float,
    *,
    seed: int = 0,
    failure_probability: float = 0.0,
    listener: Listener = silent,
    estimates: tuple[PolarEstimate, ...] | None = None,
    kept: dict[str, object] | None = None,
    labor: Labor = ALONE,
) -> LowerBound:
    """Best lower bound that the methods for the forms of the branches prove by the deadline.

    Args:
        objective: what is bounded.
        dual: A, (n, c), feasible but for the polar.
        stacks: subnetworks to start searches from, one stack a branch.
        needed: a lower bound at or above this decides; climbing stops there.
        deadline: `time.perf_counter()` value at which to stop.
        seed: of all randomness.
        failure_probability: largest allowed of a randomized proof; 0 for rigorous proofs only.
        listener: told of the best lower bound, polars in units of λ, and methods.
        estimates: what a search found at this dual point, if it was searched: better starts, and the lower ends of its
            polars where no method finds larger ones.
        kept: what methods kept of climbs of the same objective, and will keep of this one.
        labor: who helps with long searches, and keeps their states.
    """
    ratio = useful_ratio(objective, dual, needed)
    starts = stacks if estimates is None else (estimate.witness for estimate in estimates)
    tasks = [
        PolarTask(
            objective,
            index,
            dual,
            target_of(branch, ratio),
            deadline,
            start,
            seed=seed,
            failure_probability=failure_probability,
            listener=listener,
            network=network,
            needed=needed,
            kept={} if kept is None else kept,
            labor=labor,
        )
        for index, (branch, start, network) in enumerate(zip(objective.branches, starts, stacks, strict=True))
    ]
    best = trivial_bound(objective)
    best = _climb_one(tasks[0], needed, best) if len(tasks) == 1 else _climb_several(objective, dual, tasks, best)
    if estimates is None or best.point.values is not dual:
        return best
    return replace(best, polars=tuple(map(_with_lower, best.polars, estimates)))


def _climb_one(task: PolarTask, needed: float, best: LowerBound) -> LowerBound:
    """The best of what every method proves by itself."""
    ended: dict[str, bool] = {}
    for method in METHODS[type(task.form)]:
        if best.value >= needed or task.seconds_left == 0:
            break
        own = _own_task(task, method, best, needed)
        if own is None or not method.serves(own):
            continue
        given = own.seconds_left
        for dual, polar in method.run(_relayed(own, method, best.value)):
            best = max(best, scaled(task.objective, dual, (polar,)), key=lambda bound: bound.value)
        ended[method.name] = own.seconds_left > SPARED_SHARE * given
        _tell_done(task, method, best.polars[0], best.value)
    return replace(best, exhausted=task.seconds_left > 0 and all(ended.values()))


def _own_task(task: PolarTask, method: Method, best: LowerBound, needed: float) -> PolarTask | None:
    """What a method is asked: at the best dual point where it is for that, within its share of the time."""
    if method.at_best:
        dual = best.point.values
        if dual is task.dual or not bool(dual.any()):
            return None
        task = replace(task, dual=dual, target=target_of(task.branch, useful_ratio(task.objective, dual, needed)))
    return replace(task, deadline=time.perf_counter() + method.share * task.seconds_left) if method.share < 1 else task


def _climb_several(objective: Objective, dual: Tensor, tasks: list[PolarTask], best: LowerBound) -> LowerBound:
    """At the given dual point, then at one that all branches choose together, and once more there."""
    if not joint_products_apply(tasks):
        return _climbed(objective, dual, tasks, best)
    needed = tasks[0].needed
    settled = all(not isinstance(task.form, Rows) or is_comfortable(task.form) for task in tasks)
    best = _climbed(objective, dual, _until(tasks, SETTLED_SHARE if settled else GIVEN_SHARE), best)
    if best.value >= needed:
        return best
    own = _until(tasks, JOINT_SHARE)
    found = joint_products(
        [replace(own[0], listener=_relay(own[0].listener, "doubly nonnegative", best.value)), *own[1:]]
    )
    if found is None:
        return best
    pairs = zip(objective.branches, found.bounds, strict=True)
    polars = tuple(with_score_rounding(branch, found.dual, polar) for branch, polar in pairs)
    best = max(best, scaled(objective, found.dual, polars), key=lambda bound: bound.value)
    if best.value >= needed or tasks[0].seconds_left == 0:
        return best
    ratio = useful_ratio(objective, found.dual, needed)
    moved = [replace(task, dual=found.dual, target=target_of(task.branch, ratio)) for task in tasks]
    return _climbed(objective, found.dual, moved, best, polars)


def _until(tasks: list[PolarTask], share: float) -> list[PolarTask]:
    """The tasks with a share of the time left."""
    deadline = time.perf_counter() + share * tasks[0].seconds_left
    return [replace(task, deadline=deadline) for task in tasks]


def _climbed(
    objective: Objective,
    dual: Tensor,
    tasks: list[PolarTask],
    best: LowerBound,
    known: tuple[PolarBound, ...] | None = None,
) -> LowerBound:
    """What bounds on every branch prove together; the time is shared among the branches that are left."""
    polars: list[PolarBound] = []
    for task in tasks:
        own = replace(task, deadline=shared_deadline(task.deadline, len(tasks) - task.index))
        polar = _branch_polar(own, best.value, None if known is None else known[task.index])
        if polar is None:
            return best
        polars.append(polar)
    return max(best, scaled(objective, dual, tuple(polars)), key=lambda bound: bound.value)


def _branch_polar(task: PolarTask, proven: float, best: PolarBound | None) -> PolarBound | None:
    """The smallest bound on the polar of one branch, known or proven by the methods, with the best witness, if any."""
    for method in METHODS[type(task.form)]:
        if task.seconds_left == 0 or (best is not None and best.upper <= task.target):
            break
        if not method.serves(task):
            continue
        for _, polar in method.run(_relayed(task, method, proven)):
            best = polar if best is None else _tighter(best, polar)
            _tell_done(task, method, best, proven)
    return best


def _tighter(one: PolarBound, other: PolarBound) -> PolarBound:
    """The smaller upper end, with its proof, and the larger lower end."""
    upper = min(one, other, key=lambda polar: polar.upper)
    return _with_lower(upper, max(one, other, key=lambda polar: polar.lower).estimate)


def _with_lower(polar: PolarBound, estimate: PolarEstimate) -> PolarBound:
    """The bound with the larger of two lower ends."""
    return polar if polar.lower >= estimate.value else replace(polar, lower=estimate.value, witness=estimate.witness)


def _relayed(task: PolarTask, method: Method, proven: float) -> PolarTask:
    return replace(task, listener=_relay(task.listener, method.name, proven))


def _relay(listener: Listener, method: str, proven: float) -> Listener:
    """Passes progress on with a method's name and the best bound proven."""

    def relay(event: Progress) -> None:
        lower = proven if event.lower_bound is None else max(proven, event.lower_bound)
        listener(replace(event, lower_bound=lower, method=method))

    return relay


def _tell_done(task: PolarTask, method: Method, polar: PolarBound, proven: float) -> None:
    strength, branches = task.branch.strength, len(task.objective.branches)
    interval = polar.lower / strength, polar.upper / strength
    detail = "done" if branches == 1 else f"done, branch {task.index + 1} of {branches}"
    task.listener(Progress("bounding", lower_bound=proven, polar=interval, method=method.name, detail=detail))
