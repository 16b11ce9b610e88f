"""Alternating directions for the doubly nonnegative relaxation of one branch, beside those of others.

For every pattern s of signs of the first j outputs, 1 for the others, let y = (v, u, z₊, z₋), v times s the output
weights, and Y a matrix in the place of Σ y yᵀ over subnetworks. Minimize

    l(Z) + Σ_s λ/2 (tr Y_uu + tr Y_vv),   Z = R(Σ_s (s₊ Y_z₊v − s₋ Y_z₋v) diag(s)), R the readout,

over Y = V R Vᵀ, R ⪰ 0 (`lift`), with Y_zz ≥ 0, Y_z₊z₋ zero on its diagonal, and Y_zv ≥ 0 where v has a sign; for m = 1
also Y_vv = tr Y_uu, and |Y_zu| ≤ Y_zv row by row: |u| = v after rescaling a subnetwork, and z ≥ 0. With a free bias,
last in u, its square is at most tr Y_uu of the others. R and Y take turns, with multipliers W in units of the penalty β
(Oliveira, Wolkowicz and Xu 2018). Y_zv is held twice for j > 0: one copy serves the loss, the other the cones.

Of the blocks over z only G with Y = max(G, 0) and W/β = max(−G, 0) is held. Nothing here is relied on: `proven`
turns any iterate into a bound.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from certify.bounds.proof import ProductMultipliers
from certify.bounds.rows.relaxations.doubly_nonnegative.block import Block
from certify.bounds.rows.relaxations.doubly_nonnegative.lift import Symmetric, lift_of
from certify.bounds.rows.relaxations.doubly_nonnegative.products import sign_patterns
from certify.bounds.rows.rows_form import rows_form
from certify.problem import Branch, Factors

RELAXATION = 1.6
# All eigenpairs are computed every so many steps, and between them the positive ones and so many more.
WHOLE_EVERY, SPARE = 50, 8


@final
class RowsPart:
    """The iteration for one branch of rows.

    Attributes:
        lift: the reduced coordinates.
        penalty: β.
        blocks: the state, one for each pattern.
        split: j.
    """

    def __init__(self, branch: Branch, outputs: int, inputs: Tensor, precision: torch.dtype = torch.float64) -> None:
        """Start from nothing, with j = 1 for m = 1, else 0.

        Args:
            branch: whose polar has the form Rows.
            outputs: c.
            inputs: X, (N, D); with a free bias centered, its last column the largest norm of the others.
            precision: of everything but what the loss sees.
        """
        form = rows_form(branch)
        m, (n, d) = form.view.readout.weights_of(outputs), inputs.shape
        self.split = 1 if m == 1 else 0
        self.lift = lift_of(inputs, m).to(precision)
        inputs = inputs.to(precision)
        self._strength = self.penalty = branch.strength
        rim = (2, n, d + m * self.split)
        shapes = [(n, n)] * 3 + [(m + d, m + d)] * 2 + [(2, n, m)] * 2 + [rim] * 2
        self.blocks = [Block(*map(inputs.new_zeros, shapes)) for _ in range(2**self.split)]
        self._slopes = inputs.new_tensor([form.slopes.positive, -form.slopes.negative])[:, None, None]
        self._readout = form.view.readout
        self._free = form.view.free_inputs
        self._inputs = inputs
        self._reach = float(inputs[0, -1])
        self._steps = 0
        self._found, self._points = list[Symmetric](), list[Tensor]()

    def start(self, network: Factors, center: Tensor | None) -> None:
        """Put Σ y yᵀ over the subnetworks (u, v) of a network in the place of Y, each rescaled to |u| = |v|.

        Args:
            network: u (r, h) and v (r, m), of any width r.
            center: m of the region, which a free bias makes up for.
        """
        if not network:
            return
        hidden, second = (factor.to(self._inputs.dtype) for factor in network)
        if self._free and center is not None:
            free = hidden[:, -1:] + hidden[:, :-1] @ center.to(hidden)[:, None]
            hidden = torch.cat([hidden[:, :-1], free / self._reach], 1)
        lengths = torch.linalg.vector_norm(hidden[:, : hidden.shape[1] - self._free], dim=1), second.norm(dim=1)
        alive = (lengths[0] > 0) & (lengths[1] > 0)
        balance = (lengths[1][alive] / lengths[0][alive]).sqrt()[:, None]
        hidden, second = hidden[alive] * balance, second[alive] / balance
        for pattern, block in zip(self._patterns(), self.blocks, strict=True):
            own = ((second < 0) == (pattern < 0))[:, : self.split].all(1)
            block.start(self.lift.responses(self._inputs, hidden[own]), hidden[own], pattern * second[own])

    def _patterns(self) -> Tensor:
        return sign_patterns(self.lift.outputs, self.split).to(self._inputs)

    def advance(self) -> Tensor:
        """The step of R; returns what the loss is drawn to, (n, c)."""
        self._steps += 1
        self._found = [self._semidefinite(block) for block in self.blocks]
        self._points = [
            RELAXATION * matrix.rim[..., : self.lift.outputs] + (1 - RELAXATION) * block.loss - block.loss_dual
            for matrix, block in zip(self._found, self.blocks, strict=True)
        ]
        parts = [(self._slopes * point).sum(0) * own for point, own in zip(self._points, self._patterns(), strict=True)]
        return self._readout.collected((torch.stack(parts).sum(0) / self.lift.unit).double())

    @property
    def resistance(self) -> float:
        """The largest eigenvalue of what `resisted` applies."""
        # Entries off the diagonal count twice, unless they are held twice.
        weight = self.penalty * self.lift.unit**2 * (1 if self.split else 2)
        slopes = float((self._slopes.double() ** 2).sum())
        return len(self.blocks) * slopes * self._readout.squared_norm() / weight

    def resisted(self, gradient: Tensor) -> Tensor:
        """How far outputs move against a gradient of the loss, (n, c), if Y does."""
        moved = self._readout.collected(self._readout.scores(gradient))
        return moved * (self.resistance / self._readout.squared_norm())

    def settle(self, gradient: Tensor) -> None:
        """The step of Y against the gradient of the loss."""
        weight = self.penalty * self.lift.unit * (1 if self.split else 2)
        moved = self._slopes * (self._readout.scores(gradient) / weight).to(self._slopes)
        for block, matrix, point, own in zip(self.blocks, self._found, self._points, self._patterns(), strict=True):
            block.loss = point - moved * own
            block.loss_dual = block.loss - point
            self._move_products(block, matrix)
            self._move_core(block, matrix.core)
            self._move_cones(block, matrix.rim)
        self._found, self._points = [], []

    def divide(self, split: int) -> None:
        """Go on with so many outputs that have a sign, from none."""
        (whole,), self.split = self.blocks, split
        self.blocks = [whole.divided(pattern, 2**split) for pattern in self._patterns()]
        self.penalty *= 2**split

    def refine(self) -> None:
        """Go on in double precision."""
        self.lift, self._inputs = self.lift.to(torch.float64), self._inputs.double()
        self._slopes = self._slopes.double()
        self.blocks = [block.to(torch.float64) for block in self.blocks]

    @property
    def is_coarse(self) -> bool:
        """Whether it goes on in single precision."""
        return self._inputs.dtype == torch.float32

    def rescale(self, factor: float) -> None:
        """Multiply β by a factor, W unchanged."""
        self.penalty *= factor
        for block in self.blocks:
            block.rescale(factor)

    def _semidefinite(self, block: Block) -> Symmetric:
        """V R Vᵀ for the R ⪰ 0 nearest to Vᵀ(Y + W/β)V."""
        cross = block.cross.abs()
        cross.diagonal().copy_(-block.cross.diagonal())
        loss, cone = block.loss + block.loss_dual, block.cone + block.cone_dual
        held = cone.shape[2] - len(self.lift.root)
        if held:
            loss = (loss + cone[..., :held]) / 2
        rim = torch.cat([loss, cone[..., held:]], 2)
        total = Symmetric(block.core + block.core_dual, rim, block.both.abs(), cross, block.none.abs())
        values, vectors = self._eigenpairs(self.lift.compressed(total), block)
        positive = values > _noise(values)
        core, above, below = self.lift.expanded(vectors[:, positive] * values[positive].sqrt())
        rims = torch.stack([above @ core.T, below @ core.T])
        return Symmetric(core @ core.T, rims, above @ above.T, above @ below.T, below @ below.T)

    def _eigenpairs(self, matrix: Tensor, block: Block) -> tuple[Tensor, Tensor]:
        """The positive eigenpairs, and others; where they are few, by a step of block Krylov from those before."""
        known = block.vectors
        if known is None or 4 * known.shape[1] > len(matrix) or self._steps % WHOLE_EVERY == 1:
            values, vectors = torch.linalg.eigh(matrix)
        else:
            basis = torch.linalg.qr(torch.cat([known, matrix @ known], 1)).Q
            values, inner = torch.linalg.eigh(basis.T @ (matrix @ basis))
            vectors = basis @ inner
        block.vectors = vectors[:, -(int((values > _noise(values)).sum()) + SPARE) :].contiguous()
        return values, vectors

    def _move_products(self, block: Block, found: Symmetric) -> None:
        """Over z: Y ≥ 0, and 0 for z₊z₋ of one row."""
        diagonal = RELAXATION * found.cross.diagonal() + block.cross.diagonal()
        for new, old in ((found.both, block.both), (found.cross, block.cross), (found.none, block.none)):
            new.mul_(RELAXATION).add_(old.clamp_min(0), alpha=1 - RELAXATION).add_(old.clamp_max(0))
        found.cross.diagonal().copy_(diagonal)
        block.both, block.cross, block.none = found.both, found.cross, found.none

    def _move_core(self, block: Block, found: Tensor) -> None:
        """Over (v, u): the penalty, Y_vv = tr Y_uu for m = 1, and no more than that of a free bias."""
        m = self.lift.outputs
        point = RELAXATION * found + (1 - RELAXATION) * block.core - block.core_dual
        moved = point.clone()
        diagonal = moved.diagonal()
        norm = slice(m, len(diagonal) - self._free)
        penalized = len(diagonal) - self._free
        diagonal[:penalized] -= self._strength / (2 * self.penalty)
        size = penalized - m
        normals: list[tuple[slice, Tensor]] = []
        if m == 1:
            normals.append((slice(0, 1), diagonal[0] - diagonal[norm].sum()))
        if self._free and float(diagonal[-1] - diagonal[norm].sum()) > 0:
            normals.append((slice(penalized, None), diagonal[-1] - diagonal[norm].sum()))
        if normals:
            gram = torch.eye(len(normals)).to(moved) + size
            shares = torch.linalg.solve(gram, torch.stack([excess for _, excess in normals]))
            for (place, _), share in zip(normals, shares, strict=True):
                diagonal[place] -= share
                diagonal[norm] += share
        block.core, block.core_dual = moved, moved - point

    def _move_cones(self, block: Block, found: Tensor) -> None:
        """Over z and (v, u): |Y_zu| ≤ Y_zv for m = 1, a free bias left out; else Y_zv ≥ 0 where v has a sign.

        Y_zu counts twice, this copy of Y_zv once.
        """
        new = found[..., found.shape[2] - block.cone.shape[2] :]
        point = RELAXATION * new + (1 - RELAXATION) * block.cone - block.cone_dual
        moved = point.clone()
        if self.lift.outputs == 1:
            _onto_cones(moved[..., : moved.shape[2] - self._free])
        else:
            moved[..., : self.split].clamp_min_(0)
        block.cone, block.cone_dual = moved, moved - point

    def multipliers(self) -> tuple[ProductMultipliers, ...]:
        """Those of products in the last iterate, in units of z itself; levels are left to the proof."""
        return tuple(self._multipliers_of(block.to(torch.float64)) for block in self.blocks)

    def _multipliers_of(self, block: Block) -> ProductMultipliers:
        scale = self.penalty * self.lift.unit**2
        cross = (-block.cross).clamp_min(0)
        cross.diagonal().copy_(-block.cross.diagonal())
        end = block.cone.shape[2] - self._free
        rim = self.penalty * self.lift.unit * block.cone_dual
        tilts = 2 * rim[..., 1:end] if self.lift.outputs == 1 else None
        both, none = ((-values).clamp_min(0) * scale for values in (block.both, block.none))
        return ProductMultipliers(both, cross * scale, none, rim[..., : self.split], tilts)


def _noise(values: Tensor) -> float:
    """Eigenvalues below this are rounding."""
    return 10 * torch.finfo(values.dtype).eps * float(values.abs().max())


def _onto_cones(points: Tensor) -> None:
    """Project (t, w) onto |w| ≤ t, w counting twice, in place."""
    height, lengths = points[..., 0].clone(), torch.linalg.vector_norm(points[..., 1:], dim=2)
    inside, gone = lengths <= height, 2 * lengths <= -height
    level = torch.where(gone, 0.0, (height + 2 * lengths) / 3)
    points[..., 0] = torch.where(inside, height, level)
    ratio = level / lengths.clamp_min(torch.finfo(lengths.dtype).tiny)
    points[..., 1:] *= torch.where(inside, 1.0, ratio)[..., None]
