"""Branch and bound on the signs of rows, for one sign of one score column: largest bounds first, in batches.

With r = (s₊ − s₋) q and l = s₋ Hᵀq the sum is Σ r_i relu(t_i) + l·u, t_i = h_i·u. Where the signs of some rows are
decided, and |t_i| ≤ R_i for the directions that count, any α ≥ 0 and s in [0, 1] bound it on |u| ≤ 1:

    r_i relu(t_i) ≤ (r_i + α_i) t_i for decided t_i ≥ 0,   −α_i t_i for decided t_i ≤ 0,
    r_i relu(t_i) ≤ s_i r_i t_i + max(r_i, 0) max(s_i, 1 − s_i) R_i for the others,

so by |w| and constants, w the sum of all that multiplies u. For r_i > 0, s_i = 1/2 is best; with r_i < 0, and α, the
shortest w is a least squares problem in a box (a distance of zonotopes; Bach 2017). A node is split at the row j of
r_j > 0 that costs most at the node's own maximizer w/|w|. Where ±h_j + Σ α_i (±h_i) over decided rows vanishes for some
α ≥ 0, the child with that sign of t_j is *void*, an edge of the other: so there are not many more nodes than cells.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, final

import torch
from torch import Tensor

from certify.bounds.rows.signs.boxed_residual import Boxed, shorten

# Lengths below this share of the goal count as zero.
NO_LENGTH = 1e-9
# Least cost of an undecided row as a share of the largest, so that nodes of rough maximizers can be split.
LEAST_COST = 1e-9
LEAF, VOID = -1, -2
# A maximizer this close to a kink, as a share of R, may lie on either side.
KINK = 1e-6
# A child is void where |±h_j + Σ α_i (±h_i)| is at most this share of R_j.
EDGE = 1e-12


class SignedSum(NamedTuple):
    """Σ r_i relu(t_i) + l·u, in coordinates in which |w| counts.

    Attributes:
        rows: h, (N, k); for a free bias a last column so large that the shortest w nearly vanishes there.
        bent: r, (N,).
        linear: l, (k,).
        reach: R, (N,).
        stretch: the largest |u| that counts; more than 1 with a free bias, whose entry takes the rest.
    """

    rows: Tensor
    bent: Tensor
    linear: Tensor
    reach: Tensor
    stretch: float

    @property
    def columns(self) -> Tensor:
        """|r_i| h_i, (N, k)."""
        return self.bent.abs()[:, None] * self.rows

    def lengths(self, w: Tensor) -> Tensor:
        """What w·u is at most for the directions that count, (B,) for (B, k)."""
        found: Tensor = torch.linalg.vector_norm(w, dim=1) * self.stretch
        return found

    def values(self, directions: Tensor) -> Tensor:
        """The sum at u (B, k), divided by its penalized length, (B,)."""
        penalized = directions[:, :-1] if self.stretch > 1 else directions
        sums = (directions @ self.rows.T).clamp_min(0) @ self.bent + directions @ self.linear
        return torch.nan_to_num(sums / torch.linalg.vector_norm(penalized, dim=1), 0.0, 0.0, 0.0)


@final
@dataclass(frozen=True, slots=True)
class SignNodes:
    """B nodes.

    Attributes:
        places: in the record of all nodes, (B,).
        signs: ±1 where decided, else 0, (B, N).
        x: s of undecided rows of r < 0, α / |r| of decided ones, else 0, (B, N).
        free: of the least squares problem, (B, N).
        bounds: (B,).
        maximizers: of the bounds, 0 where all directions serve, (B, k).
        voids: the place of the void node that shows the sign of a row, −1 where it was chosen or is open, (B, N).
    """

    places: Tensor
    signs: Tensor
    x: Tensor
    free: Tensor
    bounds: Tensor
    maximizers: Tensor
    voids: Tensor

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Tensor | slice) -> SignNodes:
        return SignNodes(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def joined(parts: list[SignNodes]) -> SignNodes:
        """One batch of several."""
        return SignNodes(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(SignNodes)))


@final
class SignSearch:
    """The tree of one sign: which rows its nodes split, its leaves, and the best direction seen."""

    def __init__(self, own: SignedSum, goal: float) -> None:
        self._own, self._columns = own, own.columns
        self.split_rows, self.children = [LEAF], [(0, 0)]
        none = own.rows.new_zeros(1, len(own.rows))
        places = torch.zeros(1, dtype=torch.int64, device=none.device)
        bounds, chosen = none.new_full((1,), torch.inf), torch.full_like(none, -1, dtype=torch.int64)
        root = SignNodes(places, none, none, none > 0, bounds, own.linear[None], chosen)
        self.lower, self.witness = 0.0, own.linear
        self.open = self._bounded(root, goal)
        self.closed: list[SignNodes] = []
        self.void = self.open[:0]

    @property
    def leaves(self) -> SignNodes:
        """All leaves."""
        return SignNodes.joined([*self.closed, self.open])

    def split(self, goal: float, most: int) -> bool:
        """Split at most so many nodes of largest bound above the goal; whether there was one that could be."""
        keep = (self.open.bounds > goal) & (self._costs(self.open).amax(1) > 0)
        self.closed.append(self.open[~keep])
        nodes = self.open[keep]
        order = nodes.bounds.argsort(descending=True)
        chosen, rest = nodes[order[:most]], nodes[order[most:]]
        self.open = SignNodes.joined([self._bounded(self._children(chosen), goal), rest]) if len(chosen) else rest
        return len(chosen) > 0

    def _costs(self, nodes: SignNodes) -> Tensor:
        """Of leaving a row of r > 0 undecided, at the maximizer, (B, N)."""
        own = self._own
        spare = torch.maximum(own.reach - (nodes.maximizers @ own.rows.T).abs(), LEAST_COST * own.reach)
        return (nodes.signs == 0) * own.bent.clamp_min(0) * spare

    def _children(self, nodes: SignNodes) -> SignNodes:
        """Those with the row positive, then those with it negative, but for void ones."""
        rows, count, first = self._costs(nodes).argmax(1), len(nodes), len(self.split_rows)
        self.split_rows.extend([LEAF] * (2 * count))
        self.children.extend([(0, 0)] * (2 * count))
        for place, row, child in zip(nodes.places.tolist(), rows.tolist(), range(first, first + count), strict=True):
            self.split_rows[place], self.children[place] = row, (child, child + count)
        ahead = (nodes.maximizers * self._own.rows[rows]).sum(1)
        at, suspect = torch.arange(count, device=rows.device), KINK * self._own.reach[rows]
        # The side that the maximizer lies in by far has an inside.
        positive, above = self._voided(nodes, rows, 1.0, ahead <= suspect, first + at)
        negative, below = self._voided(nodes, rows, -1.0, (ahead >= -suspect) & ~above, first + count + at)
        for children, is_void, others in ((positive, above, negative), (negative, below, positive)):
            void = children[is_void]
            self.void = SignNodes.joined([self.void, void])
            for place in void.places.tolist():
                self.split_rows[place] = VOID
            others.voids[at[is_void], rows[is_void]] = void.places
        return SignNodes.joined([positive[~above], negative[~below]])

    def _voided(
        self, nodes: SignNodes, rows: Tensor, sign: float, suspects: Tensor, places: Tensor
    ) -> tuple[SignNodes, Tensor]:
        """The child of each node with this sign of a row (B,), and which of the suspects are void.

        These have α that show it, and 1 at the row just decided.
        """
        own, at = self._own, torch.arange(len(rows), device=rows.device)[suspects]
        signs = nodes.signs.scatter(1, rows[:, None], sign)
        caps = torch.where((nodes.signs != 0) & (nodes.voids < 0), torch.inf, 0.0).to(signs)[suspects]
        zero, enough = torch.zeros_like(caps), EDGE * own.reach[rows[suspects]]
        found = shorten(Boxed(sign * own.rows[rows[suspects]], signs[suspects], caps, zero, zero > 0), own.rows, enough)
        shown = own.lengths(found.residuals(own.rows)) <= enough
        is_void, x = torch.zeros_like(suspects), nodes.x.clone()
        is_void[at[shown]] = True
        x[at[shown]] = found.x[shown]
        x[at[shown], rows[at[shown]]] = 1
        return replace(nodes, places=places, signs=signs, x=x, voids=nodes.voids.clone()), is_void

    def _bounded(self, nodes: SignNodes, goal: float) -> SignNodes:
        """With short w, and no bound above that of the parent."""
        own, signs, decided = self._own, nodes.signs, nodes.signs != 0
        shares = torch.where(decided, signs.clamp_min(0), 0.5 * (own.bent > 0))
        constants = (~decided * own.bent.clamp_min(0)) @ own.reach / 2
        base = own.linear + (shares * own.bent) @ own.rows
        # What a void node shows adds nothing to the rows that it comes from.
        caps = torch.where(decided, torch.where(nodes.voids < 0, torch.inf, 0.0), 1.0 * (own.bent < 0)).to(signs)
        problems = Boxed(base, torch.where(decided, signs, -1.0), caps, nodes.x, nodes.free)
        found = shorten(problems, self._columns, (goal - constants).clamp_min(NO_LENGTH * goal))
        w = found.residuals(self._columns)
        lengths = own.lengths(w)
        # Where nothing is left of w, no direction is better than others.
        is_left = lengths > NO_LENGTH * (lengths + constants)
        maximizers = torch.where(is_left[:, None], w / lengths[:, None], 0.0)
        values = own.values(maximizers)
        if float(values.max()) > self.lower:
            self.lower, self.witness = float(values.max()), maximizers[values.argmax()]
        bounds = torch.minimum(lengths + constants, nodes.bounds)
        return replace(nodes, x=found.x, free=found.free, bounds=bounds, maximizers=maximizers)
