"""Polishing: the best network over the cells of its neurons of one kink and of further directions, in all branches.

The restricted problem is convex and is solved to about 1e-9; at its solution no direction within the cells that were
given violates the polar condition, so that only new cells can (column generation over cells; Pilanci and Ergen 2020).
At optima nearly all hidden units sit exactly on kinks, where gradient descent stalls and this does not.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from certify.growth.block_group import BlockGroup, input_blocks, output_blocks
from certify.growth.block_program import block_program
from certify.growth.cells import cells_of, one_cell
from certify.growth.directions import directions_of, joined
from certify.growth.factor_descent import grows_by_factors
from certify.growth.interior_point import minimize_blocks
from certify.growth.merge import merged
from certify.growth.newton_system import MOST_COLUMNS, MOST_ENTRIES
from certify.problem import (
    Bilinear,
    Branch,
    Factors,
    Layers,
    Multilinear,
    Objective,
    ParallelNetwork,
    Rows,
    Squares,
    Symmetric,
)

# A new direction on kinks brings two cells to the restricted problem.
CELLS_PER_DIRECTION = 2
# The start moves into the interior of its cells by this share of the mean size of a subnetwork.
INWARD_SHARE = 1e-2
# Subnetworks below this share of the dearest are dropped: the barrier leaves them near, not at, zero.
NEGLIGIBLE = 1e-7
# Size of the start where there is no network yet, in units of the matched product.
SMALLEST_START = 1e-3


def polish_applies(objective: Objective, network: ParallelNetwork, directions: tuple[Factors, ...]) -> bool:
    """Whether there are kinks to polish, and the restricted problem is of a size for Newton's method.

    The network's own subnetworks have one cell each; further directions of every branch may have two.
    """
    if grows_by_factors(objective) or any(isinstance(branch.form, Layers) for branch in objective.branches):
        return False
    columns = entries = kinked = 0
    for branch, width, more in zip(objective.branches, network.widths, directions, strict=True):
        blocks = width + CELLS_PER_DIRECTION * len(more[0])
        rows, inputs = branch.table.rows.shape
        added = blocks * max(inputs, branch.table.readout.weights_of(objective.outputs))
        columns += added
        entries += added * max(rows, objective.samples * objective.outputs)
        kinked += blocks if isinstance(branch.form, Rows) else 0
    return kinked > 0 and columns <= MOST_COLUMNS and entries <= MOST_ENTRIES


def polished(
    objective: Objective, network: ParallelNetwork, directions: tuple[Factors, ...], deadline: float
) -> ParallelNetwork:
    """The best network over the cells of the network's own subnetworks and of further directions.

    These have θ = 1, stacked in every branch, (s, ·); s may be 0. Stops at the deadline in `time.perf_counter()`.
    """
    triples = zip(objective.branches, network.stacks, directions, strict=True)
    groups, starts = zip(*(_in_cells(branch, stack, more) for branch, stack, more in triples), strict=True)
    if not any(len(start) for start in starts):
        return network
    found = merged(objective, _solved(objective, groups, starts, network.coefficients, deadline))
    if all(branch.table.readout.weights_of(objective.outputs) == 1 for branch in objective.branches):
        return found
    pairs = zip(objective.branches, found.stacks, strict=True)
    groups = tuple(output_blocks(branch, *directions_of(branch, stack)) for branch, stack in pairs)
    return _solved(objective, groups, tuple(group.start for group in groups), found.coefficients, deadline)


def _in_cells(branch: Branch, stack: Factors, directions: Factors) -> tuple[BlockGroup, Tensor]:
    """The blocks of a branch, with input weights free where that is convex, and a start strictly inside."""
    own, scales = directions_of(branch, stack)
    atoms, scales = joined(own, directions), torch.cat([scales, scales.new_zeros(len(directions[0]))])
    match branch.form:
        case Rows() as form:
            cells = cells_of(form, atoms, scales)
            group = input_blocks(branch, cells)
            return group, _strictly_inside(group, cells.interior)
        case Bilinear() as form:
            group = input_blocks(branch, one_cell(form, atoms, scales))
        case Squares():
            group = output_blocks(branch, atoms, scales)
        case Symmetric() | Multilinear() | Layers():
            raise TypeError(f"'{branch.kind.name}' subnetworks have no cells")
        case form:
            assert_never(form)
    return group, group.start


def _strictly_inside(group: BlockGroup, interior: Tensor) -> Tensor:
    """The start of every block moved into its cell, twice as far as it lies behind any wall."""
    if not len(interior):
        return group.start
    mean = torch.linalg.vector_norm(group.start, dim=1).mean().clamp_min(SMALLEST_START)
    behind = (-group.slack(group.start) / group.slack(interior)).amax(1, keepdim=True)
    return group.start + torch.maximum(INWARD_SHARE * mean, 2 * behind) * interior


def _solved(
    objective: Objective,
    groups: tuple[BlockGroup, ...],
    starts: tuple[Tensor, ...],
    coefficients: Tensor,
    deadline: float,
) -> ParallelNetwork:
    program = block_program(objective, groups)
    start = torch.cat([*(part.flatten() for part in starts), coefficients.flatten()])
    blocks, found = program.split(minimize_blocks(program, start, deadline))
    pairs = tuple(zip(groups, blocks, strict=True))
    limit = NEGLIGIBLE * max((float(group.costs(part).max()) for group, part in pairs if len(part)), default=0.0)
    return ParallelNetwork(
        tuple(group.subnetworks(part, limit) for group, part in pairs), found.reshape(coefficients.shape)
    )
