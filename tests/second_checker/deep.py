"""Three weights and more: rule 14 for them, outputs through hops, and the step `peel` (rule 64)."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .branch import Stated, rows_of, square_strength
from .container import Shapes
from .exact import Matrix, above, norms_above, product, rational, root_above, square_norms, total, zeros
from .layers import Geometry, Hop
from .proofs.task import Task
from .rejection import afford, require
from .schema import number


class First(NamedTuple):
    """The rows of the first weight, its activation, and the diagonals in front of it."""

    geometry: Geometry
    columns: Matrix
    diagonals: tuple[Matrix, ...]
    is_free: bool = False

    @property
    def reach(self) -> list[Fraction]:
        return [self.geometry.lipschitz * size for size in norms_above(self.columns)]


class DeepBranch(NamedTuple):
    """Rows with a one at their end where there is a bias; weights (r, m_ℓ, m_{ℓ−1} k), the first with the bias."""

    geometry: Geometry
    bias: str
    square_strength: Fraction
    rows: Matrix
    weights: list[Matrix]
    decays: list[Fraction] | None = None
    square_constant: Fraction = Fraction(1)
    is_free: bool = False

    @property
    def degree(self) -> int:
        return 2 if self.decays is None else len(self.weights)

    @property
    def columns(self) -> Matrix:
        """H; a root in its last column is taken from above, which makes no polar smaller."""
        if self.bias == "absent":
            return self.rows[:, :-1]
        return np.hstack([self.rows[:, :-1], self.rows[:, -1:] * root_above(self.square_constant)])

    @property
    def kind(self) -> str:
        """`line` without kinks."""
        return "line" if {self.geometry.slope, *(hop.slope for hop in self.geometry.hops)} == {1} else "deep"

    @property
    def cost(self) -> Fraction:
        if self.decays is not None:
            first = self.weights[0]
            parts = [first[:, :, :-1], *self.weights[1:], first[:, :, -1:]]
            shares = [*self.decays, self.decays[0] / self.square_constant]
            pairs = zip(parts, shares, strict=True)
            return sum(own * total(square_norms(part.reshape(len(part), -1))) for part, own in pairs) / Fraction(2)
        squares = (square_norms(weight.reshape(len(weight), -1)) for weight in self.weights)
        sizes = [root_above(np.prod(units)) for units in zip(*squares, strict=True)]
        return root_above(self.square_strength) * total(sizes)

    @property
    def reach(self) -> list[Fraction]:
        """At least what the last weight reads of each sample, for each of its positions."""
        columns = self.columns
        samples = columns.reshape(-1, len(self.geometry.reads) * columns.shape[1])
        factor = self.geometry.lipschitz
        for hop in self.geometry.hops:
            factor *= max(1, abs(hop.slope)) * root_above(Fraction(len(hop.entries) * len(hop.sums[0])))
        return [factor * size for size in norms_above(samples) for _ in range(self.geometry.readout.shape[1])]

    def outputs(self, samples: int) -> Matrix:
        outputs, _, entries = self.geometry.readout.shape
        first, *others, last = self.weights
        result = zeros(samples * outputs, last.shape[2] // entries)
        for unit in range(len(first)):
            values = bent(product(self.rows, first[unit].T), self.geometry.slope)
            for hop, weight in zip(self.geometry.hops, others, strict=True):
                values = bent(through(hop, values, weight[unit]), hop.slope)
            for channel, own in enumerate(values.T):
                read = product(own.reshape(samples, -1), self.geometry.spread).reshape(-1, entries)
                result = result + product(read, last[unit, channel].reshape(-1, entries).T)
        by_output: Matrix = result.reshape(samples, outputs, -1).transpose(0, 2, 1)
        return by_output.reshape(samples, -1)

    def scores(self, dual: Matrix) -> Matrix:
        outputs, positions, entries = self.geometry.readout.shape
        flat = product(dual.reshape(-1, outputs), self.geometry.readout.reshape(outputs, -1))
        by_position: Matrix = flat.reshape(len(dual), -1, positions, entries).transpose(0, 2, 1, 3)
        return by_position.reshape(len(dual) * positions, -1)


def bent(values: Matrix, slope: Fraction) -> Matrix:
    positive: Matrix = np.maximum(values, 0)
    return positive + slope * np.minimum(values, 0)


def through(hop: Hop, values: Matrix, weight: Matrix) -> Matrix:
    """The next values (n Q, m) of values (n P, b) and a weight (m, b k)."""
    (q, p), b, k = hop.entries[0].shape, values.shape[1], len(hop.entries)
    samples = values.reshape(-1, p, b)
    read = np.stack([np.stack([product(own, sample) for own in hop.entries], axis=2) for sample in samples])
    return product(read.reshape(len(samples) * q, b * k), weight.T)


def deep_branch(
    stated: Stated, geometry: Geometry, name: str, inputs: Matrix, outputs: int, shapes: Shapes
) -> DeepBranch:
    bias, penalty, produced = stated["bias"], stated["penalty"], len(geometry.readout)
    require(bias != "free", "unbounded-polar")
    require(outputs % produced == 0, "shape")
    count, length = len(geometry.hops) + 2, len(geometry.reads[0])
    decays = None
    if penalty["name"] == "weight-decay":
        decays = [*map(number, penalty["strengths"])]
        extra = [] if penalty["bias"] is None else [number(penalty["bias"])]
        require(len(decays) == count, "degree")
        require(min(decays + extra) > 0, "strength")
    else:
        require(penalty["name"] == "product-of-norms" and penalty["powers"] == [1] * count, "degree")
        require(number(penalty["strength"]) > 0, "strength")
    weights, before = list[Matrix](), 1
    for place, reach in enumerate([length, *(len(hop.entries) for hop in geometry.hops)]):
        given = shapes.take(f"{name}.{place}", len(weights[0]) if weights else None, None)
        require(given.shape[1] > 0 and given.shape[1] % (before * reach) == 0, "shape")
        after = given.shape[1] // (before * reach)
        weight = rational(given).reshape(len(given), after, before * reach)
        if place == 0:
            biases = shapes.take(f"{name}.bias", len(given), after) if bias != "absent" else zeros(len(given), after)
            weight = np.concatenate([weight, rational(np.asarray(biases, float))[:, :, None]], 2)
        weights.append(weight)
        before = after
    scores = outputs // produced * geometry.readout.shape[2]
    last = rational(shapes.take(f"{name}.{count - 1}", len(weights[0]), before * scores))
    # As torch has it, (c/O, m, k); by channel here.
    split = last.reshape(len(last), outputs // produced, before, geometry.readout.shape[2])
    weights.append(split.transpose(0, 2, 1, 3).reshape(len(last), before, scores))
    rows = rows_of(geometry, inputs)
    if bias == "absent":
        rows = np.hstack([rows[:, :-1], zeros(len(rows), 1)])
    require(len(rows) * max(sum(weight[:1].size for weight in weights), scores) <= 2**28, "size-limit")
    if decays is None:
        return DeepBranch(geometry, bias, number(penalty["strength"]) ** 2, rows, weights)
    constant = decays[0] / (extra[0] if extra else decays[0])
    return DeepBranch(geometry, bias, square_strength(decays, [1] * count), rows, weights, decays, constant)


def ends_of(task: Task) -> Iterator[Task]:
    """The tasks about rows that peeling leads to."""
    branch = task.branch
    geometry: Geometry = branch.geometry
    apart = task.scores.shape[1] == 1 and geometry.hops[-1].slope != 1
    for name, sign in (("plus", -1), ("minus", 1)) if apart else (("both", -1),):
        own = task._replace(name=f"{task.name}.{name}")
        scores, diagonals = sign * task.scores, list[Matrix]()
        for level, hop in enumerate(reversed(geometry.hops)):
            scores, diagonals = peeled(own, level, hop.slope, scores, diagonals, 1 if apart and not level else 2)
            scores, diagonals = back(hop, scores), [back_squares(hop, weights) for weights in diagonals]
        first = First(geometry, branch.columns, tuple(diagonals))
        yield own._replace(branch=first, scores=scores)


def peeled(
    task: Task, level: int, slope: Fraction, columns: Matrix, diagonals: list[Matrix], signs: int
) -> tuple[Matrix, list[Matrix]]:
    kept = [max(1, abs(slope)) ** 2 * weights for weights in diagonals]
    if slope == 1:
        return columns, kept
    curvatures = task.array(f"curvatures-{level}", signs, *columns.shape)
    slopes = task.array(f"slopes-{level}", *columns.shape)
    require(np.all(curvatures >= 0), "peel-curvatures")
    afford(50 * signs * columns.size)
    bend, largest = (1 - slope) * columns, zeros(*columns.shape)
    for sign, curved in zip((1, -1), curvatures, strict=False):
        sides = sign * bend + np.maximum(-sign * bend, abs(slopes))
        used = np.where(sides > 0, np.where(curved > 0, curved, sides / Fraction(4)), Fraction(0))
        costs = sides**2 / (16 * np.where(sides > 0, used, Fraction(1)))
        largest = np.maximum(largest, 4 * used * costs.sum(0)[None])
    lines = (bend - slopes) / Fraction(2) + slope * columns
    return lines, [*kept, np.array([above(entry) for entry in largest.sum(1)], object)]


def back(hop: Hop, columns: Matrix) -> Matrix:
    """Columns (n Q, m) as those (n P, m k) of what the hop reads."""
    q, p = hop.entries[0].shape
    samples = columns.reshape(-1, q, columns.shape[1])
    parts = [np.stack([product(own.T, sample) for sample in samples]) for own in hop.entries]
    return np.concatenate(parts, 2).reshape(len(samples) * p, -1)


def back_squares(hop: Hop, weights: Matrix) -> Matrix:
    q, p = hop.entries[0].shape
    samples = weights.reshape(-1, q)
    found = [product(samples, own * sums[:, None]) for own, sums in zip(hop.entries, hop.sums, strict=True)]
    return np.sum(found, axis=0).reshape(-1)
