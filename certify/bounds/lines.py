"""Lines below the loss, and the lower bound that they prove where the penalty has a smaller degree than subnetworks.

The penalty is at least τ^e, e < 1, with τ = Σ λ t over all subnetworks (x^e is concave and 0 at 0), and a dual point A
shows l(Z) and the convex part to be at least a − p τ, with a the dual value of sA and p ≥ s max_b Ω_b°(−A)/λ_b. So

    F* ≥ min over τ ≥ 0 of max_j (a_j − p_j τ) + τ^e,

at 0 or where two lines meet, if A = 0 is one of them. A cap B on λ t of one subnetwork would not help: a network whose
objective is at most f has λ t ≤ B = (f − inf l)^{1/e}, and from τ = B on inf l + τ^e is at least f as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from torch import Tensor

from certify.bounds.ladder import LowerBound
from certify.bounds.polar import Cut
from certify.problem import Objective
from certify.problem.dual import DualPoint, dual_value, dual_value_estimate

# What certificates may hold.
MOST_LINES = 64
# Scales of one dual point are looked for up to this multiple of it.
LARGEST_SCALE = 4.0
# A line that lies higher by less than this share of the bound is not worth its place.
USEFUL_SHARE = 1e-6
SCALE_ACCURACY = 1e-6
# Heights that differ by less than this share are one.
SAME_SHARE = 1e-12

Array = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class LinesBound:
    """What lines prove.

    Attributes:
        bound: with the polars of the steepest line that is highest where the bound is attained.
        place: τ there.
        slopes: p of the steepest and of the flattest such line.
    """

    bound: LowerBound
    place: float
    slopes: tuple[float, float]


@final
@dataclass(frozen=True, slots=True)
class _Lines:
    """So many lines, by numbers of dual points, scales, values and slopes."""

    points: tuple[int, ...]
    scales: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]

    def with_one(self, point: int, scale: float, value: float, slope: float) -> _Lines:
        """And one more."""
        return _Lines((*self.points, point), (*self.scales, scale), (*self.values, value), (*self.slopes, slope))

    def kinks(self) -> Array:
        """τ = 0 and where two lines meet."""
        values, slopes = np.array(self.values), np.array(self.slopes)
        first, second = np.nonzero((slopes[:, None] > slopes) & (values[:, None] > values))
        return np.concatenate([[0.0], (values[first] - values[second]) / (slopes[first] - slopes[second])])

    def heights(self, places: Array) -> Array:
        """Of all lines at each τ."""
        found: Array = np.array(self.values) - places[:, None] * np.array(self.slopes)
        return found

    def highest(self, places: Array) -> npt.NDArray[np.bool_]:
        """Which lines are highest at each τ, but for rounding."""
        heights = self.heights(places)
        top = heights.max(1, keepdims=True)
        return np.asarray(heights >= top - SAME_SHARE * np.abs(top))

    def least(self, exponent: float) -> tuple[float, float]:
        """The bound, and τ where it is attained."""
        kinks = self.kinks()
        totals = self.heights(kinks).max(1) + kinks**exponent
        best = int(totals.argmin())
        return float(totals[best]), float(kinks[best])


def lines_bound(objective: Objective, bounds: tuple[LowerBound, ...]) -> LinesBound:
    """The bound that dual points prove, each at the scales that serve it best.

    Args:
        objective: with a penalty of a smaller degree.
        bounds: of the objective with penalties of the same degree, at least one; what they prove of polars counts.
    """
    exponent = objective.exponent
    steepness = [_steepness(objective, bound) for bound in bounds]
    lines = _Lines((0,), (0.0,), (dual_value(objective, 0 * bounds[0].point.values),), (0.0,))
    for number, bound in enumerate(bounds):
        lines = lines.with_one(number, bound.point.scale, bound.point.value, bound.point.scale * steepness[number])
    value, place = lines.least(exponent)
    while len(lines.points) < MOST_LINES:
        found = [_highest(objective, bound.point.values, p, place) for bound, p in zip(bounds, steepness, strict=True)]
        number = int(np.argmax([height for height, _ in found]))
        height, scale = found[number]
        if not height > lines.heights(np.array([place])).max() + USEFUL_SHARE * abs(value):
            break
        exact = dual_value(objective, scale * bounds[number].point.values)
        lines = lines.with_one(number, scale, exact, scale * steepness[number])
        value, place = lines.least(exponent)
    return _stated(lines, exponent, bounds)


def _steepness(objective: Objective, bound: LowerBound) -> float:
    pairs = zip(objective.branches, bound.polars, strict=True)
    return max(polar.upper / branch.gauge.strength for branch, polar in pairs)


def _highest(objective: Objective, dual: Tensor, steepness: float, place: float) -> tuple[float, float]:
    """Greatest height at τ of a line that a multiple of a dual point makes, and the scale."""

    def depth(scale: float) -> float:
        return scale * steepness * place - dual_value_estimate(objective, scale * dual)

    options = {"xatol": SCALE_ACCURACY}
    with np.errstate(all="ignore"):
        found = minimize_scalar(depth, bounds=(0.0, LARGEST_SCALE), method="bounded", options=options)
    scale = min((float(found.x), 1.0, 0.0), key=depth)
    return -depth(scale), scale


def _stated(lines: _Lines, exponent: float, bounds: tuple[LowerBound, ...]) -> LinesBound:
    """The bound with the lines that it needs: those that are highest at 0 or at a kink of the maximum."""
    value, place = lines.least(exponent)
    kinks, slopes = lines.kinks(), np.array(lines.slopes)
    top = lines.highest(kinks)
    needed = np.flatnonzero(top[(kinks == 0) | (top.sum(1) > 1)].any(0) | (slopes == 0))
    active = np.flatnonzero(lines.highest(np.array([place]))[0])
    steepest = int(active[slopes[active].argmax()])
    chosen = bounds[lines.points[steepest]]
    cuts = []
    for number, bound in enumerate(bounds):
        scales = tuple(lines.scales[at] for at in needed if lines.points[at] == number)
        cuts += [Cut(bound.point.values, bound.polars, scales)] if scales else []
    point = DualPoint(chosen.point.values, lines.scales[steepest], lines.values[steepest])
    slope = float(slopes[steepest])
    bound = LowerBound(value, point, chosen.polars, chosen.objective, cuts=tuple(cuts), slope=slope)
    return LinesBound(bound, place, (slope, float(slopes[active].min())))
