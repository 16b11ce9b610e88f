"""The polar over entries where norms are l1, whose balls are hulls of vertices ±e_i: what T leaves at each of them.

That is a fibre where one factor is left, and the polar the largest of its dual norms; where two are left, a slice, and
the polar the largest of their norms as matrices. Both are exact, the latter if the two norms are Euclidean. No entry is
looked at more than a few times, and slices whose Frobenius norm shows them to be smaller are left alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from certify.bounds.multilinear.entry_form import entry_form
from certify.bounds.multilinear.sparse_matrix import SparseMatrix
from certify.bounds.multilinear.sparse_spectral import least_norm, matrix_norm_upper
from certify.bounds.multilinear.tensor_search import tensor_search
from certify.bounds.polar import PolarBound, PolarEstimate, PolarTask
from certify.bounds.proof import Recomputed
from certify.bounds.rounding import gamma, norm_upper
from certify.problem import Entries, Factors, Multilinear

# Most witnesses returned; growth may add several at once.
WITNESSES = 24


def vertices_apply(task: PolarTask) -> bool:
    """Whether norms l1 leave one factor, or two."""
    sides = task.branch.sides
    return any(side.is_l1 for side in sides) and sum(not side.is_l1 for side in sides) <= 2


def vertex_search(task: PolarTask) -> PolarEstimate:
    """The best witnesses of the best vertices."""
    return _ends(task)[1]


def vertices_bound(task: PolarTask) -> PolarBound:
    """Both ends of the polar."""
    upper, found = _ends(task)
    return PolarBound(found.value, found.witness, upper, "vertices", Recomputed("vertices"))


@final
@dataclass(frozen=True, slots=True)
class _Vertices:
    """Entries by vertices.

    Attributes:
        form: the form.
        values: T, (N,).
        fixed: axes of the vertices.
        left: the others.
        group: number of the vertex of every entry, (N,).
        places: of every vertex along the fixed axes, (g, ·).
        signs: 1 for vertices e_i; also −1 where that makes a difference.
    """

    form: Multilinear
    values: Tensor
    fixed: tuple[int, ...]
    left: tuple[int, ...]
    group: Tensor
    places: Tensor
    signs: tuple[float, ...]

    @classmethod
    def of(cls, task: PolarTask) -> _Vertices:
        """The vertices of a task."""
        form = entry_form(task)
        sides, axes = form.sides, range(len(form.sides))
        left = tuple(axis for axis in axes if not sides[axis].is_l1) or (axes[-1],)
        fixed = tuple(axis for axis in axes if axis not in left)
        places, group = torch.unique(form.entries.indices[:, fixed], dim=0, return_inverse=True)
        flips = not all(sides[axis].nonnegative for axis in fixed) and all(sides[axis].nonnegative for axis in left)
        return cls(form, form.values(task.scores), fixed, left, group, places, (1.0, -1.0) if flips else (1.0,))

    def rest(self) -> Multilinear:
        """The form of what is left, at the places of all entries."""
        entries, axes = self.form.entries, list(self.left)
        shape = tuple(entries.shape[axis] for axis in axes)
        return Multilinear(Entries(entries.indices[:, axes], shape), tuple(self.form.sides[axis] for axis in axes))

    def factors(self, chosen: Tensor, signs: Tensor, left: Factors) -> Factors:
        """The subnetworks of some vertices, with signs, and of factors along the other axes."""
        found = list[Tensor]()
        rest = iter(left)
        for axis, (side, extent) in enumerate(zip(self.form.sides, self.form.entries.shape, strict=True)):
            if axis in self.left:
                found.append(next(rest))
                continue
            place = self.places[chosen, self.fixed.index(axis)]
            unit = self.values.new_zeros(len(chosen), extent).scatter(1, place[:, None], 1 / side.l1)
            if not side.nonnegative:
                unit, signs = unit * signs[:, None], torch.ones_like(signs)
            found.append(unit)
        return tuple(found)


def _ends(task: PolarTask) -> tuple[float, PolarEstimate]:
    vertices = _Vertices.of(task)
    return (_fibres if len(vertices.left) == 1 else _slices)(task, vertices)


def _fibres(task: PolarTask, vertices: _Vertices) -> tuple[float, PolarEstimate]:
    """The largest dual norm, rounded up, and where it is attained."""
    (axis,), values, group, count = vertices.left, vertices.values, vertices.group, len(vertices.places)
    side, entries = vertices.form.sides[axis], vertices.form.entries
    weight = math.prod(vertices.form.sides[fixed].l1 for fixed in vertices.fixed)
    sizes = torch.cat([side.grouped_dual_norm(sign * values, group, count) for sign in vertices.signs]) / weight
    upper = float(sizes.max()) * (1 + gamma(4 * int(torch.bincount(group).max()) + 64))
    order = sizes.argsort(descending=True)[:WITNESSES]
    order = order[sizes[order] > 0]
    if not len(order):
        return upper, PolarEstimate(0.0, task.nothing)
    chosen, signs = order % count, torch.tensor(vertices.signs).to(values)[order // count]
    fibres = values.new_zeros(len(order), entries.shape[axis])
    for fibre, vertex, sign in zip(fibres, chosen, signs, strict=True):
        held = group == vertex
        fibre[entries.indices[held, axis]] = sign * values[held]
    witness = vertices.factors(chosen, signs, (side.maximizer(fibres),))
    return upper, PolarEstimate(float(sizes[order[0]]), witness)


def _slices(task: PolarTask, vertices: _Vertices) -> tuple[float, PolarEstimate]:
    """At least the largest norm of a slice, and where it is attained if norms along it are Euclidean."""
    values, left, pairs, upper = vertices.values, vertices.rest(), list[_Pair](), 0.0
    lengths = values.new_zeros(len(vertices.places)).index_add(0, vertices.group, values**2).sqrt()
    order, stops = vertices.group.argsort(stable=True), torch.bincount(vertices.group).cumsum(0).tolist()
    for vertex in lengths.argsort(descending=True).tolist():
        held = order[stops[vertex - 1] if vertex else 0 : stops[vertex]]
        most = norm_upper(left.rounded(values[held])[0]) * (1 + gamma(16))
        if most <= upper or task.seconds_left == 0:
            upper = max(upper, most)
            break
        seen = [torch.unique(index, return_inverse=True) for index in left.entries.indices[held].T]
        slice_ = Entries(torch.stack([index for _, index in seen], 1), tuple(len(places) for places, _ in seen))
        for sign in vertices.signs:
            rounded = left.rounded(sign * values[held])
            matrix, found = least_norm([SparseMatrix.of(slice_, each) for each in rounded], task.seed)
            upper = max(upper, matrix_norm_upper(matrix, found.value))
            ends = tuple((places, f[0]) for (places, _), f in zip(seen, found.witness, strict=True))
            pairs.append(_Pair(found.value, vertex, sign, ends))
    if not left.is_round:
        return upper, tensor_search(task)
    return upper, _best(task, vertices, pairs)


class _Pair(NamedTuple):
    """A value, its vertex with the sign, and the two other factors: places, and values there."""

    value: float
    vertex: int
    sign: float
    left: tuple[tuple[Tensor, Tensor], ...]


def _best(task: PolarTask, vertices: _Vertices, pairs: list[_Pair]) -> PolarEstimate:
    best = sorted((pair for pair in pairs if pair.value > 0), key=lambda pair: -pair.value)[:WITNESSES]
    if not best:
        return PolarEstimate(0.0, task.nothing)
    chosen = torch.tensor([pair.vertex for pair in best]).to(vertices.group)
    signs = torch.tensor([pair.sign for pair in best]).to(vertices.values)
    left = tuple(vertices.values.new_zeros(len(best), vertices.form.entries.shape[axis]) for axis in vertices.left)
    for at, pair in enumerate(best):
        for factor, (places, found) in zip(left, pair.left, strict=True):
            factor[at, places] = found
    return PolarEstimate(best[0].value, vertices.factors(chosen, signs, left))
