"""Polar of rows, P(Q) = max over |u| <= 1 of |Q^T s(X u)| for s with one kink, by branch and bound on cones.

Directions are covered by simplicial cones; `cone_bound` bounds each, `cone_batch` splits edges, `cone_search`
decides where, and `cone_tree` is the proof. Suits many samples and few coordinates: rows reduced to full column
rank, in principal axes but not whitened, d up to about ten.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from certify.bounds.labor import NO_AID, Aid
from certify.bounds.rows.cones.cone_batch import joined
from certify.bounds.rows.cones.cone_bound import Majorant, build_majorant, interpolation_sums, penalized, values_at
from certify.bounds.rows.cones.cone_incumbent import Incumbent
from certify.bounds.rows.cones.cone_search import ConeSearch, Report, Stage
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cone_sharing import Sharing
from certify.bounds.rows.cones.cone_state import begun, gone_on, state_of
from certify.bounds.rows.cones.cone_tree import ConeTree, prune_to_preorder
from certify.problem.rounding import UNIT_ROUNDOFF

# Most coordinates accepted: there are 2^d roots per sign.
MAX_DIMENSION = 14
# Relative margin of the claimed upper bound over the largest leaf bound, for a checker's own rounding.
CLAIM_MARGIN = 1e-9
# Most directions to return from unfinished cones.
OPEN_DIRECTIONS = 32


@dataclass(frozen=True, slots=True)
class ConeOutcome:
    """A proven interval for P(Q) and how it was found.

    Attributes:
        lower: Proven lower bound, attained at `witness`.
        witness: Direction u of norm at most 1 (outside the free axis), shape (d,).
        upper: Proven upper bound, the claim of `tree`.
        tree: The proof.
        nodes: Cones bounded.
        seconds: Wall-clock time.
        complete: Whether the requested tolerance was reached.
        open_directions: Directions where the bound is largest, norm 1, shape (k, d).
        stages: Stages finished.
    """

    lower: float
    witness: Tensor
    upper: float
    tree: ConeTree
    nodes: int
    seconds: float
    complete: bool
    open_directions: Tensor
    stages: tuple[Stage, ...]


def cone_polar(  # noqa: PLR0913
    rows: Tensor,
    Q: Tensor,
    settings: ConeSettings,
    start: Tensor | None = None,
    on_progress: Report = lambda lower, upper, nodes: None,
    *,
    aid: Aid = NO_AID,
) -> ConeOutcome:
    """Bound the polar from both sides: the interval reached, with its proof.

    Args:
        rows: X, finite, float64, shape (n, d), 1 <= d <= MAX_DIMENSION.
        Q: Finite, float64, shape (n, c). With c = 1 both signs of Q are covered.
        settings: Goal and limits.
        start: A good direction if one is known, shape (d,).
        on_progress: Called with (lower, upper, nodes) after each stage.
        aid: Others who help, and a state of a search with the same rows and Q to go on from.

    Raises:
        ValueError: The shapes do not fit, an entry is not finite, or d is out of range.
    """
    nothing = Q.new_zeros(0, len(Q))
    sides = [(sign * Q, nothing) for sign in ((1, -1) if Q.shape[1] == 1 else (1,))]
    return cone_maximum(rows, sides, settings, start, on_progress, aid=aid)


def cone_maximum(  # noqa: PLR0913
    rows: Tensor,
    sides: list[tuple[Tensor, Tensor]],
    settings: ConeSettings,
    start: Tensor | None = None,
    on_progress: Report = lambda lower, upper, nodes: None,
    *,
    aid: Aid = NO_AID,
) -> ConeOutcome:
    """Bound from both sides the largest of max |C^T s(X u)| + sum_b |sqrt(D_b) o s(X u)|, one for each side.

    A side of one column without D is C^T s(X u) itself, of one sign.

    Args:
        rows: X, finite, float64, shape (n, d), 1 <= d <= MAX_DIMENSION.
        sides: Pairs of C, shape (n, c), and D >= 0, shape (b, n), of the same shapes.
        settings: Goal and limits.
        start: A good direction if one is known, shape (d,).
        on_progress: Called with (lower, upper, nodes) after each stage.
        aid: Others who help, and a state of a search with the same rows and sides to go on from.

    Raises:
        ValueError: The shapes do not fit, an entry is not finite, or d is out of range.
    """
    began = time.perf_counter()
    for columns, diagonals in sides:
        _require_fitting(rows, columns, diagonals)
        if columns.shape != sides[0][0].shape or diagonals.shape != sides[0][1].shape:
            raise ValueError("the two sides must have as many columns and diagonals")
    row_unit = _power_of_two(rows)
    weight_unit = max(_power_of_two(part) for columns, diagonals in sides for part in (columns, diagonals.sqrt()))
    unit = row_unit * weight_unit
    rows, scores = rows / row_unit, [columns / weight_unit for columns, _ in sides]
    majorants = [
        build_majorant(rows, own, settings.free_axis, settings.slopes, diagonals / weight_unit**2)
        for own, (_, diagonals) in zip(scores, sides, strict=True)
    ]
    scaled = replace(settings, target=settings.target / unit)
    if aid.state is None:
        search = begun(majorants, scores, scaled, began, _started(majorants, start))
    else:
        search = gone_on(majorants, scores, scaled, began, aid.state)
    search.run(
        lambda lower, upper, nodes: on_progress(lower * unit, upper * unit, nodes),
        lambda: aid.keep(state_of(search)) if aid.due() else None,
        None if aid.crew is None else Sharing(aid.crew, scaled, search.deadline),
    )
    aid.keep(state_of(search))
    return _outcome(search, majorants, settings, unit, began)


def _require_fitting(rows: Tensor, Q: Tensor, diagonals: Tensor) -> None:
    """Raise ValueError unless the arguments can be bounded."""
    if rows.ndim != 2 or Q.ndim != 2 or rows.shape[0] != Q.shape[0]:
        raise ValueError(f"rows {tuple(rows.shape)} and Q {tuple(Q.shape)} must be (n, d) and (n, c)")
    if not 1 <= rows.shape[1] <= MAX_DIMENSION:
        raise ValueError(f"cones need 1 <= d <= {MAX_DIMENSION} coordinates, rows have {rows.shape[1]}")
    if rows.dtype != torch.float64 or Q.dtype != torch.float64:
        raise ValueError(f"rows and Q must be float64, not {rows.dtype} and {Q.dtype}")
    if not all(bool(values.isfinite().all()) for values in (rows, Q, diagonals)):
        raise ValueError("rows, Q and diagonals must be finite")
    if diagonals.shape[1:] != rows.shape[:1] or bool((diagonals < 0).any()):
        raise ValueError(f"diagonals {tuple(diagonals.shape)} must be (b, {rows.shape[0]}) and nonnegative")


def _power_of_two(values: Tensor) -> float:
    """Power of two that scales the largest entry into [1/2, 1), or 1 for zeros."""
    largest = float(values.abs().max()) if values.numel() else 0.0
    return math.ldexp(1.0, math.frexp(largest)[1]) if largest > 0 else 1.0


def _started(majorants: list[Majorant], start: Tensor | None) -> Incumbent:
    """Incumbent at a given direction, or at zero."""
    zero = torch.zeros_like(majorants[0].slants[0])
    norm = 0.0 if start is None else _norm(start, majorants[0].free_axis)
    if start is None or not 0 < norm < math.inf:
        return Incumbent(0.0, zero)
    unit = start.to(zero) / norm
    return Incumbent(max(_value(majorant, unit) for majorant in majorants), unit)


def _norm(direction: Tensor, free_axis: int | None) -> float:
    """Euclidean norm outside the free axis."""
    return float(penalized(direction, free_axis).norm())


def _value(majorant: Majorant, direction: Tensor) -> float:
    """What is maximized at a direction, shape (d,)."""
    return float(values_at(majorant, interpolation_sums(majorant, direction[:, None])))


def _lower(majorants: list[Majorant], incumbent: Incumbent) -> tuple[float, Tensor]:
    """Value proven at the incumbent's direction, shrunk to norm at most 1, and that direction."""
    terms = majorants[0].rows.shape[1] + 20
    norm = _norm(incumbent.direction, majorants[0].free_axis) * (1 + terms * UNIT_ROUNDOFF)
    witness = incumbent.direction / max(norm, 1.0)
    size = float(witness.abs().sum())
    return max(0.0, *(_value(majorant, witness) - majorant.error * size for majorant in majorants)), witness


def _outcome(
    search: ConeSearch, majorants: list[Majorant], settings: ConeSettings, unit: float, began: float
) -> ConeOutcome:
    """Assemble the proven interval and the proof, in the caller's units."""
    lower, witness = _lower(majorants, search.incumbent)
    trees = [prune_to_preorder(front.log) for front in search.fronts]
    upper = max(tree.upper for tree in trees) * (1 + CLAIM_MARGIN) * unit
    lower *= unit
    tree = ConeTree(
        dimension=witness.shape[0],
        signs=(1, -1) if len(majorants) == 2 else (1,),
        splits=np.concatenate([tree.splits for tree in trees]),
        tangents=np.concatenate([tree.tangents for tree in trees]),
        free_axis=settings.free_axis,
        upper=upper,
    )
    return ConeOutcome(
        lower=lower,
        witness=witness,
        upper=upper,
        tree=tree,
        nodes=search.nodes,
        seconds=time.perf_counter() - began,
        complete=upper <= settings.goal(lower),
        open_directions=_open_directions(search, settings),
        stages=tuple(Stage(stage.threshold * unit, stage.nodes) for stage in search.stages),
    )


def _open_directions(search: ConeSearch, settings: ConeSettings) -> Tensor:
    """Unit maximizers of the largest bounds above the goal, shape (k, d)."""
    leaves = joined([front.leaves() for front in search.fronts])
    bounds, points = leaves.bounds, leaves.maximizers()
    count = min(OPEN_DIRECTIONS, int((bounds > search.goal).sum()))
    points = points[:, bounds.topk(count).indices]
    norms = penalized(points, settings.free_axis).norm(dim=0)
    directions: Tensor = (points / norms)[:, norms > 0].T
    return directions
