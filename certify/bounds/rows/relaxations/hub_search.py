"""Products of rows with hubs, chosen with the dual point by an augmented Lagrangian over factors of moments.

Hubs are the rows that count most, |A_i||x_i|, at the task's dual point. Every round the multipliers are proven by
`majorant_upper`, whatever the moments, and the best outcome is kept.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.bounds.polar import PolarTask
from certify.bounds.proof import Hubs, ScalarMajorant
from certify.bounds.rows.kinked_scores import KinkedScores, kinked_scores
from certify.bounds.rows.relaxations.direction_region import DirectionRegion, center_of, direction_region
from certify.bounds.rows.relaxations.hub_majorant import hub_share, paired, signed_hubs
from certify.bounds.rows.relaxations.hub_moments import HubMoments, hub_moments, projected
from certify.bounds.rows.relaxations.majorant import majorant_upper
from certify.bounds.rows.relaxations.moment_programs import Signs, joint_program
from certify.bounds.rows.relaxations.moment_surrogate import network_factor
from certify.bounds.rows.relaxations.moments import TINY, moments, responses, touching
from certify.bounds.rows.relaxations.relu_majorant import relu_majorant
from certify.bounds.rows.relaxations.surrogate_outcome import SurrogateOutcome
from certify.bounds.rows.rows_form import rows_form
from certify.problem.dual import InfeasibleDualError, best_scale, feasible_dual
from certify.progress import Progress

HUBS, UNITS = 32, 16
# Share of noise in the start, which is the network's.
NOISE = 0.05
# Rows nearer to each other than this cosine make one hub.
ALIKE = 0.99
HISTORY, ROUND_STEPS = 20, 120
# The first penalty on violations, times the objective over the squared mass of the network; for products of rows in
# total that of so many. It grows where they do not fall by half.
PENALTY, ROWS, GROWTH = 100.0, 8.0, 1.3
# After so many rounds without a rise by this share it is over.
PATIENCE, LEAST_RISE = 12, 1e-4
# Smoothing of what is known of rows without hubs.
SMOOTHING = 1e-6
# Shifts of the products of pairs that are tried, relative to their size.
SHIFTS = tuple(10.0**power for power in range(-7, 1))


def hub_surrogate(task: PolarTask) -> SurrogateOutcome | None:
    """Raise the lower bound of an objective with one branch and one output, from a network; None where none was proven.

    Raises:
        UnsupportedError: the free input is not constant.
    """
    search = _Search(task)
    search.run()
    return search.best


def chosen_rows(inputs: Tensor, weights: Tensor, count: int) -> Tensor:
    """The directions of so many rows (N, h) of the largest weights (N,), without those that are almost parallel."""
    lengths = torch.linalg.vector_norm(inputs, dim=1)
    unit, weights = inputs / lengths.clamp_min(TINY)[:, None], weights.abs() * lengths
    found = list[Tensor]()
    while len(found) < count and bool((weights > 0).any()):
        found.append(unit[int(weights.argmax())])
        weights = torch.where((unit @ found[-1]).abs() > ALIKE, 0.0, weights)
    return torch.stack(found) if found else unit[:0]


@final
class _Search:
    """The descent, and the best outcome that its iterates proved."""

    def __init__(self, task: PolarTask) -> None:
        view = task.branch.view
        self._task, self._form = task, rows_form(task)
        self._program = joint_program(task.objective, self._form)
        self._center = center_of(view, torch.ones_like(view.rows[:, 0], dtype=torch.bool))
        self._region = direction_region(view, self._center, 1.0)
        self._inputs = self._region.inputs
        self._reach = torch.linalg.vector_norm(self._inputs, dim=1).clamp_min(TINY)[:, None]
        self._generator = torch.Generator(device=view.rows.device).manual_seed(task.seed)
        self._directions = chosen_rows(self._inputs, task.scores[:, 0], HUBS)
        self._shares = [ROWS / len(self._inputs), 1.0] * 2
        self._step = self._proof = 0.0
        self._value, self._values = -math.inf, list[float]()
        self.best: SurrogateOutcome | None = None

    def run(self) -> None:
        """Descend, raise multipliers and prove until the bound decides or time is out."""
        variables = self._start()
        with torch.no_grad():
            found = self._moments(variables)
            mass = sum(float(own.units.mass) for own in found)
            penalty = PENALTY * float(self._program.value(_signs(found), variables[-1])) / max(mass, TINY) ** 2
            multipliers = [[torch.zeros_like(part) for part in self._products(own)] for own in found]
        worst = math.inf
        while True:
            self._descend(variables, multipliers, penalty)
            with torch.no_grad():
                found = self._moments(variables)
                raised = [self._raised(own, old, penalty) for own, old in zip(found, multipliers, strict=True)]
                moved = [
                    (new - old).abs().max() / share
                    for pair in zip(raised, multipliers, strict=True)
                    for new, old, share in zip(*pair, self._shares, strict=True)
                    if new.numel()
                ]
                violation, multipliers = float(torch.stack(moved).max()) / penalty, raised
                self._prove(found, multipliers, variables[-1])
                self._values.append(self._value)
            if self._over():
                return
            penalty *= GROWTH if violation > worst / 2 else 1.0
            worst = violation

    def _over(self) -> bool:
        rises = self._values[-PATIENCE - 1 :]
        stalled = len(rises) > PATIENCE and rises[-1] - rises[0] <= LEAST_RISE * abs(rises[-1])
        late = self._task.seconds_left <= self._proof + self._step
        return late or stalled or self._value >= self._task.needed

    def _start(self) -> list[Tensor]:
        """Factors, c and s of both signs of the network at hand with noise, and C = 0."""
        variables, rank = list[Tensor](), UNITS
        for sign in (1.0, -1.0):
            factor = self._noisy(network_factor(self._task.network, sign, rank))
            units = moments(factor, 0)
            single, turned = self._inputs @ units.directions, self._directions @ units.directions
            spare = 0.3 * torch.linalg.vector_norm(single, dim=1, keepdim=True)
            variables += [factor, torch.cat([self._noisy(single.abs()), spare], 1), self._noisy(turned.abs())]
        variables.append(factor.new_zeros(self._program.coefficients, 1))
        return [variable.requires_grad_() for variable in variables]

    def _noisy(self, values: Tensor) -> Tensor:
        size = NOISE * float(torch.linalg.vector_norm(values)) / math.sqrt(max(values.numel(), 1))
        return values + size * torch.randn(values.shape, generator=self._generator).to(values)

    def _moments(self, variables: list[Tensor]) -> list[HubMoments]:
        return [
            hub_moments(moments(factor, 0), self._inputs, self._directions, steep, apart)
            for factor, steep, apart in (variables[:3], variables[3:6])
        ]

    def _products(self, found: HubMoments) -> list[Tensor]:
        return found.products(torch.cat([self._reach, self._reach]))

    def _raised(self, found: HubMoments, multipliers: list[Tensor], penalty: float) -> list[Tensor]:
        pairs = zip(multipliers, self._products(found), strict=True)
        return projected(
            [old - penalty * share * product for (old, product), share in zip(pairs, self._shares, strict=True)]
        )

    def _lagrangian(self, variables: list[Tensor], multipliers: list[list[Tensor]], penalty: float) -> Tensor:
        found = self._moments(variables)
        total = self._program.value(_signs(found), variables[-1])
        for own, old in zip(found, multipliers, strict=True):
            raised = zip(self._raised(own, old, penalty), self._shares, strict=True)
            total = total + sum(new.square().sum() / share for new, share in raised) / (2 * penalty)
        return total

    def _descend(self, variables: list[Tensor], multipliers: list[list[Tensor]], penalty: float) -> None:
        wanted = [variable for variable in variables if variable.numel()]
        left = self._task.seconds_left - self._proof
        steps = min(ROUND_STEPS, max(1, int(left / (2 * self._step + 1e-9))))
        options = {"tolerance_grad": 0.0, "tolerance_change": 0.0, "line_search_fn": "strong_wolfe"}
        optimizer = torch.optim.LBFGS(wanted, max_iter=steps, history_size=HISTORY, **options)  # type: ignore[arg-type]
        begun, evaluations = time.perf_counter(), 0

        def closure() -> float:
            nonlocal evaluations
            evaluations += 1
            optimizer.zero_grad()
            value = self._lagrangian(variables, multipliers, penalty)
            value.backward()  # type: ignore[no-untyped-call]
            return float(value.detach())

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        self._step = (time.perf_counter() - begun) / evaluations

    def _prove(self, found: list[HubMoments], multipliers: list[list[Tensor]], coefficients: Tensor) -> None:
        """Keep the outcome of these moments and multipliers if it is the best, and tell of it."""
        begun, task, branch = time.perf_counter(), self._task, self._task.branch
        try:
            dual = feasible_dual(task.objective, self._program.dual(_signs(found), coefficients))
        except InfeasibleDualError:
            return
        scores = branch.scores(dual)
        made = self._majorant(found, multipliers, kinked_scores(self._form.slopes, scores))
        options = [shifted(made, shift * branch.strength) for shift in SHIFTS]
        upper, at = min((majorant_upper(self._form, scores, option), at) for at, option in enumerate(options))
        value = best_scale(task.objective, dual, branch.strength / upper if upper > 0 else math.inf).value
        self._proof = time.perf_counter() - begun
        if self.best is None or value > self._value:
            self._value, self.best = value, SurrogateOutcome(dual, upper, options[at])
            task.listener(Progress("bounding", lower_bound=value, polar=(0.0, upper / branch.strength)))

    def _majorant(
        self, found: list[HubMoments], multipliers: list[list[Tensor]], parts: KinkedScores
    ) -> ScalarMajorant:
        """The multipliers, with the curvatures and the pairs of hubs that touch at the moments."""
        n, count = len(self._inputs), len(self._directions)
        spread = SMOOTHING * float(torch.linalg.vector_norm(self._inputs)) / math.sqrt(n)
        signs = []
        for index, sign in enumerate((1.0, -1.0)):
            own, rectified = found[index], parts.column(0, sign).rectified
            plain = touching(rectified, responses(self._inputs, own.units, spread), own.units)
            signs.append(_of_rows(own, multipliers[index], self._reach).without_waste(own, rectified, *plain[1:]))
        hubs = Hubs(
            torch.stack([self._directions] * 2),
            torch.stack([rows.links.reshape(2, n, 2, count).transpose(1, 2).reshape(4, n, count) for rows in signs]),
            torch.stack([rows.lifts for rows in signs]),
            torch.stack([(m[3] + m[3].T) / 2 for m in multipliers]),
            torch.stack([m[1][:, 1:] for m in multipliers]),
        )
        majorant = ScalarMajorant(
            parts.rectified.new_zeros(2, n),
            torch.stack([rows.slopes for rows in signs]),
            torch.stack([rows.tilts for rows in signs]),
            torch.stack([own.units.penalized.T for own in found]),
            self._center,
            parts.rectified.new_zeros(2),
            hubs,
        )
        return _touched(majorant, found, parts, self._region)


@final
@dataclass(frozen=True, slots=True)
class _RowMultipliers:
    """Multipliers of rows of one sign: g, w, V and A as in `hub_majorant`, w and V as combinations of units."""

    slopes: Tensor
    tilts: Tensor
    lifts: Tensor
    links: Tensor

    def without_waste(self, found: HubMoments, scores: Tensor, slopes: Tensor, tilts: Tensor) -> _RowMultipliers:
        """These where they bound rows better at the moments than others g and w without hubs, else those."""
        zero = torch.zeros_like
        plain = _RowMultipliers(slopes, tilts, zero(self.lifts), zero(self.links))
        kept = self._value(found, scores, False) < plain._value(found, scores, True)
        mine = torch.where(kept, self.slopes, slopes), torch.where(kept[:, None], self.tilts, tilts)
        return _RowMultipliers(*mine, self.lifts * kept[:, None], self.links * kept[None, :, None])

    def _value(self, found: HubMoments, scores: Tensor, floored: bool) -> Tensor:
        """E of what stands above r v |t|/2, (N,)."""
        units = found.units
        gram, heights = units.penalized.T @ units.penalized, units.heights
        after, before = (
            ((self.lifts + side) @ gram * (self.lifts + side)).sum(1).clamp_min(0).sqrt()
            for side in (self.tilts, -self.tilts)
        )
        level = scores + torch.maximum(before + self.slopes, after - self.slopes)
        level = level.clamp_min(0) if floored else level
        side = level[:, None] * heights + self.lifts @ gram + self.links.sum(0) @ found.hubs
        slant = (self.links[0] - self.links[1]) @ found.hubs - self.slopes[:, None] * heights - self.tilts @ gram
        lengths = torch.linalg.vector_norm(side, dim=1) * torch.linalg.vector_norm(found.single, dim=1)
        value: Tensor = ((slant * found.single).sum(1) + lengths) / 2
        return value


def _of_rows(found: HubMoments, multipliers: list[Tensor], reach: Tensor) -> _RowMultipliers:
    n = len(reach)
    rows, gram = found.rows, found.units.penalized.T @ found.units.penalized
    cones = multipliers[0] / torch.cat([reach, reach])
    lengths = torch.linalg.vector_norm(cones[:, 1:], dim=1)
    sizes = (rows @ gram * rows).sum(1).clamp_min(0).sqrt().clamp_min(TINY)
    after, before = (-(lengths / sizes)[:, None] * rows).reshape(2, n, -1)
    links = (multipliers[2] / torch.cat([reach, reach])).reshape(2, n, -1)
    return _RowMultipliers(cones[n:, 0] - cones[:n, 0], before - after, after + before, links)


def _touched(
    majorant: ScalarMajorant, found: list[HubMoments], parts: KinkedScores, region: DirectionRegion
) -> ScalarMajorant:
    """The majorant with curvatures and pairs of hubs at which it touches at the moments."""
    assert majorant.hubs is not None
    count, size = majorant.hubs.directions.shape[1], region.inputs.shape[1]
    for index, (own, sign) in enumerate(zip(found, (1.0, -1.0), strict=True)):
        scores, hubs = parts.column(0, sign), signed_hubs(majorant, index, size)
        assert hubs is not None
        tilts, slopes = majorant.tilts_of(index, size), majorant.slopes[index]
        share, gram = hub_share(scores.rectified, slopes, tilts, hubs), own.units.penalized.T @ own.units.penalized
        sides = share[:, None] * own.units.heights + hubs.lifts @ gram + hubs.links.sum(0) @ own.hubs
        reach = torch.linalg.vector_norm(own.single, dim=1).clamp_min(TINY)
        majorant.curvatures[index] = torch.linalg.vector_norm(sides, dim=1) / (4 * reach)
        form = relu_majorant(region, scores, majorant.curvatures[index], slopes, tilts, hubs)
        lifted = torch.cat([own.units.directions, own.apart])
        slope = form.linear[size:, None] / 2 * own.units.heights + form.quadratic[size:] @ lifted
        pairs = (slope * own.apart).sum(1) / own.apart.square().sum(1).clamp_min(TINY)
        products = majorant.hubs.products[index]
        products[:count, count:] -= torch.diag(pairs) / 2
        products[count:, :count] -= torch.diag(pairs) / 2
    return majorant


def shifted(majorant: ScalarMajorant, shift: float) -> ScalarMajorant:
    """The majorant with a shift from the squares of all s to those of h·u."""
    assert majorant.hubs is not None
    products = majorant.hubs.products - shift / 2 * paired(majorant.hubs.directions[0])
    return replace(majorant, hubs=replace(majorant.hubs, products=products))


def _signs(found: list[HubMoments]) -> Signs:
    return [(own.units, own) for own in found]
